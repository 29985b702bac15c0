"""Random markets, signals and terms for comparing the engine with the reference simulator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from reference.simulator import Candle, Run, Signal, Terms, simulate
from reference.simulator import Level as SlowLevel
from tunesmith.compute.simulation.execution import Execution
from tunesmith.compute.simulation.signals import Level, Signals
from tunesmith.domain.market.bars import Bars
from tunesmith.domain.trading import Costs

LEVELS = ("stop_loss", "take_profit", "trailing_stop")
CONDITIONS = ("enter_long", "exit_long", "enter_short", "exit_short")
HOUR_MS = 3_600_000


@dataclass(frozen=True)
class Case:
    """One market, a block of signals, and the terms of execution."""

    bars: Bars
    signals: Signals
    execution: Execution
    start: int

    def __repr__(self) -> str:
        signals = self.signals
        levels = {name: getattr(signals, name) and getattr(signals, name).fraction for name in LEVELS}
        return f"Case({signals.n_points} points, {len(self.bars)} bars, start {self.start}, {levels}, {self.execution})"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(repr(self))


def random_bars(rng: np.random.Generator, n: int, volatility: float = 0.02, ticks: bool = False) -> Bars:
    """Candles with gaps between close and next open; `ticks` rounds prices so that levels are often met exactly."""
    close = 100.0 * np.exp(np.cumsum(rng.normal(0.0, volatility, n)))
    gaps = np.where(rng.random(n) < 0.3, rng.normal(0.0, volatility, n), 0.0)
    opened = np.concatenate([[100.0], close[:-1]]) * np.exp(gaps)
    high = np.maximum(opened, close) * (1.0 + np.abs(rng.normal(0.0, volatility / 2, n)))
    low = np.minimum(opened, close) / (1.0 + np.abs(rng.normal(0.0, volatility / 2, n)))
    if ticks:
        opened, close = np.maximum(np.rint(opened), 1.0), np.maximum(np.rint(close), 1.0)
        high = np.maximum(np.rint(high), np.maximum(opened, close))
        low = np.maximum(np.minimum(np.rint(low), np.minimum(opened, close)), 1.0)
    columns = {"open": opened, "high": high, "low": low, "close": close, "volume": np.ones(n)}
    return Bars.from_arrays(np.arange(n, dtype=np.int64) * HOUR_MS, columns, symbol="X/Y", timeframe="1h")


def random_signals(rng: np.random.Generator, bars: Bars, n: int, names: set[str], forms: dict[str, str]) -> Signals:
    """Signals of n points: the conditions in `names`, and the levels in `forms` (fraction or price)."""
    shape = (n, len(bars))
    density = float(rng.choice([0.01, 0.1, 0.5]))
    conditions = {name: (rng.random(shape) < density).astype(np.uint8) for name in CONDITIONS if name in names}
    levels = {name: _random_level(rng, bars, n, form, name) for name, form in forms.items() if form != "none"}
    holding = rng.integers(0, 12, n) if rng.random() < 0.3 else None
    return Signals(n, len(bars), **conditions, **levels, max_holding=holding)


def _random_level(rng: np.random.Generator, bars: Bars, n: int, form: str, name: str) -> Level:
    fraction = rng.choice([0.003, 0.01, 0.03, 0.1, 0.5], n)
    fraction[rng.random(n) < 0.15] = np.nan
    if form == "fraction":
        return Level(fraction=fraction)
    sign = rng.choice([-1.0, 1.0], (n, 1))
    price = bars.close * (1.0 + sign * fraction[:, None])
    price[rng.random(price.shape) < 0.1] = np.nan
    return Level(price=np.ascontiguousarray(price))


@st.composite
def cases(draw: st.DrawFn, *, plain: bool = False) -> Case:
    """A random case; the seed carries the arrays, the structure is drawn. `plain`: long, without a trailing stop."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1), label="seed"))
    n_bars = draw(st.integers(2, 130), label="bars")
    n_points = draw(st.integers(1, 9), label="points")
    volatility = draw(st.sampled_from([0.003, 0.02, 0.2]), label="volatility")
    bars = random_bars(rng, n_bars, volatility, ticks=draw(st.booleans(), label="ticks"))
    names = set(draw(st.sets(st.sampled_from(CONDITIONS), min_size=1), label="conditions"))
    levels = LEVELS[:2] if plain else LEVELS
    forms = {name: draw(st.sampled_from(["none", "none", "fraction", "price"]), label=name) for name in levels}
    costs = Costs(
        fee_rate=draw(st.sampled_from([0.0, 0.001, 0.05, 0.4])),
        slippage_rate=draw(st.sampled_from([0.0, 0.0005, 0.05])),
        fixed_fee=draw(st.sampled_from([0.0, 1.0, 400.0])),
    )
    execution = Execution(
        costs=costs,
        fill=draw(st.sampled_from(["next_open", "close"])),
        direction="long" if plain else draw(st.sampled_from(["long", "short", "both"])),
        initial_cash=draw(st.sampled_from([1.0, 1000.0, 10_000.0])),
    )
    start = draw(st.integers(0, n_bars - 1), label="start")
    return Case(bars, random_signals(rng, bars, n_points, names, forms), execution, start)


def candles_of(bars: Bars) -> list[Candle]:
    """The bars as the simulator's candles."""
    columns = (bars.open.tolist(), bars.high.tolist(), bars.low.tolist(), bars.close.tolist())
    return [Candle(*row) for row in zip(*columns, strict=True)]


def slow_terms(execution: Execution, start: int, max_holding: int = 0) -> Terms:
    """The execution as the simulator's terms."""
    return Terms(
        fee_rate=execution.costs.fee_rate,
        slippage_rate=execution.costs.slippage_rate,
        fixed_fee=execution.costs.fixed_fee,
        fill=execution.fill,
        direction=execution.direction,
        initial_cash=execution.initial_cash,
        max_holding=max_holding,
        start=start,
    )


def slow_signals(signals: Signals, i: int) -> list[Signal]:
    """Point i's signals, bar by bar."""
    rows: dict[str, NDArray[np.uint8]] = {}
    for name in CONDITIONS:
        block = getattr(signals, name)
        rows[name] = np.zeros(signals.n_bars, np.uint8) if block is None else block[i]
    out = []
    for t in range(signals.n_bars):
        levels = {name: _slow_level(getattr(signals, name), i, t) for name in LEVELS}
        out.append(Signal(**{name: bool(row[t]) for name, row in rows.items()}, **levels))
    return out


def _slow_level(level: Level | None, i: int, t: int) -> SlowLevel | None:
    if level is None:
        return None
    if level.fraction is not None:
        return SlowLevel(fraction=float(level.fraction[i]))
    assert level.price is not None
    return SlowLevel(price=float(level.price[i, t]))


def slow_run(case: Case, i: int) -> Run:
    """Point i of a case by the reference simulator."""
    holding = 0 if case.signals.max_holding is None else int(case.signals.max_holding[i])
    terms = slow_terms(case.execution, case.start, holding)
    return simulate(candles_of(case.bars), slow_signals(case.signals, i), terms)
