"""What analyses of searches find, as values: the same in the library, on the wire and in the command line.

A score stands here as it is read: the target's own value, of a target to be minimized as well. A trial's `index` is its
number in the search.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from tunesmith.domain.parameters import ParamValues, RangeSpec, Scalar

QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)

ImportanceMethod = Literal["fanova", "ped_anova"]
Statistic = Literal["mean", "median", "best"]


class Axis(msgspec.Struct, frozen=True, kw_only=True):
    """The positions of a parameter: its `values`, or bins from one of `edges` to the next (the last edge included)."""

    parameter: str
    values: list[Scalar] | None = None
    edges: list[float] | None = None

    @property
    def size(self) -> int:
        return len(self.values or ()) if self.edges is None else len(self.edges) - 1


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """A search in numbers: how many trials have a score and keep the constraints, and how scores are distributed.

    `best` is a trial's number. `quantiles` are of the defined scores, at 0, 5, 25, 50, 75, 95 and 100 %, from small to
    large; null without any.
    """

    n_trials: int
    n_defined: int
    n_eligible: int
    best: int | None
    best_params: ParamValues | None
    best_score: float | None
    quantiles: list[float | None]


class RankedTrial(msgspec.Struct, frozen=True, kw_only=True):
    """A trial in a ranking: `value` is what it was ranked by."""

    index: int
    params: ParamValues
    value: float
    eligible: bool


class Front(msgspec.Struct, frozen=True, kw_only=True):
    """The Pareto front, best in the first target first; `knee` is a position in it, null where it is empty.

    `values` are raw ones, a list for each trial in the order of the targets. Of a front of very many trials, `size` in
    all, those are here that are spread evenly along it, both its ends and the knee among them.
    """

    targets: list[str]
    indices: list[int]
    params: list[ParamValues]
    values: list[list[float]]
    knee: int | None
    size: int


class Effect(msgspec.Struct, frozen=True, kw_only=True):
    """One-way analysis of variance of the score by a parameter's values (bins where there are many).

    `explained` is the share of the scores' variance between groups (eta squared); `f` and `p_value` test whether all
    groups have one mean. Trials of a search are no random sample, so `p_value` ranks rather than proves. Null where
    undefined: fewer than two groups, or scores that do not vary within them.
    """

    parameter: str
    n_groups: int
    explained: float | None
    f: float | None
    p_value: float | None


class Importance(msgspec.Struct, frozen=True, kw_only=True):
    """A parameter's share of what the parameters explain by themselves; all shares sum to 1, or are 0."""

    parameter: str
    share: float


class Correlations(msgspec.Struct, frozen=True, kw_only=True):
    """Spearman's rank correlations of the searched parameters.

    `with_score` over all trials with a score; `among_good[i][j]` of parameters i and j over the `n_good` best: what
    moves together where results are good. Null where undefined: one value, fewer than three trials, and choices of
    more than two, which have no order.
    """

    parameters: list[str]
    with_score: list[float | None]
    among_good: list[list[float | None]]
    n_good: int


class Marginal(msgspec.Struct, frozen=True, kw_only=True):
    """Scores at each position of a parameter, over everything else that was tried there.

    `count`, `mean` and `median` are of the trials with a score, `best` of the eligible ones; null where there is none.
    """

    axis: Axis
    count: list[int]
    n_eligible: list[int]
    mean: list[float | None]
    median: list[float | None]
    best: list[float | None]


class HeatMap(msgspec.Struct, frozen=True, kw_only=True):
    """One statistic over two parameters: `rows[j][i]` at position j of `y` and i of `x`, null where nothing was tried.

    `count` has the trials with a score behind each. With `through` only the trials count that have the same values of
    all other parameters as that trial: a slice in the strict sense.
    """

    x: Axis
    y: Axis
    statistic: Statistic
    rows: list[list[float | None]]
    count: list[list[int]]
    through: int | None = None


class Improvement(msgspec.Struct, frozen=True, kw_only=True):
    """A trial that was better than all before it."""

    index: int
    score: float


class Convergence(msgspec.Struct, frozen=True, kw_only=True):
    """Best score so far, among eligible trials.

    `best_so_far[i]` is that after `n_done[i]` trials, null before the first; `n_since` counts the trials after the last
    improvement.
    """

    improvements: list[Improvement]
    n_done: list[int]
    best_so_far: list[float | None]
    n_since: int


class Edge(msgspec.Struct, frozen=True, kw_only=True):
    """The best trial lies at an end of the searched range, beyond which the strategy allows more values."""

    parameter: str
    end: Literal["low", "high"]


COST_OF_SEARCHING_ON = (
    "Each further search counts as another try on this market. Ranges around an earlier winner do not make a weaker "
    "claim: they were chosen by a search, which counts with them."
)
"""What a person is told wherever a next search is proposed: narrowing down is no way to a verdict."""


class Recommendation(msgspec.Struct, frozen=True, kw_only=True):
    """Ranges for a further search, as a request's `param_ranges` takes them; see `COST_OF_SEARCHING_ON`.

    `size` and `size_before` are the numbers of grid points, conditions between parameters not counted. `fixed` says why
    a parameter that was searched now has one value. `edges` are where a wider range could hold something better.
    """

    param_ranges: dict[str, RangeSpec]
    fixed: dict[str, Literal["all_good_agree", "does_not_matter"]]
    edges: list[Edge]
    n_good: int
    size: int
    size_before: int


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """Search `b` beside search `a`, whose scores mean the same.

    `superiority` is the chance that a trial of b is better than one of a, ties counting half, and `p_value` that of the
    two-sided Mann-Whitney test that it is one half; trials of a search that learns are no random sample, so it
    describes rather than proves. `n_common` points were tried in both, of which `n_better` are better in b and
    `n_worse` worse; `mean_difference` and `largest_difference` are of b's score less a's there, where both are defined.
    Null where undefined; `n_common` is null where the searches do not have the same parameters.
    """

    a: Summary
    b: Summary
    best_difference: float | None
    superiority: float | None
    p_value: float | None
    n_common: int | None
    n_better: int | None
    n_worse: int | None
    mean_difference: float | None
    largest_difference: float | None
