"""The table of words is the language: what it lists exists, with these arguments, and is explained."""

from __future__ import annotations

import numpy as np
import pytest

from tunesmith.compute.indicators.declaration import Argument
from tunesmith.compute.indicators.registry import INDICATORS
from tunesmith.compute.language.vocabulary import STATEMENTS, is_reserved, reference
from tunesmith.compute.rules.strategy import Strategy
from tunesmith.domain.parameters import decode_point
from tunesmith.domain.space import build_space

SAMPLE = {
    "series": "close",
    "number": "close",
    "any": "close",
    "condition": "close > open",
    "window": "7",
    "factor": "1.5",
    "timeframe": '"4h"',
}


def written(arguments: tuple[Argument, ...]) -> str:
    return ", ".join(f"{argument.name}={SAMPLE[argument.kind]}" for argument in arguments)


@pytest.mark.parametrize("name", INDICATORS)
def test_every_function_can_be_called_by_its_table_in_full_and_in_short(name: str) -> None:
    function = INDICATORS[name]
    needed = tuple(argument for argument in function.arguments if argument.default is None)
    for arguments in (function.arguments, needed):
        names = ", ".join(f"part{i}" for i in range(len(function.fields))) or "x"
        rule = Strategy.parse(f"{names} = {name}({written(arguments)})\nenter_long(close > open)\n").rule
        assert rule is not None
    for field in function.fields:
        Strategy.parse(f"enter_long({name}({written(function.arguments)}).{field} > 0)\n")


def test_every_word_is_explained_once() -> None:
    words = reference()
    assert len({word.signature for word in words}) == len(words)
    assert all(len(word.meaning) > 4 for word in words)
    assert all(is_reserved(word.signature.split("(")[0]) for word in words)
    assert not is_reserved("anything")
    functions = [word for word in words if word.signature.split("(")[0] in INDICATORS]
    assert len(functions) == len(INDICATORS)
    assert all(word.warm_up for word in functions)
    assert {*STATEMENTS, *INDICATORS} <= {word.signature.split("(")[0] for word in words}


def test_parameters_come_out_as_declared() -> None:
    strategy = Strategy.parse(
        '"""What it does."""\n'
        'n = Int(5, 2, 9, step=1, doc="a window")\n'
        "r = Float(1e-3, 1e-4, 0.1, log=True)\n"
        'm = Choice("b", ["a", "b"])\n'
        "c = Choice(20, (10, 20))\n"
        "u = Bool(False)\n"
        "enter_long(close > sma(close, n) + r + c and (u or m == 'a'))\n"
    )
    assert strategy.doc == "What it does."
    assert strategy.defaults == {"n": 5, "r": 0.001, "m": "b", "c": 20, "u": False}
    n, r, m, c, u = strategy.parameters
    assert (n.kind, n.low, n.high, n.step, n.doc) == ("int", 2.0, 9.0, 1.0, "a window")
    assert (r.kind, r.log, r.step) == ("float", True, None)
    assert (m.kind, m.choices, c.choices, u.kind) == ("choice", ("a", "b"), (10, 20), "bool")
    space = build_space(strategy.parameters, {})
    point = decode_point(strategy.parameters, space.grid(0, 1)[0])
    assert point == {"n": 2, "r": pytest.approx(0.0001), "m": "a", "c": 10, "u": False}


def test_require_decides_which_points_are_valid() -> None:
    strategy = Strategy.parse(
        "a = Int(5, 1, 9)\nb = Int(7, 1, 9)\nm = Choice('x', ['x', 'y'])\n"
        "require(a < b)\nrequire(a + b <= 14 or m == 'y')\nenter_long(close > open)\n"
    )
    points = np.array([[5, 7, 0], [7, 5, 0], [7, 9, 0], [7, 9, 1], [5, 5, 1]], np.float64)
    np.testing.assert_array_equal(strategy.valid(points), [True, False, False, True, False])
    assert Strategy.parse("enter_long(close > open)\n").valid(np.zeros((3, 0))).all()


def test_orders_say_what_a_strategy_trades() -> None:
    both = Strategy.parse("enter_long(close > open)\nenter_short(close < open)\nmax_holding(3)\nstop_loss(0.1)\n")
    assert both.orders == ("enter_long", "enter_short", "stop_loss", "max_holding")
    assert both.has_long
    assert both.has_short
    short = Strategy.parse("enter_short(close < open)\n")
    assert (short.has_long, short.has_short) == (False, True)
