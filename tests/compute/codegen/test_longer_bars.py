"""Longer bars beside a rule's own: which are known when, with bars missing and in sessions, and what is told."""

from __future__ import annotations

import numpy as np
import pytest

from reference.market_hours import HOUR, MINUTE, around_the_clock, bars_at, seven_hours, stock_days
from reference.rule_cases import RuleCase, seen_ahead
from tunesmith.compute.codegen.longer_bars import longer_bars, use_of
from tunesmith.compute.engines.bars_of_rule import bars_used, check_bars
from tunesmith.compute.engines.evaluate import evaluate_points
from tunesmith.compute.rules.strategy import Strategy
from tunesmith.compute.simulation.execution import Execution
from tunesmith.domain.array_types import Ints
from tunesmith.domain.market.bars import COLUMNS, Bars
from tunesmith.domain.market.calendars import COUNTED
from tunesmith.domain.market.resample import lengthened
from tunesmith.errors import Invalid

HOURS = 'enter_long(close > at("1h", sma(close, 3)))\nexit_long(close < at("1h", sma(close, 3)))\n'


def walk(n: int) -> Bars:
    """Minutes of a random walk."""
    close = 100.0 * np.exp(np.cumsum(np.random.default_rng(3).normal(0.0, 5e-4, n)))
    columns = {"open": close, "high": close * 1.0002, "low": close * 0.9998, "close": close, "volume": np.ones(n)}
    return Bars.from_arrays(around_the_clock(n, MINUTE), columns, symbol="A/B", timeframe="1m")


def thinned(bars: Bars, kept: np.ndarray) -> Bars:
    columns = {name: getattr(bars, name)[kept] for name in COLUMNS}
    return Bars.from_arrays(bars.timestamp[kept], columns, symbol=bars.symbol, timeframe=bars.timeframe)


def test_a_missing_minute_takes_no_hour_and_no_day_with_it() -> None:
    whole = walk(30 * 1440)
    kept = np.random.default_rng(2).random(len(whole)) >= 0.01
    kept[[0, -1]] = True
    bars = thinned(whole, kept)
    assert len(longer_bars(bars, "1h")) == len(longer_bars(whole, "1h")) == 720
    assert len(longer_bars(bars, "1d")) == len(longer_bars(whole, "1d")) == 30
    assert len(longer_bars(bars.by(COUNTED), "1h")) < 440
    rule, point = Strategy.parse(HOURS), np.empty((1, 0))
    trades = [
        float(evaluate_points(rule, each, point, Execution(), metrics=("n_trades",))["n_trades"][0])
        for each in (whole, bars, bars.by(COUNTED))
    ]
    assert trades[1] == pytest.approx(trades[0], rel=0.05)
    assert trades[2] < 0.85 * trades[0]


def test_what_is_told_of_longer_bars_is_counted_by_hand() -> None:
    gone = [*range(60, 120), 125, 300]  # the second hour, and a minute of the third and of the sixth
    bars = bars_at(np.delete(around_the_clock(600, MINUTE), gone), "1m", "24/7")
    used = use_of(bars, "1h", 0)
    assert used.partial == pytest.approx(2 / 9)
    stale = 59  # from the third hour's begin to the minute before its close the first hour is the newest
    assert used.stale == pytest.approx((stale - 1) / len(bars))
    told = bars_used(Strategy.parse(HOURS), bars, 0)
    assert (told.calendar, told.missing, told.longer) == ("24/7", pytest.approx(62 / 600), [used])
    assert use_of(bars, "1h", 250).stale == 0.0
    check_bars(bars, 0, 0.11)
    with pytest.raises(Invalid) as refused:
        check_bars(bars, 0, 0.05)
    assert refused.value.path == "/max_missing"
    assert "62 of the 600 1m bars of A/B that its calendar (24/7) expects are missing: 10.3%" in refused.value.message


def test_the_close_of_a_session_is_known_at_its_last_bar() -> None:
    bars = bars_at(seven_hours(200), "1h")
    longer = longer_bars(bars, "4h")
    assert longer.bars is not None
    last_of_session = np.arange(6, len(bars), 7)
    assert longer.bars.close[longer.known[last_of_session]].tolist() == bars.close[last_of_session].tolist()
    before = longer.known[last_of_session - 1]
    assert longer.bars.close[before].tolist() == bars.close[last_of_session - 3].tolist()
    week = longer_bars(bars_at(stock_days(), "1d"), "1w")
    assert int(np.argmax(week.known >= 0)) == 8  # Friday, 13 January: the first whole week


@pytest.mark.parametrize(
    ("stamps", "timeframe", "longer"),
    [
        (seven_hours(60), "1h", "4h"),
        (seven_hours(60), "1h", "1d"),
        (stock_days(), "1d", "1w"),
        (np.delete(around_the_clock(300), [7, 50, 51, 52, 53, 54, 55, 120]), "1h", "4h"),
    ],
)
def test_no_longer_bar_is_seen_before_it_closes(stamps: Ints, timeframe: str, longer: str) -> None:
    bars = bars_at(stamps, timeframe)
    made = lengthened(bars, longer)
    known = longer_bars(bars, longer).known
    closes = bars.timestamp + (HOUR if timeframe == "1h" else 24 * HOUR)
    seen = known >= 0
    assert (made.closes[known[seen]] <= closes[seen]).all()
    assert seen.any()
    code = f'enter_long(close > at("{longer}", open))\nstop_loss(at("{longer}", low) * 0.9)\n'
    case = RuleCase(code, bars, np.empty((1, 0)), Execution(), 0)
    assert seen_ahead(case, range(40, len(bars), 23)) == []
