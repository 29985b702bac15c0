"""`tunesmith backtest`."""

from __future__ import annotations

from typing import Annotated

import typer

from tunesmith.cli.daemon_connection import Label, Line, talks
from tunesmith.cli.lazy_commands import new_app
from tunesmith.cli.range_text import parse_params
from tunesmith.cli.search import market_options
from tunesmith.cli.search.result_tables import show_report
from tunesmith.cli.search.task_commands import finish
from tunesmith.cli.watching import follow

app = new_app()


@app.command()
@talks
def backtest(
    line: Line,
    symbol: Annotated[str, typer.Argument(help="Market, such as BTC/USDT.", metavar="SYMBOL")],
    strategy: Annotated[str, typer.Argument(help="Strategy, such as ma_cross_v1.0.", metavar="STRATEGY")],
    param: Annotated[
        list[str] | None, typer.Option("--param", "-p", help="NAME=VALUE; repeat it.", metavar="NAME=VALUE")
    ] = None,
    timeframe: market_options.Timeframe = None,
    venue: market_options.Venue = None,
    start: market_options.Start = None,
    end: market_options.End = None,
    fee: market_options.Fee = None,
    slippage: market_options.Slippage = None,
    direction: market_options.Direction = None,
    fill: market_options.Fill = None,
    engine: market_options.Engine = None,
    holdout: Annotated[
        bool, typer.Option("--holdout", help="Look at the hold-out too; the look is written down.")
    ] = False,
    label: Label = None,
) -> None:
    """Run a strategy with one set of parameters on the in-sample part of a market, and show what came of it.

    Parameters that are not named take the strategy's defaults.
    """
    data = market_options.market(timeframe, venue, (start, end), (fee, slippage), (direction, fill, engine))
    data |= {"symbol": symbol, "strategy_id": strategy, "params": parse_params(param or ()), "use_holdout": holdout}
    data["label"] = label
    started = line.ask("backtest.start", data)
    status = finish(follow(line, started["task_id"]))
    show_report(line, status["report_id"], status)
