"""Path-dependent strategies that the operator has installed: Python packages with an entry point.

    [project.entry-points."tunesmith.strategies"]
    dca = "my_strategies.dca:STRATEGY"

names a `compute.stepping.Stepped`. Each is loaded by itself: one that fails is reported, and the others are there.
Strategies are known by the hash of their module's text, so that a task runs the code that it was given or none.
"""

from __future__ import annotations

import inspect
import traceback
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import NamedTuple

import msgspec

from tunesmith.compute.rules.strategy import Strategy
from tunesmith.compute.stepping import Stepped
from tunesmith.compute.strategies import BUILTIN_IDS
from tunesmith.domain.names import Id, Name, Version
from tunesmith.errors import Conflict, Invalid

GROUP = "tunesmith.strategies"
"""The entry point group that packages register strategies under."""


class Failure(NamedTuple):
    """An entry point that gives no strategy: its name and value, and why."""

    name: str
    value: str
    reason: str


class Installed(NamedTuple):
    """What is installed: strategies by id, and the entry points that gave none."""

    strategies: dict[str, Strategy]
    failures: tuple[Failure, ...]


@cache
def installed() -> Installed:
    """Every installed strategy. Imports the packages that register some, once in a process."""
    found: dict[str, Strategy] = {}
    failures = []
    for point in sorted(entry_points(group=GROUP), key=lambda point: (point.name, point.value)):
        try:
            strategy = _load(point)
            if strategy.id in BUILTIN_IDS:
                raise Invalid(f"{strategy.id!r} is the name of a built-in strategy")
            if strategy.id in found:
                raise Invalid(f"another entry point has a strategy {strategy.id!r} too")
            found[strategy.id] = strategy
        except (Exception, SystemExit) as error:  # an operator's code is foreign: whatever importing it raises
            failures.append(Failure(point.name, point.value, _reason(error)))
    return Installed(found, tuple(failures))


def installed_strategy(strategy_id: str, code_hash: str | None = None) -> Strategy:
    """The installed strategy of that id, with that code unless None; raises `Conflict` where there is none."""
    strategy = installed().strategies.get(strategy_id)
    if strategy is None:
        failures = "".join(f"; {failure.value} failed: {failure.reason}" for failure in installed().failures)
        raise Conflict(f"strategy {strategy_id!r} is compiled, and not installed here{failures}")
    if code_hash not in (None, strategy.code_hash):
        raise Conflict(
            f"strategy {strategy_id!r} is installed with other code, version {strategy.version}: install the version "
            "that is asked for, or start the daemon again to offer what is installed"
        )
    return strategy


def as_strategy(declared: Stepped) -> Strategy:
    """The strategy of a declaration; its code is the text of the module that the step stands in.

    Raises `Invalid` for an id, name or version that no message could hold, and where that text is not at hand.
    """
    for what, value, kind in (
        ("id", declared.id, Id),
        ("version", declared.version, Version),
        ("name", declared.name or declared.id, Name),
    ):
        try:
            msgspec.convert(value, kind)
        except msgspec.ValidationError as error:
            raise Invalid(f"strategy {declared.id!r}: {what} {value!r}: {error}") from None
    try:
        code = Path(inspect.getfile(declared.plain_step)).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError, TypeError) as error:
        raise Invalid(f"strategy {declared.id!r}: the text of its module cannot be read: {error}") from error
    return Strategy(
        id=declared.id,
        name=declared.name or declared.id,
        version=declared.version,
        code=code,
        kind="kernel",
        doc=declared.doc,
        parameters=declared.parameters,
        stepped=declared,
    )


def _load(point: EntryPoint) -> Strategy:
    declared = point.load()
    if not isinstance(declared, Stepped):
        raise Invalid(f"it names {_kind(declared)}, not a tunesmith.compute.stepping.Stepped")
    return as_strategy(declared)


def _kind(value: object) -> str:
    return f"an object of the type {type(value).__name__}"


def _reason(error: BaseException) -> str:
    if isinstance(error, Invalid):
        return error.message
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}{where}"
