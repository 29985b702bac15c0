"""`tunesmith backtest`."""

from __future__ import annotations

from typing import Annotated

import typer

from tunesmith.cli.late import new_app
from tunesmith.cli.line import Line, talks
from tunesmith.cli.ranges import parse_params
from tunesmith.cli.search import markets
from tunesmith.cli.search.results import show_report
from tunesmith.cli.search.tasks import finish
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
    timeframe: markets.Timeframe = None,
    venue: markets.Venue = None,
    start: markets.Start = None,
    end: markets.End = None,
    fee: markets.Fee = None,
    slippage: markets.Slippage = None,
    direction: markets.Direction = None,
    fill: markets.Fill = None,
    engine: markets.Engine = None,
    holdout: Annotated[
        bool, typer.Option("--holdout", help="Look at the hold-out too; the look is written down.")
    ] = False,
) -> None:
    """Run a strategy with one set of parameters on the in-sample part of a market, and show what came of it.

    Parameters that are not named take the strategy's defaults.
    """
    data = markets.market(timeframe, venue, (start, end), (fee, slippage), (direction, fill, engine))
    data |= {"symbol": symbol, "strategy_id": strategy, "params": parse_params(param or ()), "use_holdout": holdout}
    started = line.ask("backtest.start", data)
    status = finish(follow(line, started["task_id"]))
    show_report(line, status["report_id"], status)
