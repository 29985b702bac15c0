"""What a Sharpe ratio is worth: probabilistic, deflated, and how long a record it needs.

SR      Sharpe ratio of one period (a bar), never annual: mean / std with T - 1
T       number of returns
skew    third standardized moment; kurtosis the fourth, 3 for a normal (pandas and scipy give the excess over 3)
N       number of independent trials; V the variance of their Sharpe ratios
Sources: Bailey & López de Prado 2012 ("The Sharpe Ratio Efficient Frontier"), 2014 ("The Deflated Sharpe Ratio"),
Bailey, Borwein, López de Prado & Zhu 2014 ("Pseudo-Mathematics and Financial Charlatanism").
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import NamedTuple

from tunesmith.compute.decision.statistics.permuted_markets import normal_cdf
from tunesmith.domain.array_types import Floats

_EULER = 0.5772156649015329
_QUANTILE = NormalDist().inv_cdf

PSR_CANNOT_SAY = (
    "PSR takes the returns as if this rule had been the only one tried: the best of a thousand worthless rules has a "
    "high one."
)
DSR_CANNOT_SAY = (
    "DSR allows for the number of trials, not for the market's drift: a rule that holds a rising market passes it, and "
    "how many trials were independent is a guess."
)


class Moments(NamedTuple):
    """Of T returns: the Sharpe ratio a period, skew and non-excess kurtosis; NaN where the variance is zero."""

    sharpe: float
    skew: float
    kurtosis: float
    n: int


def moments(returns: Floats) -> Moments:
    """Moments of `returns` float64[T]: std with T - 1 in the Sharpe ratio, with T in skew and kurtosis."""
    n = len(returns)
    if n < 2:
        return Moments(math.nan, math.nan, math.nan, n)
    mean = float(returns.mean())
    centred = returns - mean
    variance = float((centred**2).mean())
    if variance <= (1e-12 * max(1.0, abs(mean))) ** 2:
        return Moments(math.nan, math.nan, math.nan, n)
    std = math.sqrt(variance)
    skew = float((centred**3).mean()) / std**3
    kurtosis = float((centred**4).mean()) / variance**2
    return Moments(mean / (std * math.sqrt(n / (n - 1))), skew, kurtosis, n)


def probabilistic_sharpe(of: Moments, benchmark: float = 0.0) -> float:
    """Probability that the true Sharpe ratio exceeds `benchmark` (a period); PSR, 2012 eq. 9. NaN where undefined."""
    spread = _spread(of)
    if not spread > 0.0 or of.n < 2:
        return math.nan
    return normal_cdf((of.sharpe - benchmark) * math.sqrt(of.n - 1) / math.sqrt(spread))


def expected_maximum(n_trials: float) -> float:
    """Expected maximum of N independent standard normals, 2014 eq. 7 (an approximation); 0 for one trial."""
    if n_trials <= 1.0:
        return 0.0
    return float((1.0 - _EULER) * _QUANTILE(1.0 - 1.0 / n_trials) + _EULER * _QUANTILE(1.0 - 1.0 / (n_trials * math.e)))


def deflated_sharpe(of: Moments, n_trials: float, variance: float) -> float:
    """PSR against what the best of N worthless trials would show: `variance` of their Sharpe ratios, 2014 eq. 9."""
    return probabilistic_sharpe(of, math.sqrt(max(variance, 0.0)) * expected_maximum(n_trials))


def minimum_track_record(of: Moments, benchmark: float, level: float = 0.05) -> float:
    """Periods after which the Sharpe ratio would exceed `benchmark` at `level`, 2012 eq. 11; NaN where it does not."""
    if not of.sharpe > benchmark:
        return math.nan
    return float(1.0 + _spread(of) * (_QUANTILE(1.0 - level) / (of.sharpe - benchmark)) ** 2)


def detectable_sharpe(years: float) -> tuple[float, float]:
    """Annual Sharpe ratios that a decision on so many years, hold-out included, finds with 50 % and with 80 % power."""
    return 2.4 / math.sqrt(years), 3.8 / math.sqrt(years)


def _spread(of: Moments) -> float:
    return 1.0 - of.skew * of.sharpe + (of.kurtosis - 1.0) / 4.0 * of.sharpe**2
