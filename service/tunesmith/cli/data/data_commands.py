"""`tunesmith data list`, `show` and `remove`: market data on disk, with the daemon running or not."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.cells import cell_len

from tunesmith.cli.daemon_connection import AsJson, DataDir, settings_in_force
from tunesmith.cli.lazy_commands import new_app
from tunesmith.cli.tables import make_console, remark, show_facts
from tunesmith.config import Settings
from tunesmith.domain.market.calendars import AROUND_THE_CLOCK
from tunesmith.errors import Conflict, NotFound
from tunesmith.plain_text import escape
from tunesmith.protocol.messages.markets import DataRemoved, MarketUses
from tunesmith.storage.market.market_schemes import open_market
from tunesmith.storage.market.series import Series
from tunesmith.storage.secrets.import_log import note_removal
from tunesmith.storage.tables.holdout_table import stored_boundaries
from tunesmith.storage.tables.market_table import stored_kin
from tunesmith.storage.tables.market_uses import is_unmarked, refuse_used, stored_uses
from tunesmith.storage.timestamps import iso

app = new_app()

_LISTED_GAPS = 10
_FINGERPRINT = 16

Symbol = Annotated[str, typer.Argument(help="Such as BTC/USDT.", metavar="SYMBOL")]
Venue = Annotated[str | None, typer.Option(help="Where the candles are from, where several have the symbol.")]


@app.command("list")
def list_(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """List what is stored, and from where on it is held out."""
    settings = settings_in_force(None, data_dir).settings
    store = open_market(settings.market)
    series = [msgspec.structs.replace(each, calendar=store.calendar_of(each)) for each in store.list()]
    begins = stored_boundaries(_database(settings))
    held_out = {key: iso(edge) for key, edge in begins.items()}
    if as_json:
        rows = [{**msgspec.to_builtins(row), "withheld_from": held_out.get((row.venue, row.symbol))} for row in series]
        typer.echo(json.dumps(rows, indent=2))
        return
    if not series:
        typer.echo(f"No market data in {settings.market}")
        typer.echo("Import some: tunesmith data import FILE --symbol S --timeframe T")
        return
    head = ("venue", "symbol", "timeframe", "bars", "from", "to", "held out", "gaps")
    cells = [
        (
            row.venue,
            row.symbol,
            row.timeframe,
            f"{row.n_bars:,}",
            _day(row.start_ms),
            _day(row.end_ms),
            held_out.get((row.venue, row.symbol), "not yet")[:10],
            str(row.n_gaps),
        )
        for row in series
    ]
    lines = _lined([head, *cells], right=(3, 7))
    if max(map(cell_len, lines)) > make_console().width:
        lines = [line for row in cells for line in _in_two_lines(*row)]
    for line in (*lines, *_calendar_lines(series)):
        typer.echo(line)


def _calendar_lines(series: list[Series]) -> list[str]:
    """A line for each series that does not trade around the clock: its calendar, where one is known."""
    return [
        f"{escape(each.symbol)} {each.timeframe} ({each.venue}) trades by the calendar {each.calendar}"
        for each in series
        if each.calendar not in (None, AROUND_THE_CLOCK.text)
    ]


@app.command("show")
def show(symbol: Symbol, venue: Venue = None, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Show one market: its candles and their gaps, its hold-out, and what uses it."""
    settings = settings_in_force(None, data_dir).settings
    store = open_market(settings.market)
    found = store.only_market(symbol, venue)
    stored = [msgspec.structs.replace(each, calendar=store.calendar_of(each)) for each in found]
    name = stored[0].venue, symbol
    edge = stored_boundaries(_database(settings)).get(name)
    held_out = None if edge is None else iso(edge)
    others = sorted(stored_kin(_database(settings), name)) if _database(settings).exists() else []
    uses = stored_uses(_database(settings), name)
    if as_json:
        said = {
            "venue": name[0],
            "symbol": symbol,
            "withheld_from": held_out,
            "data": msgspec.to_builtins(stored),
            "other_names": [" ".join(other) for other in others],
            "uses": msgspec.to_builtins(uses),
        }
        typer.echo(json.dumps(said, indent=2))
        return
    typer.echo(f"{symbol} ({name[0]})")
    show_facts(
        {
            "held out from": held_out[:10] if held_out else "not yet: nothing has used it",
            "known as well as": ", ".join(" ".join(other) for other in others) or None,
            **_told_uses(uses),
        }
    )
    for series in stored:
        _show_series(series)


@app.command("remove")
def remove(
    symbol: Symbol,
    venue: Venue = None,
    timeframe: Annotated[str | None, typer.Option(help="Only this one; else all.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Though tasks, schedules or packages use it.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Remove candles. Searches and looks on them go on counting, under whatever name they come back."""
    settings = settings_in_force(None, data_dir).settings
    store = open_market(settings.market)
    stored = store.only_market(symbol, venue)
    chosen = [each for each in stored if timeframe in (None, each.timeframe)]
    there = ", ".join(each.timeframe for each in stored)
    if not chosen:
        raise NotFound(f"{symbol} is not there in {timeframe}; there is {there}", path="/data/timeframe")
    name = stored[0].venue, symbol
    if not force:
        refuse_used(stored_uses(_database(settings), name), "--force")
    if is_unmarked(_database(settings), name):
        raise Conflict(
            f"an older version worked on {symbol}, and its mark is not made yet: it would not be known again. Start "
            "the daemon and send it data.remove, which makes the mark first",
            path="/data/symbol",
        )
    removed = DataRemoved(
        venue=name[0],
        symbol=symbol,
        timeframes=[each.timeframe for each in chosen],
        n_bars=sum(each.n_bars for each in chosen),
    )
    what = f"{removed.n_bars:,} bars of {symbol} ({name[0]}): {', '.join(removed.timeframes)}"
    if not yes:
        if not sys.stdin.isatty():
            raise typer.BadParameter(f"this removes {what}; say --yes")
        if not typer.confirm(f"Remove {what}?", err=True):
            raise typer.Exit(1)
    for each in chosen:
        store.remove(each)
    _write_down(settings.data_dir, chosen)
    if as_json:
        typer.echo(json.dumps(msgspec.to_builtins(removed), indent=2))
    else:
        typer.echo(f"Removed {what}. Its searches and looks go on counting.")


def _write_down(data_dir: Path, removed: list[Series]) -> None:
    try:
        for each in removed:
            note_removal(data_dir, each)
    except OSError as error:
        remark(f"It is done, but the audit log will not say so: cannot write in {data_dir}: {error.strerror}")


def _show_series(series: Series) -> None:
    typer.echo(
        f"{series.timeframe}: {series.n_bars:,} bars, {_day(series.start_ms)} to {_day(series.end_ms)}, "
        f"imported {series.imported_at[:10]}"
    )
    typer.echo(f"  fingerprint {series.data_hash[:_FINGERPRINT]} (--json has all of it)")
    typer.echo(f"  calendar {series.calendar or 'recognized from the bars when they are read'}")
    typer.echo(f"  gaps: {series.n_gaps:,}")
    for gap in series.gaps[:_LISTED_GAPS]:
        typer.echo(f"  gap: {gap['missing']} missing from {gap['from']}")
    if series.n_gaps > _LISTED_GAPS:
        typer.echo(f"  … and {series.n_gaps - _LISTED_GAPS} more (--json lists the first {len(series.gaps)})")


def _told_uses(uses: MarketUses) -> dict[str, str | None]:
    return {
        "tasks not done": ", ".join(uses.tasks) or None,
        "schedules": ", ".join(uses.schedules) or None,
        "packages in force": ", ".join(uses.packages) or None,
        "counts on it": f"{uses.searches} searches, {uses.looks} looks at the hold-out",
    }


def _lined(rows: list[tuple[str, ...]], right: tuple[int, ...]) -> list[str]:
    """Rows as lines of columns as wide as their widest cell: nothing is cut, whatever the terminal's width."""
    texts = [[escape(cell) for cell in row] for row in rows]
    widths = [max(cell_len(row[i]) for row in texts) for i in range(len(rows[0]))]
    lines = []
    for row in texts:
        cells = []
        for i, (cell, width) in enumerate(zip(row, widths, strict=True)):
            gap = " " * (width - cell_len(cell))
            cells.append(gap + cell if i in right else cell + gap)
        lines.append("  ".join(cells).rstrip())
    return lines


def _in_two_lines(venue: str, symbol: str, timeframe: str, *rest: str) -> tuple[str, str]:
    """A row that has no room in one line."""
    bars, begin, end, held_out, gaps = rest
    return (
        f"{escape(venue)}  {escape(symbol)}  {timeframe}",
        f"    {bars} bars, {begin} to {end}, held out from {held_out}, gaps: {gaps}",
    )


def _database(settings: Settings) -> Path:
    return settings.data_dir / "tunesmith.db"


def _day(time_ms: int) -> str:
    return iso(time_ms)[:10]
