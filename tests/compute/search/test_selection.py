"""Which trials are best: constraints, ties, the front and its knee, and one number from several symbols."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunesmith.compute.search.pareto import non_dominated
from tunesmith.compute.search.selection import (
    aggregate,
    best_of,
    eligible,
    knee,
    pareto_front,
    ranked,
)
from tunesmith.domain.approval import ApprovalCriteria
from tunesmith.domain.criteria import parse_constraints

NAN = float("nan")
METRICS = {
    "sharpe": np.array([0.5, NAN, 2.0, 1.0, 1.0]),
    "max_drawdown": np.array([0.3, 0.1, 0.6, 0.2, 0.2]),
    "n_trades": np.array([20.0, 0.0, 3.0, 15.0, 15.0]),
}
NONE = ApprovalCriteria()


def dominated_by_definition(rows: np.ndarray) -> list[int]:
    """Indices of the rows that another dominates or an earlier one equals."""
    return [
        i
        for i, row in enumerate(rows)
        if ((rows >= row).all(axis=1) & (rows > row).any(axis=1)).any() or (rows[:i] == row).all(axis=1).any()
    ]


def test_the_best_defined_value_wins_and_undefined_never_does() -> None:
    assert best_of(METRICS["sharpe"], eligible(METRICS, NONE)) == 2


def test_constraints_take_trials_out_and_the_first_of_equals_wins() -> None:
    assert best_of(METRICS["sharpe"], eligible(METRICS, ApprovalCriteria(min_trades=10))) == 3
    assert best_of(METRICS["sharpe"], eligible(METRICS, parse_constraints(["n_trades >= 10", "drawdown <= 0.25"]))) == 3


def test_the_smallest_wins_where_the_sign_makes_less_better() -> None:
    assert best_of(-METRICS["max_drawdown"], eligible(METRICS, ApprovalCriteria(min_trades=10))) == 3


def test_without_an_eligible_trial_there_is_no_best() -> None:
    assert best_of(METRICS["sharpe"], eligible(METRICS, ApprovalCriteria(min_trades=100))) is None
    assert best_of(np.array([NAN, NAN]), np.array([True, True])) is None
    assert best_of(np.empty(0), np.empty(0, bool)) is None


def test_an_undefined_value_breaks_its_bound() -> None:
    assert eligible(METRICS, ApprovalCriteria(min_sharpe=-9.0)).tolist() == [True, False, True, True, True]
    assert eligible(METRICS, parse_constraints(["sharpe <= 9"])).tolist() == [True, False, True, True, True]
    assert eligible(METRICS, ()).all()


def test_ranks_leave_out_the_undefined_and_keep_the_order_of_equals() -> None:
    scores = np.array([1.0, NAN, 3.0, 1.0, 2.0, 1.0, 9.0])
    keep = np.array([True, True, True, True, True, True, False])
    assert ranked(scores, keep, 4).tolist() == [2, 4, 0, 3]
    assert ranked(scores, keep, 2, worst=True).tolist() == [0, 3]
    assert ranked(scores, keep, 100).tolist() == [2, 4, 0, 3, 5]
    assert ranked(scores, keep, 0).tolist() == []


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 5), st.integers(0, 300), st.integers(1, 400), st.integers(0, 2**32))
def test_the_front_is_what_nothing_dominates(k: int, n: int, n_levels: int, seed: int) -> None:
    rows = np.random.default_rng(seed).integers(0, n_levels, (n, k)).astype(np.float64)
    found = non_dominated(rows)
    assert sorted(found.tolist()) == sorted(set(range(n)) - set(dominated_by_definition(rows)))
    assert rows[found].tolist() == sorted(rows[found].tolist(), reverse=True)


@pytest.mark.parametrize("k", [2, 3, 4])
def test_a_front_that_holds_every_trial(k: int) -> None:
    rows = np.abs(np.random.default_rng(1).normal(size=(3000, k)))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    assert len(non_dominated(rows)) == 3000


def test_the_front_takes_no_undefined_and_no_refused_trial() -> None:
    scores = np.array([[1.0, 3.0], [3.0, NAN], [2.0, 2.0], [2.0, 2.0], [9.0, 9.0], [1.0, 1.0]])
    keep = np.array([True, True, True, True, False, True])
    assert pareto_front(scores, keep).tolist() == [2, 0]
    assert pareto_front(scores, np.zeros(6, bool)).tolist() == []


def test_the_knee_is_where_both_are_nearly_at_their_best() -> None:
    front = np.array([[10.0, 0.0], [9.0, 90.0], [5.0, 95.0], [0.0, 100.0]])
    assert knee(front) == 1
    assert knee(front[:1]) == 0
    assert knee(front[:0]) is None


@pytest.mark.parametrize("k", [2, 3, 4])
def test_hundreds_of_thousands_of_trials_take_seconds(k: int) -> None:
    scores = np.random.default_rng(0).normal(size=(436_800, k))
    begun = time.process_time()
    front = pareto_front(scores, np.ones(len(scores), bool))
    best = ranked(scores[:, 0], np.ones(len(scores), bool), 100)
    assert time.process_time() - begun < 4.0  # a second on a machine that does nothing else
    assert front[0] == best[0] == scores[:, 0].argmax()


def test_several_symbols_become_one_by_mean_median_or_the_worst() -> None:
    by_symbol = {
        "A": {"sharpe": np.array([1.0, 1.0]), "max_drawdown": np.array([0.1, 0.1])},
        "B": {"sharpe": np.array([2.0, NAN]), "max_drawdown": np.array([0.2, 0.2])},
        "C": {"sharpe": np.array([6.0, 6.0]), "max_drawdown": np.array([0.6, 0.6])},
    }
    for how, sharpe, drawdown in (("mean", 3.0, 0.3), ("median", 2.0, 0.2), ("minimum", 1.0, 0.6)):
        found = aggregate(by_symbol, how)  # type: ignore[arg-type]
        assert found["sharpe"][0] == pytest.approx(sharpe)
        assert np.isnan(found["sharpe"][1])
        assert found["max_drawdown"].tolist() == pytest.approx([drawdown, drawdown])


def test_a_trial_without_a_losing_trade_keeps_a_lower_bound_on_the_profit_factor() -> None:
    undefined = np.array([np.nan, np.nan, np.nan, 2.0, 0.5])
    metrics = {
        "profit_factor": undefined,
        "n_trades": np.array([3.0, 0.0, 4.0, 5.0, 5.0]),
        "win_rate": np.array([1.0, np.nan, 0.5, 0.8, 0.4]),
    }
    for bounds in (parse_constraints(["profit_factor >= 1.5"]), ApprovalCriteria(min_profit_factor=1.5)):
        assert eligible(metrics, bounds, lossless_keeps=True).tolist() == [True, False, False, True, False]
        assert eligible(metrics, bounds).tolist() == [False, False, False, True, False], "as searches were before"
    upper = eligible(metrics, parse_constraints(["profit_factor <= 1.5"]), lossless_keeps=True)
    assert upper.tolist() == [False, False, False, False, True]
