"""`tunesmith optimize` and `tunesmith resume`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, get_args

import typer

from tunesmith.cli.daemon_connection import Label, Line, talks
from tunesmith.cli.decide.verdict_commands import AcceptOldData, Criteria, show_told
from tunesmith.cli.lazy_commands import new_app
from tunesmith.cli.range_text import parse_ranges
from tunesmith.cli.search.market_options import MarketOptions, terms_in_words
from tunesmith.cli.search.target_text import (
    Condition,
    Constraint,
    Option,
    Stop,
    Target,
    parse_settings,
    parse_targets,
    read_stages,
)
from tunesmith.cli.search.task_commands import finish_watching
from tunesmith.cli.tables import fill_text
from tunesmith.cli.watching import kind_of
from tunesmith.domain.metrics import Aggregation
from tunesmith.domain.records import JsonObject
from tunesmith.domain.search.methods import Method, MethodOptions
from tunesmith.domain.search.stop_rules import StopRules
from tunesmith.errors import Conflict

app = new_app()

_PLAIN_OPTIONS = tuple(name for name in MethodOptions.__struct_fields__ if name != "stages")

Watch = Annotated[bool, typer.Option("--watch", help="Stay, show progress and the result.")]
Ranges = Annotated[
    list[str] | None,
    typer.Option(
        "--range", "-r", help="fast_period=5:60, =5:60:5, =0.001:0.1:log, =5,10,20 or =5.", metavar="NAME=RANGE"
    ),
]


MethodName = Annotated[
    Method | None,
    typer.Option(help=f"{', '.join(get_args(Method))}; auto says why it chose.  [default: auto]", metavar="METHOD"),
]
Stages = Annotated[
    Path | None, typer.Option(help="TOML or JSON file with the stages of the method staged.", metavar="FILE")
]
WarmStart = Annotated[
    str | None, typer.Option(help="Search whose best points a learning method tries first.", metavar="ID")
]
Aggregate = Annotated[
    Aggregation | None,
    typer.Option(help="What several markets' metrics are made into.  [default: mean]"),
]


@app.command()
@talks
def optimize(
    line: Line,
    *,
    symbol: Annotated[str, typer.Argument(help="Market, such as BTC/USDT; several as A,B,C.", metavar="SYMBOL")],
    strategy: Annotated[str, typer.Argument(help="Strategy, such as ma_cross_v1.0.", metavar="STRATEGY")],
    ranges: Ranges = None,
    target: Target = None,
    method: MethodName = None,
    iterations: Annotated[int, typer.Option(help="Trials at most; a grid has all its points.", metavar="N")] = 100,
    seed: Annotated[int, typer.Option(help="Seed of what is drawn.", metavar="N")] = 0,
    constraint: Constraint = None,
    condition: Condition = None,
    option: Option = None,
    stages: Stages = None,
    stop: Stop = None,
    warm_start: WarmStart = None,
    aggregate: Aggregate = None,
    parallel: Annotated[int | None, typer.Option(help="Chunks of work at once, at most.", metavar="N")] = None,
    market: MarketOptions,
    label: Label = None,
    watch: Watch = False,
    plan: Annotated[
        bool, typer.Option("--plan", help="Say what it takes and costs later verdicts, and search nothing.")
    ] = False,
    approve: Annotated[bool, typer.Option("--approve", help="Go on to a verdict, with the criteria below.")] = False,
    criteria: Criteria,
    accept_old_data: AcceptOldData = False,
) -> None:
    """Search a strategy's parameters on the in-sample part of a market, or of several.

    Without --range the ranges that the strategy declares; with some, the other parameters keep their defaults. The
    search is a task of the daemon: it goes on when this command ends.
    """
    asked: JsonObject = criteria.given() | ({"accept_old_data": True} if accept_old_data else {})
    if asked and not approve:
        raise typer.BadParameter("approval criteria and --accept-old-data need --approve")
    data = market.fields()
    data |= symbols_of(symbol) | {"strategy_id": strategy, "param_ranges": parse_ranges(ranges or ())}
    data |= {"optimization_target": parse_targets(target or ()), "method": method, "max_iterations": iterations}
    data |= {"seed": seed, "constraints": constraint, "conditions": condition, "options": _options(option, stages)}
    data |= {
        "stop": parse_settings(stop or (), "--stop", "patience=3", StopRules.__struct_fields__) or None,
        "warm_start": warm_start,
    }
    data |= {"aggregate": aggregate, "parallel": parallel, "approve": asked if approve else None, "label": label}
    if plan:
        line.show(line.ask("search.plan", data), show_told)
        return
    started = line.ask("optimization.start", data)
    say_started(line, started, watch)
    if watch:
        finish_watching(line, started["optimization_id"])


@app.command()
@talks
def resume(
    line: Line,
    task: Annotated[str, typer.Argument(help="A search that was cancelled or that failed.", metavar="ID")],
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Try the trials again that could not be evaluated.")
    ] = False,
    watch: Watch = False,
) -> None:
    """Go on with a search that was cancelled or that failed; what is done is not done again."""
    kind = kind_of(task)
    if kind.name == "session":
        raise Conflict(f"{task} is a session; go on with it by: tunesmith session execute {task} --resume")
    if kind.name != "optimization":
        raise Conflict(f"{task} is a {kind.name}; only a search or a session can go on")
    found = line.ask("optimization.resume", {"optimization_id": task, "retry_failed": retry_failed})
    if watch:
        finish_watching(line, task)
    elif line.as_json:
        line.print_json(found)
    else:
        typer.echo(f"{task} goes on: {found['n_done']:,} of {found['n_trials']:,} trials are done.")
        typer.echo(f"Follow it with: tunesmith status {task} --watch")


def say_started(line: Line, started: JsonObject, watch: bool) -> None:
    """Say what was started: the method that was chosen and why, its size, what is held out, how to follow it."""
    task_id = started["optimization_id"]
    if line.as_json:
        if not watch:
            line.print_json(started)
        return
    method = started["method"].replace("_", " ")
    typer.echo(f"{task_id}: {method} search, {started['n_trials']:,} trials")
    if started.get("chosen_because"):
        typer.echo(fill_text(started["chosen_because"]))
    if terms := terms_in_words(started):
        typer.echo(fill_text(f"It trades {terms}."))
    if started["withheld_from"]:
        typer.echo(f"The bars from {started['withheld_from'][:10]} on are the hold-out, which no search sees.")
    if not watch:
        typer.echo(f"Follow it with: tunesmith status {task_id} --watch")


def symbols_of(text: str) -> JsonObject:
    """The field of one symbol, or of several that stand in one word with commas."""
    symbols = [part.strip() for part in text.split(",") if part.strip()]
    return {"symbols": symbols} if len(symbols) > 1 else {"symbol": symbols[0] if symbols else text}


def _options(option: list[str] | None, stages: Path | None) -> JsonObject | None:
    options = parse_settings(option or (), "--option", "population=50", _PLAIN_OPTIONS)
    if stages is not None:
        options["stages"] = read_stages(stages)
    return options or None
