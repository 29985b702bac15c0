"""Criteria and their defaults, which settings and library share."""

from __future__ import annotations

import math

from tunesmith.config import Decision
from tunesmith.domain.criteria import (
    CRITERIA,
    DEFAULT_CRITERIA,
    HOLDOUT_SHARE,
    MIN_BARS,
    bounds,
    keeps,
    merge,
    search_floor,
)
from tunesmith.domain.messages.verdicts import ApprovalCriteria


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
