"""From the references in a payload to a strategy and bars; a worker keeps those that it used last."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import msgspec
import numpy as np

from tunesmith.compute.kernels.generated_kernels import is_compiled
from tunesmith.compute.rules.strategy import Strategy
from tunesmith.compute.simulation.execution import Execution
from tunesmith.compute.strategies import BUILTIN_IDS, builtin
from tunesmith.compute.strategies.installed import installed_strategy
from tunesmith.compute.strategies.stepped_run import is_ready
from tunesmith.domain.array_types import Floats
from tunesmith.domain.market.bars import Bars
from tunesmith.domain.parameters import ParamValues, encode_point
from tunesmith.errors import Invalid
from tunesmith.storage.market.snapshots import open_snapshots
from tunesmith.workers import worker
from tunesmith.workers.chunks.payloads import StrategyRef, Work


def load_work(work: Work) -> tuple[Strategy, Bars]:
    """The strategy and the bars of a work; says so where the strategy is compiled for the first time."""
    rule = strategy_of(work.strategy)
    if rule.kind == "rule" and not is_compiled(rule.plan.source):
        worker.doing(f"compiling the rule {rule.id} {rule.version}: a few seconds, once on this machine")
    elif not is_ready(rule):
        worker.doing(f"compiling the step of {rule.id} {rule.version}: a few seconds, once on this machine")
    return rule, _bars(work.data_dir, work.snapshot)


def execution_of(work: Work) -> Execution:
    """How the work's orders fill."""
    ruin = 0.0 if isinstance(work.ruin, msgspec.UnsetType) else work.ruin
    return _execution(work.costs, work.fill, work.direction, work.initial_cash, work.engine, ruin)


def point_of(rule: Strategy, params: ParamValues) -> Floats:
    """The encoded parameters, float64[p]; raises `Invalid` for a point that breaks a require(…)."""
    point = np.array(encode_point(rule.parameters, params, "/data/params"))
    if not rule.valid(point[np.newaxis])[0]:
        raise Invalid("these parameters break a require(…) of the strategy", path="/data/params")
    return point


@lru_cache(maxsize=32)
def strategy_of(ref: StrategyRef) -> Strategy:
    """The strategy that a reference names."""
    if ref.kind == "rule":
        return Strategy.parse(ref.code, id=ref.id, version=ref.version, is_stored=True)
    return builtin(ref.id) if ref.id in BUILTIN_IDS else installed_strategy(ref.id, ref.code_hash)


_execution = lru_cache(maxsize=32)(Execution)


@lru_cache(maxsize=8)
def _bars(data_dir: str, snapshot: str) -> Bars:
    return open_snapshots(Path(data_dir)).get(snapshot)
