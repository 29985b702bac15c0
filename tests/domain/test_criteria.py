"""Criteria and their defaults, which settings and library share."""

from __future__ import annotations

import math

import pytest

from tunesmith.config import Decision
from tunesmith.domain.approval import ApprovalCriteria
from tunesmith.domain.criteria import (
    CRITERIA,
    DEFAULT_CRITERIA,
    HOLDOUT_SHARE,
    MAX_CONSTRAINTS,
    MIN_BARS,
    Bound,
    bounds,
    keeps,
    merge,
    parse_constraint,
    parse_constraints,
    search_floor,
)
from tunesmith.errors import Invalid


def test_the_settings_have_the_same_defaults() -> None:
    settings = Decision()
    names = ApprovalCriteria.__struct_fields__
    assert {name: getattr(settings, name) for name in names} == {
        name: getattr(DEFAULT_CRITERIA, name) for name in names
    }
    assert (settings.holdout_share, settings.min_bars) == (HOLDOUT_SHARE, MIN_BARS)
    assert set(Decision.__struct_fields__) == {*names, "holdout_share", "min_bars"}


def test_every_criterion_bounds_a_metric() -> None:
    assert {name for name, _, _ in CRITERIA} == set(ApprovalCriteria.__struct_fields__)


def test_a_search_takes_the_number_of_trades_alone_from_the_default_of_an_approval() -> None:
    default = ApprovalCriteria(min_sharpe=2.0, min_trades=7)
    assert search_floor(default) == ApprovalCriteria(min_trades=7)
    assert merge(ApprovalCriteria(min_sharpe=1.0), search_floor(default)) == ApprovalCriteria(
        min_sharpe=1.0, min_trades=7
    )
    assert merge(ApprovalCriteria(min_trades=0), search_floor(default)).min_trades == 0


def test_a_bound_keeps_its_limit_and_breaks_on_what_is_undefined() -> None:
    least, most = bounds(ApprovalCriteria(min_sharpe=1.0, max_drawdown=0.2))
    assert (keeps(least, 1.0), keeps(least, 0.99), keeps(most, 0.2), keeps(most, 0.21)) == (True, False, True, False)
    assert not any(keeps(bound, value) for bound in (least, most) for value in (None, math.nan))


@pytest.mark.parametrize(
    ("text", "bound"),
    [
        ("n_trades >= 30", Bound("n_trades >= 30", "n_trades", 30.0, True)),
        (" drawdown<=.3 ", Bound("drawdown <= .3", "max_drawdown", 0.3, False)),
        ("sharpe >= -1e-2", Bound("sharpe >= -1e-2", "sharpe", -0.01, True)),
    ],
)
def test_a_constraint_is_a_metric_a_sign_and_a_number(text: str, bound: Bound) -> None:
    assert parse_constraint(text, "/c") == bound


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sharp >= 1", "did you mean 'sharpe'"),
        ("sharpe > 1", "write a metric, >= or <=, and a number"),
        ("sharpe >= one", "is no constraint"),
        ("sharpe >= 1e999", "too large a limit"),
        ("1 <= sharpe", "is no constraint"),
        ("sharpe >= 1; n_trades >= 3", "is no constraint"),
    ],
)
def test_another_form_is_refused(text: str, message: str) -> None:
    with pytest.raises(Invalid, match=message):
        parse_constraint(text, "/c")


def test_every_refused_constraint_is_named_with_its_path() -> None:
    with pytest.raises(Invalid) as refused:
        parse_constraints(["n_trades >= 1", "x >= 1", "sharpe"], "/data/constraints")
    assert [error.path for error in refused.value.errors] == ["/data/constraints/1", "/data/constraints/2"]
    with pytest.raises(Invalid, match="at most 32"):
        parse_constraints(["sharpe >= 1"] * (MAX_CONSTRAINTS + 1))
