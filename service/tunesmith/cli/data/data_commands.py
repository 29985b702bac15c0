"""`tunesmith data`: market data on disk, with the daemon running or not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from tunesmith.cli.daemon_connection import AsJson, DataDir, settings_in_force
from tunesmith.cli.lazy_commands import new_app
from tunesmith.cli.tables import remark
from tunesmith.domain.market.calendars import AROUND_THE_CLOCK, Calendar, calendar_named
from tunesmith.errors import Conflict, Internal, NotFound
from tunesmith.protocol.messages.markets import ImportReport
from tunesmith.storage.market.market_schemes import open_market
from tunesmith.storage.market.series import Series
from tunesmith.storage.secrets.import_log import note_import, note_new_evidence
from tunesmith.storage.secrets.key_log import FILE
from tunesmith.storage.tables.holdout_table import stored_boundaries
from tunesmith.storage.tables.market_table import used_until
from tunesmith.storage.timestamps import iso

app = new_app()

_LISTED_GAPS = 5


@app.command("import")
def import_(
    path: Annotated[
        Path,
        typer.Argument(help="CSV (also .gz), Parquet or Feather file, or a folder of freqtrade's.", metavar="PATH"),
    ],
    symbol: Annotated[str | None, typer.Option(help="Such as BTC/USDT; a folder's file names tell it.")] = None,
    timeframe: Annotated[str | None, typer.Option(help="Such as 5m, 1h, 1d; a folder's file names tell it.")] = None,
    venue: Annotated[str, typer.Option(help="Where the candles are from.")] = "local",
    calendar: Annotated[
        str | None,
        typer.Option(
            help='When the market trades: 24/7, weekdays, "09:30-16:00 America/New_York", an exchange such as XNYS, or '
            "irregular. Without it the bars tell."
        ),
    ] = None,
    replace: Annotated[bool, typer.Option(help="Let the file win where stored bars differ.")] = False,
    new_evidence: Annotated[
        bool,
        typer.Option(
            help="With --replace: also where a search or a verdict used them. What was found on them is no evidence "
            "any more; tries and looks go on counting."
        ),
    ] = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Check candles and store them; nothing is stored of a file that is not sound."""
    if new_evidence and not replace:
        raise typer.BadParameter("--new-evidence goes with --replace")
    named = None if calendar is None else calendar_named(calendar, "--calendar")
    settings = settings_in_force(None, data_dir).settings
    store = open_market(settings.market)
    used = _Used(settings.data_dir, new_evidence)
    skipped: list[tuple[str, str]] = []
    if path.is_dir():
        found = store.import_folder(path, venue=venue, replace=replace, changing=used.check)
        reports = found.imported
        skipped = [(skip.file, skip.reason) for skip in found.skipped]
    elif not path.exists():
        raise NotFound(f"there is no file or folder {path}")
    elif symbol is None or timeframe is None:
        raise typer.BadParameter("a file needs --symbol and --timeframe, such as --symbol BTC/USDT --timeframe 1h")
    else:
        names = {"symbol": symbol, "timeframe": timeframe, "venue": venue}
        reports = [store.import_file(path, **names, replace=replace, changing=used.check)]
    if named is not None:
        reports = [store.name_calendar(report, named) for report in reports]
    used.write_down(reports, replace=replace, calendar=named)
    if as_json:
        typer.echo(json.dumps({"imported": msgspec.to_builtins(reports), "skipped": skipped}, indent=2))
    else:
        _show(reports, skipped)
    if not reports:
        raise typer.Exit(1)


@app.command("list")
def list_(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """List what is stored, and from where on it is held out."""
    settings = settings_in_force(None, data_dir).settings
    store = open_market(settings.market)
    series = [msgspec.structs.replace(each, calendar=store.calendar_of(each)) for each in store.list()]
    begins = stored_boundaries(settings.data_dir / "tunesmith.db")
    held_out = {key: iso(edge) for key, edge in begins.items()}
    if as_json:
        rows = [{**msgspec.to_builtins(row), "withheld_from": held_out.get((row.venue, row.symbol))} for row in series]
        typer.echo(json.dumps(rows, indent=2))
        return
    if not series:
        typer.echo(f"No market data in {settings.market}")
        typer.echo("Import some: tunesmith data import FILE --symbol S --timeframe T")
        return
    table = Table(box=None, padding=(0, 2, 0, 0))
    for name, justify in (("venue", "left"), ("symbol", "left"), ("timeframe", "left"), ("bars", "right")):
        table.add_column(name, justify=justify)  # type: ignore[arg-type]
    table.add_column("from")
    table.add_column("to")
    table.add_column("held out from")
    table.add_column("gaps", justify="right")
    for row in series:
        table.add_row(
            row.venue,
            row.symbol,
            row.timeframe,
            f"{row.n_bars:,}",
            _day(row.start_ms),
            _day(row.end_ms),
            held_out.get((row.venue, row.symbol), "not yet")[:10],
            str(row.n_gaps),
        )
    Console(highlight=False).print(table)
    for line in calendar_lines(series):
        typer.echo(line)


def calendar_lines(series: list[Series]) -> list[str]:
    """A line for each series that does not trade around the clock: its calendar, where one is known."""
    return [
        f"{each.symbol} {each.timeframe} ({each.venue}) trades by the calendar {each.calendar}"
        for each in series
        if each.calendar not in (None, AROUND_THE_CLOCK.text)
    ]


class _Used:
    """Refuses to replace bars that a search or a verdict used, unless their evidence is to begin anew."""

    def __init__(self, data_dir: Path, new_evidence: bool) -> None:
        self._data_dir = data_dir
        self._new_evidence = new_evidence
        self._replaced: set[tuple[str, str]] = set()

    def check(self, venue: str, symbol: str, first_ms: int) -> None:
        """To be called before bars from `first_ms` on are replaced by others. Raises `Conflict`."""
        until_ms = used_until(self._data_dir / "tunesmith.db", (venue, symbol))
        if until_ms is None or first_ms >= until_ms:
            return
        if not self._new_evidence:
            raise Conflict(
                f"{symbol} ({venue}): bars from {_day(first_ms)} on would change that a search or a verdict used. "
                "With --replace --new-evidence they are replaced: searches made before cannot be decided any more, and "
                "tries and looks go on counting",
                path="/data/bars",
            )
        self._replaced.add((venue, symbol))

    def write_down(self, reports: list[ImportReport], *, replace: bool, calendar: Calendar | None) -> None:
        """Leave for the daemon's audit log what was imported. Raises `Internal` where evidence should begin anew."""
        try:
            for report in reports:
                note_import(self._data_dir, report, replace=replace, calendar=calendar)
            for venue, symbol in sorted(self._replaced & {(report.venue, report.symbol) for report in reports}):
                note_new_evidence(self._data_dir, venue, symbol)
        except OSError as error:
            said = f"cannot write {self._data_dir / FILE}: {error.strerror}"
            if self._replaced:
                raise Internal(f"the bars are replaced, but the daemon does not hear of it: {said}") from error
            remark(f"It is done, but the audit log will not say so: {said}")


def _show(reports: list[ImportReport], skipped: list[tuple[str, str]]) -> None:
    for report in reports:
        by = "" if report.calendar == AROUND_THE_CLOCK.text else f", calendar {report.calendar}"
        typer.echo(
            f"{report.symbol} {report.timeframe} ({report.venue}): {report.n_new:,} new bars, {report.n_bars:,} in all,"
            f" {report.start[:10]} to {report.end[:10]}{by}"
        )
        for gap in report.gaps[:_LISTED_GAPS]:
            typer.echo(f"  gap: {gap['missing']} bars missing from {gap['from']}")
        if len(report.gaps) > _LISTED_GAPS:
            typer.echo(f"  … and {len(report.gaps) - _LISTED_GAPS} more gaps (--json lists them)")
    for file, reason in skipped:
        typer.echo(f"skipped {file}: {reason}", err=True)


def _day(time_ms: int) -> str:
    return iso(time_ms)[:10]
