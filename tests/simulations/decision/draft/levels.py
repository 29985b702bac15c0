"""Limits of a verdict's combined p-value, and p-values over the nulls of many searches.

One error budget is spent over a market's life: the level falls with the independent tries that searches amount to (see
`record_clock`) and with the looks at one hold-out. A look answers one bit, so what is asked after a rejection cannot
have learned more from the hold-out than that. Σ over all looks ≤ `BUDGET`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from statistics import NormalDist
from typing import NamedTuple

from tunesmith.compute.decision.statistics.permuted_markets import TIE
from tunesmith.compute.decision.statistics.record_clock import TRY

BUDGET = 0.01
"""The probability that a market without an edge is ever approved is at most this."""
FIRST_LOOK = Fraction(7, 10)
WEIGHT = 0.7
STOP_AT = 21
FEW_DRAWS, MANY_DRAWS = 999, 1999
_MANY_BELOW = 3e-4
_NORMAL = NormalDist()


def level_of(ticks: int, look: int) -> float:
    """The limit of the combined p-value for look `look` (from 1) at one hold-out after `ticks` of the record clock."""
    share = float(FIRST_LOOK) if look == 1 else float(1 - FIRST_LOOK) * 6.0 / (math.pi**2 * (look - 1) ** 2)
    return BUDGET * 0.5 * (TRY / max(ticks, TRY)) ** 2 * share


def draws_of(level: float) -> int:
    """How many permuted markets a test at this level takes."""
    return FEW_DRAWS if level >= _MANY_BELOW else MANY_DRAWS


def least_level(n_draws: int) -> float:
    """The lowest level that `n_draws` draws on either side can pass; below it the budget is spent."""
    z = -_NORMAL.inv_cdf(1.0 / (n_draws + 1))
    return _NORMAL.cdf(-(math.sqrt(WEIGHT) + math.sqrt(1.0 - WEIGHT)) * z)


def score_of(p_search: float, p_holdout: float) -> float:
    """Stouffer's z of two independent p-values, √w · z₁ + √(1 - w) · z₂; larger is better."""
    return -(
        math.sqrt(WEIGHT) * _NORMAL.inv_cdf(min(p_search, 1.0 - 1e-12))
        + math.sqrt(1.0 - WEIGHT) * _NORMAL.inv_cdf(min(p_holdout, 1.0 - 1e-12))
    )


def passes(p_search: float, p_holdout: float, level: float) -> bool:
    """Whether both together are below `level`; scores are compared, as they keep their digits in the tail."""
    return score_of(p_search, p_holdout) >= -_NORMAL.inv_cdf(level)


class SearchTest(NamedTuple):
    """The p-value of a winner among all searches: `n` draws counted, `n_reached` of them reached its statistic."""

    p: float
    n: int
    n_reached: int


def search_p(real: float, reaches: Callable[[int], bool], n_draws: int, stop_at: int = STOP_AT) -> SearchTest:
    """Besag and Clifford's (1991) sequential p-value; `reaches(b)` says whether any search reaches `real` on draw b.

    Stopped at the `stop_at`-th draw that does, on draw b (from 0), p = stop_at / (b + 1); otherwise after `n_draws`
    p = (1 + reached) / (n_draws + 1). Draws count in the order of their index.
    """
    n_reached = 0
    for b in range(n_draws):
        n_reached += reaches(b)
        if n_reached == stop_at:
            return SearchTest(stop_at / (b + 1), b + 1, n_reached)
    return SearchTest((1 + n_reached) / (n_draws + 1), n_draws, n_reached)


def reached(real: float, known: Iterable[float]) -> bool:
    """Whether any of the statistics known on a draw settles that it is reached; NaN is not known yet."""
    return any(value >= real - TIE for value in known)


def with_imports(p: float, real: float, n_epochs: Sequence[int]) -> float:
    """`p` with results beside it that no engine here can make again: Bonferroni over their epochs, at most 1.

    `real` is the winner's timing Sharpe ratio per bar times √n, a standard normal under the null.
    """
    return min(1.0, p + sum(n_epochs) * _NORMAL.cdf(-real))
