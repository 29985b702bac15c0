"""The engine against its peers, in one run: `python tests/benchmarks/engine_sweeps.py [a b c grid memory length]`.

    a       GOOG daily, all 4,950 pairs of 100 simple averages, fees 0.1 %, fill at close, seven metrics
    b       BTC/USDT, 71,769 five-minute bars, all 19,503 pairs of 198 exponential averages
    c       GOOG daily, Bollinger entries with an ATR stop and target, 10,000 sets
    grid    GOOG daily, 436,800 combinations
    memory  peak memory above the imports, from 10^4 to 10^6 combinations (a process each)
    length  cost a bar and combination, from 10^3 to 10^6 bars

Peers (the benchmark extra): backtesting (for its GOOG candles), vectorbt with its numba and rust engines, raptorbt;
each is left out where it is not installed. A peer's time is the best of its runs after one that compiles, as is ours.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import tunesmith as ts
from tunesmith.compute.rules.binding import bind
from tunesmith.domain.space import encode_points

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data"
SEVEN = ("total_return", "sharpe", "sortino", "max_drawdown", "n_trades", "win_rate", "profit_factor")
N_CORES = len(os.sched_getaffinity(0))

CROSS = """
fast = Int(5, 2, 400)
slow = Int(20, 2, 400)
require(fast < slow)
enter_long(crossed_above({ma}(close, fast), {ma}(close, slow)))
exit_long(crossed_below({ma}(close, fast), {ma}(close, slow)))
"""

BRACKETS = """
window = Int(20, 5, 100)
width = Float(2.0, 0.5, 4.0)
stop = Float(2.0, 0.5, 6.0)
target = Float(3.0, 0.5, 9.0)
upper, middle, lower = bbands(close, window, width)
enter_long(crossed_below(close, lower))
exit_long(crossed_above(close, upper))
stop_loss(close - stop * atr(14))
take_profit(close + target * atr(14))
"""


class Timing(NamedTuple):
    """Seconds on the clock, and of all cores together in this process."""

    wall_s: float
    cpu_s: float


def best_of(runs: int, work: Callable[[], Any]) -> tuple[Timing, Any]:
    """Least times of `runs` runs after one that warms up, and the result."""
    result = work()
    wall_s = cpu_s = np.inf
    for _ in range(runs):
        start, cpu_start = time.perf_counter(), time.process_time()
        result = work()
        wall_s = min(wall_s, time.perf_counter() - start)
        cpu_s = min(cpu_s, time.process_time() - cpu_start)
    return Timing(wall_s, cpu_s), result


def tell(who: str, taken: Timing, n: int, n_bars: int, ours: Timing | None = None) -> Timing:
    """Print one line; returns nanoseconds a bar and combination, on the clock and of all cores together."""
    cost = Timing(taken.wall_s / n / n_bars * 1e9, taken.cpu_s / n / n_bars * 1e9)
    line = f"  {who:36s} {taken.wall_s:9.4f} s {cost.wall_s:9.3f} ns/bar/combination, cpu {cost.cpu_s:9.3f}"
    if ours is not None:
        line += f"   {cost.wall_s / ours.wall_s:6.0f} x ours, cpu {cost.cpu_s / ours.cpu_s:6.0f} x"
    print(line, flush=True)
    return cost


def google() -> ts.Bars:
    from backtesting.test import GOOG

    return ts.Bars.from_frame(GOOG, symbol="GOOG", timeframe="1d")


def pairs(windows: np.ndarray) -> dict[str, np.ndarray]:
    first, second = np.triu_indices(len(windows), 1)
    return {"fast": windows[first], "slow": windows[second]}


def engines() -> list[str]:
    from vectorbt._engine import is_rust_available

    return ["numba", "rust"] if is_rust_available() else ["numba"]


def sweep_a() -> None:
    bars, params = google(), pairs(np.arange(5, 105))
    n, n_bars = len(params["fast"]), len(bars)
    print(f"a: {n} pairs of averages on {n_bars} daily bars")
    rule = ts.Strategy.parse(CROSS.format(ma="sma"))
    costs = ts.Costs(fee_rate=0.001)

    def ours(n_threads: int) -> Callable[[], Any]:
        return lambda: ts.evaluate(rule, bars, params, costs=costs, fill="close", n_threads=n_threads).metrics

    one, metrics = best_of(15, ours(1))
    tell("ours, one core", one, n, n_bars)
    all_cores, _ = best_of(15, ours(N_CORES))
    cost = tell(f"ours, {N_CORES} cores", all_cores, n, n_bars)
    for engine in engines():
        taken, theirs = best_of(1, lambda engine=engine: vectorbt_pairs(bars, engine))
        tell(f"vectorbt, {engine}", taken, n, n_bars, cost)
        found = apart(metrics, theirs)
        print(f"    {len(found)} of {n} apart by more than 1e-9 in return, Sharpe, Sortino or drawdown")
        explain(rule, bars, params, metrics, found, engine)
    try:
        taken, _ = best_of(1, lambda: raptorbt_pairs(bars))
    except ImportError:
        print("  raptorbt is not installed")
    else:
        tell("raptorbt batch, all cores", taken, n, n_bars, cost)


def apart(ours: Mapping[str, np.ndarray], theirs: Mapping[str, np.ndarray]) -> np.ndarray:
    """The combinations in which return, Sharpe, Sortino or drawdown differ by more than 1e-9."""
    different = np.zeros(len(theirs["sharpe"]), bool)
    for name, sign in (("total_return", 1), ("sharpe", 1), ("sortino", 1), ("max_drawdown", -1)):
        different |= np.abs(ours[name] - sign * theirs[name]) > 1e-9 * np.maximum(np.abs(ours[name]), 1.0)
    return np.flatnonzero(different)


def explain(
    rule: ts.Strategy,
    bars: ts.Bars,
    params: dict[str, np.ndarray],
    metrics: Mapping[str, np.ndarray],
    found: np.ndarray,
    engine: str,
) -> None:
    """Print at which bars of the pairs `found` our averages stand otherwise to each other than vectorbt's, by how much
    they are apart in exact arithmetic, and whether vectorbt gives our numbers when it is given our signals."""
    import pandas as pd
    import vectorbt as vbt

    close = pd.Series(bars.close)
    sums = [Fraction(0), *itertools.accumulate(map(Fraction, bars.close.tolist()))]
    bound = bind(rule, bars, encode_points(rule.parameters, {name: values[found] for name, values in params.items()}))
    for i, pair in enumerate(found):
        windows = int(params["fast"][pair]), int(params["slow"][pair])
        ours = np.subtract(*bound.rows[bound.index[i]])
        theirs = np.subtract(*(vbt.MA.run(close, window).ma.to_numpy().ravel() for window in windows))
        for t in range(windows[1], len(bars)):
            fast, slow = ((sums[t + 1] - sums[t + 1 - window]) / window for window in windows)
            if np.sign(ours[t]) != np.sign(theirs[t]):
                print(
                    f"      averages over {windows[0]} and {windows[1]} at bar {t}: exactly {float(fast - slow):.2g} "
                    f"apart, ours {ours[t]:.2g}, vectorbt's {theirs[t]:.2g}; neighbouring floats lie "
                    f"{np.spacing(float(slow)):.2g} apart"
                )
    if len(found):
        again = vectorbt_slice(rule, bars, params, found, engine)
        left = apart({name: values[found] for name, values in metrics.items()}, again)
        print(f"      given our signals, vectorbt differs in {len(left)} of these {len(found)}")


def vectorbt_pairs(bars: ts.Bars, engine: str) -> dict[str, np.ndarray]:
    import pandas as pd
    import vectorbt as vbt

    close = pd.Series(bars.close)
    fast, slow = vbt.MA.run_combs(close, window=np.arange(5, 105), r=2, short_names=["fast", "slow"])
    return vectorbt_metrics(
        bars, close, fast.ma_crossed_above(slow), fast.ma_crossed_below(slow), engine, fees=0.001, init_cash=10_000.0
    )


def vectorbt_metrics(
    bars: ts.Bars, close: Any, entries: Any, exits: Any, engine: str, **options: Any
) -> dict[str, np.ndarray]:
    import pandas as pd
    import vectorbt as vbt

    length = pd.Timedelta(1, "D")
    portfolio = vbt.Portfolio.from_signals(close, entries, exits, freq=length, engine=engine, **options)
    returns = portfolio.get_returns_acc(year_freq=pd.Timedelta(round(bars.bars_per_year * length.value), "ns"))
    found = {
        "total_return": portfolio.total_return(),
        "sharpe": returns.sharpe_ratio(),
        "sortino": returns.sortino_ratio(),
        "max_drawdown": returns.max_drawdown(),
        "n_trades": portfolio.trades.count(),
        "win_rate": portfolio.trades.win_rate(),
        "profit_factor": portfolio.trades.profit_factor(),
    }
    return {name: values.to_numpy() for name, values in found.items()}


def raptorbt_pairs(bars: ts.Bars) -> np.ndarray:
    import raptorbt

    close = bars.close
    averages = {w: raptorbt.sma(close, w) for w in range(5, 105)}
    items = []
    for fast in range(5, 105):
        for slow in range(fast + 1, 105):
            above = averages[fast] > averages[slow]
            enter, leave = np.zeros((2, len(close)), bool)
            enter[slow:] = above[slow:] & ~above[slow - 1 : -1]
            leave[slow:] = ~above[slow:] & above[slow - 1 : -1]
            items.append(raptorbt.BatchSingleItem(f"{fast}-{slow}", enter, leave))
    config = raptorbt.BacktestConfig(initial_capital=1.0, fees=0.001)
    columns = (bars.open, bars.high, bars.low, close, bars.volume)
    found = raptorbt.batch_single_backtest(bars.timestamp * 1_000_000, *columns, items, config)
    return np.array([[r.metrics.total_return_pct, r.metrics.sharpe_ratio] for _, r in found])


def sweep_b() -> None:
    bars = ts.Bars.read(SHARED / "spot" / "BTC_USDT-5m.parquet", symbol="BTC/USDT", timeframe="5m")
    params = pairs(np.arange(2, 200))
    n, n_bars = len(params["fast"]), len(bars)
    print(f"b: {n} pairs of exponential averages on {n_bars} five-minute bars")
    rule = ts.Strategy.parse(CROSS.format(ma="ema"))
    costs = ts.Costs(fee_rate=0.001)
    cost = Timing(np.inf, np.inf)
    for n_threads in (1, N_CORES):
        taken, table = best_of(
            1, lambda k=n_threads: ts.evaluate(rule, bars, params, costs=costs, fill="close", n_threads=k)
        )
        cost = tell(f"ours, {n_threads} cores", taken, n, n_bars)
    chosen = np.linspace(0, n - 1, 40).astype(int)
    for engine in engines():
        taken, theirs = best_of(1, lambda engine=engine: vectorbt_slice(rule, bars, params, chosen, engine))
        tell(f"vectorbt, {engine}, 40 of them", taken, len(chosen), n_bars, cost)
        # vectorbt fills no order below 1e-12 units: accounts that are worn down to that are not compared.
        alive = table.metrics["total_return"][chosen] > -0.99999
        apart = np.abs(table.metrics["sharpe"][chosen] / theirs["sharpe"] - 1.0)[alive].max()
        print(f"    sharpe of the {int(alive.sum())} that are left with money: at most {apart:.1e} apart, relative")


def vectorbt_slice(
    rule: ts.Strategy, bars: ts.Bars, params: dict[str, np.ndarray], chosen: np.ndarray, engine: str
) -> dict[str, np.ndarray]:
    """vectorbt on our signals of some pairs (its own averages are seeded otherwise); signals are not timed for it."""
    import pandas as pd

    points = encode_points(rule.parameters, {name: values[chosen] for name, values in params.items()})
    signals = bind(rule, bars, points).signals(0, len(points))
    assert signals.enter_long is not None
    assert signals.exit_long is not None
    close = pd.Series(bars.close)
    entries = pd.DataFrame(signals.enter_long.T.astype(bool))
    exits = pd.DataFrame(signals.exit_long.T.astype(bool))
    return vectorbt_metrics(bars, close, entries, exits, engine, fees=0.001, init_cash=10_000.0)


def sweep_c() -> None:
    bars = google()
    axes = np.meshgrid(np.arange(10, 30, 2), np.linspace(1, 3, 10), np.linspace(1, 4, 10), np.linspace(1, 6, 10))
    params = dict(zip(("window", "width", "stop", "target"), (axis.ravel() for axis in axes), strict=True))
    n, n_bars = len(params["window"]), len(bars)
    print(f"c: {n} sets of Bollinger entries with ATR stop and target on {n_bars} daily bars")
    rule = ts.Strategy.parse(BRACKETS)
    costs = ts.Costs(fee_rate=0.001)
    cost = Timing(np.inf, np.inf)
    for n_threads in (1, N_CORES):
        taken, _ = best_of(
            3, lambda k=n_threads: ts.evaluate(rule, bars, params, costs=costs, fill="close", n_threads=k)
        )
        cost = tell(f"ours, {n_threads} cores", taken, n, n_bars)
    for engine in engines():
        taken, _ = best_of(1, lambda engine=engine: vectorbt_brackets(bars, params, slice(0, n, 20), engine))
        tell(f"vectorbt, {engine}, a twentieth of them", taken, n // 20, n_bars, cost)


def vectorbt_brackets(bars: ts.Bars, params: dict[str, np.ndarray], part: slice, engine: str) -> dict[str, np.ndarray]:
    """The same entries and exits, with its own stops: stated as fractions of the close, which is its way."""
    import pandas as pd
    import vectorbt as vbt

    close, high, low = pd.Series(bars.close), pd.Series(bars.high), pd.Series(bars.low)
    chosen = {name: values[part] for name, values in params.items()}
    bands = vbt.BBANDS.run(close, window=chosen["window"], alpha=chosen["width"], param_product=False)
    atr = (vbt.ATR.run(high, low, close, window=14).atr.to_numpy() / bars.close)[:, np.newaxis]
    entries = bands.close_crossed_below(bands.lower)
    exits = bands.close_crossed_above(bands.upper)
    return vectorbt_metrics(
        bars,
        close,
        entries,
        exits,
        engine,
        open=pd.Series(bars.open),
        high=high,
        low=low,
        sl_stop=atr * chosen["stop"],
        tp_stop=atr * chosen["target"],
        fees=0.001,
        init_cash=10_000.0,
    )


def big_grid() -> None:
    bars = google()
    fast, slow, width = (
        axis.ravel() for axis in np.meshgrid(np.arange(2, 82), np.arange(90, 181), np.arange(60) / 1e3)
    )
    params = {"fast": fast, "slow": slow, "width": width}
    rule = ts.Strategy.parse(
        CROSS.format(ma="sma")
        .replace("enter_long", "width = Float(0.0, 0.0, 0.1)\nenter_long", 1)
        .replace("sma(close, slow)))", "sma(close, slow) * (1 + width)))", 1)
    )
    print(f"grid: {len(fast)} combinations on {len(bars)} daily bars")
    taken, _ = best_of(1, lambda: ts.evaluate(rule, bars, params, fill="close", n_threads=N_CORES))
    tell(f"ours, {N_CORES} cores", taken, len(fast), len(bars))


def memory_curve() -> None:
    print("memory: peak above the imports")
    for n in (10_000, 100_000, 1_000_000):
        done = subprocess.run([sys.executable, __file__, "peak", str(n)], capture_output=True, text=True, check=True)
        print(f"  {n:9d} combinations: {done.stdout.strip()}", flush=True)


def memory_mib(name: str) -> float:
    """A field of /proc/self/status in MiB: VmRSS is what is resident now, VmHWM the most since it was cleared."""
    line = next(x for x in Path("/proc/self/status").read_text().splitlines() if x.startswith(name))
    return int(line.split()[1]) / 1024


def print_peak(n: int) -> None:
    """Peak memory of evaluating n combinations, of this very process."""
    bars = google()
    rule = ts.Strategy.parse(CROSS.format(ma="sma"))
    few = {"fast": np.full(100, 5), "slow": np.full(100, 20)}
    ts.evaluate(rule, bars, few, n_threads=N_CORES)
    Path("/proc/self/clear_refs").write_text("5")
    before = memory_mib("VmRSS")
    rng = np.random.default_rng(0)
    fast = rng.integers(2, 200, n)
    ts.evaluate(rule, bars, {"fast": fast, "slow": fast + rng.integers(1, 200, n)}, n_threads=N_CORES)
    above = memory_mib("VmHWM") - before
    results = n * 8 * 15 / 2**20
    print(f"{above:7.1f} MiB, of which {results:6.1f} MiB are parameters and metrics")


def length_curve() -> None:
    print("length: 200 pairs of 30 averages")
    rng = np.random.default_rng(0)
    rule = ts.Strategy.parse(CROSS.format(ma="sma"))
    fast, slow = np.meshgrid(np.arange(5, 55, 5), np.arange(60, 260, 10))
    params = {"fast": fast.ravel(), "slow": slow.ravel()}
    for n_bars in (1_000, 10_000, 100_000, 1_000_000):
        close = 100.0 * np.exp(np.cumsum(rng.normal(0.0, 0.003, n_bars)))
        columns = dict.fromkeys(("open", "high", "low", "close"), close) | {"volume": np.ones(n_bars)}
        stamps = np.arange(n_bars, dtype=np.int64) * 60_000
        bars = ts.Bars.from_arrays(stamps, columns, symbol="X/Y", timeframe="1m")
        taken, _ = best_of(2, lambda bars=bars: ts.evaluate(rule, bars, params, fill="close", n_threads=1))
        tell(f"{n_bars} bars, one core", taken, 200, n_bars)


SWEEPS = {"a": sweep_a, "b": sweep_b, "c": sweep_c, "grid": big_grid, "memory": memory_curve, "length": length_curve}

if __name__ == "__main__":
    if sys.argv[1:2] == ["peak"]:
        print_peak(int(sys.argv[2]))
    else:
        for name in sys.argv[1:] or SWEEPS:
            SWEEPS[name]()
