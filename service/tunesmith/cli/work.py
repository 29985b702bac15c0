"""`tunesmith backtest` and `tunesmith optimize`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import typer

from tunesmith.cli.late import new_app
from tunesmith.cli.line import Line, talks
from tunesmith.cli.ranges import parse_params, parse_ranges
from tunesmith.cli.results import show_report
from tunesmith.cli.tasks import finish, finish_watching
from tunesmith.cli.verdicts import Criteria, MaxDrawdown, MinProfitFactor, MinReturn, MinSharpe, MinTrades, MinWinRate
from tunesmith.cli.watching import follow

app = new_app()

Symbol = Annotated[str, typer.Argument(help="Market, such as BTC/USDT.", metavar="SYMBOL")]
Strategy = Annotated[str, typer.Argument(help="Strategy, such as ma_cross_v1.0.", metavar="STRATEGY")]
Timeframe = Annotated[str | None, typer.Option(help="Such as 1h; the stored one when there is only one.", metavar="T")]
Venue = Annotated[str | None, typer.Option(help="Where the candles are from, when more than one has the symbol.")]
Start = Annotated[str | None, typer.Option("--start", help="First day or time of trading, UTC.", metavar="DATE")]
End = Annotated[str | None, typer.Option("--end", help="Last day, inclusive, or time, UTC.", metavar="DATE")]
Fee = Annotated[float | None, typer.Option(help="Fee of an order, a fraction of its value.  [default: 0.001]")]
Slippage = Annotated[float | None, typer.Option(help="Slippage of an order, a fraction.  [default: 0]")]
Direction = Annotated[Literal["long", "short", "both"] | None, typer.Option(help="What may be traded.")]
Fill = Annotated[Literal["next_open", "close"] | None, typer.Option(help="Where orders fill.")]


@app.command()
@talks
def backtest(
    line: Line,
    symbol: Symbol,
    strategy: Strategy,
    param: Annotated[
        list[str] | None, typer.Option("--param", "-p", help="NAME=VALUE; repeat it.", metavar="NAME=VALUE")
    ] = None,
    timeframe: Timeframe = None,
    venue: Venue = None,
    start: Start = None,
    end: End = None,
    fee: Fee = None,
    slippage: Slippage = None,
    direction: Direction = None,
    fill: Fill = None,
    holdout: Annotated[
        bool, typer.Option("--holdout", help="Look at the hold-out too; the look is written down.")
    ] = False,
) -> None:
    """Run a strategy with one set of parameters on the in-sample part of a market, and show what came of it.

    Parameters that are not named take the strategy's defaults.
    """
    data = _market(timeframe, venue, (start, end), (fee, slippage), direction, fill)
    data |= {"symbol": symbol, "strategy_id": strategy, "params": parse_params(param or ()), "use_holdout": holdout}
    started = line.ask("backtest.start", data)
    status = finish(follow(line, started["task_id"]))
    show_report(line, status["report_id"], status)


@app.command()
@talks
def optimize(
    line: Line,
    symbol: Symbol,
    strategy: Strategy,
    ranges: Annotated[
        list[str] | None,
        typer.Option(
            "--range", "-r", help="fast_period=5:60, =5:60:5, =0.001:0.1:log, =5,10,20 or =5.", metavar="NAME=RANGE"
        ),
    ] = None,
    target: Annotated[str, typer.Option(help="Metric to make the best of.", metavar="METRIC")] = "sharpe",
    method: Annotated[
        Literal["grid", "random"] | None, typer.Option(help="The grid when it has at most --iterations points.")
    ] = None,
    iterations: Annotated[int, typer.Option(help="Trials of a random search.", metavar="N")] = 100,
    seed: Annotated[int, typer.Option(help="Seed of a random search.", metavar="N")] = 0,
    timeframe: Timeframe = None,
    venue: Venue = None,
    start: Start = None,
    end: End = None,
    fee: Fee = None,
    slippage: Slippage = None,
    direction: Direction = None,
    fill: Fill = None,
    watch: Annotated[bool, typer.Option("--watch", help="Stay, show progress and the result.")] = False,
    approve: Annotated[bool, typer.Option("--approve", help="Go on to a verdict, with the criteria below.")] = False,
    min_sharpe: MinSharpe = None,
    max_drawdown: MaxDrawdown = None,
    min_return: MinReturn = None,
    min_trades: MinTrades = None,
    min_win_rate: MinWinRate = None,
    min_profit_factor: MinProfitFactor = None,
) -> None:
    """Search a strategy's parameters on the in-sample part of a market.

    Without --range the ranges that the strategy declares. The search is a task of the daemon: it goes on when this
    command ends.
    """
    criteria = Criteria(min_sharpe, max_drawdown, min_return, min_trades, min_win_rate, min_profit_factor).given()
    if criteria and not approve:
        raise typer.BadParameter("approval criteria need --approve")
    data = _market(timeframe, venue, (start, end), (fee, slippage), direction, fill)
    data |= {"symbol": symbol, "strategy_id": strategy, "param_ranges": parse_ranges(ranges or ())}
    data |= {"optimization_target": target, "method": method, "max_iterations": iterations, "seed": seed}
    started = line.ask("optimization.start", data | {"approve": criteria if approve else None})
    _say_started(line, started, watch)
    if watch:
        finish_watching(line, started["optimization_id"])


def _say_started(line: Line, started: dict[str, Any], watch: bool) -> None:
    task_id = started["optimization_id"]
    if line.as_json:
        if not watch:
            line.print_json(started)
        return
    typer.echo(f"{task_id}: {started['method']} search, {started['n_trials']:,} trials")
    if started["withheld_from"]:
        typer.echo(f"The bars from {started['withheld_from'][:10]} on are the hold-out, which no search sees.")
    if not watch:
        typer.echo(f"Follow it with: tunesmith status {task_id} --watch")


def _market(
    timeframe: str | None,
    venue: str | None,
    dates: tuple[str | None, str | None],
    costs: tuple[float | None, float | None],
    direction: str | None,
    fill: str | None,
) -> dict[str, Any]:
    rates = {"fee_rate": costs[0], "slippage_rate": costs[1]}
    given = {name: rate for name, rate in rates.items() if rate is not None}
    return {
        "timeframe": timeframe,
        "venue": venue,
        "start_date": dates[0],
        "end_date": dates[1],
        "costs": given or None,
        "direction": direction,
        "fill": fill,
    }
