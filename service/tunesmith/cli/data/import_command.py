"""`tunesmith data import`: candles in files, with the daemon running or not."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated, TypeVar

import msgspec
import typer

from tunesmith.cli.daemon_connection import AsJson, DataDir, settings_in_force
from tunesmith.cli.lazy_commands import new_app
from tunesmith.cli.tables import remark
from tunesmith.domain.market.calendars import AROUND_THE_CLOCK, Calendar, calendar_named
from tunesmith.domain.market.layouts.file_names import named_market
from tunesmith.domain.market.layouts.known_layouts import LAYOUTS
from tunesmith.domain.market.layouts.reading import Reading
from tunesmith.errors import Internal, Invalid, NotFound
from tunesmith.protocol.messages.markets import ImportReport
from tunesmith.storage.market.market_schemes import open_market
from tunesmith.storage.market.market_store import FolderReport, MarketStore
from tunesmith.storage.secrets.import_log import note_import, note_new_evidence
from tunesmith.storage.secrets.key_log import FILE
from tunesmith.storage.tables.used_bars import UsedBars

app = new_app()

Text = TypeVar("Text", bound=str)

_LISTED_GAPS = 5

CalendarText = Annotated[
    str | None,
    typer.Option(
        help='When the market trades: 24/7, weekdays, "09:30-16:00 America/New_York", an exchange such as XNYS, or '
        "irregular. Without it the bars tell."
    ),
]


@app.command("import")
def import_(
    path: Annotated[Path, typer.Argument(help="File of candles, or a folder of freqtrade's.", metavar="PATH")],
    symbol: Annotated[str | None, typer.Option(help="Such as BTC/USDT; else the file's name tells it.")] = None,
    timeframe: Annotated[str | None, typer.Option(help="Such as 5m, 1h, 1d; else the file's name tells it.")] = None,
    venue: Annotated[str | None, typer.Option(help="Where the candles are from; else a folder's name.")] = None,
    layout: Annotated[str | None, typer.Option(help=f"One of {', '.join(LAYOUTS)}.", metavar="NAME")] = None,
    columns: Annotated[
        str | None,
        typer.Option(
            help="Roles in the file's order (time,open,high,low,close,volume; - for one that is not used), or by "
            "name: 'time=Gmt time,close=Last'.",
        ),
    ] = None,
    timezone: Annotated[
        str | None, typer.Option(help="Zone of times that name none, such as America/New_York or +02:00; else UTC.")
    ] = None,
    time_format: Annotated[str | None, typer.Option(help="How times are written, such as '%d/%m/%Y %H:%M'.")] = None,
    decimal: Annotated[str | None, typer.Option(help="Decimal mark: . or ,", metavar="MARK")] = None,
    times: Annotated[str, typer.Option(help="When a bar's time is: opening or closing.")] = "opening",
    drop_open: Annotated[bool, typer.Option(help="Leave out the bar that has not closed yet.")] = False,
    calendar: CalendarText = None,
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
    """Check candles and store them; nothing is stored of a file that is not sound or could mean two things."""
    if new_evidence and not replace:
        raise typer.BadParameter("--new-evidence goes with --replace")
    named = None if calendar is None else calendar_named(calendar, "--calendar")
    reading = Reading(
        layout=layout,
        columns=columns,
        timezone=timezone,
        time_format=time_format,
        decimal=_one_of(decimal, ".", ","),
        times=_one_of(times, "opening", "closing") or "opening",
        drop_open=drop_open,
        now_ms=int(time.time() * 1000),
    )
    settings = settings_in_force(None, data_dir).settings
    used = UsedBars(settings.data_dir / "tunesmith.db", new_evidence, "--replace --new-evidence")
    store = open_market(settings.market)
    found = _imported(store, path, (symbol, timeframe, venue), reading, used if replace else None)
    reports, skipped = found.imported, [(skip.file, skip.reason) for skip in found.skipped]
    try:
        reports = reports if named is None else [store.name_calendar(report, named) for report in reports]
    except Invalid:  # what is stored is stored: the daemon hears of it
        _write_down(settings.data_dir, reports, used, replace=replace, calendar=None)
        raise
    _write_down(settings.data_dir, reports, used, replace=replace, calendar=named)
    _show(reports, skipped, as_json=as_json)
    if not reports:
        raise typer.Exit(1)


def _imported(
    store: MarketStore,
    path: Path,
    given: tuple[str | None, str | None, str | None],
    reading: Reading,
    replacing: UsedBars | None,
) -> FolderReport:
    """Import a file or a folder; with `replacing` stored bars that differ are replaced where it lets them be."""
    replace, changing = replacing is not None, None if replacing is None else replacing.check
    symbol, timeframe, venue = given
    if path.is_dir():
        return store.import_folder(path, venue=venue, replace=replace, changing=changing, reading=reading)
    if not path.exists():
        raise NotFound(f"there is no file or folder {path}")
    market = _market_of(path, symbol, timeframe)
    names = {"symbol": market[0], "timeframe": market[1], "venue": venue or "local"}
    return FolderReport([store.import_file(path, **names, replace=replace, changing=changing, reading=reading)], [])


def _one_of(given: str | None, *allowed: Text) -> Text | None:
    if given is None:
        return None
    for each in allowed:
        if given == each:
            return each
    raise typer.BadParameter(f"{given!r} is none of {' '.join(allowed)}")


def _market_of(path: Path, symbol: str | None, timeframe: str | None) -> tuple[str, str]:
    """The symbol and timeframe that were given, else those that the file's name says."""
    if symbol is not None and timeframe is not None:
        return symbol, timeframe
    named = named_market(path.name)
    if isinstance(named, str):
        raise typer.BadParameter(
            f"{path.name}: {named}; a file needs --symbol and --timeframe, such as --symbol BTC/USDT --timeframe 1h"
        )
    return symbol or named.symbol, timeframe or named.timeframe


def _write_down(
    data_dir: Path, reports: list[ImportReport], used: UsedBars, *, replace: bool, calendar: Calendar | None
) -> None:
    """Leave for the daemon's audit log what was imported. Raises `Internal` where evidence should begin anew."""
    try:
        for report in reports:
            note_import(data_dir, report, replace=replace, calendar=calendar)
        for venue, symbol in sorted(used.replaced & {(report.venue, report.symbol) for report in reports}):
            note_new_evidence(data_dir, venue, symbol)
    except OSError as error:
        said = f"cannot write {data_dir / FILE}: {error.strerror}"
        if used.replaced:
            raise Internal(f"the bars are replaced, but the daemon does not hear of it: {said}") from error
        remark(f"It is done, but the audit log will not say so: {said}")


def _show(reports: list[ImportReport], skipped: list[tuple[str, str]], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({"imported": msgspec.to_builtins(reports), "skipped": skipped}, indent=2))
        return
    for report in reports:
        by = "" if report.calendar == AROUND_THE_CLOCK.text else f", calendar {report.calendar}"
        typer.echo(
            f"{report.symbol} {report.timeframe} ({report.venue}): {report.n_new:,} new bars, {report.n_bars:,} in all,"
            f" {report.start[:10]} to {report.end[:10]}{by}"
        )
        for warning in report.warnings:
            remark(f"  look: {warning}")
        for gap in report.gaps[:_LISTED_GAPS]:
            typer.echo(f"  gap: {gap['missing']} missing from {gap['from']}")
        if len(report.gaps) > _LISTED_GAPS:
            typer.echo(f"  … and {len(report.gaps) - _LISTED_GAPS} more gaps (--json lists them)")
    for file, reason in skipped:
        remark(f"skipped {file}: {reason}")
