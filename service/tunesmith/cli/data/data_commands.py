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
from tunesmith.errors import NotFound
from tunesmith.protocol.messages.markets import ImportReport
from tunesmith.storage.market.market_schemes import open_market
from tunesmith.storage.tables.holdout_table import stored_boundaries
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
    replace: Annotated[bool, typer.Option(help="Let the file win where stored bars differ.")] = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Check candles and store them; nothing is stored of a file that is not sound."""
    store = open_market(settings_in_force(None, data_dir).settings.market)
    skipped: list[tuple[str, str]] = []
    if path.is_dir():
        found = store.import_folder(path, venue=venue, replace=replace)
        reports = found.imported
        skipped = [(skip.file, skip.reason) for skip in found.skipped]
    elif not path.exists():
        raise NotFound(f"there is no file or folder {path}")
    elif symbol is None or timeframe is None:
        raise typer.BadParameter("a file needs --symbol and --timeframe, such as --symbol BTC/USDT --timeframe 1h")
    else:
        reports = [store.import_file(path, symbol=symbol, timeframe=timeframe, venue=venue, replace=replace)]
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
    series = open_market(settings.market).list()
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


def _show(reports: list[ImportReport], skipped: list[tuple[str, str]]) -> None:
    for report in reports:
        typer.echo(
            f"{report.symbol} {report.timeframe} ({report.venue}): {report.n_new:,} new bars, {report.n_bars:,} in all,"
            f" {report.start[:10]} to {report.end[:10]}"
        )
        for gap in report.gaps[:_LISTED_GAPS]:
            typer.echo(f"  gap: {gap['missing']} bars missing from {gap['from']}")
        if len(report.gaps) > _LISTED_GAPS:
            typer.echo(f"  … and {len(report.gaps) - _LISTED_GAPS} more gaps (--json lists them)")
    for file, reason in skipped:
        typer.echo(f"skipped {file}: {reason}", err=True)


def _day(time_ms: int) -> str:
    return iso(time_ms)[:10]
