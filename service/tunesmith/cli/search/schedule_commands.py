"""`tunesmith schedules`: searches that are made again and again, each on to a verdict."""

from __future__ import annotations

from typing import Annotated

import msgspec
import typer

from tunesmith.cli.daemon_connection import Label, Line, talks
from tunesmith.cli.decide.verdict_commands import AcceptOldData, Criteria
from tunesmith.cli.lazy_commands import new_app
from tunesmith.cli.range_text import parse_ranges
from tunesmith.cli.search.market_options import (
    Direction,
    Fee,
    Fill,
    MarketOptions,
    Slippage,
    Start,
    Timeframe,
    Venue,
    terms_in_words,
)
from tunesmith.cli.search.search_commands import Aggregate, MethodName, Ranges, symbols_of
from tunesmith.cli.search.target_text import Constraint, Target, parse_targets
from tunesmith.cli.tables import fill_text, moment, number, params, show_facts, show_table
from tunesmith.domain.records import JsonObject
from tunesmith.domain.trading import Costs
from tunesmith.errors import NotFound

app = new_app()

Name = Annotated[str, typer.Argument(help="The schedule's name.", metavar="NAME")]


@app.command("list")
@talks
def list_(line: Line) -> None:
    """List the schedules, and what came of the last run of each."""
    found = line.ask("schedule.list", {})
    if line.as_json:
        line.print_json(found)
        return
    if not found["schedules"]:
        typer.echo(fill_text("No schedules. Add one: tunesmith schedules add NAME SYMBOL STRATEGY --every 1d"))
        return
    rows = [
        (
            schedule["schedule_id"],
            f"{_symbols(schedule)}, {schedule['search']['strategy_id']}",
            _when(schedule),
            "suspended" if schedule.get("suspended") else moment(schedule["next_at"]),
            "failed" if schedule["last_error"] else schedule["last_task_id"],
        )
        for schedule in found["schedules"]
    ]
    show_table(("name", "search", "when", "next (UTC)", "last run"), rows)


@app.command()
@talks
def show(line: Line, name: Name) -> None:
    """Show a schedule: what it searches, when, and what came of its last run."""
    schedule = _find(line, name)
    line.show(schedule, _show)


@app.command()
@talks
def add(
    line: Line,
    *,
    name: Name,
    symbol: Annotated[str, typer.Argument(help="Market, such as BTC/USDT; several as A,B,C.", metavar="SYMBOL")],
    strategy: Annotated[str, typer.Argument(help="Strategy, such as ma_cross_v1.0.", metavar="STRATEGY")],
    every: Annotated[str | None, typer.Option(help="So often: 30m, 12h, 1d, 1w.", metavar="TIME")] = None,
    cron: Annotated[str | None, typer.Option(help='At times, UTC: "0 3 * * 1".', metavar="FIELDS")] = None,
    ranges: Ranges = None,
    target: Target = None,
    method: MethodName = None,
    iterations: Annotated[int, typer.Option(help="Trials at most; a grid has all its points.", metavar="N")] = 100,
    seed: Annotated[int, typer.Option(help="Seed of what is drawn.", metavar="N")] = 0,
    constraint: Constraint = None,
    aggregate: Aggregate = None,
    timeframe: Timeframe = None,
    venue: Venue = None,
    start: Start = None,
    fee: Fee = None,
    slippage: Slippage = None,
    direction: Direction = None,
    fill: Fill = None,
    criteria: Criteria,
    accept_old_data: AcceptOldData = False,
    label: Label = None,
) -> None:
    """Make a search again and again on the newest bars, each on to a verdict; a schedule of that name is replaced.

    Give either --every or --cron. Only what passes and is better than the package in force is published. Each verdict
    counts in the user's quota.
    """
    if (every is None) == (cron is None):
        raise typer.BadParameter("give either --every or --cron")
    search = MarketOptions(timeframe, venue, start, None, fee, slippage, direction, fill).fields()
    search |= symbols_of(symbol) | {"strategy_id": strategy, "param_ranges": parse_ranges(ranges or ())}
    search |= {"optimization_target": parse_targets(target or ()), "method": method, "max_iterations": iterations}
    search |= {"seed": seed, "constraints": constraint, "aggregate": aggregate, "label": label}
    search["approve"] = criteria.given() | ({"accept_old_data": True} if accept_old_data else {})
    search = {field: value for field, value in search.items() if value is not None}
    schedule = line.ask("schedule.create", {"schedule_id": name, "search": search, "every": every, "cron": cron})
    line.show(schedule, _show)


@app.command()
@talks
def delete(line: Line, name: Name) -> None:
    """Delete a schedule; searches that it began go on."""
    found = line.ask("schedule.delete", {"schedule_id": name})
    if line.as_json:
        line.print_json(found)
    else:
        typer.echo(f"{name} is deleted; searches that it began go on.")


def _find(line: Line, name: str) -> JsonObject:
    schedules: list[JsonObject] = line.ask("schedule.list", {})["schedules"]
    for schedule in schedules:
        if schedule["schedule_id"] == name:
            return schedule
    there = ", ".join(schedule["schedule_id"] for schedule in schedules)
    raise NotFound(f"there is no schedule {name!r}" + (f"; there are {there}" if there else ""))


def _show(schedule: JsonObject) -> None:
    search = schedule["search"]
    last = schedule["last_task_id"]
    criteria = {key: value for key, value in (search.get("approve") or {}).items() if value is not None}
    accepts_old = criteria.pop("accept_old_data", False)
    show_facts(
        {
            "schedule": schedule["schedule_id"],
            "when": _when(schedule),
            "next run": "none" if schedule.get("suspended") else f"{moment(schedule['next_at'])} UTC",
            "suspended": schedule.get("suspended"),
            "search": f"{_symbols(schedule)} {search.get('timeframe') or ''}".rstrip() + f", {search['strategy_id']}",
            "ranges": _ranges(search["param_ranges"]),
            "trading": terms_in_words({**search, "costs": search["costs"] or msgspec.to_builtins(Costs())}),
            "target": search["optimization_target"],
            "criteria": params(criteria) if criteria else "those of the settings",
            "old candles": "are accepted" if accepts_old else None,
            "last run": f"{moment(schedule['last_at'])} UTC" if schedule["last_at"] else "none yet",
            "its search": last,
            "its error": schedule["last_error"],
            "next": f"tunesmith status {last}" if last else None,
        }
    )


def _symbols(schedule: JsonObject) -> str:
    search = schedule["search"]
    return ", ".join(search.get("symbols") or [search["symbol"]])


def _when(schedule: JsonObject) -> str:
    return f"every {schedule['every']}" if schedule["every"] else f"cron {schedule['cron']}"


def _ranges(ranges: JsonObject) -> str:
    """Ranges in one line, as --range takes them."""
    told = []
    for name, given in ranges.items():
        if isinstance(given, dict) and "min" in given:
            parts = [number(given["min"]), number(given["max"])]
            parts += [number(given["step"])] if given.get("step") is not None else []
            told.append(f"{name}={':'.join(parts)}" + (":log" if given.get("log") else ""))
        else:
            values = given.get("values", []) if isinstance(given, dict) else given
            listed = values if isinstance(values, list) else [values]
            told.append(f"{name}={','.join(number(value) for value in listed)}")
    return "; ".join(told) or "those that the strategy declares"
