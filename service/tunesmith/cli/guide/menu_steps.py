"""The questions that make a search, one step each: market, strategy, ranges, target, method, size."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from textwrap import shorten
from typing import Any

import typer

from tunesmith.cli.daemon_connection import Line
from tunesmith.cli.guide.prompting import ask, choose, choose_some, say
from tunesmith.cli.range_text import WHAT_IS_A_RANGE, parse_ranges, spelt
from tunesmith.cli.search.session_commands import ask_plan, show_plan
from tunesmith.cli.tables import number, show_table
from tunesmith.domain.records import JsonObject
from tunesmith.errors import Invalid

_LIMIT = 1000
_TARGETS = {
    "sharpe": "Sharpe ratio: return for the risk of every bar",
    "total_return": "total return",
    "sortino": "Sortino ratio: return for the risk of losses",
    "calmar": "Calmar ratio: return for the deepest drawdown",
    "profit_factor": "profit factor: what was won for what was lost",
}
_METHODS = {
    "auto": "choose for me: every point where there are few, else what learns",
    "grid": "every point of the ranges",
    "random": "random points",
    "latin_hypercube": "Latin hypercube: points spread evenly over each parameter",
    "sobol": "Sobol: points spread evenly over all parameters together",
    "genetic": "genetic: crosses and changes the best points so far",
    "tpe": "TPE: learns where good points are likely",
    "gaussian_process": "Gaussian process: learns a landscape; for some hundred points",
    "zoom": "zoom: narrows the ranges around the best",
}
_MODES = ("exhaustive", "random", "latin_hypercube", "sobol")
_MODE_OF = {"grid": "exhaustive", "latin_hypercube": "latin_hypercube", "sobol": "sobol"}


@dataclass
class Wanted:
    """What a person has chosen so far."""

    markets: list[JsonObject] = field(default_factory=list)
    strategies: list[JsonObject] = field(default_factory=list)
    ranges: dict[str, JsonObject] = field(default_factory=dict)
    target: str = "sharpe"
    method: str = "auto"
    size: int | None = None

    @property
    def is_session(self) -> bool:
        """Whether it is several searches."""
        return len(self.markets) * len(self.strategies) > 1

    def session(self) -> JsonObject:
        """The fields of `session.plan` and `session.generate`."""
        mode = self.method if self.is_session else _MODE_OF.get(self.method, "random")
        sized = {} if mode == "exhaustive" else {"size": self.size}
        return {
            **self._market(),
            "symbols": [market["symbol"] for market in self.markets],
            "strategies": [strategy["id"] for strategy in self.strategies],
            "mode": mode,
            "param_ranges": self.ranges,
            "optimization_target": self.target,
            **sized,
        }

    def search(self) -> JsonObject:
        """The fields of `optimization.start`."""
        strategy = self.strategies[0]["id"]
        sized = {} if self.size is None else {"max_iterations": self.size}
        return {
            **self._market(),
            "symbol": self.markets[0]["symbol"],
            "strategy_id": strategy,
            "method": self.method,
            "param_ranges": self.ranges.get(strategy, {}),
            "optimization_target": self.target,
            **sized,
        }

    def _market(self) -> JsonObject:
        venues = {market["venue"] for market in self.markets}
        venue = {"venue": venues.pop()} if len(venues) == 1 else {}
        return {"timeframe": self.markets[0]["timeframe"], **venue}


def choose_markets(line: Line, wanted: Wanted) -> None:
    """On which stored candles; all of one timeframe."""
    found = line.ask("data.list", {})["data"]
    options = [
        f"{m['symbol']} {m['timeframe']} ({m['venue']}), {m['n_bars']:,} bars, {m['start'][:10]} to {m['end'][:10]}"
        for m in found
    ]
    while True:
        chosen = [found[i] for i in choose_some("Which market?", options)]
        if len({m["timeframe"] for m in chosen}) == 1 and len({m["symbol"] for m in chosen}) == len(chosen):
            wanted.markets = chosen
            return
        say("Choose markets of one timeframe, each symbol once.")


def choose_strategies(line: Line, wanted: Wanted) -> None:
    """Which strategies."""
    found = line.ask("strategy.list", {"limit": _LIMIT})["strategies"]
    about = [s["doc"].strip().partition("\n")[0] or s["name"] for s in found]
    options = [f"{s['id']:<21} {shorten(text, 50, placeholder=' …')}" for s, text in zip(found, about, strict=True)]
    chosen = [found[i] for i in choose_some("Which strategy?", options)]
    wanted.strategies = [line.ask("strategy.get", {"id": s["id"]}) for s in chosen]
    wanted.ranges = {s["id"]: _declared(s) for s in wanted.strategies}


def choose_ranges(line: Line, wanted: Wanted) -> None:
    """In which ranges, one strategy after the other; Enter takes what the table shows."""
    for strategy in wanted.strategies:
        ranges = wanted.ranges[strategy["id"]]
        typer.echo("")
        say(f"In which ranges? These are the parameters of {strategy['id']}.")
        while True:
            _show_ranges(strategy, ranges)
            say(WHAT_IS_A_RANGE)
            more = ask("NAME=RANGE changes one, Enter goes on", "", partial(_ranges, strategy))
            if not more:
                break
            ranges |= more


def choose_target(line: Line, wanted: Wanted) -> None:
    """What the best is."""
    options = [*_TARGETS.values(), "another metric, or an expression such as sharpe * (1 - max_drawdown)"]
    at = choose("What shall be best?", options)
    wanted.target = list(_TARGETS)[at] if at < len(_TARGETS) else ask("Target", "sharpe", str)


def choose_method(line: Line, wanted: Wanted) -> None:
    """How to search; several searches together are not learnt from."""
    names = list(_MODES) if wanted.is_session else list(_METHODS)
    options = [_METHODS["grid" if name == "exhaustive" else name] for name in names]
    wanted.method = names[choose("How shall it search?", options)]


def choose_size(line: Line, wanted: Wanted) -> None:
    """How many points, unless it is all of them."""
    wanted.size = None
    if wanted.method not in ("grid", "exhaustive"):
        each = " of each strategy on each market" if wanted.is_session else ""
        typer.echo("")
        wanted.size = ask(f"How many points{each}", "1000", _whole)


def confirm(line: Line, wanted: Wanted) -> None:
    """What it will take, and whether to start it."""
    typer.echo("")
    planned = ask_plan(line, wanted.session())
    show_plan(planned)
    if wanted.method in ("auto", "tpe", "gaussian_process"):
        say("Methods that learn take longer: the time is that of the evaluations alone.")
    choose("Start it?", ["start it all the same" if planned["warnings"] else "start it"])


STEPS = (choose_markets, choose_strategies, choose_ranges, choose_target, choose_method, choose_size, confirm)
"""In their order; each raises `Back` and `Quit`."""


def step_of(error: Invalid) -> int:
    """The number of the step where a refusal of the whole can be mended."""
    field_ = (error.path or "").removeprefix("/data/").partition("/")[0]
    at = {"param_ranges": choose_ranges, "optimization_target": choose_target, "size": choose_size}
    return STEPS.index(at.get(field_, choose_method))


def _declared(strategy: JsonObject) -> JsonObject:
    """The declared ranges, spelt out, so that changing one leaves the others as they are."""
    found: JsonObject = {}
    for p in strategy["parameters"]:
        if p["choices"] or p["kind"] == "bool":
            found[p["name"]] = p["choices"] or [False, True]
        elif p["low"] is None or p["high"] is None:
            found[p["name"]] = p["default"]
        else:
            given = {"min": p["low"], "max": p["high"], "step": p["step"], "log": p["log"] or None}
            found[p["name"]] = {name: value for name, value in given.items() if value is not None}
    return found


def _show_ranges(strategy: JsonObject, ranges: JsonObject) -> None:
    rows = [
        (p["name"], _in_words(ranges[p["name"]]), number(p["default"]), p.get("doc") or "")
        for p in strategy["parameters"]
    ]
    show_table(("parameter", "range", "default", "about"), rows)


def _in_words(given: Any) -> str:
    if isinstance(given, list):
        return ", ".join(map(spelt, given))
    if not isinstance(given, dict):
        return f"always {number(given)}"
    found = f"{number(given['min'])} to {number(given['max'])}"
    if given.get("step"):
        found += f" by {number(given['step'])}"
    return found + (", log" if given.get("log") else "")


def _ranges(strategy: JsonObject, text: str) -> JsonObject:
    """The ranges of one line, of parameters that the strategy has."""
    found = parse_ranges(text.split())
    names = [p["name"] for p in strategy["parameters"]]
    for name in found:
        if name not in names:
            raise typer.BadParameter(f"{name!r} is none of its parameters {', '.join(names)}")
    return found


def _whole(text: str) -> int:
    plain = text.replace(",", "").replace("_", "")
    if not plain.isdecimal() or not int(plain):
        raise typer.BadParameter(f"{text!r} is not a number of points, such as 1000")
    return int(plain)
