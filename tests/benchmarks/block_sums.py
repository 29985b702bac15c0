"""What the block sums of every trial cost beside the search itself: 4,950 moving-average pairs, 32 blocks, one core.

python tests/benchmarks/block_sums.py
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tunesmith.compute.engines.evaluate import evaluate_points
from tunesmith.compute.measures.block_sums import evaluate_blocks
from tunesmith.compute.rules.strategy import Strategy
from tunesmith.compute.simulation.execution import Execution
from tunesmith.domain.market.bars import Bars
from tunesmith.domain.trading import Costs

SAMPLE = Path(__file__).resolve().parents[2] / "service" / "tunesmith" / "sample" / "BTC_USDT-1h.parquet"
N_BLOCKS = 32
LONG = """fast = Int(5, 2, 400)
slow = Int(20, 2, 400)
enter_long(crossed_above(sma(close, fast), sma(close, slow)))
exit_long(crossed_below(sma(close, fast), sma(close, slow)))
"""
RULES = {
    "long": LONG,
    "long with stop and target": LONG + "stop_loss(0.03)\ntake_profit(0.05)\n",
    "long and short": LONG + "enter_short(crossed_below(sma(close, fast), sma(close, slow)))\n",
}


def least_s(work: Callable[[], object], n: int = 7) -> float:
    """Seconds of the fastest of n runs, after one that compiles."""
    work()
    taken = []
    for _ in range(n):
        began = time.perf_counter()
        work()
        taken.append(time.perf_counter() - began)
    return min(taken)


def main() -> None:
    bars = Bars.read(SAMPLE, symbol="BTC/USDT", timeframe="1h")
    points = np.stack(np.triu_indices(100, 1), axis=1) + 5.0
    execution = Execution(Costs(fee_rate=0.001), direction="both")
    per_bar = 1e9 / len(points) / len(bars)
    print(f"block sums: {len(points)} points, {len(bars)} bars, {N_BLOCKS} blocks, ns a bar and point on one core")
    for name, code in RULES.items():
        rule = Strategy.parse(code)
        search = least_s(lambda rule=rule: evaluate_points(rule, bars, points, execution))
        blocks = least_s(lambda rule=rule: evaluate_blocks(rule, bars, points, execution, N_BLOCKS))
        print(
            f"  {name:27s} metrics {search * per_bar:5.2f}   block sums {blocks * per_bar:5.2f}"
            f"   {blocks / search:.2f} times the metrics"
        )


if __name__ == "__main__":
    main()
