"""Random rules on candles, evaluated by the engine, by the slow simulator, and by vectorbt's accounts.

`examine` takes one case through all of them and says where they differ. The engine's signals are also held against the
slow interpreter's, so that the whole way from a rule's text to its trades is checked; and `seen_ahead` holds them
against those on fewer bars.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from reference.cases import CONDITIONS, LEVELS, Case, slow_run
from reference.metrics import SlowTrade, slow_numbers
from reference.random_rules import HEADER, held_rules, points, random_bars, rules
from reference.rules import NearTie, read
from reference.simulator import Run
from tunesmith.compute.engines.evaluate import evaluate_points
from tunesmith.compute.engines.trace import Trace, trace
from tunesmith.compute.engines.vectorbt_replay import confirm, replay
from tunesmith.compute.rules.binding import bind
from tunesmith.compute.rules.strategy import Strategy
from tunesmith.compute.simulation.execution import Execution
from tunesmith.compute.simulation.signals import Level, Signals
from tunesmith.domain.market.bars import Bars
from tunesmith.domain.metrics import METRICS, TIMING_T
from tunesmith.domain.parameters import decode_point
from tunesmith.domain.trading import Costs
from tunesmith.errors import Invalid

TOLERANCE = 1e-9
DUST = 1e-5
"""vectorbt takes sizes and cash below 1e-12 for nothing: an account worn down to this share is no case for it."""


@dataclass(frozen=True)
class RuleCase:
    """A rule, a market, some points of the rule's parameters float64[n, 6], and the terms of execution."""

    code: str
    bars: Bars
    points: NDArray[np.float64]
    execution: Execution
    start: int

    def __repr__(self) -> str:
        bars = self.bars
        where = f"{bars.symbol} {bars.timeframe} from {bars.timestamp[0]}, {len(bars)} bars, start {self.start}"
        return f"{where}\npoints {self.points.tolist()}\n{self.execution}\n{self.code}"


@dataclass
class Findings:
    """What the comparison of one case, or of many, found. `worst` are the largest relative differences by metric."""

    n_rules: int = 0
    n_traded: int = 0
    n_points: int = 0
    n_invalid: int = 0
    n_orders: int = 0
    n_trades: int = 0
    n_ambiguous: int = 0
    n_interpreted: int = 0
    n_near_ties: int = 0
    n_replays: Counter[str] = field(default_factory=Counter)
    n_dust: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    worst: dict[str, dict[str, float]] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    def note(self, oracle: str, metric: str, here: float, there: float, scale: float = 1.0) -> bool:
        """Note the difference of one number; whether it is within the tolerance."""
        both_undefined = math.isnan(here) and not math.isfinite(there)
        apart = 0.0 if both_undefined or here == there else abs(here - there) / max(abs(here), abs(there), scale)
        apart = math.inf if math.isnan(apart) else apart
        known = self.worst.setdefault(metric, {})
        known[oracle] = max(known.get(oracle, 0.0), apart)
        return apart <= TOLERANCE

    def add(self, other: Findings) -> None:
        """Take in what another case found."""
        for name in ("n_rules", "n_traded", "n_points", "n_invalid", "n_orders", "n_trades", "n_ambiguous"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name in ("n_interpreted", "n_near_ties", "n_dust"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.n_replays += other.n_replays
        self.reasons += other.reasons
        self.failures += other.failures
        for metric, oracles in other.worst.items():
            known = self.worst.setdefault(metric, {})
            for oracle, apart in oracles.items():
                known[oracle] = max(known.get(oracle, 0.0), apart)


@st.composite
def rule_cases(draw: st.DrawFn, markets: Sequence[Bars], *, most_bars: int = 700, n_points: int = 3) -> RuleCase:
    """A random rule on a stretch of one of `markets`, or on a random market full of ties, flat and empty bars.

    One in three is of `held_rules`, mostly filled at the close, where a stop and the next entry may share a bar.
    """
    is_held = draw(st.sampled_from([False, False, True]), label="held")
    code = draw(held_rules() if is_held else rules())
    seed = draw(st.integers(0, 2**32 - 1), label="seed")
    n_bars = draw(st.integers(most_bars * 3 // 4 if is_held else 100, most_bars), label="bars")
    market = draw(st.sampled_from([*markets, *markets, None]), label="market")
    if market is None:
        bars = random_bars(n_bars, seed)
    else:
        first = int(np.random.default_rng(seed).integers(0, len(market) - n_bars))
        bars = market.slice(first, first + n_bars)
    costs = Costs(
        fee_rate=draw(st.sampled_from([0.0, 0.001, 0.001, 0.02])),
        slippage_rate=draw(st.sampled_from([0.0, 0.0005, 0.01])),
        fixed_fee=draw(st.sampled_from([0.0, 0.0, 1.0, 40.0])),
    )
    execution = Execution(
        costs=costs,
        fill=draw(st.sampled_from(["next_open", "close", "close"] if is_held else ["next_open", "close"])),
        direction=draw(st.sampled_from(["both", "both", "both", "both", "long"] + ([] if is_held else ["short"]))),
        initial_cash=draw(st.sampled_from([1000.0, 10_000.0])),
    )
    return RuleCase(code, bars, points(n_points, seed), execution, draw(st.integers(0, n_bars // 2), label="start"))


def examine(case: RuleCase, engines: Iterable[str] = (), *, measure: bool = False) -> Findings:
    """Compare the engine with the simulator, and with vectorbt's replay in each of its `engines`.

    `measure` also notes how far vectorbt's metrics are, which takes a second replay.
    """
    found = Findings(n_rules=1)
    strategy = Strategy.parse(case.code, is_stored=True)
    valid = strategy.valid(case.points)
    wanted = (*METRICS, TIMING_T)
    metrics = evaluate_points(strategy, case.bars, case.points, case.execution, start=case.start, metrics=wanted)
    signals = bind(strategy, case.bars, case.points).signals(0, len(case.points))
    slow_case = Case(case.bars, signals, case.execution, case.start)
    _compare_signals(case, strategy, signals, found)
    for i, point in enumerate(case.points):
        if not valid[i]:
            found.n_invalid += 1
            if not all(np.isnan(values[i]) for values in metrics.values()):
                found.failures.append(f"point {i} breaks a require(…) and has metrics")
            continue
        numbers = {name: float(values[i]) for name, values in metrics.items()}
        traced = trace(strategy, case.bars, point, case.execution, start=case.start)
        run = slow_run(slow_case, i)
        found.n_points += 1
        found.n_orders += len(run.orders)
        found.n_trades += len(run.trades)
        found.n_ambiguous += len(run.ambiguous_bars)
        found.reasons.update(order.reason for order in run.orders)
        found.failures += [f"point {i}: {line}" for line in _differences(traced, run, case, numbers, found)]
        if _is_worn_down(traced, case.execution.initial_cash):
            found.n_dust += 1
            continue
        for engine in engines:
            found.n_replays[engine] += 1
            lines = confirm(traced, numbers, case.bars, case.execution, case.start, backend=engine)  # type: ignore[arg-type]
            found.failures += [f"point {i}: vectorbt ({engine}): {line}" for line in lines]
            if measure:
                _measure(traced, numbers, case, engine, found)
    found.n_traded = int(found.n_trades > 0)
    return found


def _compare_signals(case: RuleCase, strategy: Strategy, signals: Signals, found: Findings) -> None:
    """The first point's signals against the slow interpreter's."""
    params = decode_point(strategy.parameters, case.points[0])
    try:
        told = read(case.code, case.bars, params, strict=True)
    except NearTie:
        found.n_near_ties += 1
        return
    found.n_interpreted += 1
    for name in CONDITIONS:
        wanted = told.conditions.get(name)
        if wanted is not None and getattr(signals, name)[0].tolist() != [int(v) for v in wanted]:
            at = next(t for t, v in enumerate(wanted) if getattr(signals, name)[0, t] != v)
            found.failures.append(f"{name} at bar {at}: {getattr(signals, name)[0, at]} here, {wanted[at]} interpreted")
    for name in LEVELS:
        wanted, level = told.levels.get(name), getattr(signals, name)
        if isinstance(wanted, list) and not np.allclose(
            level.price[0], wanted, rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True
        ):
            at = int(np.argmax(~np.isclose(level.price[0], wanted, rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True)))
            found.failures.append(f"{name} at bar {at}: {level.price[0, at]} here, {wanted[at]} interpreted")


def _differences(traced: Trace, run: Run, case: RuleCase, numbers: dict[str, float], found: Findings) -> Iterable[str]:
    """What the engine did otherwise than the simulator: orders, trades, account, metrics."""
    here = [(o.bar, o.side, o.reason) for o in traced.orders]
    there = [(o.bar, o.side, o.reason) for o in run.orders]
    if here != there:
        at = next((k for k, (a, b) in enumerate(zip(here, there, strict=False)) if a != b), min(len(here), len(there)))
        yield f"order {at}: {here[at : at + 2]} here, {there[at : at + 2]} simulated"
        return
    cash = case.execution.initial_cash
    columns = {
        "order price": ([o.price for o in traced.orders], [o.price for o in run.orders], 0.0),
        "order size": ([o.size for o in traced.orders], [o.size for o in run.orders], 0.0),
        "order fee": ([o.fee for o in traced.orders], [o.fee for o in run.orders], cash),
        "trade profit": ([t.profit for t in traced.trades], [t.profit for t in run.trades], cash),
        "equity": (traced.equity.tolist(), run.equity, cash),
        "position": (traced.position.tolist(), run.position, 0.0),
    }
    for name, (ours, theirs, scale) in columns.items():
        agree = [found.note("simulator", name, a, b, scale or 1e-300) for a, b in zip(ours, theirs, strict=True)]
        if not all(agree):
            at = agree.index(False)
            yield f"{name} {at}: {ours[at]!r} here, {theirs[at]!r} simulated"
    spans = [(t.side, t.entry_bar, t.exit_bar) for t in traced.trades]
    if spans != [(t.side, t.entry_bar, t.exit_bar) for t in run.trades]:
        yield f"trades: {spans} here"
    if traced.ambiguous_bars.tolist() != run.ambiguous_bars:
        yield f"ambiguous bars: {traced.ambiguous_bars.tolist()} here, {run.ambiguous_bars} simulated"
    slow = numbers_of(run, case.bars, case.start, cash)
    slow[TIMING_T] = slow["timing_sharpe"] * math.sqrt(len(run.equity) / case.bars.bars_per_year)
    for name, wanted in slow.items():
        scale = cash if name == "expectancy" else 1.0
        agree = found.note("simulator", name, numbers[name], wanted, scale)
        if not agree or math.isnan(numbers[name]) != math.isnan(wanted):
            yield f"{name}: {numbers[name]!r} here, {wanted!r} simulated"


def numbers_of(run: Run, bars: Bars, start: int, cash: float) -> dict[str, float]:
    """Every metric of the table from a simulated run, the slow way."""
    trades = [SlowTrade(t.entry_bar, t.exit_bar, t.profit, t.size * t.entry_price) for t in run.trades]
    return slow_numbers(run.equity, run.position, bars.close[start:].tolist(), trades, cash, bars.bars_per_year)


def _is_worn_down(traced: Trace, initial_cash: float) -> bool:
    left = traced.equity[traced.equity > 0] / initial_cash
    return bool(left.min(initial=1.0) <= DUST)


def _measure(traced: Trace, numbers: dict[str, float], case: RuleCase, engine: str, found: Findings) -> None:
    theirs = replay(traced, case.bars, case.execution, case.start, backend=engine)  # type: ignore[arg-type]
    for name, there in theirs.metrics.items():
        found.note(engine, name, numbers[name], there, case.execution.initial_cash if name == "expectancy" else 1.0)


def smallest(case: RuleCase, fails: Callable[[RuleCase], bool]) -> RuleCase:
    """A smaller case that fails too: one point, fewer bars, fewer lines of the rule."""
    for i in range(len(case.points)):
        alone = replace(case, points=case.points[i : i + 1])
        if len(case.points) > 1 and fails(alone):
            case = alone
            break
    step = len(case.bars) // 2
    while step:
        shorter = replace(case, bars=case.bars.slice(0, max(len(case.bars) - step, case.start + 2)))
        if len(shorter.bars) < len(case.bars) and fails(shorter):
            case = shorter
        else:
            step //= 2
    lines = case.code.removeprefix(HEADER).splitlines()
    for line in list(lines):
        fewer = [kept for kept in lines if kept != line]
        try:
            Strategy.parse(HEADER + "\n".join(fewer) + "\n", is_stored=True)
        except Invalid:
            continue
        if fails(replace(case, code=HEADER + "\n".join(fewer) + "\n")):
            lines = fewer
    return replace(case, code=HEADER + "\n".join(lines) + "\n")


def seen_ahead(case: RuleCase, cuts: Iterable[int]) -> list[str]:
    """Where the signals of the first `cut` bars alone are not, to the last bit, the first signals of all bars."""
    strategy = Strategy.parse(case.code, is_stored=True)
    n = len(case.points)
    whole = bind(strategy, case.bars, case.points)
    told = whole.signals(0, n)
    lines = []
    for cut in cuts:
        part = bind(strategy, case.bars.slice(0, cut), case.points)
        signals = part.signals(0, n)
        if not np.array_equal(part.warmup, np.minimum(whole.warmup, cut)):
            lines.append(f"warm-up on {cut} bars: {part.warmup}, on all {whole.warmup}")
        for name in (*CONDITIONS, *LEVELS):
            here, there = (_values(getattr(source, name)) for source in (signals, told))
            if here is not None and there is not None and not np.array_equal(here, there[:, :cut], equal_nan=True):
                lines.append(f"{name} on {cut} bars are not those on all")
    return lines


def _values(order: NDArray[np.uint8] | Level | None) -> NDArray[np.float64] | None:
    """What an order says at each bar; None where it says nothing, or the same for all bars."""
    if isinstance(order, Level):
        return order.price
    return None if order is None else order.astype(np.float64)
