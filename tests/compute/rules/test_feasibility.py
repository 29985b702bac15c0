"""Conditions between parameters: what they mean, and how a wrong one is refused."""

from __future__ import annotations

import numpy as np
import pytest

from tunesmith.compute.rules.feasibility import read_conditions, required
from tunesmith.compute.rules.strategy import Strategy
from tunesmith.compute.strategies import builtin
from tunesmith.domain.parameters import Parameter
from tunesmith.domain.space import encode_points
from tunesmith.errors import Invalid

PARAMETERS = (
    Parameter(name="fast_period", kind="int", default=5, low=2, high=50),
    Parameter(name="slow_period", kind="int", default=20, low=5, high=400),
    Parameter(name="width", kind="float", default=2.0, low=0.5, high=4.0),
    Parameter(name="mode", kind="choice", default="calm", choices=("calm", "wild", "träge")),
    Parameter(name="lots", kind="choice", default=10, choices=(5, 10, 50)),
    Parameter(name="guard", kind="bool", default=False),
)
POINTS = encode_points(
    PARAMETERS,
    {
        "fast_period": [5, 20, 30],
        "slow_period": [20, 20, 10],
        "width": [1.0, 2.0, 3.0],
        "mode": ["calm", "wild", "wild"],
        "lots": [5, 10, 50],
        "guard": [True, False, True],
    },
)


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("fast_period < slow_period", [True, False, False]),
        ("fast_period <= slow_period", [True, True, False]),
        ("  slow_period >= 2 * fast_period", [True, False, False]),
        ("10 <= fast_period <= 20", [False, True, False]),
        ("mode == 'wild' or width < 1.5", [True, True, True]),
        ("mode != 'wild'", [True, False, False]),
        ("not guard", [False, True, False]),
        ("guard", [True, False, True]),
        ("lots > 7", [False, True, True]),
        ("(fast_period <\n slow_period)", [True, False, False]),
        ("sqrt(width - 2) >= 0", [False, True, True]),
        ("not sqrt(width - 2) >= 0", [False, False, False]),
        ("1 < 2", [True, True, True]),
    ],
)
def test_a_condition_holds_where_it_is_known_to_be_true(text: str, holds: list[bool]) -> None:
    parts = read_conditions([text], PARAMETERS)
    assert np.logical_and.reduce([part.holds(POINTS) for part in parts]).tolist() == holds


def test_what_and_joins_are_conditions_of_their_own() -> None:
    parts = read_conditions(["fast_period < slow_period and (width > 1 and not guard)", "5 < lots < 20"], PARAMETERS)
    assert [part.columns for part in parts] == [(0, 1), (2,), (5,), (4,), (4,)]
    assert [part.path[-1] for part in parts] == list("00011")
    assert parts[0].text == "fast_period < slow_period and (width > 1 and not guard)"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("fast_perod < slow_period", r"line 1, column 1: unknown name 'fast_perod'; did you mean 'fast_period'\?"),
        ("fast_period < slow_perod", r"line 1, column 15: unknown name 'slow_perod'; did you mean 'slow_period'\?"),
        ("fast_period", "must be a condition, found the Int parameter fast_period; compare it with something"),
        ("fast_period <", "line 1, column 14: invalid syntax"),
        ("(fast_period < 3", "was never closed"),
        ("fast_period = 3", "one condition is needed, such as"),
        ("fast_period < 3\nwidth < 1", "line 2, column 1: one condition is needed"),
        ("", "line 1, column 1: one condition is needed"),
        ("# nothing", "one condition is needed"),
        ("require(fast_period < 3)", "is a statement of its own"),
        ("close > fast_period", "line 1, column 1: a condition compares parameters; this changes from bar to bar"),
        ("mode == 'mild'", "line 1, column 9: mode is never 'mild'; did you mean 'wild'"),
        ("mode < 'wild'", "texts are compared with == or !="),
        ("guard == 1", "a side of a comparison must be a number, found a condition"),
        ("fast_period if guard else 3", "'if' is not part of the rule language"),
        ("__import__('os')", "begins with an underscore"),
        ("fast_period < 1e999", "the number is too large"),
        ("1 / 0 < fast_period", "no finite value"),
        ("(" * 30 + "guard" + ")" * 30, "nested more than"),
        ("mode == 'träge' and fast < 1", "column 21: unknown name 'fast'"),
        ("guard and " * 4_000 + "guard", "too long"),
    ],
)
def test_a_wrong_condition_is_refused_with_its_path_place_and_the_nearest_name(text: str, says: str) -> None:
    with pytest.raises(Invalid, match=says) as caught:
        read_conditions(["fast_period < slow_period", text], PARAMETERS)
    assert [error.path for error in caught.value.errors] == ["/data/conditions/1"]


def test_every_wrong_condition_is_named_at_once() -> None:
    with pytest.raises(Invalid) as caught:
        read_conditions(["fast < 3", "fast_period < 3", "slow < 3"], PARAMETERS, "/conditions")
    assert [error.path for error in caught.value.errors] == ["/conditions/0", "/conditions/2"]


def test_conditions_that_grow_too_large_are_refused() -> None:
    sums = [f"fast_period * {i} + width < {i + 7_000}" for i in range(1, 400)]
    with pytest.raises(Invalid, match="too large") as caught:
        read_conditions(sums, PARAMETERS)
    assert len(caught.value.errors) == 1


def test_what_a_strategy_requires_is_a_condition_too() -> None:
    strategy = Strategy.parse(
        "fast = Int(5, 2, 50)\nslow = Int(20, 5, 400)\nstop = Float(0.05, 0.0, 0.5)\n"
        "require(fast < slow and stop < 0.4)\nrequire(slow < 300)\n"
        "enter_long(close > sma(close, fast))\nstop_loss(stop)\n"
    )
    parts = required(strategy)
    assert sorted(part.columns for part in parts) == [(0, 1), (1,), (2,)]
    points = encode_points(strategy.parameters, {"fast": [5, 30, 5], "slow": [20, 20, 350]})
    kept = np.logical_and.reduce([part.holds(points) for part in parts])
    assert kept.tolist() == strategy.valid(points).tolist() == [True, False, False]
    assert required(builtin("grid_v1.2")) == ()
