"""Which parameters matter: one-way analysis of variance, functional ANOVA, and Optuna's PED-ANOVA."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tunesmith.compute.analysis.fanova import Coded, first_order_shares
from tunesmith.compute.analysis.trial_set import Trials, positions
from tunesmith.domain.array_types import Floats, Ints
from tunesmith.domain.dimension import Dimension
from tunesmith.domain.search.findings import Effect, Importance, ImportanceMethod

MOST_TRIALS = {"fanova": 4_000, "ped_anova": 5_000}
"""Trials that a method looks at, drawn from all by a fixed seed: what keeps it within seconds."""


_POSITIONS = 256


def effects(trials: Trials) -> list[Effect]:
    """The effect of every searched parameter on the defined scores, the largest first. Linear in the trials."""
    keep = trials.defined
    scores = trials.scores[keep]
    found = []
    for dimension in trials.space.dimensions:
        axis, at = positions(trials, dimension.name)
        found.append(_effect(dimension.name, scores, at[keep], axis.size))
    return sorted(found, key=lambda effect: -1.0 if effect.explained is None else effect.explained, reverse=True)


def _effect(name: str, scores: Floats, group: Ints, n_groups: int) -> Effect:
    from scipy.special import fdtrc

    count = np.bincount(group, minlength=n_groups)
    filled = count > 0
    k, n = int(filled.sum()), len(scores)
    if k < 2:
        return Effect(parameter=name, n_groups=k, explained=None, f=None, p_value=None)
    centred = scores - scores.mean()
    sums = np.bincount(group, centred, n_groups)[filled]
    total = float(centred @ centred)
    between = float((sums**2 / count[filled]).sum())
    within = max(total - between, 0.0)
    if total <= 1e-24 * n * float(np.abs(scores).max()) ** 2:
        return Effect(parameter=name, n_groups=k, explained=None, f=None, p_value=None)
    if n <= k or within <= 1e-14 * total:
        return Effect(parameter=name, n_groups=k, explained=between / total, f=None, p_value=None)
    f = between / (k - 1) / (within / (n - k))
    return Effect(parameter=name, n_groups=k, explained=between / total, f=f, p_value=float(fdtrc(k - 1, n - k, f)))


def importances(
    trials: Trials, method: ImportanceMethod = "fanova", *, max_trials: int | None = None, seed: int = 0
) -> list[Importance]:
    """The importance of every searched parameter for the defined scores, the largest first.

    "fanova" (Hutter, Hoos & Leyton-Brown 2014) says what explains the scores' variance everywhere, "ped_anova"
    (Watanabe, Bansal & Hutter 2023) what it takes to be among the best tenth. At most `max_trials` trials are looked
    at (`MOST_TRIALS` where none is given), drawn by `seed`: the same trials give the same answer. Zeros where there is
    nothing to tell: fewer than two trials, one value of everything, one score.
    """
    names = [dimension.name for dimension in trials.space.dimensions]
    chosen = np.flatnonzero(trials.defined)
    most = max_trials or MOST_TRIALS[method]
    if len(chosen) > most:
        chosen = np.sort(np.random.default_rng(seed).choice(chosen, most, replace=False))
    varied = [d for d in trials.space.dimensions if len(np.unique(trials.column(d.name)[chosen])) > 1]
    shares = dict.fromkeys(names, 0.0)
    if varied and len(np.unique(trials.scores[chosen])) > 1:
        found = (_functional if method == "fanova" else _ped_anova)(trials, chosen, varied, seed)
        total = sum(found.values())
        shares |= {name: value / total for name, value in found.items()} if total > 0.0 else {}
    ordered = sorted(names, key=lambda name: -shares[name])
    return [Importance(parameter=name, share=shares[name]) for name in ordered]


def _functional(trials: Trials, chosen: Ints, varied: list[Dimension], seed: int) -> dict[str, float]:
    found = [positions(trials, dimension.name, _POSITIONS) for dimension in varied]
    coded = [
        Coded(at[chosen], axis.size, dimension.parameter.kind != "choice")
        for dimension, (axis, at) in zip(varied, found, strict=True)
    ]
    shares = first_order_shares(coded, trials.scores[chosen], seed)
    return {dimension.name: float(share) for dimension, share in zip(varied, shares, strict=True)}


def _ped_anova(trials: Trials, chosen: Ints, varied: list[Dimension], seed: int) -> dict[str, float]:
    import optuna

    columns = {d.name: trials.column(d.name)[chosen].tolist() for d in varied}
    distributions = {d.name: _distribution(d, columns[d.name]) for d in varied}
    finished = [
        optuna.trial.create_trial(
            params={name: column[i] for name, column in columns.items()}, distributions=distributions, value=score
        )
        for i, score in enumerate(trials.scores[chosen].tolist())
    ]
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        study = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(seed))
        study.add_trials(finished)
        evaluator = optuna.importance.PedAnovaImportanceEvaluator()
        found = optuna.importance.get_param_importances(study, evaluator=evaluator)
    finally:
        optuna.logging.set_verbosity(level)
    return {name: float(value) if math.isfinite(value) else 0.0 for name, value in found.items()}


def _distribution(dimension: Dimension, codes: list[float]) -> Any:
    """Optuna's distribution over the codes that were tried."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    if dimension.parameter.kind in ("choice", "bool"):
        return CategoricalDistribution(sorted(set(codes)))
    low, high = min(codes), max(codes)
    return FloatDistribution(low, high, log=dimension.log and low > 0.0)
