"""What the processes of workers load before their first chunk."""

from __future__ import annotations

import numpy as np

from tunesmith.compute.engines import vectorbt_report
from tunesmith.compute.engines.evaluate import evaluate_points
from tunesmith.compute.simulation.execution import Execution
from tunesmith.compute.strategies import builtin
from tunesmith.domain.market.bars import Bars
from tunesmith.domain.space import encode_points
from tunesmith.domain.trading import Costs


def load_vectorbt() -> None:
    """Load what replays and reports need: more than a second and 250 MB, once for all workers."""
    vectorbt_report.warm_up()


def load_kernels() -> None:
    """Load what searches need, before the first one; in a new kernel cache this compiles for a while."""
    n = 64
    stamps = np.arange(n, dtype=np.int64) * 3_600_000
    close = 100.0 + np.sin(np.arange(n) / 3.0)
    columns = {"open": close, "high": close, "low": close, "close": close, "volume": np.ones(n)}
    bars = Bars.from_arrays(stamps, columns, symbol="WARM/UP", timeframe="1h")
    rule = builtin("ma_cross_v1.0")
    point = encode_points(rule.parameters, {"fast_period": 2, "slow_period": 5, "signal_threshold": 0.0})[0]
    evaluate_points(rule, bars, point[np.newaxis], Execution(Costs(), "next_open", "long"))
