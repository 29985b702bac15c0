"""Chunks of a walk-forward: one window, and all of them as one account."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import numpy as np

from tunesmith.compute.engines.bars_of_rule import longer_used
from tunesmith.compute.search.search import Market
from tunesmith.compute.search.walk_forward.walk_forward import WALK_FORWARD_CANNOT_SAY, Walked, walk_part
from tunesmith.compute.search.walk_forward.walk_forward import stitch as stitch_walked
from tunesmith.compute.search.walk_forward.walk_windows import Part
from tunesmith.domain.market.bars import Bars
from tunesmith.domain.records import build
from tunesmith.storage.timestamps import iso
from tunesmith.workers.chunks.payloads import StitchParts, WalkedPart, WalkPart
from tunesmith.workers.chunks.work_loading import execution_of, load_work

_EQUITY_POINTS = 2000


def walk(payload: WalkPart) -> WalkedPart:
    """Search one window and trade the bars after it."""
    rule, bars = load_work(payload.work)
    market = Market(payload.symbol, bars, execution_of(payload.work), payload.work.first)
    found = walk_part(rule, payload.plan, market, Part(*payload.part))
    return build(WalkedPart, found, part=payload.part)


def stitch(payload: StitchParts) -> dict[str, Any]:
    """The windows as one account, as plain values for the task's result."""
    rule, bars = load_work(payload.work)
    walked = [
        Walked(Part(*each.part), each.params, each.score, each.earned, each.n_trades, each.returns)
        for each in payload.parts
    ]
    account = stitch_walked(walked, bars.bars_per_year, payload.work.initial_cash)
    first = walked[0].part.stop
    keep = np.unique(np.linspace(0, len(account.equity) - 1, min(len(account.equity), _EQUITY_POINTS)).astype(int))
    times = bars.timestamp[first:]
    return {
        "metrics": {name: _plain(value) for name, value in account.metrics.items()},
        "efficiency": _plain(account.efficiency),
        "windows": [_window(each, bars) for each in walked],
        "equity": [[int(times[i]), float(account.equity[i])] for i in keep],
        "cannot_say": WALK_FORWARD_CANNOT_SAY,
        "longer": msgspec.to_builtins(longer_used(rule, bars, first)),
    }


def _window(walked: Walked, bars: Bars) -> dict[str, Any]:
    part = walked.part
    return {
        "train_from": iso(int(bars.timestamp[part.start])),
        "trade_from": iso(int(bars.timestamp[part.stop])),
        "trade_to": iso(int(bars.timestamp[part.end - 1])),
        "params": walked.params,
        "score": walked.score,
        "total_return": float(np.prod(1.0 + walked.returns) - 1.0),
        "n_trades": walked.n_trades,
    }


def _plain(value: float) -> float | None:
    return value if math.isfinite(value) else None
