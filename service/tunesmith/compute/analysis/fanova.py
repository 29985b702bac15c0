"""Functional analysis of variance by random forests.

Hutter, Hoos & Leyton-Brown 2014, "An Efficient Approach for Assessing Hyperparameter Importance". A tree is constant on
boxes, so the mean prediction at a value of one parameter is a sum over the leaves that reach it, weighted by their
volume in the others; its variance along the parameter, over the tree's whole variance, is the parameter's share.
Optuna's evaluator visits the tree anew for every cut of every parameter; here all leaves are summed at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from tunesmith.domain.array_types import Floats, Ints

N_TREES = 32


class Coded(NamedTuple):
    """A parameter's values as positions int64[n] that count from 0; each of the `size` values weighs the same."""

    positions: Ints
    size: int
    ordered: bool


def first_order_shares(parameters: Sequence[Coded], scores: Floats, seed: int) -> Floats:
    """Share of the variance of `scores` float64[n] that each of p parameters explains by itself; float64[p].

    Mean over the trees that vary at all, zeros where none does. The same arguments give the same shares.
    """
    from sklearn.ensemble import RandomForestRegressor

    columns = np.concatenate([_columns(parameter) for parameter in parameters], axis=1)
    forest = RandomForestRegressor(N_TREES, random_state=seed, n_jobs=1).fit(columns, scores)
    shares = [_shares_of_tree(estimator.tree_, parameters, columns.shape[1]) for estimator in forest.estimators_]
    varied = [share for share in shares if share is not None]
    return np.asarray(np.mean(varied, axis=0), np.float64) if varied else np.zeros(len(parameters))


def _columns(parameter: Coded) -> Ints:
    """What the forest sees of a parameter: its positions, or one column of 0 and 1 for each unordered value."""
    if parameter.ordered:
        return parameter.positions[:, np.newaxis]
    return np.asarray(parameter.positions[:, np.newaxis] == np.arange(parameter.size), np.int64)


def _shares_of_tree(tree: Any, parameters: Sequence[Coded], n_columns: int) -> Floats | None:
    lows, highs, values = _leaves(tree, n_columns)
    reaches = []
    column = 0
    for parameter in parameters:
        if parameter.ordered:
            reaches.append(_reach_of_interval(lows[:, column], highs[:, column], parameter.size))
            column += 1
        else:
            end = column + parameter.size
            reaches.append(_reach_of_set(lows[:, column:end], highs[:, column:end]))
            column = end
    widths = np.column_stack([reach.mean(axis=1) for reach in reaches])
    volumes = widths.prod(axis=1)
    mean = float(volumes @ values)
    variance = float(volumes @ (values - mean) ** 2)
    if variance <= 0.0:
        return None
    shares = np.empty(len(parameters))
    for i, reach in enumerate(reaches):
        others = np.delete(widths, i, axis=1).prod(axis=1)
        marginal = (others * values) @ reach
        shares[i] = ((marginal - mean) ** 2).mean() / variance
    return shares


def _reach_of_interval(low: Floats, high: Floats, size: int) -> Floats:
    """Which of a parameter's values lie in each leaf, 0 or 1; float64[m, size]."""
    at = np.arange(size)
    return ((at > low[:, np.newaxis]) & (at <= high[:, np.newaxis])).astype(np.float64)


def _reach_of_set(low: Floats, high: Floats) -> Floats:
    """The same from one column for each value: a leaf holds a value when its column may be 1 and all others 0."""
    may_be_zero, may_be_one = low < 0.0, high > 1.0
    refused = (~may_be_zero).sum(axis=1, keepdims=True) - ~may_be_zero
    return np.asarray(may_be_one & (refused == 0), np.float64)


def _leaves(tree: Any, n_columns: int) -> tuple[Floats, Floats, Floats]:
    """Boxes and values of a tree's leaves: lows (outside) and highs (inside) float64[m, p], values float64[m]."""
    n_nodes = tree.node_count
    lows, highs = np.full((n_nodes, n_columns), -np.inf), np.full((n_nodes, n_columns), np.inf)
    left, right = tree.children_left.tolist(), tree.children_right.tolist()
    features, thresholds = tree.feature.tolist(), tree.threshold.tolist()
    for node in range(n_nodes):  # a node's number is above its parent's
        if left[node] >= 0:
            for child in (left[node], right[node]):
                lows[child], highs[child] = lows[node], highs[node]
            highs[left[node], features[node]] = thresholds[node]
            lows[right[node], features[node]] = thresholds[node]
    leaf = tree.children_left < 0
    return lows[leaf], highs[leaf], tree.value[leaf, 0, 0]
