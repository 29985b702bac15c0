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
    """One argument of a function. `least` bounds a window from below."""

    name: str
    kind: ArgumentKind
    default: float | None = None
    least: int = 1


class Function(NamedTuple):
    """One row of the table."""

    name: str
    arguments: tuple[Argument, ...]
    meaning: str
    warm_up: str
    group: str
    fields: tuple[str, ...] = ()
    """Names of the parts, for a function that has several: unpack them, or read them as .name."""

    @property
    def signature(self) -> str:
        """As it is written: name and arguments with their defaults."""
        return f"{self.name}({', '.join(_written(a) for a in self.arguments)})"


def _written(argument: Argument) -> str:
    return argument.name if argument.default is None else f"{argument.name}={argument.default:g}"


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

X = Argument("x", "series")
N = Argument("window", "window")


def _n(least: int = 1, default: float | None = None, name: str = "window") -> Argument:
    return Argument(name, "window", default, least)


_TABLE = (
    Function(
        "where",
        (Argument("condition", "condition"), Argument("a", "any"), Argument("b", "any")),
        "a where the condition holds, b where it does not; undefined where that is unknown",
        "the condition's",
        "values",
    ),
    Function("shift", (Argument("x", "any"), _n(0, 1, "bars")), "x as it was n bars ago", "n", "values"),
    Function("abs", (Argument("x", "number"),), "the magnitude of x", "0", "values"),
    Function("min", (Argument("a", "number"), Argument("b", "number")), "the smaller one", "0", "values"),
    Function("max", (Argument("a", "number"), Argument("b", "number")), "the larger one", "0", "values"),
    Function("sqrt", (Argument("x", "number"),), "the square root; undefined below 0", "0", "values"),
    Function("log", (Argument("x", "number"),), "the natural logarithm; undefined below 0", "0", "values"),
    Function("exp", (Argument("x", "number"),), "e to the power x", "0", "values"),
    Function("sma", (X, N), "simple moving average", "n - 1", "averages"),
    Function(
        "ema",
        (X, N),
        "exponential moving average, weight 2 / (n + 1), seeded with the mean of the first n values",
        "n - 1",
        "averages",
    ),
    Function(
        "rsi",
        (X, N),
        "relative strength index 0 to 100, Wilder's smoothing; undefined while nothing has moved",
        "n",
        "momentum",
    ),
    Function("atr", (N,), "average true range, Wilder's smoothing", "n", "volatility"),
    Function(
        "true_range",
        (),
        "the largest of high - low, |high - close before|, |low - close before|",
        "1",
        "volatility",
    ),
    Function(
        "crossed_above",
        (Argument("a", "number"), Argument("b", "number")),
        "a is above b and was not at the bar before",
        "1",
        "conditions",
    ),
    Function(
        "crossed_below",
        (Argument("a", "number"), Argument("b", "number")),
        "a is below b and was not at the bar before",
        "1",
        "conditions",
    ),
    Function("rising", (X, _n(1, 1)), "x is above each of its n values before", "n", "conditions"),
    Function("falling", (X, _n(1, 1)), "x is below each of its n values before", "n", "conditions"),
)

FUNCTIONS: dict[str, Function] = {function.name: function for function in _TABLE}
"""Every function that gives a value, by name."""

RESERVED = frozenset({*COLUMNS, *PARAMETER_KINDS, *STATEMENTS, *FUNCTIONS})
"""Names that a rule cannot give to its own values."""
