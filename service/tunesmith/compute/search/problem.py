"""From a plan to what a search method searches. Needs no compiler, so that the daemon can count trials."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tunesmith.compute.rules.feasibility import read_conditions, required
from tunesmith.compute.rules.strategy import Strategy
from tunesmith.compute.search.feasible_space import Region
from tunesmith.compute.search.samplers.sampler import Problem
from tunesmith.domain.search.search_plan import SearchPlan
from tunesmith.domain.space import build_space, encode_points


def region_of(rule: Strategy, plan: SearchPlan, *, at: str = "/data") -> Region:
    """Where a plan searches; raises `Invalid`, with a path below `at`, for ranges and conditions that cannot be."""
    whole_logs = plan.whole_logs is True
    space = build_space(rule.parameters, plan.ranges, f"{at}/param_ranges", whole_logs=whole_logs)
    own = (replace(condition, path=f"{at}/param_ranges") for condition in required(rule))
    return Region(space, (*own, *read_conditions(plan.conditions, rule.parameters, f"{at}/conditions")))


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
