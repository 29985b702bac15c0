"""What `auto` takes, and the reason that it gives."""

from __future__ import annotations

import pytest

from compute.search.samplers.search import region_of
from tunesmith.compute.search.feasible_space import Region
from tunesmith.compute.search.samplers.auto_method import choose
from tunesmith.domain.parameters import Parameter

SMALL = region_of(tuple(Parameter(name=n, kind="int", default=0, low=0, high=9) for n in "ab"), conditions=["a < b"])
LARGE = region_of(tuple(Parameter(name=n, kind="int", default=0, low=0, high=99) for n in "abc"))
CONTINUOUS = region_of((Parameter(name="x", kind="float", default=0.5, low=0.0, high=1.0),))


@pytest.mark.parametrize(
    ("region", "n_trials", "n_targets", "method", "says"),
    [
        (SMALL, 10, 1, "grid", "45 points"),
        (SMALL, 10, 2, "grid", "45 points"),
        (LARGE, 100, 1, "genetic", "1,000,000 points, more than the 10,000"),
        (LARGE, 50_000, 1, "genetic", "more than the 50,000"),
        (LARGE, 10**6, 1, "grid", "1,000,000 points"),
        (LARGE, 100, 2, "nsga2", "2 targets"),
        (CONTINUOUS, 10**6, 1, "genetic", "continuous"),
    ],
)
def test_the_choice_and_its_reason(region: Region, n_trials: int, n_targets: int, method: str, says: str) -> None:
    choice = choose(region, n_trials, n_targets)
    assert choice.method == method
    assert says in choice.reason
    assert choice.reason.endswith(".")
