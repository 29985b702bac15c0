"""The reference of path-dependent strategies, by numbers that one can work out by hand."""

from __future__ import annotations

import math

import pytest

from reference.simulator import Candle, Run, Terms
from reference.stepping import simulate_steps
from tunesmith.compute.stepping import Orders, enter_long, enter_short, hold, leave

CLOSE = Terms(fill="close", initial_cash=1000.0)


def run(answers: list[Orders], candles: list[Candle], terms: Terms = CLOSE, **more: object) -> Run:
    """A step that answers what is given, bar by bar."""
    return simulate_steps(candles, lambda state, account, bar, point: answers[int(bar.number)], [], terms, **more)  # type: ignore[arg-type]


def flat(*prices: float) -> list[Candle]:
    return [Candle(price, price, price, price) for price in prices]


def test_a_fraction_of_the_equity_at_the_fill_and_never_more_than_the_cash() -> None:
    made = run([enter_long()] * 3, flat(100, 110, 121), sizing=("fraction", 0.5), max_entries=5)
    # 500 of 1000; then half of 1050, but 500 are there; then nothing is free.
    assert [order.size for order in made.orders] == pytest.approx([5.0, 500 / 110])
    assert made.equity == pytest.approx([1000.0, 1050.0, 121 * (5 + 500 / 110)])


def test_a_fixed_amount_times_its_weight_costs_included() -> None:
    terms = Terms(fill="close", initial_cash=1000.0, fee_rate=0.01, fixed_fee=2.0)
    made = run([enter_long(2.0), hold()], flat(100, 100), terms, sizing=("cash", 101.0))
    assert made.orders[0].size == pytest.approx((202 - 2) / 101)
    assert made.orders[0].fee == pytest.approx(200 / 101 + 2)
    assert made.equity[0] == pytest.approx(1000 - 202 + 200 / 101 * 100)


def test_no_more_entries_than_the_limit_until_the_position_is_closed() -> None:
    answers = [enter_long()] * 4 + [leave(), enter_long()]
    made = run(answers, flat(*[100] * 6), sizing=("fraction", 0.1), max_entries=2)
    assert [(order.bar, order.side) for order in made.orders] == [(0, "buy"), (1, "buy"), (4, "sell"), (5, "buy")]
    assert len(made.trades) == 1


def test_a_part_is_closed_and_the_trade_ends_with_the_last_part() -> None:
    made = run([enter_long(), leave(0.25), leave(1.0)], flat(100, 120, 80))
    assert [order.size for order in made.orders] == pytest.approx([10, 2.5, 7.5])
    assert [trade.profit for trade in made.trades] == pytest.approx([2.5 * 20 - 7.5 * 20])


def test_an_order_fills_at_the_next_open_and_its_stop_watches_that_bar() -> None:
    candles = [Candle(100, 101, 99, 100), Candle(102, 103, 94, 96), Candle(96, 97, 95, 96)]
    terms = Terms(fill="next_open", initial_cash=1000.0)
    made = run([enter_long(stop=95.0), hold(), hold()], candles, terms)
    assert [(order.bar, order.price, order.reason) for order in made.orders] == [
        (1, 102, "entry"),
        (1, 95, "stop_loss"),
    ]


def test_a_stop_holds_for_one_bar_only() -> None:
    candles = [*flat(100), Candle(100, 101, 98, 100), Candle(100, 101, 90, 95)]
    assert len(run([enter_long(stop=95.0), hold(), hold()], candles).orders) == 1
    assert len(run([enter_long(stop=95.0), hold(stop=95.0), hold()], candles).orders) == 2


def test_stop_and_target_on_one_bar_are_ambiguous_and_the_stop_is_taken() -> None:
    made = run([enter_long(stop=95.0, target=105.0), hold()], [*flat(100), Candle(100, 106, 94, 100)])
    assert made.orders[-1].reason == "stop_loss"
    assert made.ambiguous_bars == [1]


def test_the_other_side_closes_first_with_an_order_of_its_own() -> None:
    terms = Terms(fill="close", initial_cash=1000.0, fixed_fee=1.0)
    made = run([enter_long(), enter_short()], flat(100, 100), terms)
    assert [(order.side, order.reason) for order in made.orders] == [
        ("buy", "entry"),
        ("sell", "exit"),
        ("sell", "entry"),
    ]
    assert [order.fee for order in made.orders] == [1.0, 1.0, 1.0]


def test_what_shorts_were_sold_for_is_bound() -> None:
    made = run(
        [enter_short(), enter_short(), enter_short()], flat(100, 80, 150), sizing=("fraction", 0.5), max_entries=5
    )
    # 5 sold at 100: cash 1500, of which 2 * 5 * 100 are bound; half of 1100 is wanted, 500 are free.
    assert [order.size for order in made.orders] == pytest.approx([5.0, 500 / 80])
    assert made.equity[1] == pytest.approx(1100.0)


def test_a_short_ends_at_its_liquidation_with_nothing() -> None:
    made = run([enter_short(), hold()], [*flat(100), Candle(150, 210, 150, 160)])
    assert (made.orders[-1].price, made.orders[-1].reason) == (200.0, "liquidation")
    assert made.equity[-1] == 0.0
    assert not math.isnan(made.trades[0].profit)
