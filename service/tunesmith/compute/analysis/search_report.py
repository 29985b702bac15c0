"""One search in full: everything that is worth a look, in one value."""

from __future__ import annotations

import msgspec

from tunesmith.compute.analysis.convergence import convergence
from tunesmith.compute.analysis.correlation import correlations
from tunesmith.compute.analysis.importance import effects, importances
from tunesmith.compute.analysis.landscape import marginals
from tunesmith.compute.analysis.ranking import ranking, summary
from tunesmith.compute.analysis.recommendation import narrow, recommend
from tunesmith.compute.analysis.trial_set import Trials
from tunesmith.domain.search.findings import (
    COST_OF_SEARCHING_ON,
    Convergence,
    Correlations,
    Effect,
    Importance,
    ImportanceMethod,
    Marginal,
    RankedTrial,
    Recommendation,
    Summary,
)


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What a search found. `next_search` holds the good trials; `narrowed` fixes what does not matter besides.

    `cost` says what a further search in either costs later verdicts.
    """

    summary: Summary
    top: list[RankedTrial]
    bottom: list[RankedTrial]
    importances: list[Importance]
    effects: list[Effect]
    correlations: Correlations
    marginals: list[Marginal]
    convergence: Convergence
    next_search: Recommendation | None
    narrowed: Recommendation | None
    cost: str = COST_OF_SEARCHING_ON


def report(trials: Trials, n: int = 10, method: ImportanceMethod = "fanova") -> Report:
    """Every analysis that needs no choice but the `n` best and worst trials and the method of importance.

    Seconds for hundreds of thousands of trials.
    """
    found = importances(trials, method)
    return Report(
        summary=summary(trials),
        top=ranking(trials, n=n),
        bottom=ranking(trials, n=n, worst=True),
        importances=found,
        effects=effects(trials),
        correlations=correlations(trials),
        marginals=marginals(trials),
        convergence=convergence(trials),
        next_search=recommend(trials),
        narrowed=narrow(trials, {each.parameter: each.share for each in found}),
    )
