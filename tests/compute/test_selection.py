"""Which trial is best."""

from __future__ import annotations

import numpy as np
import pytest

from tunesmith.compute.selection import best_trial, eligible, target_metric
from tunesmith.domain.messages.verdicts import ApprovalCriteria
from tunesmith.errors import Invalid

NAN = float("nan")
METRICS = {
    "sharpe": np.array([0.5, NAN, 2.0, 1.0, 1.0]),
    "max_drawdown": np.array([0.3, 0.1, 0.6, 0.2, 0.2]),
    "n_trades": np.array([20.0, 0.0, 3.0, 15.0, 15.0]),
}
NONE = ApprovalCriteria()


def test_the_best_defined_value_wins_and_undefined_never_does() -> None:
    assert best_trial(METRICS, "sharpe", NONE) == 2


def test_constraints_take_trials_out_and_the_first_of_equals_wins() -> None:
    assert best_trial(METRICS, "sharpe", ApprovalCriteria(min_trades=10)) == 3


def test_a_metric_that_is_better_when_smaller_is_minimized() -> None:
    assert best_trial(METRICS, "drawdown", ApprovalCriteria(min_trades=10)) == 3


def test_without_an_eligible_trial_there_is_no_best() -> None:
    assert best_trial(METRICS, "sharpe", ApprovalCriteria(min_trades=100)) is None


def test_an_undefined_value_breaks_its_bound() -> None:
    assert eligible(METRICS, ApprovalCriteria(min_sharpe=-9.0)).tolist() == [True, False, True, True, True]


def test_an_unknown_target_gets_the_nearest_name() -> None:
    with pytest.raises(Invalid, match="did you mean 'sharpe'"):
        target_metric("sharp")
    assert target_metric("return") == "total_return"
