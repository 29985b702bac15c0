"""A search method is added from outside the package by a sampler and one line; test_samplers.py holds it too."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

import numpy as np
import pytest

import tunesmith as ts
from contracts.neighbours import NEIGHBOURS, neighbours
from reference.cases import random_bars
from tunesmith.compute.search.samplers import SAMPLERS, register
from tunesmith.compute.search.search import Market, Search
from tunesmith.compute.simulation.execution import Execution
from tunesmith.compute.strategies import builtin
from tunesmith.domain.search.methods import Method, MethodOptions
from tunesmith.domain.search.search_plan import SearchPlan
from tunesmith.errors import Invalid

RULE = "ma_cross_v1.0"
BARS = random_bars(np.random.default_rng(3), 500)


@pytest.fixture
def toy() -> Iterator[None]:
    with neighbours():
        yield


def test_requests_may_name_exactly_the_methods_of_the_table() -> None:
    assert set(get_args(Method)) == {"auto", *SAMPLERS}
    assert all(name == method.name for name, method in SAMPLERS.items())


def test_the_notebook_searches_by_it(toy: None) -> None:
    asked: dict[str, Any] = {"method": "neighbours", "max_iterations": 60, "constraints": ["n_trades >= 1"]}
    study, again, other = (ts.optimize(builtin(RULE), BARS, seed=seed, **asked) for seed in (4, 4, 5))
    scores = study.table.metrics["sharpe"]
    assert len(scores) == 60
    assert study.best_score == np.nanmax(scores)
    np.testing.assert_array_equal(again.table.metrics["sharpe"], scores)
    assert not np.array_equal(other.table.metrics["sharpe"], scores, equal_nan=True)


def test_a_search_by_it_goes_on_where_it_stopped(toy: None) -> None:
    options = MethodOptions(n_initial=20)
    plan = SearchPlan(target="sharpe", method="neighbours", n_trials=60, seed=5, options=options)
    markets = [Market(BARS.symbol, BARS, Execution())]
    whole = Search(builtin(RULE), plan)
    assert whole.learns
    points, scores = [], []
    while whole.n_told < 60:
        found = whole.evaluate(markets, whole.n_told, 60)
        points.append(found.points)
        scores.append(found.scores)
        whole.tell(found.points, found.scores)
    assert [len(each) for each in points] == [20, 8, 8, 8, 8, 8]
    resumed = Search(builtin(RULE), plan)
    resumed.tell(np.concatenate(points[:3]), np.concatenate(scores[:3]))
    np.testing.assert_array_equal(resumed.evaluate(markets, 36, 44).points, points[3])


def test_its_name_is_its_own_and_its_options_are_checked(toy: None) -> None:
    with pytest.raises(ValueError, match="'neighbours' already"):
        register(NEIGHBOURS)
    with pytest.raises(Invalid, match="did you mean 'neighbours'"):
        ts.optimize(builtin(RULE), BARS, method="neighbour")  # type: ignore[arg-type]
    with pytest.raises(Invalid, match="it has n_initial") as refused:
        ts.optimize(builtin(RULE), BARS, method="neighbours", options=MethodOptions(batch=3))  # type: ignore[arg-type]
    assert refused.value.path == "/options/batch"
