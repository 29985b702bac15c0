"""`tunesmith backtest`."""

from __future__ import annotations

from typing import Annotated

import typer

from tunesmith.cli.daemon_connection import Label, Line, talks
from tunesmith.cli.lazy_commands import new_app
from tunesmith.cli.range_text import parse_params
from tunesmith.cli.search.market_options import MarketOptions
from tunesmith.cli.search.result_tables import show_report
from tunesmith.cli.search.task_commands import finish
from tunesmith.cli.watching import follow

app = new_app()


@app.command()
@talks
def backtest(
    line: Line,
    *,
    symbol: Annotated[str, typer.Argument(help="Market, such as BTC/USDT.", metavar="SYMBOL")],
    strategy: Annotated[str, typer.Argument(help="Strategy, such as ma_cross_v1.0.", metavar="STRATEGY")],
    param: Annotated[
        list[str] | None, typer.Option("--param", "-p", help="NAME=VALUE; repeat it.", metavar="NAME=VALUE")
    ] = None,
    market: MarketOptions,
    holdout: Annotated[
        bool, typer.Option("--holdout", help="Look at the hold-out too; the look is written down.")
    ] = False,
    label: Label = None,
) -> None:
    """Run a strategy with one set of parameters on the in-sample part of a market, and show what came of it.

    Parameters that are not named take the strategy's defaults.
    """
    data = market.fields()
    data |= {"symbol": symbol, "strategy_id": strategy, "params": parse_params(param or ()), "use_holdout": holdout}
    data["label"] = label
    started = line.ask("backtest.start", data)
    status = finish(follow(line, started["task_id"]))
    show_report(line, status["report_id"], status)
