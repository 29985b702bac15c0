"""Chunks that look at one set of parameters in full: a backtest's report, and one question of a verdict on it."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

from tunesmith.compute.decision.segments import segment_work
from tunesmith.compute.engines.point_report import report_point
from tunesmith.compute.search.split import split_at
from tunesmith.workers.chunks.payloads import OnePoint
from tunesmith.workers.chunks.work_loading import execution_of, load_work, point_of

_EQUITY_POINTS = 2000


def backtest(payload: OnePoint) -> dict[str, Any]:
    """A report: metrics, vectorbt's stats and trades, thinned equity, and where vectorbt disagrees."""
    rule, bars = load_work(payload.work)
    point = point_of(rule, payload.params)
    report = report_point(rule, bars, point, execution_of(payload.work), payload.work.first)
    keep = np.unique(np.linspace(0, len(report.equity) - 1, min(len(report.equity), _EQUITY_POINTS)).astype(int))
    return {
        "params": report.params,
        "metrics": report.metrics,
        "stats": report.stats,
        "trades": report.trades,
        "equity": list(zip(report.timestamp[keep].tolist(), report.equity[keep].tolist(), strict=True)),
        "disagreements": report.disagreements,
        "warnings": report.warnings,
        "longer": msgspec.to_builtins(report.bars.longer),
    }


def judge(payload: OnePoint) -> Any:
    """Do what a decision by criteria asks for: a segment's metrics, or vectorbt's disagreements."""
    rule, bars = load_work(payload.work)
    point = point_of(rule, payload.params)
    split = split_at(bars, payload.boundary_ms, payload.work.first, payload.in_sample_end_ms)
    return segment_work(payload.ask, rule, bars, point, execution_of(payload.work), split)
