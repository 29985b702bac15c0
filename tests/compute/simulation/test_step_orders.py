"""The stepping kernel equals its reference, order by order; vectorbt keeps the same books."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from textwrap import dedent

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from reference.cases import candles_of, random_bars, slow_terms
from reference.metrics import slow_metrics
from reference.stepping import simulate_steps
from stepped import anything, averaging, colours
from tunesmith.compute.engines.evaluate import evaluate_points
from tunesmith.compute.engines.trace import trace
from tunesmith.compute.engines.vectorbt_replay import confirm
from tunesmith.compute.rules.strategy import Strategy
from tunesmith.compute.simulation.execution import Execution
from tunesmith.compute.stepping import Sizing, Stepped
from tunesmith.compute.strategies.installed import as_strategy
from tunesmith.compute.strategies.stepped_run import is_ready
from tunesmith.domain.market.bars import Bars
from tunesmith.domain.metrics import ACCOUNT_METRICS, METRICS
from tunesmith.domain.parameters import Parameter
from tunesmith.domain.space import encode_points
from tunesmith.domain.trading import Costs
from tunesmith.errors import Internal, Invalid

Make = Callable[[str], Strategy]
SIZINGS = [Sizing(), Sizing("fraction", 0.3), Sizing("fraction", 1.5), Sizing("cash", 250.0), Sizing("cash", 5000.0)]


def with_volume(bars: Bars, rng: np.random.Generator) -> Bars:
    columns = {name: getattr(bars, name) for name in ("open", "high", "low", "close")}
    return Bars.from_arrays(bars.timestamp, {**columns, "volume": rng.random(len(bars))}, symbol="X/Y", timeframe="1h")


@st.composite
def executions(draw: st.DrawFn) -> Execution:
    return Execution(
        Costs(
            fee_rate=draw(st.sampled_from([0.0, 0.001, 0.05])),
            slippage_rate=draw(st.sampled_from([0.0, 0.0005, 0.02])),
            fixed_fee=draw(st.sampled_from([0.0, 1.0, 150.0])),
        ),
        draw(st.sampled_from(["next_open", "close"])),
        draw(st.sampled_from(["long", "short", "both"])),
        1000.0,
    )


@given(
    seed=st.integers(0, 2**32 - 1),
    n_bars=st.integers(2, 150),
    volatility=st.sampled_from([0.003, 0.02, 0.15]),
    ticks=st.booleans(),
    density=st.sampled_from([0.05, 0.3, 0.9]),
    distance=st.sampled_from([0.005, 0.03, 0.3]),
    sizing=st.sampled_from(SIZINGS),
    max_entries=st.integers(1, 5),
    execution=executions(),
)
@settings(max_examples=60, deadline=None)
def test_every_order_and_metric_equals_the_reference(
    seed: int,
    n_bars: int,
    volatility: float,
    ticks: bool,
    density: float,
    distance: float,
    sizing: Sizing,
    max_entries: int,
    execution: Execution,
) -> None:
    rng = np.random.default_rng(seed)
    bars = with_volume(random_bars(rng, n_bars, volatility, ticks), rng)
    start = int(rng.integers(0, n_bars))
    point = np.array([float(seed % 1_000_000), density, distance])
    strategy = as_strategy(replace(anything.STRATEGY, sizing=sizing, max_entries=max_entries))
    expected = simulate_steps(
        candles_of(bars),
        anything.step,
        point.tolist(),
        slow_terms(execution, start),
        sizing=(sizing.kind, float(sizing.amount)),
        max_entries=max_entries,
        volumes=bars.volume.tolist(),
    )
    traced = trace(strategy, bars, point, execution, start=start)
    assert [(o.bar, o.side, o.reason) for o in traced.orders] == [(o.bar, o.side, o.reason) for o in expected.orders]
    for order, wanted in zip(traced.orders, expected.orders, strict=True):
        assert order[2:5] == pytest.approx((wanted.size, wanted.price, wanted.fee), rel=1e-9, abs=1e-9)
    assert traced.ambiguous_bars.tolist() == expected.ambiguous_bars
    assert traced.equity == pytest.approx(expected.equity, rel=1e-9, abs=1e-6)
    assert traced.position == pytest.approx(expected.position, rel=1e-9)
    profits = [trade.profit for trade in expected.trades]
    slow = slow_metrics(expected.equity, expected.position, profits, 1000.0, bars.bars_per_year)
    fast = evaluate_points(strategy, bars, point[np.newaxis], execution, start=start)
    for name in ACCOUNT_METRICS:
        assert fast[name][0] == pytest.approx(slow[name], rel=1e-8, abs=1e-8, nan_ok=True), name
    # vectorbt takes sizes and cash below 1e-12 for nothing; an account worn down to that is no case for it.
    assume(traced.equity.min() > 1e-2)
    numbers = {name: float(values[0]) for name, values in fast.items()}
    assert confirm(traced, numbers, bars, execution, start) == []


@pytest.mark.parametrize("fill", ["next_open", "close"])
@pytest.mark.parametrize("direction", ["long", "both"])
def test_all_equity_in_one_entry_is_what_a_rule_does(fill: str, direction: str) -> None:
    bars = random_bars(np.random.default_rng(8), 400, 0.02)
    up, down = "close > open", "close < open"
    rule = Strategy.parse(f"enter_long({up})\nexit_long({down})\nenter_short({down})\nexit_short({up})\n")
    execution = Execution(Costs(fee_rate=0.001, slippage_rate=0.0005, fixed_fee=0.1), fill, direction)  # type: ignore[arg-type]
    by_rule = trace(rule, bars, np.zeros(0), execution, start=10)
    both = np.array([float(direction == "both")])
    by_step = trace(as_strategy(colours.STRATEGY), bars, both, execution, start=10)
    assert len(by_rule.orders) > 100
    assert by_step.orders == by_rule.orders
    np.testing.assert_array_equal(by_step.equity, by_rule.equity)


@pytest.mark.parametrize("fill", ["next_open", "close"])
def test_an_example_averages_down_on_real_candles(shared_data: Path, fill: str) -> None:
    bars = Bars.read(shared_data / "spot" / "ETH_USDT-1h.parquet", symbol="ETH/USDT", timeframe="1h").slice(0, 3000)
    strategy = as_strategy(averaging.STRATEGY)
    execution = Execution(Costs(fee_rate=0.001, slippage_rate=0.0005), fill)  # type: ignore[arg-type]
    points = encode_points(strategy.parameters, {"entries": [1, 3, 10], "share": [1.0, 0.2, 0.05]})
    metrics = evaluate_points(strategy, bars, points, execution, start=50, metrics=METRICS, n_threads=2)
    for i, point in enumerate(points):
        traced = trace(strategy, bars, point, execution, start=50)
        expected = simulate_steps(
            candles_of(bars),
            averaging.step,
            point.tolist(),
            slow_terms(execution, 50),
            sizing=("fraction", point[5]),
            max_entries=point[4],
        )
        assert [o.bar for o in traced.orders] == [o.bar for o in expected.orders]
        assert traced.equity == pytest.approx(expected.equity, rel=1e-9)
        numbers = {name: float(values[i]) for name, values in metrics.items()}
        assert confirm(traced, numbers, bars, execution, 50) == []
        assert len(traced.trades) > 10
        entries = [sum(o.reason == "entry" for o in traced.orders[:n]) for n in range(len(traced.orders))]
        assert max(np.diff([0, *entries])) == 1
    assert np.isfinite(metrics["average_holding_time"]).all()


def test_sees_nothing_ahead() -> None:
    bars = random_bars(np.random.default_rng(4), 300, 0.02)
    strategy = as_strategy(replace(anything.STRATEGY, sizing=Sizing("fraction", 0.3), max_entries=3))
    point = np.array([5.0, 0.3, 0.02])
    whole = trace(strategy, bars, point, Execution(direction="both"))
    for cut in (2, 57, 299):
        part = trace(strategy, bars.slice(0, cut), point, Execution(direction="both"))
        np.testing.assert_array_equal(part.equity, whole.equity[:cut])


@pytest.fixture
def declared(tmp_path: Path) -> Iterator[Make]:
    """Makes a strategy whose step is the given code, in a module of its own."""
    names: list[str] = []

    def make(code: str) -> Strategy:
        text = "from textwrap import indent\nimport numpy as np\nfrom tunesmith.compute.stepping import *\n" + dedent(
            code
        )
        name = f"made_{hashlib.sha256(text.encode()).hexdigest()[:12]}"
        file = tmp_path / f"{name}.py"
        file.write_text(text)
        spec = importlib.util.spec_from_file_location(name, file)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        names.append(name)
        spec.loader.exec_module(module)
        return as_strategy(Stepped(id="made", version="1", parameters=(), step=module.step, doc="made"))

    yield make
    for name in names:
        del sys.modules[name]


def test_bars_before_the_start_warm_up_the_memory_only(declared: Make) -> None:
    bars = random_bars(np.random.default_rng(4), 50)
    code = """
        def step(state, account, bar, point):
            state[0] += 1.0
            return enter_long() if bar.number == 0.0 and state[0] == 21.0 else hold()
    """
    traced = trace(declared(code), bars, np.zeros(0), Execution(fill="close"), start=20)
    assert [order.bar for order in traced.orders] == [20]


def test_a_step_may_use_what_numba_knows(declared: Make) -> None:
    bars = random_bars(np.random.default_rng(4), 50)
    code = """
        def step(state, account, bar, point):
            state[int(bar.number) % 5] = bar.close
            return enter_long() if bar.close > np.sort(state[:5])[2] else leave()
    """
    strategy = declared(code)
    assert len(trace(strategy, bars, np.zeros(0), Execution()).orders) > 5
    assert is_ready(strategy)
    assert not is_ready(declared(code.replace("[2]", f"[{np.random.default_rng().integers(10, 2**40)} % 5]")))


@pytest.mark.parametrize(
    ("code", "error", "says"),
    [
        ("def step(state, account, bar, point):\n    return {}[account.colour]", Invalid, "cannot be compiled"),
        ("def step(state, account, bar, point):\n    return 1.0", Invalid, "cannot be compiled"),
        (
            "def step(state, account, bar, point):\n"
            "    if bar.number > 3.0:\n        raise ValueError('no')\n    return hold()",
            Internal,
            "ValueError: no",
        ),
        ("def step(state, account, bar, point):\n    textwrap.dedent\n    return indent()", Invalid, "own module"),
    ],
)
def test_a_step_that_does_not_work_is_said_to_be_so(
    declared: Make, code: str, error: type[Exception], says: str
) -> None:
    bars = random_bars(np.random.default_rng(4), 50)
    with pytest.raises(error, match=says):
        evaluate_points(declared(code), bars, np.zeros((1, 0)), Execution())


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"sizing": Sizing("fraction", "much")}, "names a parameter 'much'"),
        ({"sizing": Sizing("half")}, "no sizing 'half'"),  # type: ignore[arg-type]
        ({"max_entries": 0}, "max_entries must be above 0"),
        ({"n_state": -1}, "n_state"),
        ({"step": 3}, "its step is no function"),
        ({"parameters": (Parameter(name="x", kind="int", default=5, low=6, high=9),)}, "default of x: 5 is below"),
        ({"parameters": (Parameter(name="x", kind="int", default=5),)}, "x needs low and high"),
    ],
)
def test_a_declaration_that_cannot_be_is_refused(more: dict[str, object], says: str) -> None:
    with pytest.raises(Invalid, match=says):
        replace(anything.STRATEGY, **more)


def test_the_code_of_a_strategy_is_its_modules_text() -> None:
    strategy = as_strategy(averaging.STRATEGY)
    assert strategy.code == Path(averaging.__file__).read_text()
    assert strategy.doc.startswith("Cost averaging")
    assert strategy.defaults["entries"] == 4
    for wrong in ({"id": "a b"}, {"version": "v" * 30}):
        with pytest.raises(Invalid):
            as_strategy(replace(averaging.STRATEGY, **wrong))
