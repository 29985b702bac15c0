"""Limits of a verdict's combined p-value, which fall with every try on a market and every look at a hold-out.

One error budget is spent over a market's life: the level falls with the independent tries that searches amount to (see
`record_clock`) and with the looks at one hold-out. A look answers one bit, so that what is asked after a rejection
cannot have learned more from the hold-out than that.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

from tunesmith.compute.decision.statistics.record_clock import TRY

FIRST_LOOK = 0.7
"""Share of the budget that is spent at the first look at a hold-out; the later ones share the rest."""

WEIGHT = 0.7
"""Weight of the search's p-value beside that of the hold-out (Stouffer's test)."""

_PER_DRAW = 0.3
_LEAST_P = 1e-12
_NORMAL = NormalDist()


def level_of(ticks: int, look: int, combined: float = 0.005) -> float:
    """The limit of the combined p-value at look number `look` (from 1) at one hold-out, after `ticks` of the clock.

    `combined` is the limit after one try if all of it were spent at one look, half of what the market's life may cost:
    1 / k² summed over all tries k is below 2.
    """
    share = FIRST_LOOK if look == 1 else (1.0 - FIRST_LOOK) * 6.0 / (math.pi * (look - 1)) ** 2
    return combined * (TRY / max(ticks, TRY)) ** 2 * share


def draws_of(level: float, few: int = 999, many: int = 1999) -> int:
    """How many shuffled markets a test at this level takes: `few` where these can tell it from the next level."""
    return few if level >= _PER_DRAW / (few + 1) else max(few, many)


def least_level(n_draws: int) -> float:
    """The lowest level that `n_draws` draws on either side can pass; below it the budget of the market is spent."""
    z = -_NORMAL.inv_cdf(1.0 / (n_draws + 1))
    return _NORMAL.cdf(-(math.sqrt(WEIGHT) + math.sqrt(1.0 - WEIGHT)) * z)


def score_of(p_search: float, p_holdout: float) -> float:
    """Stouffer's z of two independent p-values, √w · z₁ + √(1 - w) · z₂; larger is better."""
    z_search, z_holdout = (-_NORMAL.inv_cdf(min(max(p, _LEAST_P), 1.0 - _LEAST_P)) for p in (p_search, p_holdout))
    return math.sqrt(WEIGHT) * z_search + math.sqrt(1.0 - WEIGHT) * z_holdout


def passes(p_search: float, p_holdout: float, level: float) -> bool:
    """Whether both together are below `level`; scores are compared, as they keep their digits in the tail."""
    return score_of(p_search, p_holdout) >= -_NORMAL.inv_cdf(level)


def with_imports(p: float, t: float, n_epochs: Sequence[int]) -> float:
    """`p` with results beside it that no engine here can make again: Bonferroni over their epochs, at most 1.

    `t` is the submitted point's statistic, a standard normal under the null.
    """
    return min(1.0, p + sum(n_epochs) * _NORMAL.cdf(-t))
