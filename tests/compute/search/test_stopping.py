"""Early stopping: decided at the ends of batches by what was told, and by nothing else."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunesmith.compute.search.pareto import non_dominated
from tunesmith.compute.search.stopping import EarlyStop, FrontProgress, Stop
from tunesmith.domain.search.stop_rules import StopRules

NAN = float("nan")


def stop_after(rules: StopRules, best: list[float], **told: object) -> Stop | None:
    """Batches of ten trials with these best scores so far, a second each."""
    early = EarlyStop(rules, **told)  # type: ignore[arg-type]
    for i, score in enumerate(best):
        early.told(10 * (i + 1), score, elapsed_s=float(i + 1))
    return early.stop


def test_without_rules_a_search_goes_on() -> None:
    assert stop_after(StopRules(), [1.0] * 50) is None


def test_it_ends_after_so_many_batches_without_a_better_score() -> None:
    rules = StopRules(patience=3)
    assert stop_after(rules, [1.0, 2.0, 2.0, 2.0]) is None
    assert stop_after(rules, [1.0, 2.0, 2.0, 2.0, 2.0, 9.0]) == Stop(50, "no_improvement")
    assert stop_after(rules, [1.0, 1.0, 1.0, 1.1, 1.1, 1.1, 1.1]) == Stop(70, "no_improvement")


def test_a_gain_that_is_too_small_does_not_count_but_small_ones_add_up() -> None:
    rules = StopRules(patience=2, least_improvement=0.5)
    assert stop_after(rules, [1.0, 1.4, 1.45]) == Stop(30, "no_improvement")
    assert stop_after(rules, [1.0, 1.4, 1.6, 1.9, 2.2]) is None


def test_patience_waits_for_a_first_score() -> None:
    rules = StopRules(patience=2)
    assert stop_after(rules, [NAN, NAN, NAN, -math.inf]) is None
    assert stop_after(rules, [NAN, NAN, 1.0, 1.0, 1.0]) == Stop(50, "no_improvement")


def test_a_target_is_reached_in_the_targets_own_direction() -> None:
    assert stop_after(StopRules(target=2.0), [1.0, 2.0, 3.0]) == Stop(20, "target_reached")
    assert stop_after(StopRules(target=0.1), [-0.3, -0.1], sign=-1.0) == Stop(20, "target_reached")
    assert stop_after(StopRules(target=0.05), [-0.3, -0.1], sign=-1.0) is None


def test_a_small_gain_still_reaches_the_target() -> None:
    assert stop_after(StopRules(target=2.0, least_improvement=0.5), [1.8, 2.0]) == Stop(20, "target_reached")


def test_time_runs_out_at_the_end_of_a_batch_and_a_resume_stops_at_the_same_trial() -> None:
    rules = StopRules(time_budget_s=2.5)
    assert stop_after(rules, [1.0] * 5) == Stop(30, "time_budget")
    assert stop_after(rules, [1.0] * 2) is None
    assert stop_after(rules, [1.0] * 9, frozen_at=50) == Stop(50, "time_budget")


def test_once_stopped_it_stays_so_and_batches_come_in_order() -> None:
    early = EarlyStop(StopRules(target=1.0))
    assert early.told(10, 0.5) is None
    with pytest.raises(ValueError, match="cannot follow"):
        early.told(10, 0.6)
    assert early.told(20, 1.0) == early.told(30, 0.0) == Stop(20, "target_reached")


@settings(max_examples=200, deadline=None)
@given(st.lists(st.floats(-5, 5), min_size=1, max_size=40), st.integers(1, 5), st.integers(0, 40))
def test_a_resumed_search_ends_where_an_uninterrupted_one_does(scores: list[float], patience: int, cut: int) -> None:
    best = np.maximum.accumulate(scores).tolist()
    rules = StopRules(patience=patience, target=4.0)
    whole = stop_after(rules, best)
    part = stop_after(rules, best[:cut])
    assert part is None or part == whole
    if whole is not None:
        assert (part == whole) == (cut * 10 >= whole.n_trials)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 4), st.integers(1, 80), st.integers(1, 20), st.integers(0, 2**31))
def test_the_front_of_batches_is_the_front_of_all(k: int, n: int, size: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, 6, (n, k)).astype(float)
    scores[rng.random(n) < 0.1] = NAN
    keep = rng.random(n) < 0.8
    progress = FrontProgress()
    told = [progress.told(scores[lo : lo + size], keep[lo : lo + size]) for lo in range(0, n, size)]
    assert all(a <= b for a, b in pairwise([0, *told]))
    allowed = scores[keep & ~np.isnan(scores).any(axis=1)]
    assert told[-1] >= len(non_dominated(allowed))
    assert progress.told(allowed, np.ones(len(allowed), bool)) == told[-1]
