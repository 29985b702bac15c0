"""The table of engines: who evaluates, by name.

A further engine is a module with an `Engine` record and its line here. Whoever wants to know something of an engine
asks its record; nobody tests its name.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from tunesmith.compute.engines.engine import Engine
from tunesmith.compute.engines.tunesmith_engine import TUNESMITH
from tunesmith.compute.engines.vectorbt_engine import VECTORBT
from tunesmith.compute.rules.strategy import Strategy
from tunesmith.domain.declared import one_of
from tunesmith.domain.trading import OWN_ENGINE, Costs, Direction
from tunesmith.errors import Invalid

ENGINES: dict[str, Engine] = {}
"""Engine by name. Requests may name those of `domain.trading.Engine`, which are the ones that are registered here."""


def register(engine: Engine) -> None:
    """Add an engine to the table. Raises `ValueError` where its name is taken."""
    if engine.name in ENGINES:
        raise ValueError(f"there is an engine {engine.name!r} already")
    ENGINES[engine.name] = engine


for _engine in (TUNESMITH, VECTORBT):
    register(_engine)


def engine_named(name: str, path: str = "") -> Engine:
    """The engine of that name. Raises `Invalid` at `path`/engine with the nearest right name."""
    if name not in ENGINES:
        one_of(name, ENGINES, "engine", f"{path}/engine")
    return ENGINES[name]


def check_engine(strategy: Strategy, engine: str, costs: Costs, direction: Direction, path: str = "") -> None:
    """Raise `Invalid`, with the field's path below `path`, where `engine` cannot evaluate `strategy` as ours does."""
    for field, reason in engine_named(engine, path).differences(strategy, costs, direction):
        raise Invalid(f"{engine} {reason}; engine {OWN_ENGINE} does", path=f"{path}/{field}")


def check_given(engine: str, metrics: Mapping[str, float]) -> None:
    """Raise `Invalid` where `engine` gave no numbers for a point, as it may."""
    reason = engine_named(engine).no_numbers
    if reason is not None and math.isnan(metrics["total_return"]):
        raise Invalid(f"{reason}; engine {OWN_ENGINE} evaluates it", path="/engine")
