"""Which trial is best: target, direction, criteria and ties."""

from __future__ import annotations

import difflib
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from tunesmith.domain.criteria import bounds
from tunesmith.domain.messages.verdicts import ApprovalCriteria
from tunesmith.domain.metrics import METRICS, TARGET_ALIASES
from tunesmith.errors import Invalid


def target_metric(target: str, path: str = "/data/optimization_target") -> str:
    """The metric that a target names, by its own name or an alias; raises `Invalid` with the nearest right name."""
    name = TARGET_ALIASES.get(target, target)
    if name not in METRICS:
        known = [*METRICS, *TARGET_ALIASES]
        near = difflib.get_close_matches(target, known, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}"
        raise Invalid(f"{target!r} is no metric; {hint}", path=path)
    return name


def eligible(metrics: Mapping[str, NDArray[np.float64]], criteria: ApprovalCriteria) -> NDArray[np.bool_]:
    """Which of n trials keep every bound of `criteria`; an undefined value breaks its bound. bool[n]."""
    keep = np.ones(len(next(iter(metrics.values()))), bool)
    for bound in bounds(criteria):
        values = metrics[bound.metric]
        keep &= values >= bound.limit if bound.at_least else values <= bound.limit
    return keep


def best_trial(metrics: Mapping[str, NDArray[np.float64]], target: str, criteria: ApprovalCriteria) -> int | None:
    """Index of the best eligible trial whose target is defined, the first of equals; None when there is none."""
    name = target_metric(target)
    sign = 1.0 if METRICS[name].direction == "maximize" else -1.0
    score = np.where(eligible(metrics, criteria), sign * metrics[name], np.nan)
    if np.isnan(score).all():
        return None
    return int(np.nanargmax(score))
