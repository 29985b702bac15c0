"""What the t statistic of timing returns costs beside the Sharpe ratio, walk by walk, on one core.

python tests/benchmarks/timing_cost.py           1,400 daily bars of a walk without drift, some 1,000 points a walk
python tests/benchmarks/timing_cost.py 20000     as many bars
python tests/benchmarks/timing_cost.py box       one call with a whole box of the decision's tables, 1,400 bars

The two are measured in turns, and what is printed is the fastest of each and their ratio; processor time, so that
others on the machine disturb less. The third column is `timing_sharpe`, which every point's path is walked for.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence

import numpy as np

from benchmarks.made_markets import FAMILIES, walk
from tunesmith.compute.engines.evaluate import evaluate_points
from tunesmith.compute.rules.strategy import Strategy
from tunesmith.compute.simulation.execution import Execution
from tunesmith.compute.strategies import builtin
from tunesmith.domain.array_types import Floats
from tunesmith.domain.metrics import TIMING_T
from tunesmith.domain.space import build_space
from tunesmith.domain.trading import Costs, Direction

BARS = 1_400
POINTS = 1_000
SEED = 20261130
AVERAGES, BANDS = FAMILIES["moving averages"].rule, FAMILIES["Bollinger"].rule
TRAILING = Strategy.parse("""
n = Int(20, 2, 60)
width = Float(1.0, 0.1, 3.0)
upper, middle, lower = bbands(close, n, width)
enter_long(crossed_below(close, lower))
exit_long(crossed_above(close, middle))
enter_short(crossed_above(close, upper))
exit_short(crossed_below(close, middle))
trailing_stop(0.03)
""")
WALKS: dict[str, tuple[Strategy, Direction]] = {
    "averages, long": (AVERAGES, "long"),
    "averages, long and short": (AVERAGES, "both"),
    "averages, short": (AVERAGES, "short"),
    "Bollinger with stops, long": (BANDS, "long"),
    "Bollinger with stops, both": (BANDS, "both"),
    "trailing stop, long": (TRAILING, "long"),
    "trailing stop, both": (TRAILING, "both"),
    "grid, bar by bar": (builtin("grid_v1.2"), "long"),
}


def drawn(strategy: Strategy, n: int) -> Floats:
    """Random points of the declared ranges."""
    space = build_space(strategy.parameters, {})
    points = space.sample(np.random.default_rng(SEED).random((4 * n, len(strategy.parameters))))
    return points[strategy.valid(points)][:n]


def least_ms(works: Sequence[Callable[[], object]], n: int) -> list[float]:
    """Milliseconds of processor time of the fastest of n runs of each, taken in turns after one that compiles."""
    taken: list[list[float]] = [[] for _ in works]
    for work in works:
        work()
    for _ in range(n):
        for work, times in zip(works, taken, strict=True):
            began = time.thread_time()
            work()
            times.append(1e3 * (time.thread_time() - began))
    return [min(times) for times in taken]


def costs_of(strategy: Strategy, direction: Direction, points: Floats, n_bars: int, n: int) -> list[float]:
    """Milliseconds a call with the Sharpe ratio, with the t statistic, and with `timing_sharpe`."""
    bars = walk(np.random.default_rng(SEED), n_bars)
    execution = Execution(Costs(fee_rate=0.001), direction=direction)

    def asked(statistic: str) -> Callable[[], object]:
        return lambda: evaluate_points(strategy, bars, points, execution, metrics=(statistic, "n_trades"))

    return [*least_ms([asked("sharpe"), asked(TIMING_T)], n), *least_ms([asked("timing_sharpe")], 2)]


def boxes() -> dict[str, tuple[Strategy, Floats]]:
    """The boxes of the decision's cost tables: averages 6,652 points, Bollinger 9,984."""
    found = {}
    for name, strategy, axes in (
        ("averages", AVERAGES, (np.arange(2, 63), np.arange(10, 251, 2))),
        ("Bollinger", BANDS, (np.arange(5, 101), np.arange(5, 31) / 10, np.arange(5, 21, 5) / 100)),
    ):
        points = np.stack([axis.ravel() for axis in np.meshgrid(*axes, indexing="ij")], axis=1).astype(np.float64)
        found[name] = (strategy, points[strategy.valid(points)])
    return found


def main(arguments: Sequence[str]) -> None:
    if arguments == ["box"]:
        cases = {
            f"{name}, {direction}": (strategy, direction, points)
            for name, (strategy, points) in boxes().items()
            for direction in ("long", "both")
        }
        n_bars = BARS
    else:
        n_bars = int(arguments[0]) if arguments else BARS
        cases = {name: (rule, side, drawn(rule, POINTS)) for name, (rule, side) in WALKS.items()}
    print(f"{n_bars} bars, ms a call on one core: sharpe, {TIMING_T} (times sharpe), timing_sharpe")
    for name, (strategy, direction, points) in cases.items():
        sharpe, timing, path = costs_of(strategy, direction, points, n_bars, 25)  # type: ignore[arg-type]
        print(f"  {name:28s} {len(points):6d} points {sharpe:8.2f} {timing:8.2f} ({timing / sharpe:.2f}) {path:9.1f}")


if __name__ == "__main__":
    main(sys.argv[1:])
