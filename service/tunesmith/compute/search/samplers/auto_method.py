"""What `auto` is: the method that suits a search, and why."""

from __future__ import annotations

from dataclasses import dataclass

from tunesmith.compute.search.feasible_space import Region

AFFORDABLE = 10_000
"""Points that are all tried though the request allows fewer trials: a second or two."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A method by its name, and the reason as a sentence."""

    method: str
    reason: str


def choose(region: Region, n_trials: int, n_targets: int = 1, affordable: int = AFFORDABLE) -> Choice:
    """The method for at most `n_trials` of `region` with `n_targets` targets, where the request leaves it open.

    Every point where they are no more than `n_trials` or `affordable`; else nsga2 for several targets, genetic for one.
    """
    limit = max(n_trials, affordable)
    if region.is_discrete and region.size.n <= limit:
        return Choice(
            "grid", f"All {region.size.n:,} points are tried, which takes no longer than choosing among them."
        )
    if region.is_discrete:
        about = "" if region.size.exact else "about "
        why = f"there are {about}{region.size.n:,} points, more than the {limit:,} that are tried one and all"
    else:
        why = "a continuous range has no end of points"
    if n_targets > 1:
        return Choice("nsga2", f"NSGA-II looks for the front of {n_targets} targets: {why}.")
    return Choice("genetic", f"A genetic search follows the best points found: {why}.")
