"""Stops and targets: prices, distances and fractions are told apart, and so are the sides of the close."""

from __future__ import annotations

import numpy as np
import pytest

import tunesmith as ts
from reference.cases import random_bars
from tunesmith.compute.language.measures import measures_of
from tunesmith.compute.rules.strategy import Strategy
from tunesmith.compute.strategies import BUILTIN_IDS, builtin
from tunesmith.errors import Invalid

LONG, SHORT = "enter_long(close > open)\n", "enter_short(close < open)\n"
HEAD = "k = Float(2, 0.5, 6)\nn = Int(14, 2, 50)\nuse = Bool(True)\npart = Float(0.05, 0.01, 0.2)\n"

SHARES = (
    "k * atr(n) / close", "where(adx(n) > 25, 0.05, 0.02)", "roc(close, n)", "rsi(close)", "close / open",
    "stddev(close, n) / sma(close, n)", "(high - low) / (high + low)", "log(close)", "sqrt(atr(n) / close)",
    "max(atr(n) / close, 0.01)", "shift(k * atr(n) / close)", "percent_rank(close, n) / 100", "zscore(close, n)",
    "part * where(adx(n) > 25, 1, 2)", "where(adx(n) > 25, 5, 2) / 100", "where(use, k * atr(n) / close, part)",
)  # fmt: skip
DISTANCES = (
    "k * atr(n)", "true_range()", "high - low", "stddev(close, n)", "mom(close, n)", "macd(close).line",
    "close - sma(close, n)", "close * 0.7 + open * 0.3 - high", "abs(close - open)", "k * sma(high - low, n)",
    "where(use, atr(n), high - low)", "min(atr(n), stddev(close, n))", "linreg_slope(close, n)", "-(close - open)",
    "dema(close, n) - hma(close, n)", "2 * (bbands(close, n).upper - bbands(close, n).middle)",
)  # fmt: skip
PRICES = (
    "close - k * atr(n)", "low", "dema(close, n)", "tema(close, n)", "hma(close, n)", "vwap(n)", "close * 0.97",
    "bbands(close, n, k).lower", "keltner(n).lower", "donchian(n).middle", "supertrend(n).line", "close * (1 - k / 9)",
    "close * (1 - k * atr(n) / close)", "close - close * 0.05", "exp(sma(log(close), n))", "(high + low) / 2",
    "lowest(low, n) - atr(n)", "where(use, close - atr(n), 0)", "close - 5", 'at("4h", low)', "high ** 2 / high",
    "sqrt(high * low)", "shift(sma(close, n))", "where(close > open, close - atr(n), close + atr(n))",
    "high ** 0.3 * low ** 0.6 * close ** 0.1", "sma(close * (high - low), n) / sma(high - low, n)",
    "close * atr(50) / atr(n)", "low + close * (close - low) / (high - low)", "shift(low)",
    "max(close - k * atr(n), close * (1 - part))", "close - where(close > open, 1, -1) * k * atr(n)",
    "highest(high, n) - k * atr(n)",
    "close - 2 * (close - lowest(low, n))", "sma(close * volume, n) / sma(volume, n)", "2 / (1 / high + 1 / low)",
    "where(adx(n) > 25, close - atr(n), where(use, close * 0.9, 0))",
)  # fmt: skip


@pytest.mark.parametrize("level", SHARES)
def test_a_fraction_that_changes_is_no_stop(level: str) -> None:
    for order, sides, form in (
        ("stop_loss", LONG, "close * (1 - …)"),
        ("stop_loss", SHORT, "close * (1 + …)"),
        ("take_profit", SHORT, "close * (1 - …)"),
        ("trailing_stop", LONG + SHORT, "where(the condition that enters long, close * (1 - …), close * (1 + …))"),
    ):
        refused = refusal(f"{HEAD}{order}({level})\n{sides}")
        assert refused.startswith(f"line 5, column {len(order) + 2}: {order}() takes one fraction")
        assert refused.endswith(f"this is a fraction that changes from bar to bar: write the price, {form}")


@pytest.mark.parametrize("level", DISTANCES)
def test_a_distance_is_no_stop(level: str) -> None:
    assert refusal(f"{HEAD}stop_loss({level})\n{LONG}").endswith(
        "a distance between prices: write the price, close - …"
    )


@pytest.mark.parametrize("level", PRICES)
def test_a_price_is_a_stop_as_it_was(level: str) -> None:
    rule = Strategy.parse(f"{HEAD}stop_loss({level})\n{LONG}").rule
    assert rule is not None
    assert rule == Strategy.parse(f"{HEAD}stop_loss({level})\n{LONG}", is_stored=True).rule
    measure = measures_of(rule.nodes)[dict(rule.levels)["stop_loss"]]
    assert measure is None or (measure.price, measure.volume) == (1.0, 0.0)


@pytest.mark.parametrize(
    ("other", "is_"),
    [("part", "a fraction that changes from bar to bar"), ("k * atr(n)", "a distance between prices"),
     ("where(adx(n) > 25, close * 0.9, atr(n) / close)", "a fraction that changes from bar to bar")],
)  # fmt: skip
def test_each_value_that_a_level_chooses_from_is_a_price(other: str, is_: str) -> None:
    for level in (f"where(use, close - k * atr(n), {other})", f"where(close > open, {other}, close - atr(n))"):
        assert f"a value of its where(…) is {is_}: write the price" in refusal(f"{HEAD}stop_loss({level})\n{LONG}")


def test_what_measures_something_else_is_no_stop() -> None:
    assert "this is no price" in refusal(f"stop_loss(volume)\n{LONG}")
    assert "this is no price" in refusal(f"stop_loss(obv())\n{LONG}")
    assert "this is no price" in refusal(f"take_profit(close * close)\n{LONG}")


@pytest.mark.parametrize(
    "level",
    ["close - 2 * atr(14)", "lowest(low, 9)", "close * 0.95", "min(low, open)", "close * (1 - atr(9) / close)",
     "-2 * atr(9) + close", "min(sma(close, 5), close - 1)"],
)  # fmt: skip
def test_a_stop_below_the_close_is_a_longs(level: str) -> None:
    if not level.startswith("-"):
        assert "the stop of a short lies above it" in refusal(f"stop_loss({level})\n{SHORT}")
        assert "the target of a long lies above it" in refusal(f"take_profit({level})\n{LONG}")
    both = Strategy.parse(f"stop_loss({level})\n{LONG}{SHORT}")
    both.check_levels("long", "/direction")
    if not level.startswith("-"):
        with pytest.raises(Invalid, match="cannot be traded both: stop_loss") as refused:
            both.check_levels(both.direction("auto"), "/direction")
        assert refused.value.path == "/direction"


def test_each_side_can_have_a_price_of_its_own() -> None:
    code = f"up = close > sma(close, 9)\nstop_loss(where(up, close - atr(9), close + atr(9)))\n{LONG}{SHORT}"
    Strategy.parse(code).check_levels("both", "/direction")


def test_what_was_stored_is_read_as_it_was_and_refused_where_it_is_asked_for() -> None:
    code = f"stop_loss(2 * atr(14) / close)\n{SHORT}"
    stored = Strategy.parse(code, is_stored=True)
    with pytest.raises(Invalid, match="cannot be traded: stop_loss"):
        stored.check_levels("short", "/data/direction")


@pytest.mark.parametrize("strategy_id", BUILTIN_IDS)
def test_the_strategies_of_the_product_can_be_traded_on_every_side_that_they_enter(strategy_id: str) -> None:
    rule = builtin(strategy_id)
    rule.check_levels(rule.direction("auto"), "/direction")
    sided = {"long": (True, False), "short": (False, True), "both": (True, True)}
    assert sided[rule.direction("auto")] == (rule.has_long, rule.has_short)
    assert rule.direction("long") == "long"


def test_the_notebook_names_the_argument() -> None:
    rule = Strategy.parse(f"stop_loss(close - atr(9))\n{LONG}{SHORT}")
    bars = random_bars(np.random.default_rng(4), 300)
    for function in (ts.backtest, ts.evaluate, ts.optimize):
        with pytest.raises(Invalid, match="traded both") as refused:
            function(rule, bars)
        assert refused.value.path == "/direction"


def refusal(code: str) -> str:
    with pytest.raises(Invalid) as refused:
        Strategy.parse(code)
    [error] = refused.value.errors
    assert error.path == "/data/code"
    return error.message
