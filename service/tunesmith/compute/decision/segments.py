"""One point on one segment of a market, in_sample or holdout: its metrics, and whether vectorbt agrees with them."""

from __future__ import annotations

import numpy as np

from tunesmith.compute.engines.evaluate import evaluate_points
from tunesmith.compute.engines.trace import trace
from tunesmith.compute.engines.vectorbt_replay import confirm
from tunesmith.compute.rules.strategy import Strategy
from tunesmith.compute.search.split import Split
from tunesmith.compute.simulation.execution import Execution
from tunesmith.domain.array_types import Floats
from tunesmith.domain.market.bars import Bars
from tunesmith.domain.metrics import METRICS


def segment_work(
    work: str, rule: Strategy, bars: Bars, point: Floats, execution: Execution, split: Split
) -> dict[str, float] | list[str]:
    """Do the work that a decision by criteria asks for: the metrics of a segment, or the "replay" of both."""
    if work == "replay":
        return [
            f"{segment}: {line}"
            for segment in ("in_sample", "holdout")
            for line in confirm_segment(rule, bars, point, execution, split, segment)
        ]
    return segment_metrics(rule, bars, point, execution, split, work)


def segment_metrics(
    rule: Strategy, bars: Bars, point: Floats, execution: Execution, split: Split, segment: str
) -> dict[str, float]:
    """The point's metrics on one segment, in_sample or holdout; the hold-out is warmed up by the bars before it."""
    part, start = _segment(bars, split, segment)
    metrics = evaluate_points(rule, part, point[np.newaxis], execution, start=start, metrics=METRICS)
    return {name: float(values[0]) for name, values in metrics.items()}


def confirm_segment(
    rule: Strategy, bars: Bars, point: Floats, execution: Execution, split: Split, segment: str
) -> list[str]:
    """What vectorbt, given the orders of one segment, computes otherwise; empty when it agrees."""
    part, start = _segment(bars, split, segment)
    metrics = segment_metrics(rule, bars, point, execution, split, segment)
    return confirm(trace(rule, part, point, execution, start=start), metrics, part, execution, start)


def _segment(bars: Bars, split: Split, segment: str) -> tuple[Bars, int]:
    if segment == "holdout":
        return bars, split.out_start
    return bars.slice(0, split.in_stop), split.first
