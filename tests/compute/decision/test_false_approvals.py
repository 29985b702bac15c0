"""The promise in small, with fixed seeds; `benchmarks.false_approvals` measures it on thousands of fresh markets."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.false_approvals import interval, most_allowed, upper_bound
from benchmarks.made_markets import EDGES, FAMILIES, regimes, walk
from tunesmith.compute.decision.inputs import Decision, Ledger
from tunesmith.compute.decision.statistics.levels import level_of
from tunesmith.domain.approval import ApprovalCriteria
from tunesmith.domain.market.bars import Bars
from tunesmith.domain.thresholds import Thresholds
from tunesmith.notebook.judging import decide_study

SMALL = {
    "moving averages": {"fast": [4, 10, 20], "slow": [30, 60, 120]},
    "Bollinger": {"period": [20, 40, 80], "width": [1.0, 1.5, 2.0], "stop": 0.2},
    "RSI": {"period": [6, 10, 14], "oversold": [30, 36, 42], "exit_level": [50, 58], "stop": 0.2},
}

FEW_DRAWS = Thresholds(n_permutations=199, max_permutations=399)


def decision_on(bars: Bars, family: str, direction: str = "both", look: int = 1) -> Decision:
    study = FAMILIES[family].search(bars, direction, param_ranges=SMALL[family])
    return decide_study(study, ApprovalCriteria(), seed=3, ledger=Ledger(look), thresholds=FEW_DRAWS)


def test_markets_without_an_edge_are_refused() -> None:
    """One of the eighteen looks as good as an edge in both parts; more of them would be no chance."""
    statuses = [
        decision_on(walk(np.random.default_rng(seed), 1500), family).status for family in FAMILIES for seed in range(6)
    ]
    assert statuses.count("approved") <= 1, statuses


@pytest.mark.parametrize("kind", EDGES)
def test_planted_edges_are_found(kind: str) -> None:
    """Drift regimes are stronger here than where the power is measured, as few fit into one hold-out."""
    edge = EDGES[kind]
    if kind == "drift regimes":
        statuses = [
            decision_on(regimes(np.random.default_rng(i), 2000, 0.4, 60.0), edge.family).status for i in range(3)
        ]
    else:
        statuses = [
            decision_on(edge.make(np.random.default_rng(i), 2000), edge.family, edge.direction).status for i in range(3)
        ]
    assert statuses.count("approved") >= 2, statuses


def test_holding_a_rising_market_is_no_skill() -> None:
    for seed in range(3):
        decision = decision_on(walk(np.random.default_rng(seed), 1500, 0.01, 0.1), "moving averages", "long")
        assert decision.status == "rejected"
        assert decision.findings.metrics["in_sample"]["total_return"] > 0.0


def test_an_edge_at_a_later_look_has_to_be_clearer() -> None:
    bars = regimes(np.random.default_rng(5), 2000, drift=0.3)
    first, third = decision_on(bars, "moving averages"), decision_on(bars, "moving averages", look=3)
    assert first.approved
    limits = [next(c.threshold for c in decision.checks if c.name == "error_budget") for decision in (first, third)]
    assert limits == [level_of(21, 1), level_of(21, 3)]
    assert [each.findings.evidence["searches"]["n_draws"] for each in (first, third)] == [199, 399]
    spent = decision_on(bars, "moving averages", look=6)
    assert (spent.status, spent.checks[-1].name) == ("rejected", "tries")


def test_the_exact_bound_is_that_of_the_promise() -> None:
    assert upper_bound(0, 300) == pytest.approx(1.0 - 0.05 ** (1 / 300))
    assert upper_bound(9, 3078) == pytest.approx(0.0051, abs=5e-5)
    assert upper_bound(19, 3000) <= 0.01 < upper_bound(21, 3000)
    assert most_allowed(3000) in (19, 20)
    assert most_allowed(300) == 6
    assert interval(43, 100) == pytest.approx((0.3314, 0.5329), abs=5e-4)
