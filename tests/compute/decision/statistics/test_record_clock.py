"""The record clock counts what sets records, in whole ticks; against the plain definition, draw by draw."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tunesmith.compute.decision.statistics.record_clock import (
    N_DRAWS,
    TAIL,
    TRY,
    Clock,
    count_search,
    new_clock,
)

ERA = 1_700_000_000_000


def counted(nulls: list[np.ndarray], eras: list[int] | None = None) -> Clock:
    clock = new_clock()
    for i, null in enumerate(nulls):
        clock = count_search(clock, null, ERA if eras is None else eras[i])
    return clock


def slow_records(before: list[float], null: list[float]) -> int:
    after = [max(a, b) for a, b in zip(before, null, strict=True)]
    top = sorted(range(N_DRAWS), key=lambda b: (-after[b], b))[:TAIL]
    level = after[top[-1]]
    return sum(1 for b in top if before[b] < level and after[b] > before[b])


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(2, 6), st.sampled_from([3, 50, 10_000]))
def test_ticks_are_those_of_the_definition(seed: int, n: int, n_values: int) -> None:
    rng = np.random.default_rng(seed)
    nulls = [rng.integers(0, n_values, N_DRAWS).astype(float) for _ in range(n)]
    nulls[-1][rng.random(N_DRAWS) < 0.5] = -np.inf
    before, ticks = list(nulls[0]), TRY
    for null in nulls[1:]:
        ticks += 1 + slow_records(before, list(null))
        before = [max(a, b) for a, b in zip(before, null, strict=True)]
    clock = counted(nulls)
    assert clock.ticks == ticks
    np.testing.assert_array_equal(clock.best, before)


def test_the_same_search_again_costs_one_tick_and_one_that_adds_nothing_none() -> None:
    null = np.random.default_rng(1).normal(size=N_DRAWS)
    once = counted([null])
    assert once.ticks == TRY
    assert once.tries == 1.0
    assert count_search(once, null, ERA).ticks == TRY + 1
    assert count_search(once, null, ERA, adds_nothing=True) == once
    assert count_search(once, np.full(N_DRAWS, -np.inf), ERA).ticks == TRY + 1


def test_the_first_search_of_an_era_is_a_whole_try() -> None:
    null = np.random.default_rng(2).normal(size=N_DRAWS)
    assert counted([null] * 4, [1, 1, 2, 2]).ticks == TRY + 1 + TRY + 1


def test_the_kth_independent_search_costs_about_a_kth_of_a_try() -> None:
    rng, n_lives = np.random.default_rng(20_261_130), 400
    added = np.zeros((n_lives, 10))
    for life in range(n_lives):
        clock = new_clock()
        for k in range(10):
            before = clock.ticks
            clock = count_search(clock, rng.normal(size=N_DRAWS), ERA)
            added[life, k] = clock.ticks - before
    ks = np.arange(2, 11)
    error = added[:, 1:].std(axis=0) / np.sqrt(n_lives)
    assert (np.abs(added[:, 1:].mean(axis=0) - (1.0 + TAIL / ks)) < 5.0 * error).all()
