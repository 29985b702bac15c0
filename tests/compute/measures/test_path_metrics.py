"""Metrics of the path: the slow reference, scipy's moments, their laws, and the edges where they are undefined."""

from __future__ import annotations

import threading
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats

from reference.cases import Case, cases, random_bars, slow_run
from reference.metrics import SlowTrade, slow_path_metrics
from reference.simulator import Run
from tunesmith.compute.engines.evaluate import evaluate_points
from tunesmith.compute.engines.trace import trace
from tunesmith.compute.measures import path_metrics as paths
from tunesmith.compute.measures.path_kernel import N_PATH, path_nb
from tunesmith.compute.measures.path_metrics import PathReader, path_metrics
from tunesmith.compute.rules.strategy import Strategy
from tunesmith.compute.simulation.arrays import N_ORDER_FIELDS, N_ORDERS, N_TOTALS
from tunesmith.compute.simulation.execution import Execution
from tunesmith.compute.simulation.run import empty_results, prepare
from tunesmith.compute.strategies import BUILTIN_IDS, builtin
from tunesmith.domain.market.bars import Bars
from tunesmith.domain.metrics import ACCOUNT_METRICS, METRICS, PATH_METRICS
from tunesmith.domain.space import encode_points
from tunesmith.domain.trading import Costs

CASH = 10_000.0
OF_TRADES = {name for name in PATH_METRICS if "trade" in name} | {"sqn", "average_holding_time"}
LONG_SHORT = """
window = Int(20, 2, 200)
line = sma(close, window)
enter_long(crossed_above(close, line))
enter_short(crossed_below(close, line))
stop_loss(0.03)
take_profit(0.05)
"""


def slow_of(run: Run, bars: Bars, start: int, cash: float) -> dict[str, float]:
    trades = [SlowTrade(t.entry_bar, t.exit_bar, t.profit, t.size * t.entry_price) for t in run.trades]
    closes = bars.close[start:].tolist()
    return slow_path_metrics(run.equity, run.position, closes, trades, cash, bars.bars_per_year)


def read(
    equity: np.ndarray, position: np.ndarray, closes: np.ndarray, orders: np.ndarray, bars_per_year: float = 365.0
) -> dict[str, float]:
    """What the kernel makes of a path given as arrays."""
    market = (closes, closes / np.concatenate([closes[:1], closes[:-1]]) - 1.0)
    values = np.empty(N_PATH)
    scratch = (np.empty(len(closes)), np.empty(len(closes)), np.empty(max(1, len(orders))))
    marks = np.ascontiguousarray([equity, position])
    path_nb(marks, market, orders, len(orders), (CASH, bars_per_year), scratch, values)
    return dict(zip(PATH_METRICS, values.tolist(), strict=True))


def of_returns(returns: np.ndarray) -> dict[str, float]:
    """The metrics of a path that has these returns, on a market that stands still."""
    flat = np.full(len(returns), 100.0)
    return read(CASH * np.cumprod(1.0 + returns), np.zeros(len(returns)), flat, np.empty((0, N_ORDER_FIELDS)))


def of_trades(profits: list[float], *, length: int = 3) -> dict[str, float]:
    """The metrics of long trades one after the other, each of one unit entered at 100."""
    n = len(profits) * length + 1
    orders = np.zeros((2 * len(profits), N_ORDER_FIELDS))
    for i, profit in enumerate(profits):
        orders[2 * i, :4] = (i * length, 1.0, 1.0, 100.0)
        orders[2 * i + 1, :4] = ((i + 1) * length, -1.0, 1.0, 100.0 + profit)
    return read(np.full(n, CASH), np.zeros(n), np.full(n, 100.0), orders)


@given(case=cases())
@settings(max_examples=150, deadline=None)
def test_every_metric_of_random_accounts_equals_the_slow_reference(case: Case) -> None:
    run = slow_run(case, 0)
    cash = case.execution.initial_cash
    n_bars = len(case.bars) - case.start
    out = empty_results(np.empty((1, N_TOTALS)), n_orders=len(run.orders), n_marks=n_bars)
    out.marks[:] = run.equity, run.position
    for row, order in zip(out.orders, run.orders, strict=True):
        side = 1.0 if order.side == "buy" else -1.0
        row[:] = (order.bar, side, order.size, order.price, order.fee, 0.0)
    out.totals[0, N_ORDERS] = len(run.orders)
    found = path_metrics(prepare(case.bars), case.execution, case.start, out)
    for name, wanted in slow_of(run, case.bars, case.start, cash).items():
        assert found[name][0] == pytest.approx(wanted, rel=1e-9, abs=1e-9, nan_ok=True), name


@pytest.mark.parametrize("strategy_id", BUILTIN_IDS)
@pytest.mark.parametrize("fill", ["next_open", "close"])
def test_a_search_and_a_trace_give_what_the_slow_reference_does(strategy_id: str, fill: str) -> None:
    bars = random_bars(np.random.default_rng(3), 900)
    strategy = builtin(strategy_id)
    points = encode_points(strategy.parameters, {})
    execution = Execution(Costs(fee_rate=0.001, slippage_rate=0.0005), fill, "both")  # type: ignore[arg-type]
    found = evaluate_points(strategy, bars, points, execution, start=50, metrics=METRICS)
    traced = trace(strategy, bars, points[0], execution, start=50)
    assert list(found) == list(traced.metrics) == list(METRICS)
    trades = [SlowTrade(t.entry_bar, t.exit_bar, t.profit, t.size * t.entry_price) for t in traced.trades]
    slow = slow_path_metrics(
        traced.equity.tolist(), traced.position.tolist(), bars.close[50:].tolist(), trades, CASH, bars.bars_per_year
    )
    assert tuple(slow) == PATH_METRICS
    for name, value in traced.metrics.items():
        assert found[name][0] == pytest.approx(value, rel=1e-9, abs=1e-9, nan_ok=True), name
        if name in slow:
            assert value == pytest.approx(slow[name], rel=1e-9, abs=1e-9, nan_ok=True), name


def many_points(n: int) -> tuple[Strategy, np.ndarray]:
    strategy = Strategy.parse(LONG_SHORT)
    return strategy, encode_points(strategy.parameters, {"window": np.arange(n) % 199 + 2})


def test_threads_blocks_and_what_else_is_asked_change_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    bars = random_bars(np.random.default_rng(1), 700)
    strategy, points = many_points(60)
    execution = Execution(Costs(fee_rate=0.001), direction="both")
    whole = evaluate_points(strategy, bars, points, execution, metrics=METRICS)
    account = evaluate_points(strategy, bars, points, execution)
    assert tuple(account) == ACCOUNT_METRICS
    monkeypatch.setattr(paths, "_MAX_BLOCK", 7)
    monkeypatch.setattr(paths, "_FIRST_ORDERS", 1)
    cut = evaluate_points(strategy, bars, points, execution, metrics=PATH_METRICS, n_threads=3)
    for name, values in whole.items():
        assert_array_equal(values, (account | cut)[name], err_msg=name)
    one = evaluate_points(strategy, bars, points, execution, metrics=["omega", "sharpe"])
    assert list(one) == ["omega", "sharpe"]
    assert_array_equal(one["omega"], whole["omega"])


def test_the_metrics_of_the_account_need_no_path(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("walked for nothing")

    monkeypatch.setattr(PathReader, "read", refuse)
    bars = random_bars(np.random.default_rng(1), 100)
    strategy, points = many_points(3)
    assert not np.isnan(evaluate_points(strategy, bars, points, Execution(), metrics=["exposure"])["exposure"]).any()
    with pytest.raises(AssertionError, match="for nothing"):
        evaluate_points(strategy, bars, points, Execution(), metrics=["omega"])


def test_memory_does_not_grow_with_the_points() -> None:
    bars = random_bars(np.random.default_rng(1), 2000)
    peaks = []
    for n in (40, 400):
        strategy, points = many_points(n)
        evaluate_points(strategy, bars, points, Execution(), metrics=["omega"])
        tracemalloc.start()
        evaluate_points(strategy, bars, points, Execution(), metrics=["omega"])
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    rows = 8 * 2000 * 199
    assert peaks[1] - peaks[0] < 2 * rows


def test_points_that_break_a_require_and_none_at_all() -> None:
    bars = random_bars(np.random.default_rng(1), 300)
    strategy = builtin("ma_cross_v1.0")
    points = encode_points(strategy.parameters, {"fast_period": [5, 30], "slow_period": [20, 20]})
    found = evaluate_points(strategy, bars, points, Execution(), metrics=["ulcer_index", "kurtosis"])
    assert np.isnan(found["ulcer_index"]).tolist() == [False, True]
    none = evaluate_points(strategy, bars, points[:0], Execution(), metrics=["ulcer_index"], n_threads=2)
    assert none["ulcer_index"].shape == (0,)


RETURNS = st.lists(st.integers(-4000, 4000), min_size=2, max_size=80).map(lambda ticks: np.array(ticks) / 10_000)


@given(returns=RETURNS)
@settings(deadline=None)
def test_skew_and_kurtosis_are_scipys(returns: np.ndarray) -> None:
    found = of_returns(returns)
    if returns.std() <= 1e-6:
        return
    assert found["skew"] == pytest.approx(stats.skew(returns), rel=1e-6, abs=1e-6)
    assert found["kurtosis"] == pytest.approx(stats.kurtosis(returns, fisher=False), rel=1e-6, abs=1e-6)


def test_kurtosis_is_three_for_a_normal_sample() -> None:
    returns = stats.norm.ppf((np.arange(100_000) + 0.5) / 100_000) * 0.001
    found = of_returns(returns)
    assert found["kurtosis"] == pytest.approx(3.0, abs=0.01)
    assert found["skew"] == pytest.approx(0.0, abs=1e-6)
    assert found["tail_ratio"] == pytest.approx(1.0, abs=1e-6)


def test_the_moments_that_the_literature_prints() -> None:
    found = of_returns(np.array([0.01, -0.005, 0.007, 0.002, -0.011, 0.004, 0.009, -0.003, 0.0, 0.006]))
    assert (found["skew"], found["kurtosis"]) == pytest.approx((-0.582010, 2.340610), abs=5e-7)


@given(returns=RETURNS)
@settings(deadline=None)
def test_percentiles_are_numpys(returns: np.ndarray) -> None:
    low, high = np.percentile(returns, [5, 95])
    if abs(low) > 1e-6:
        assert of_returns(returns)["tail_ratio"] == pytest.approx(abs(high) / abs(low), rel=1e-6, abs=1e-6)


def long_series() -> dict[str, np.ndarray]:
    """Returns of many bars: as markets have them, and as a guess from a sample would miss them."""
    rng = np.random.default_rng(3)
    noise = 0.01 * rng.standard_t(3, 5000).clip(-20.0, 20.0)
    beat = np.where(np.arange(5000) % (5000 // 128) == 0, -0.3, noise)
    flat = np.where(rng.random(5000) < 0.93, 0.0, noise)
    return {
        "noise": noise,
        "rising": np.sort(noise),
        "falling": np.sort(noise)[::-1],
        "the sample sees the losers alone": beat,
        "the sample sees the winners alone": -beat,
        "mostly flat": flat,
        "two values": np.where(rng.random(5000) < 0.5, 0.01, -0.02),
        "ticks": np.round(noise, 3),
    }


@pytest.mark.parametrize("name", long_series())
@pytest.mark.parametrize("n", [511, 512, 513, 4999, 5000])
def test_percentiles_of_many_bars_are_numpys(name: str, n: int) -> None:
    returns = long_series()[name][:n]
    low, high = np.percentile(returns, [5, 95])
    wanted = abs(high) / abs(low) if abs(low) > 1e-12 else np.nan
    assert of_returns(returns)["tail_ratio"] == pytest.approx(wanted, rel=1e-6, abs=1e-6, nan_ok=True)


@given(returns=RETURNS, seed=st.integers(0, 2**32 - 1))
@settings(deadline=None)
def test_what_knows_no_order_of_bars_does_not_change_with_it(returns: np.ndarray, seed: int) -> None:
    there, here = of_returns(returns), of_returns(np.random.default_rng(seed).permutation(returns))
    if returns.std() <= 1e-6:
        return
    for name in ("omega", "tail_ratio", "skew", "kurtosis", "timing_sharpe"):
        assert here[name] == pytest.approx(there[name], rel=1e-5, abs=1e-5, nan_ok=True), name


@given(returns=RETURNS)
@settings(deadline=None)
def test_the_ulcer_index_is_below_the_worst_drawdown_and_their_length_within_the_bars(returns: np.ndarray) -> None:
    found = of_returns(returns)
    equity = np.concatenate([[1.0], np.cumprod(1.0 + returns)])
    worst = (1.0 - equity / np.maximum.accumulate(equity)).max()
    assert 0.0 <= found["ulcer_index"] <= worst + 1e-12
    assert 0 <= found["longest_drawdown"] <= len(returns)
    assert (found["longest_drawdown"] > 0) == (worst > 1e-12)


@given(profits=st.lists(st.integers(-90, 90).map(float), min_size=1, max_size=40))
@settings(deadline=None)
def test_the_median_lies_between_the_worst_and_the_best_trade(profits: list[float]) -> None:
    found = of_trades(profits)
    returns = np.array(profits) / 100.0
    names = ("worst_trade_return", "median_trade_return", "average_trade_return", "best_trade_return")
    wanted = (returns.min(), np.median(returns), returns.mean(), returns.max())
    assert tuple(found[name] for name in names) == pytest.approx(wanted, abs=1e-12)
    assert found["average_holding_time"] == 3.0


def test_an_account_that_never_traded_has_no_ratio() -> None:
    found = of_returns(np.zeros(10))
    defined = {name: value for name, value in found.items() if not np.isnan(value)}
    assert defined == {"ulcer_index": 0.0, "longest_drawdown": 0.0, "buy_and_hold_return": 0.0}


def test_one_trade_has_a_return_and_no_quality_number() -> None:
    found = of_trades([5.0])
    assert {name: found[name] for name in OF_TRADES - {"sqn"}} == pytest.approx(
        {name: 3.0 if "holding" in name else 0.05 for name in OF_TRADES - {"sqn"}}
    )
    assert np.isnan(found["sqn"])
    assert np.isnan(of_trades([5.0, 5.0])["sqn"])


def test_losers_alone() -> None:
    returns = np.array([-0.01, -0.02, -0.03])
    found = of_returns(returns)
    assert found["omega"] == 0.0
    assert found["longest_drawdown"] == 3.0
    trades = of_trades([-1.0, -2.0, -3.0])
    assert trades["sqn"] == pytest.approx(-(3**0.5) * 2.0)
    assert trades["best_trade_return"] == pytest.approx(-0.01)


def test_winners_alone_have_no_omega() -> None:
    found = of_returns(np.array([0.01, 0.02, 0.03]))
    assert np.isnan(found["omega"])
    assert found["ulcer_index"] == 0.0


def test_a_trade_left_open_is_no_trade() -> None:
    orders = np.zeros((1, N_ORDER_FIELDS))
    orders[0, :4] = (0.0, 1.0, 1.0, 100.0)
    found = read(np.full(5, CASH), np.ones(5), np.full(5, 100.0), orders)
    assert all(np.isnan(found[name]) for name in OF_TRADES)


@pytest.mark.parametrize("side", [1.0, -1.0])
def test_holding_the_market_from_its_first_close_is_no_timing(side: float) -> None:
    closes = random_bars(np.random.default_rng(8), 500).close
    changes = np.diff(closes) / closes[:-1]
    equity = CASH * np.concatenate([[1.0], np.cumprod(1.0 + side * changes)])
    found = read(equity, side * equity / closes, closes, np.empty((0, N_ORDER_FIELDS)))
    assert np.isnan(found["timing_sharpe"])
    assert found["buy_and_hold_return"] == pytest.approx(closes[-1] / closes[0] - 1.0)


def test_timing_is_what_the_half_of_the_bars_that_rose_adds_to_half_the_market() -> None:
    rng = np.random.default_rng(8)
    changes = np.concatenate([[0.0], rng.normal(0.001, 0.01, 999)])
    closes = 100.0 * np.cumprod(1.0 + changes)
    rises = np.append(changes[1:] > 0.0, False)
    equity = CASH * np.cumprod(1.0 + np.concatenate([[0.0], np.where(rises[:-1], changes[1:], 0.0)]))
    found = read(equity, np.where(rises, equity / closes, 0.0), closes, np.empty((0, N_ORDER_FIELDS)))
    timing = np.where(changes > 0.0, changes, 0.0) - rises.mean() * changes
    assert found["timing_sharpe"] == pytest.approx(timing.mean() / timing.std(ddof=1) * 365.0**0.5, rel=1e-9)
    assert found["timing_sharpe"] > 5.0


def test_a_rising_market_held_by_a_rule_scores_by_the_sharpe_and_not_by_the_timing() -> None:
    rng = np.random.default_rng(2)
    close = 100.0 * np.exp(np.cumsum(rng.normal(0.002, 0.01, 2000)))
    columns = {"open": close, "high": close, "low": close, "close": close, "volume": np.ones(2000)}
    bars = Bars.from_arrays(np.arange(2000, dtype=np.int64) * 86_400_000, columns, symbol="X/Y", timeframe="1d")
    strategy = Strategy.parse("enter_long(close > 0)")
    found = evaluate_points(
        strategy, bars, np.empty((1, 0)), Execution(Costs(fee_rate=0.0), "close"), metrics=["sharpe", "timing_sharpe"]
    )
    assert found["sharpe"][0] > 2.0
    assert np.isnan(found["timing_sharpe"][0])


def test_several_threads_read_paths_at_once() -> None:
    bars = random_bars(np.random.default_rng(1), 5000)
    strategy, points = many_points(30)
    wanted = evaluate_points(strategy, bars, points, Execution(direction="both"), metrics=PATH_METRICS)
    found: list[dict[str, np.ndarray]] = []

    def work() -> None:
        found.append(evaluate_points(strategy, bars, points, Execution(direction="both"), metrics=PATH_METRICS))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    for metrics in found:
        for name, values in metrics.items():
            assert_allclose(values, wanted[name], rtol=0, atol=0, err_msg=name)


def test_all_of_this_compiled_the_kernel_once() -> None:
    of_returns(np.array([0.1, -0.1]))
    evaluate_points(*_small(), Execution(), metrics=["omega"])
    assert len(path_nb.signatures) == 1  # type: ignore[attr-defined]


def _small() -> tuple[Strategy, Bars, np.ndarray]:
    strategy, points = many_points(1)
    return strategy, random_bars(np.random.default_rng(1), 60), points
