"""The command that starts a search which a daemon recommends: the request of `optimization.start` as people type it."""

from __future__ import annotations

import shlex
from datetime import datetime, timedelta
from typing import Any

from tunesmith.cli.range_text import spelt
from tunesmith.cli.tables import make_console
from tunesmith.domain.records import JsonObject
from tunesmith.domain.trading import OWN_ENGINE

_MIDNIGHT = "T00:00:00.000Z"
_FEE_RATE = 0.001
_ITERATIONS = 100
_CASH = "10000"


def command_of(request: JsonObject) -> str:
    """The command line, broken between options where it is wider than the terminal."""
    symbols = ",".join(request["symbols"]) or request["symbol"]
    parts = [["tunesmith", "optimize", symbols, request["strategy_id"]]]
    parts += [["-r", f"{name}={range_text(given)}"] for name, given in request["param_ranges"].items()]
    parts += [["--target", _target(each)] for each in _listed(request["optimization_target"])]
    parts += [["--constraint", text] for text in request["constraints"] or ()]
    parts += [["--condition", text] for text in request["conditions"]]
    parts += [["--stop", f"{name}={spelt(value)}"] for name, value in (request["stop"] or {}).items() if value]
    parts += [[f"--{name}", str(value)] for name, value in _others(request).items()]
    return _broken([shlex.join(part) for part in parts])


def range_text(given: Any) -> str:
    """A range or a value as it follows `-r NAME=`."""
    if isinstance(given, list):
        return ",".join(map(spelt, given))
    if not isinstance(given, dict):
        return spelt(given)
    if given.get("values") is not None:
        return range_text(given["values"])
    ends = f"{spelt(given['min'])}:{spelt(given['max'])}"
    if given.get("log"):
        return f"{ends}:log"
    return ends if given.get("step") in (None, 1) else f"{ends}:{spelt(given['step'])}"


def _others(request: JsonObject) -> JsonObject:
    """The options that are not as they are without being named."""
    costs = request["costs"] or {}
    given = {
        "aggregate": (request["aggregate"], "mean"),
        "iterations": (request["max_iterations"], _ITERATIONS),
        "seed": (request["seed"], 0),
        "timeframe": (request["timeframe"], None),
        "venue": (request["venue"], None),
        "start": (_day(request["start_date"], end=False), None),
        "end": (_day(request["end_date"], end=True), None),
        "fee": (costs.get("fee_rate", _FEE_RATE), _FEE_RATE),
        "slippage": (costs.get("slippage_rate", 0.0), 0.0),
        "fixed-fee": (costs.get("fixed_fee", 0.0), 0.0),
        "direction": (request["direction"], "auto"),
        "fill": (request["fill"], "next_open"),
        "engine": (request["engine"], OWN_ENGINE),
        "cash": (spelt(request["initial_cash"]), _CASH),
        "max-missing": (request.get("max_missing"), None),
    }
    return {name: value for name, (value, usual) in given.items() if value != usual}


def _day(time: str | None, *, end: bool) -> str | None:
    """A time as a bare day where it is one: a bare end day is inclusive."""
    if time is None or not time.endswith(_MIDNIGHT):
        return time
    day = datetime.fromisoformat(time[:10])
    return f"{day - timedelta(days=1) if end else day:%Y-%m-%d}"


def _listed(target: Any) -> list[Any]:
    return target if isinstance(target, list) else [target]


def _target(target: Any) -> str:
    if not isinstance(target, dict):
        return str(target)
    return "{" + ", ".join(f'"{name}": {weight!r}' for name, weight in target.items()) + "}"


def _broken(parts: list[str]) -> str:
    width = make_console().width
    lines = [parts[0]]
    for part in parts[1:]:
        if len(lines[-1]) + len(part) + 3 <= width:
            lines[-1] += f" {part}"
        else:
            lines.append(f"  {part}")
    return " \\\n".join(lines)
