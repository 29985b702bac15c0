"""Expressions over metrics: Python's meaning for what is allowed, a place and a hint for what is not."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunesmith.compute.search.objective.expression import MAX_LENGTH, Expression
from tunesmith.errors import Invalid

NAN = float("nan")
METRICS = {
    "sharpe": np.array([1.5, -2.0, NAN]),
    "profit_factor": np.array([2.0, 0.5, 1.0]),
    "max_drawdown": np.array([0.25, 0.5, 0.0]),
}


def evaluated(text: str) -> list[float]:
    return Expression.parse(text, "/t").evaluate(METRICS).tolist()


def test_the_composite_of_profit_factor_sharpe_and_drawdown() -> None:
    expression = Expression.parse("profit_factor * max(0, sharpe) * (1 - drawdown)", "/t")
    assert expression.metrics == ("profit_factor", "sharpe", "max_drawdown")
    assert expression.evaluate(METRICS)[:2].tolist() == [2.0 * 1.5 * 0.75, 0.0]
    assert math.isnan(expression.evaluate(METRICS)[2])
    assert pickle.loads(pickle.dumps(expression)) == expression


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("-sharpe ** 2", -2.25),
        ("2 ** 3 ** 2 + sharpe * 0", 512.0),
        ("2 ** -1 * sharpe", 0.75),
        ("sharpe - 1 - 1", -0.5),
        ("8 / 2 / sharpe", 8 / 2 / 1.5),
        ("+sharpe + --1", 2.5),
        ("clip(sharpe, 0, 1) + abs(-sharpe) + sqrt(4) + log(exp(1)) + min(3, 2, sharpe)", 1 + 1.5 + 2 + 1 + 1.5),
        (".5e1*sharpe", 7.5),
    ],
)
def test_signs_bind_as_in_python(text: str, value: float) -> None:
    assert evaluated(text)[0] == pytest.approx(value, rel=1e-15)


@pytest.mark.parametrize("text", ["sharpe / 0", "1 / (sharpe / 0)", "log(sharpe - 1.5)", "min(1, exp(999) * sharpe)"])
def test_what_is_undefined_or_infinite_anywhere_is_undefined(text: str) -> None:
    assert math.isnan(evaluated(text)[0])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("profit_factor * sharp", "column 17: 'sharp' is no metric and no function; did you mean 'sharpe'"),
        ("sharpe * (1 - max_drawdown", r"column 27: '\)' is missing before the end; it closes column 10"),
        ("sharpe +", "column 9: a number, a metric or a bracket is missing before the end"),
        ("sharpe sharpe", "column 8: an operator is missing before 'sharpe'"),
        ("sharpe ^ 2", r"column 8: '\^' does not belong to an expression; powers are written \*\*"),
        ("max(sharpe)", "column 1: max takes 2 to 16 arguments, got 1"),
        ("2 * sqrt + sharpe", "column 5: sqrt is a function"),
        ("__import__(1)", "column 1: '__import__' is no metric and no function"),
        ("sharpe.real", "column 7: '.' does not belong"),
        ("1 + 2", "names no metric"),
        ("1e999 * sharpe", "column 1: 1e999 is too large a number"),
        ("(" * 40 + "sharpe", "nested more than 32 deep"),
        ("-" * 400 + "sharpe", "nested more than 32 deep"),
        ("2**" * 100 + "sharpe", "nested more than 32 deep"),
        ("sharpe+" * 100 + "sharpe", f"at most {MAX_LENGTH} characters"),
        ("", "column 1"),
        ("sharpe + ½", "column 10"),
    ],
)
def test_what_does_not_belong_is_refused_with_its_place(text: str, message: str) -> None:
    with pytest.raises(Invalid, match=message) as refused:
        Expression.parse(text, "/data/optimization_target")
    assert refused.value.path == "/data/optimization_target"


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(["sharpe", "(", ")", "+", "-", "**", "*", ",", "max", "1", "1e5", " ", "/", "é"])))
def test_any_text_is_an_expression_or_refused(parts: list[str]) -> None:
    text = "".join(parts)
    try:
        expression = Expression.parse(text, "/t")
    except Invalid:
        return
    assert not np.isinf(expression.evaluate(METRICS)).any()


@st.composite
def formulas(draw: st.DrawFn, depth: int = 3) -> str:
    if depth == 0 or draw(st.booleans()):
        return draw(st.sampled_from(["sharpe", "profit_factor", "2", "0.5"]))
    left, right = draw(formulas(depth - 1)), draw(formulas(depth - 1))
    form = draw(
        st.sampled_from(["{0} + {1}", "{0} - {1}", "{0} * {1}", "-{0}", "({0})", "max({0}, {1})", "({0}) ** 2"])
    )
    return form.format(left, right)


@settings(max_examples=150, deadline=None)
@given(formulas())
def test_the_value_is_pythons(text: str) -> None:
    names = {name: float(values[0]) for name, values in METRICS.items()}
    full = f"{text} + 0 * sharpe"
    expected = eval(full, {"__builtins__": {}, "max": max}, names)
    assert evaluated(full)[0] == pytest.approx(expected, rel=1e-12, abs=1e-12)
