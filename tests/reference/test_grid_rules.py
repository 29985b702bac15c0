"""The grid's meaning, by cases computed by hand: four lots of 250, one per cent apart from 100, or as said."""

from __future__ import annotations

import pytest

from reference.grid import simulate_grid
from reference.simulator import Candle, Run, Terms


def flat(price: float) -> Candle:
    return Candle(price, price, price, price)


def run(candles: list[Candle], *, n: int = 4, p: float = 0.01, stop: float = 0.05, **terms: object) -> Run:
    return simulate_grid(candles, n, p, stop, Terms(initial_cash=1000.0, **terms))  # type: ignore[arg-type]


def told(result: Run) -> list[tuple[int, str, float, str]]:
    return [(o.bar, o.side, round(o.price, 9), o.reason) for o in result.orders]


def test_a_grid_starts_at_the_next_open_or_at_the_close() -> None:
    assert told(run([flat(99), flat(100)])) == [(1, "buy", 100, "entry")]
    assert told(run([flat(99), flat(99)], fill="close")) == [(0, "buy", 99, "entry")]
    assert told(run([flat(99)] * 3, start=1)) == [(2, "buy", 99, "entry")]


def test_a_lot_is_an_equal_share_of_the_cash_and_is_sold_at_its_own_target() -> None:
    result = run([flat(100), flat(100), Candle(100, 101.5, 100, 101.5)])
    assert told(result) == [(1, "buy", 100, "entry"), (2, "sell", 101, "take_profit")]
    assert result.orders[0].size == pytest.approx(2.5)
    assert result.equity == pytest.approx([1000, 1000, 1002.5])
    assert [t.profit for t in result.trades] == pytest.approx([2.5])


def test_purchases_follow_the_price_down_within_a_bar() -> None:
    result = run([flat(100), flat(100), Candle(100, 100, 98, 98.5)])
    assert told(result)[1:] == [(2, "buy", 99, "entry"), (2, "buy", 98.01, "entry")]


def test_a_bar_that_opens_below_the_limit_fills_at_the_open() -> None:
    result = run([flat(100), flat(100), flat(97.5), flat(97.5)])
    assert told(result)[1:] == [(2, "buy", 97.5, "entry")]


def test_no_more_lots_than_grid_num_and_none_at_or_below_the_stop() -> None:
    assert len(run([flat(100), Candle(100, 100, 94, 94)], n=3).orders) == 3
    gap = run([flat(100), flat(100), Candle(97.2, 97.2, 97.1, 97.1), Candle(97.1, 97.1, 90, 90)], stop=0.0)
    stop = round(100 * 0.99**3, 9)
    assert told(gap)[1:] == [(2, "buy", 97.2, "entry"), (3, "sell", stop, "stop_loss")]


def test_a_lot_bought_in_the_range_sells_in_that_bar_only_when_the_close_is_certain() -> None:
    waits = run([flat(100), flat(100), Candle(100, 100.5, 99, 99.5), Candle(99.5, 100.2, 99.5, 100)])
    assert told(waits)[1:] == [(2, "buy", 99, "entry"), (3, "sell", 99.99, "take_profit")]
    certain = run([flat(100), flat(100), Candle(100, 100.5, 99, 100.2)])
    assert told(certain)[1:] == [(2, "buy", 99, "entry"), (2, "sell", 99.99, "take_profit")]


def test_a_lot_bought_at_the_open_sells_at_the_high() -> None:
    assert told(run([flat(100), Candle(100, 102, 100, 100)])) == [
        (1, "buy", 100, "entry"),
        (1, "sell", 101, "take_profit"),
    ]


def test_a_sale_at_a_gap_fills_at_the_open() -> None:
    assert told(run([flat(100), flat(100), flat(105)]))[1] == (2, "sell", 105, "take_profit")


def test_the_stop_sells_everything_in_one_order_and_a_new_grid_starts() -> None:
    stop = 100 * 0.99 * 0.95
    result = run([flat(100), flat(100), Candle(100, 100, 90, 95), flat(96), flat(96)], n=2)
    assert told(result) == [
        (1, "buy", 100, "entry"),
        (2, "buy", 99, "entry"),
        (2, "sell", round(stop, 9), "stop_loss"),
        (3, "buy", 96, "entry"),
    ]
    cash = 5 * stop + 500 / 99 * stop
    assert result.equity[2] == pytest.approx(cash)
    assert result.trades[0].profit == pytest.approx(cash - 1000)
    assert result.orders[3].size == pytest.approx(cash / 2 / 96)


def test_a_bar_that_opens_below_the_stop_sells_at_the_open() -> None:
    assert told(run([flat(100), flat(100), flat(80)]))[1] == (2, "sell", 80, "stop_loss")


def test_stop_before_target_and_the_bar_is_ambiguous() -> None:
    result = run([flat(100), flat(100), Candle(100, 105, 80, 105)])
    assert result.orders[-1].reason == "stop_loss"
    assert result.ambiguous_bars == [2]


def test_costs_of_a_lot() -> None:
    result = run([flat(100), flat(100)], fee_rate=0.01, slippage_rate=0.1, fixed_fee=1.0)
    size = (250 - 1) / (110 * 1.01)
    assert result.orders[0].size == pytest.approx(size)
    assert result.equity[-1] == pytest.approx(750 + size * 100)


def test_a_lot_that_could_not_pay_its_sale_is_not_bought() -> None:
    assert run([flat(100)] * 3, fixed_fee=125.0).orders == []
    assert len(run([flat(100)] * 3, fixed_fee=124.0).orders) == 1


def test_direction_short_trades_nothing() -> None:
    assert run([flat(100)] * 3, direction="short").equity == [1000] * 3
