"""The reference simulator's meaning, by cases computed by hand."""

from __future__ import annotations

import math

import pytest

from reference.simulator import Candle, Level, Run, Signal, Terms, simulate

BUY = Signal(enter_long=True)
SELL = Signal(exit_long=True)
SHORT = Signal(enter_short=True)
COVER = Signal(exit_short=True)
NONE = Signal()


def flat(price: float) -> Candle:
    return Candle(price, price, price, price)


def run(candles: list[Candle], signals: dict[int, Signal], **terms: object) -> Run:
    line = [signals.get(bar, NONE) for bar in range(len(candles))]
    return simulate(candles, line, Terms(initial_cash=1000.0, **terms))  # type: ignore[arg-type]


def told(result: Run) -> list[tuple[int, str, float, str]]:
    return [(o.bar, o.side, round(o.price, 9), o.reason) for o in result.orders]


def test_a_signal_fills_at_the_next_open() -> None:
    candles = [flat(10), Candle(20, 25, 20, 25), Candle(30, 50, 30, 40), flat(50)]
    result = run(candles, {0: BUY, 1: SELL})
    assert told(result) == [(1, "buy", 20, "entry"), (2, "sell", 30, "exit")]
    assert result.equity == [1000, 1250, 1500, 1500]
    assert result.position == [0, 50, 0, 0]
    assert [t.profit for t in result.trades] == [500]


def test_a_signal_fills_at_the_close_on_request() -> None:
    candles = [Candle(9, 10, 9, 10), Candle(20, 25, 20, 25), flat(40)]
    result = run(candles, {0: BUY, 1: SELL}, fill="close")
    assert told(result) == [(0, "buy", 10, "entry"), (1, "sell", 25, "exit")]
    assert result.equity == [1000, 2500, 2500]


def test_a_signal_of_the_last_bar_is_not_filled_at_a_next_open() -> None:
    assert run([flat(10), flat(10)], {1: BUY}).orders == []
    assert len(run([flat(10), flat(10)], {1: BUY}, fill="close").orders) == 1


def test_long_costs() -> None:
    result = run([flat(100), flat(100), flat(110)], {0: BUY, 1: SELL}, fee_rate=0.01, slippage_rate=0.1, fixed_fee=1.0)
    size = (1000 - 1) / (110 * 1.01)
    assert result.orders[0].size == pytest.approx(size)
    assert result.orders[0].price == pytest.approx(110)
    assert result.orders[0].fee == pytest.approx(size * 110 * 0.01 + 1)
    cash = size * 99 * 0.99 - 1
    assert result.equity == pytest.approx([1000, size * 100, cash])
    assert result.trades[0].profit == pytest.approx(cash - 1000)


def test_short_costs() -> None:
    result = run(
        [flat(100), flat(100), flat(80)], {0: SHORT, 1: COVER}, fee_rate=0.01, slippage_rate=0.1, fixed_fee=1.0
    )
    size = 999 / (90 * 1.01)
    after_entry = 1000 + size * 90 * 0.99 - 1
    after_exit = after_entry - size * 88 * 1.01 - 1
    assert [o.size for o in result.orders] == pytest.approx([size, size])
    assert result.equity == pytest.approx([1000, after_entry - size * 100, after_exit])


def test_a_reversal_is_two_orders_with_two_fixed_fees() -> None:
    result = run([flat(100)] * 4, {0: BUY, 1: SHORT}, fixed_fee=10.0)
    assert told(result) == [(1, "buy", 100, "entry"), (2, "sell", 100, "exit"), (2, "sell", 100, "entry")]
    assert [o.size for o in result.orders] == pytest.approx([9.9, 9.9, 9.7])
    assert result.equity[-1] == pytest.approx(970)


def test_an_exit_wins_over_an_entry_on_the_same_bar() -> None:
    both = Signal(enter_long=True, exit_long=True)
    assert run([flat(10)] * 3, {0: both}).orders == []
    result = run([flat(10)] * 5, {0: BUY, 1: both})
    assert told(result) == [(1, "buy", 10, "entry"), (2, "sell", 10, "exit")]


def test_an_exit_of_the_other_side_drops_only_that_sides_entry() -> None:
    result = run([flat(10)] * 4, {0: BUY, 1: Signal(enter_short=True, exit_short=True)})
    assert told(result) == [(1, "buy", 10, "entry")]
    result = run([flat(10)] * 4, {0: BUY, 1: Signal(exit_long=True, enter_short=True, enter_long=True)})
    assert told(result)[1:] == [(2, "sell", 10, "exit"), (2, "sell", 10, "entry")]


def test_opposing_entries_are_both_dropped() -> None:
    both = Signal(enter_long=True, enter_short=True)
    assert run([flat(10)] * 3, {0: both}).orders == []
    assert len(run([flat(10)] * 4, {0: BUY, 1: both}).orders) == 1


def test_direction_ignores_the_other_side() -> None:
    signals = {0: BUY, 2: SHORT, 4: COVER}
    assert told(run([flat(10)] * 6, signals, direction="long")) == [(1, "buy", 10, "entry")]
    assert told(run([flat(10)] * 6, signals, direction="short")) == [(3, "sell", 10, "entry"), (5, "buy", 10, "exit")]


def test_signals_before_start_are_ignored_and_the_account_enters_flat() -> None:
    result = run([flat(10), flat(10), flat(20), flat(20), flat(40)], {1: BUY, 2: BUY}, start=2)
    assert told(result) == [(3, "buy", 20, "entry")]
    assert result.equity == [1000, 1000, 2000]


def test_a_stop_is_checked_on_the_entry_bar_of_an_open_fill() -> None:
    stop = Signal(enter_long=True, stop_loss=Level(fraction=0.1))
    result = run([flat(100), Candle(100, 101, 89, 95), flat(95)], {0: stop})
    assert told(result) == [(1, "buy", 100, "entry"), (1, "sell", 90, "stop_loss")]
    assert result.equity == [1000, 900, 900]


def test_a_stop_is_not_checked_on_the_entry_bar_of_a_close_fill() -> None:
    stop = Signal(enter_long=True, stop_loss=Level(fraction=0.1))
    result = run([Candle(100, 100, 50, 100), Candle(95, 95, 90, 95)], {0: stop}, fill="close")
    assert told(result) == [(0, "buy", 100, "entry"), (1, "sell", 90, "stop_loss")]


def test_a_stop_that_the_bar_gaps_over_fills_at_the_open_with_slippage() -> None:
    stop = Signal(enter_long=True, stop_loss=Level(fraction=0.1))
    result = run([flat(100), flat(100), Candle(80, 120, 70, 80)], {0: stop}, slippage_rate=0.01)
    assert told(result) == [(1, "buy", 101, "entry"), (2, "sell", 79.2, "stop_loss")]


def test_stop_and_target_in_one_bar_take_the_stop_and_count_as_ambiguous() -> None:
    both = Signal(enter_long=True, stop_loss=Level(fraction=0.1), take_profit=Level(fraction=0.1))
    result = run([flat(100), flat(100), Candle(100, 120, 80, 100)], {0: both})
    assert told(result)[1] == (2, "sell", 90, "stop_loss")
    assert result.ambiguous_bars == [2]
    result = run([flat(100), flat(100), Candle(115, 120, 80, 100)], {0: both})
    assert told(result)[1] == (2, "sell", 115, "take_profit")
    assert result.ambiguous_bars == []


def test_targets() -> None:
    target = Level(fraction=0.25)
    result = run([flat(100), flat(100), Candle(100, 130, 100, 120)], {0: Signal(enter_long=True, take_profit=target)})
    assert told(result)[1] == (2, "sell", 125, "take_profit")
    result = run([flat(100), flat(100), Candle(100, 100, 70, 80)], {0: Signal(enter_short=True, take_profit=target)})
    assert told(result)[1] == (2, "buy", 75, "take_profit")
    assert result.equity[-1] == pytest.approx(1250)


def test_a_price_level_is_read_at_the_signal_and_fixed_at_entry() -> None:
    signals = {
        0: Signal(enter_long=True, stop_loss=Level(price=88.0)),
        1: Signal(stop_loss=Level(price=99.0)),
        2: Signal(stop_loss=Level(price=math.nan)),
    }
    result = run([flat(100), flat(100), Candle(95, 95, 90, 95), Candle(95, 95, 85, 95)], signals)
    assert told(result)[1] == (3, "sell", 88, "stop_loss")


def test_a_nan_level_is_no_stop() -> None:
    nothing = Level(price=math.nan)
    signal = Signal(enter_long=True, stop_loss=nothing, take_profit=nothing, trailing_stop=nothing)
    assert len(run([flat(100), flat(100), Candle(100, 900, 1, 100)], {0: signal}).orders) == 1


def test_a_trailing_stop_follows_highs_of_earlier_bars_and_this_open() -> None:
    trail = Signal(enter_long=True, trailing_stop=Level(fraction=0.1))
    candles = [flat(100), Candle(100, 120, 100, 115), Candle(130, 200, 118, 190), flat(190), Candle(185, 185, 170, 175)]
    result = run(candles, {0: trail})
    # Bar 2: best is its open 130, so the low of 118 stays above the stop of 117. Bar 4: best 200, stop 180.
    assert told(result)[1] == (4, "sell", 180, "trailing_stop")


def test_a_trailing_distance_is_kept_from_the_entry_price() -> None:
    trail = Signal(enter_short=True, trailing_stop=Level(price=110.0))
    candles = [flat(98), flat(100), Candle(100, 100, 60, 65), Candle(65, 72, 65, 70)]
    assert told(run(candles, {0: trail}))[1] == (3, "buy", 70, "trailing_stop")


def test_the_nearest_stop_counts() -> None:
    signal = Signal(enter_long=True, stop_loss=Level(fraction=0.05), trailing_stop=Level(fraction=0.2))
    assert told(run([flat(100), Candle(100, 100, 70, 80)], {0: signal}))[1][3] == "stop_loss"
    signal = Signal(enter_long=True, stop_loss=Level(fraction=0.3), trailing_stop=Level(fraction=0.2))
    assert told(run([flat(100), Candle(100, 100, 70, 80)], {0: signal}))[1] == (1, "sell", 80, "trailing_stop")


def test_after_a_stop_the_same_bars_signal_enters_again() -> None:
    stop = Signal(enter_long=True, stop_loss=Level(fraction=0.1))
    candles = [flat(100), Candle(100, 100, 80, 85), flat(85)]
    assert told(run(candles, {0: stop, 1: stop}))[2] == (2, "buy", 85, "entry")
    assert told(run(candles, {0: stop, 1: stop}, fill="close"))[2] == (1, "buy", 85, "entry")


@pytest.mark.parametrize(("fill", "closed_at"), [("next_open", 3), ("close", 2)])
def test_max_holding_closes_exactly_that_many_bars_after_the_entry(fill: str, closed_at: int) -> None:
    result = run([flat(100)] * 6, {0: BUY}, fill=fill, max_holding=2)
    assert told(result) == [(closed_at - 2, "buy", 100, "entry"), (closed_at, "sell", 100, "max_holding")]


def test_max_holding_is_an_exit_and_wins_over_an_entry() -> None:
    every = dict.fromkeys(range(6), BUY)
    result = run([flat(100)] * 6, every, max_holding=2)
    assert [(o.bar, o.side) for o in result.orders] == [(1, "buy"), (3, "sell"), (4, "buy")]


def test_a_short_is_closed_when_its_equity_reaches_zero() -> None:
    result = run([flat(100), flat(100), Candle(150, 250, 150, 160), flat(100), flat(100)], {0: SHORT, 2: SHORT, 3: BUY})
    assert told(result) == [(1, "sell", 100, "entry"), (2, "buy", 200, "liquidation")]
    assert result.equity == [1000, 1000, 0, 0, 0]


def test_a_short_never_loses_more_than_there_is_even_on_a_gap() -> None:
    result = run([flat(100), flat(100), flat(500), flat(500)], {0: SHORT, 1: COVER}, fee_rate=0.01)
    assert result.orders[-1].reason == "liquidation"
    assert result.equity[-1] == 0
    assert result.orders[-1].price < 200


def test_no_entry_when_closing_at_once_would_leave_nothing() -> None:
    assert run([flat(100)] * 4, {0: BUY}, fixed_fee=500.0).orders == []
    assert run([flat(100)] * 4, {0: SHORT}, fixed_fee=500.0).orders == []
    assert len(run([flat(100)] * 4, {0: BUY}, fixed_fee=499.0).orders) == 1
    assert len(run([flat(100)] * 4, {0: SHORT}, fixed_fee=499.0).orders) == 1


def test_a_closing_fee_is_at_most_the_proceeds() -> None:
    result = run([flat(100), flat(100), flat(50), flat(50)], {0: BUY, 1: SELL}, fixed_fee=400.0)
    assert result.orders[-1].fee == pytest.approx(300)
    assert result.equity[-1] == 0


def test_an_open_trade_counts_in_equity_and_not_among_the_trades() -> None:
    result = run([flat(100), flat(100), flat(150)], {0: BUY})
    assert result.trades == []
    assert result.equity[-1] == 1500
