"""The rule language's words: the one table from which code is checked, mistakes are answered and the reference is made.

Warm-up is the index of the first bar at which a function of defined values is defined itself; n is its window. Where an
argument begins later, its own warm-up is added. A value that cannot be computed (warm-up, division by zero, a range of
zero width) is undefined, NaN: a comparison with it is neither true nor false, and an order asks for "known true".
"""

from __future__ import annotations

from typing import Literal, NamedTuple

MAX_WINDOW = 100_000

ArgumentKind = Literal["series", "number", "condition", "any", "window", "factor", "timeframe"]
"""series: a number that changes from bar to bar; number: any number; any: a number or a condition; window: a whole
number of bars, from constants and Int parameters; factor: a number that does not change from bar to bar."""


class Argument(NamedTuple):
    """One argument of a function. `least` and `most` bound a window."""

    name: str
    kind: ArgumentKind
    default: float | None = None
    least: int = 1
    most: int = MAX_WINDOW


class Function(NamedTuple):
    """One row of the table."""

    name: str
    arguments: tuple[Argument, ...]
    meaning: str
    warm_up: str
    fields: tuple[str, ...] = ()
    """Names of the parts, for a function that has several: unpack them, or read them as .name."""

    @property
    def signature(self) -> str:
        """As it is written: name and arguments with their defaults."""
        return f"{self.name}({', '.join(_written(a) for a in self.arguments)})"


def _written(argument: Argument) -> str:
    return argument.name if argument.default is None else f"{argument.name}={argument.default:g}"


def _window(default: float | None = None, name: str = "window", least: int = 1, most: int = MAX_WINDOW) -> Argument:
    return Argument(name, "window", default, least, most)


COLUMNS: dict[str, str] = {
    "open": "the bar's first price",
    "high": "the bar's highest price",
    "low": "the bar's lowest price",
    "close": "the bar's last price",
    "volume": "the volume traded in the bar",
}

PARAMETER_KINDS: dict[str, tuple[str, str]] = {
    "Int": ("Int(default, low, high, step=, log=, doc=)", "a whole number from low to high"),
    "Float": ("Float(default, low, high, step=, log=, doc=)", "a number from low to high"),
    "Choice": ("Choice(default, [value, …], doc=)", "one of the values: all text, or all numbers"),
    "Bool": ("Bool(default, doc=)", "True or False"),
}

CONDITION_ORDERS: dict[str, str] = {
    "enter_long": "open a long position where the condition holds at the bar's close",
    "exit_long": "close the long position where the condition holds",
    "enter_short": "open a short position where the condition holds",
    "exit_short": "close the short position where the condition holds",
}

LEVEL_ORDERS: dict[str, str] = {
    "stop_loss": "close at a loss: a fraction of the entry price, or a price read at the signal's bar; 0 is none",
    "take_profit": "close at a gain: a fraction of the entry price, or a price read at the signal's bar; 0 is none",
    "trailing_stop": "a stop that follows the best price: a fraction, or a price whose distance is kept; 0 is none",
}

STATEMENTS: dict[str, tuple[str, str]] = {
    "require": ("require(condition)", "only parameter sets that fulfil the condition are tried"),
    **{name: (f"{name}(condition)", meaning) for name, meaning in CONDITION_ORDERS.items()},
    **{name: (f"{name}(level)", meaning) for name, meaning in LEVEL_ORDERS.items()},
    "max_holding": ("max_holding(bars)", "close a position that has been held for this many bars; 0 is none"),
}

_X = Argument("x", "series")
_A = Argument("a", "number")
_B = Argument("b", "number")
_N = _window()
_ANY = Argument("x", "any")

_VALUES = (
    Function(
        "where",
        (Argument("condition", "condition"), Argument("a", "any"), Argument("b", "any")),
        "a where the condition holds, b where it does not; undefined where that is unknown",
        "0",
    ),
    Function("shift", (_ANY, _window(1, "bars", 0)), "x as it was n bars ago", "n"),
    Function(
        "at",
        (Argument("timeframe", "timeframe"), _ANY),
        'x as computed on longer bars, as in at("4h", sma(close, 20)); known once such a bar has closed',
        "x's, in longer bars",
    ),
    Function("abs", (Argument("x", "number"),), "the magnitude of x", "0"),
    Function("min", (_A, _B), "the smaller one", "0"),
    Function("max", (_A, _B), "the larger one", "0"),
    Function("sqrt", (Argument("x", "number"),), "the square root; undefined below 0", "0"),
    Function("log", (Argument("x", "number"),), "the natural logarithm; undefined at 0 and below", "0"),
    Function("exp", (Argument("x", "number"),), "e to the power x", "0"),
)

_CONDITIONS = (
    Function("crossed_above", (_A, _B), "a is above b, and was not at the bar before", "1"),
    Function("crossed_below", (_A, _B), "a is below b, and was not at the bar before", "1"),
    Function("rising", (_X, _window(1)), "x is above each of its n values before", "n"),
    Function("falling", (_X, _window(1)), "x is below each of its n values before", "n"),
    Function(
        "since",
        (Argument("condition", "condition"),),
        "bars since the condition last held, 0 where it holds; undefined before it first does",
        "0",
    ),
)

_AVERAGES = (
    Function("sma", (_X, _N), "simple moving average, exact to the last digit", "n - 1"),
    Function(
        "ema",
        (_X, _N),
        "exponential moving average, weight 2 / (n + 1), seeded with the mean of the first n values",
        "n - 1",
    ),
    Function("wma", (_X, _N), "weighted moving average, weights 1 to n", "n - 1"),
    Function("dema", (_X, _N), "double exponential average, 2 ema - ema of ema", "2 (n - 1)"),
    Function("tema", (_X, _N), "triple exponential average, 3 (ema - ema of ema) + ema of ema of ema", "3 (n - 1)"),
    Function(
        "hma",
        (_X, _window(least=2)),
        "Hull average: the wma over sqrt(n) of 2 wma over n / 2 - wma over n",
        "n - 2 + sqrt(n)",
    ),
    Function("vwap", (_N,), "average of the typical price (high + low + close) / 3, weighted by volume", "n - 1"),
)

_MOMENTUM = (
    Function(
        "rsi",
        (_X, _window(14)),
        "relative strength index, 0 to 100, Wilder's smoothing; undefined while nothing has moved",
        "n",
    ),
    Function(
        "stoch",
        (_window(14), _window(3, "smooth"), _window(3, "signal")),
        "stochastic oscillator, 0 to 100: the close within the window's range, averaged once and twice",
        "n + smooth - 2; d: signal - 1 more",
        ("k", "d"),
    ),
    Function(
        "macd",
        (_X, _window(12, "fast"), _window(26, "slow"), _window(9, "signal")),
        "fast ema less slow ema, its own ema, and the difference",
        "max(fast, slow) - 1; signal, hist: signal - 1 more",
        ("line", "signal", "hist"),
    ),
    Function(
        "cci",
        (_window(20, most=5_000),),
        "commodity channel index: the typical price's distance from its mean, in mean deviations / 0.015",
        "n - 1",
    ),
    Function("roc", (_X, _N), "change over n bars in percent", "n"),
    Function("mom", (_X, _N), "change over n bars", "n"),
    Function("adx", (_window(14),), "strength of direction, 0 to 100, Wilder's smoothing", "2 n - 1"),
    Function("plus_di", (_window(14),), "Wilder's directional indicator upwards, 0 to 100", "n"),
    Function("minus_di", (_window(14),), "Wilder's directional indicator downwards, 0 to 100", "n"),
    Function("linreg_slope", (_X, _window(least=2)), "slope a bar of the least-squares line", "n - 1"),
    Function("percent_rank", (_X, _N), "percentage of the n values before that are not above x", "n"),
)

_VOLATILITY = (
    Function("true_range", (), "the largest of high - low, |high - close before|, |low - close before|", "1"),
    Function("atr", (_window(14),), "average true range, Wilder's smoothing", "n"),
    Function("stddev", (_X, _N), "standard deviation, divided by n", "n - 1"),
    Function("zscore", (_X, _N), "distance from the sma in standard deviations; undefined at 0 deviation", "n - 1"),
    Function(
        "bbands",
        (_X, _window(20), Argument("width", "factor", 2)),
        "Bollinger bands: the sma, and width standard deviations above and below",
        "n - 1",
        ("upper", "middle", "lower"),
    ),
    Function(
        "keltner",
        (_window(20), Argument("width", "factor", 2), _window(10, "atr_window")),
        "Keltner channel: the ema of the close, and width average true ranges above and below",
        "max(n - 1, atr_window)",
        ("upper", "middle", "lower"),
    ),
    Function(
        "supertrend",
        (_window(10), Argument("factor", "factor", 3)),
        "a line factor average true ranges from the middle that only follows the trend, and its direction, 1 or -1",
        "n",
        ("line", "direction"),
    ),
)

_EXTREMES = (
    Function("highest", (_X, _N), "largest of the last n values, this bar's among them", "n - 1"),
    Function("lowest", (_X, _N), "smallest of the last n values, this bar's among them", "n - 1"),
    Function(
        "donchian",
        (_window(20),),
        "highest high, lowest low and their middle; this bar's among them, so shift(…, 1) for breakouts",
        "n - 1",
        ("upper", "middle", "lower"),
    ),
)

_VOLUME = (
    Function("obv", (), "on-balance volume", "0"),
    Function(
        "mfi",
        (_window(14),),
        "money flow index, 0 to 100: the share of volume at rising typical prices",
        "n",
    ),
)

GROUPS: dict[str, tuple[Function, ...]] = {
    "values": _VALUES,
    "conditions": _CONDITIONS,
    "averages": _AVERAGES,
    "momentum": _MOMENTUM,
    "volatility": _VOLATILITY,
    "extremes": _EXTREMES,
    "volume": _VOLUME,
}

FUNCTIONS: dict[str, Function] = {function.name: function for group in GROUPS.values() for function in group}
"""Every function that gives a value, by name."""

RESERVED = frozenset({*COLUMNS, *PARAMETER_KINDS, *STATEMENTS, *FUNCTIONS})
"""Names that a rule cannot give to its own values."""


class Word(NamedTuple):
    """One line of the language's reference."""

    group: str
    signature: str
    meaning: str
    warm_up: str = ""


def reference() -> tuple[Word, ...]:
    """Every word of the language, in the order of a manual: from this the README and the schema are made."""
    words = [Word("columns", name, meaning) for name, meaning in COLUMNS.items()]
    words += [Word("parameters", signature, meaning) for signature, meaning in PARAMETER_KINDS.values()]
    words += [Word("statements", signature, meaning) for signature, meaning in STATEMENTS.values()]
    for group, functions in GROUPS.items():
        for function in functions:
            parts = f"; parts: {', '.join('.' + name for name in function.fields)}" if function.fields else ""
            words.append(Word(group, function.signature, function.meaning + parts, function.warm_up))
    return tuple(words)
