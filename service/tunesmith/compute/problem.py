"""From a plan to what a search method searches. Needs no compiler, so that the daemon can count trials."""

from __future__ import annotations

import numpy as np

from tunesmith.compute.conditions import read_conditions, required
from tunesmith.compute.region import Region
from tunesmith.compute.rules.strategy import Strategy
from tunesmith.compute.samplers.sampler import Problem
from tunesmith.domain.search_plan import SearchPlan
from tunesmith.domain.space import build_space, encode_points


def region_of(rule: Strategy, plan: SearchPlan) -> Region:
    """Where a plan searches; raises `Invalid` for ranges and conditions that cannot be."""
    space = build_space(rule.parameters, plan.ranges)
    return Region(space, (*required(rule), *read_conditions(plan.conditions, rule.parameters)))


def problem_of(rule: Strategy, plan: SearchPlan, region: Region, n_targets: int) -> Problem:
    """What the plan's method is given."""
    warm = [encode_points(rule.parameters, params) for params in plan.warm]
    return Problem(
        region=region,
        n_trials=plan.n_trials,
        seed=plan.seed,
        options=plan.options,
        n_targets=n_targets,
        warm=np.concatenate(warm) if warm else np.empty((0, len(rule.parameters))),
    )
