"""The rule language's words: code is checked by them, mistakes answered, and the language's reference made.

The functions that give a value are the indicators of `indicators.registry`; what stands here is the rest. Look-back is
the index of the first bar at which a function of defined values is defined itself; n is its window. Where an argument
begins later, its own look-back is added. A value that cannot be computed (before the look-back, division by zero, a
range of zero width) is undefined, NaN: a comparison with it is neither true nor false, and an order asks for "known
true".
"""

from __future__ import annotations

from typing import NamedTuple

from tunesmith.compute.indicators.registry import INDICATORS

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
    "stop_loss": "close at a loss: a fraction of the entry price, 0 for none, or where it changes from bar to bar a "
    "price, read at the signal's bar",
    "take_profit": "close at a gain: a fraction of the entry price, 0 for none, or where it changes from bar to bar a "
    "price, read at the signal's bar",
    "trailing_stop": "a stop that follows the best price: a fraction, 0 for none, or where it changes from bar to bar "
    "a price whose distance from the entry is kept",
}

STATEMENTS: dict[str, tuple[str, str]] = {
    "require": ("require(condition)", "only parameter sets that fulfil the condition are tried"),
    **{name: (f"{name}(condition)", meaning) for name, meaning in CONDITION_ORDERS.items()},
    **{name: (f"{name}(level)", meaning) for name, meaning in LEVEL_ORDERS.items()},
    "max_holding": ("max_holding(bars)", "close a position that has been held for this many bars; 0 is none"),
}


class Word(NamedTuple):
    """One line of the language's reference."""

    group: str
    signature: str
    meaning: str
    warm_up: str = ""


def is_reserved(name: str) -> bool:
    """Whether a name is a word of the language, so that a rule cannot give it to a value of its own."""
    return any(name in words for words in (COLUMNS, PARAMETER_KINDS, STATEMENTS, INDICATORS))


def reference() -> tuple[Word, ...]:
    """Every word of the language, in the order of a manual: columns, parameters, statements, indicators by group."""
    words = [Word("columns", name, meaning) for name, meaning in COLUMNS.items()]
    words += [Word("parameters", signature, meaning) for signature, meaning in PARAMETER_KINDS.values()]
    words += [Word("statements", signature, meaning) for signature, meaning in STATEMENTS.values()]
    for group in dict.fromkeys(indicator.group for indicator in INDICATORS.values()):
        for indicator in INDICATORS.values():
            if indicator.group == group:
                parts = f"; parts: {', '.join('.' + name for name in indicator.fields)}" if indicator.fields else ""
                words.append(Word(group, indicator.signature, indicator.doc + parts, indicator.look_back))
    return tuple(words)
