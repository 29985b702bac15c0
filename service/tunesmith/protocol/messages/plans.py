"""Messages that tell beforehand what a search or a verdict takes, and what a search costs later verdicts."""

from __future__ import annotations

from tunesmith.domain.names import Id
from tunesmith.protocol.envelope import Reply, Request
from tunesmith.protocol.messages.optimizations import StartOptimization


class PlanSearch(StartOptimization, frozen=True, kw_only=True):
    """`search.plan`: what a search would take and cost. It is not made, and counts as no try.

    Its fields are those of `optimization.start`.
    """


class SearchPlanReply(Reply, frozen=True, kw_only=True):
    """What a search would be, on so many bars, in `seconds` of one worker.

    Every later verdict on its markets counts it: its null is that of `n_points` points (all of the ranges for a method
    that learns), which adds `verdict_seconds` of one worker at worst, `verdict_seconds_typical` where the verdict is
    refused soon, and at most `tries` to the tries that lower the limit. `n_counted` searches count there by now. `told`
    says it in a sentence.
    """

    method: str
    n_trials: int
    n_bars: int
    seconds: float
    n_points: int
    verdict_seconds: float
    verdict_seconds_typical: float
    tries: float
    n_counted: int
    told: str


class PlanVerdict(Request, frozen=True, kw_only=True):
    """`verdict.plan`: what stands behind a verdict on a search, before it is asked for. It is no look."""

    optimization_id: Id


class VerdictPlanReply(Reply, frozen=True, kw_only=True):
    """The searches that would count, and what the test would take.

    Of `n_searches`, `n_own` are the asker's or those of the search's owner, `n_opened` others' whose results they
    opened, `n_related` on markets that move alike; they made `n_trials` trials. `n_foreign` more, of others, may raise
    p. It would be look number `look` at this hold-out; `burnt` says why there can be none. They count as at least 1 and
    at most `tries_at_most` independent tries, so that an approval asks for a p between `level_at_least` and
    `level_at_most`. The test takes up to `n_draws` permuted markets on either side and `seconds` of one worker at
    worst; what is known of earlier verdicts is not made again.
    """

    n_searches: int
    n_own: int
    n_opened: int
    n_related: int
    n_foreign: int
    n_trials: int
    look: int
    burnt: str | None
    tries_at_most: int
    level_at_least: float
    level_at_most: float
    n_draws: int
    seconds: float
    seconds_typical: float
    told: str
