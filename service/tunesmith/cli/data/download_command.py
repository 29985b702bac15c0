"""`tunesmith data download`: candles from exchanges, with the daemon running or not."""

from __future__ import annotations

import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from tunesmith.cli.lazy_commands import new_app
from tunesmith.cli.tables import remark
from tunesmith.config import load
from tunesmith.errors import TunesmithError
from tunesmith.storage.market.market_schemes import open_market
from tunesmith.storage.market.market_store import MarketStore
from tunesmith.storage.market.series import Series
from tunesmith.storage.secrets.import_log import note_download
from tunesmith.storage.sources import open_source
from tunesmith.storage.sources.download import Progress as Share
from tunesmith.storage.sources.download import Say, download
from tunesmith.storage.sources.source import Market, Source
from tunesmith.storage.timestamps import iso

app = new_app()

_FORMATS = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]


@app.command("download")
def download_(
    exchange: Annotated[
        str, typer.Argument(help="The exchange's name in ccxt, such as binance or kraken.", metavar="EXCHANGE")
    ],
    symbol: Annotated[str, typer.Argument(help="Such as BTC/USDT.", metavar="SYMBOL")],
    timeframe: Annotated[str, typer.Argument(help="Such as 5m, 1h, 1d.", metavar="TIMEFRAME")],
    start: Annotated[
        datetime | None, typer.Option(formats=_FORMATS, help="From here (UTC); else on from what is stored.")
    ] = None,
    end: Annotated[datetime | None, typer.Option(formats=_FORMATS, help="Up to here (UTC); else until now.")] = None,
    data_dir: Annotated[Path | None, typer.Option("--data-dir", help="Folder of database and market data.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Download candles that are not stored yet. Interrupted or repeated, it goes on where it stopped."""
    settings = load(overrides={"server.data_dir": None if data_dir is None else str(data_dir)})
    store = open_market(settings.market)
    market = Market(exchange, symbol, timeframe)
    now_ms = int(time.time() * 1000)
    span = (None if start is None else _ms(start), now_ms if end is None else min(_ms(end), now_ms))
    n_new = fetch(open_source(exchange), store, market, span)
    found = [s for s in store.list(exchange, symbol) if s.timeframe == timeframe]
    if n_new and found:
        _write_down(settings.data_dir, found[0], n_new)
    if as_json:
        said = {"venue": exchange, "symbol": symbol, "timeframe": timeframe, "n_new": n_new}
        more = (
            {"n_bars": found[0].n_bars, "start": iso(found[0].start_ms), "end": iso(found[0].end_ms)} if found else {}
        )
        typer.echo(json.dumps({**said, **more}, indent=2))
    elif found:
        typer.echo(
            f"{symbol} {timeframe} ({exchange}): {n_new:,} new bars, {found[0].n_bars:,} in all,"
            f" {iso(found[0].start_ms)[:10]} to {iso(found[0].end_ms)[:10]}"
        )
    else:
        typer.echo(f"{exchange} has no {timeframe} bars of {symbol} in that range")


def _write_down(data_dir: Path, series: Series, n_new: int) -> None:
    try:
        note_download(data_dir, series, n_new)
    except OSError as error:
        remark(f"It is done, but the audit log will not say so: cannot write in {data_dir}: {error.strerror}")


def fetch(source: Source, store: MarketStore, market: Market, span: tuple[int | None, int]) -> int:
    """Download with a progress bar on a terminal's standard error; the number of new bars."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not sys.stderr.isatty(), transient=True) as progress:
        task = progress.add_task(market.symbol, total=1.0)

        def show(share: Share) -> None:
            progress.update(task, completed=share.share, description=f"{market.symbol} {share.n_bars:,} bars")

        say: Say = show
        try:
            return download(source, store, market, span, say)
        except TunesmithError as error:
            kept = [s for s in store.list(market.venue, market.symbol) if s.timeframe == market.timeframe]
            hint = "; what came is stored, and the same command goes on from there" if kept and error.retryable else ""
            raise type(error)(f"{error.message}{hint}") from error


def _ms(moment: datetime) -> int:
    return int(moment.replace(tzinfo=UTC).timestamp() * 1000)
