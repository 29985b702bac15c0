"""Targets as requests write them, and the scores that they give."""

from __future__ import annotations

import math
import pickle
from typing import Any

import numpy as np
import pytest

from tunesmith.compute.search.objective.objective import Objective
from tunesmith.domain.closed_trades import ClosedTrades
from tunesmith.errors import Invalid

NAN = float("nan")
METRICS = {
    "sharpe": np.array([1.0, 2.0, NAN]),
    "max_drawdown": np.array([0.1, 0.4, 0.2]),
    "total_return": np.array([0.5, 0.2, 0.1]),
}


def some_trades(profits: list[float]) -> ClosedTrades:
    at = 1_700_000_000_000 + 3_600_000 * np.arange(len(profits))
    profit = np.array(profits)
    return ClosedTrades(profit, profit / 1000.0, at, at + 60_000, 1000.0, int(at[0]), int(at[0]) + 10**9)


def test_a_metric_keeps_its_own_direction() -> None:
    objective = Objective.parse("drawdown")
    assert objective.labels == objective.metrics == ("max_drawdown",)
    assert objective.directions == ("minimize",)
    assert not objective.needs_trades
    assert objective.values(METRICS).tolist() == [[0.1], [0.4], [0.2]]
    assert objective.scores(METRICS).tolist() == [[-0.1], [-0.4], [-0.2]]


def test_an_expression_and_weights_are_maximized() -> None:
    objective = Objective.parse("-drawdown")
    assert (objective.directions, objective.metrics) == (("maximize",), ("max_drawdown",))
    assert objective.scores(METRICS)[:, 0].tolist() == [-0.1, -0.4, -0.2]
    weighted = Objective.parse({"sharpe": 0.5, "max_drawdown": -0.2, "return": 1})
    assert weighted.labels == ("0.5 * sharpe - 0.2 * max_drawdown + 1 * total_return",)
    assert weighted.metrics == ("sharpe", "max_drawdown", "total_return")
    assert weighted.scores(METRICS)[:2, 0].tolist() == pytest.approx([0.5 - 0.02 + 0.5, 1.0 - 0.08 + 0.2])
    assert math.isnan(weighted.scores(METRICS)[2, 0])
    assert Objective.parse({"drawdown": -1}).labels == ("-1 * max_drawdown",)


def test_losses_read_trades_and_are_minimized() -> None:
    objective = Objective.parse(["freqtrade:OnlyProfitHyperOptLoss", "guarded:CalmarHyperOptLoss", "sharpe"])
    assert objective.needs_trades
    assert objective.metrics == ("sharpe",)
    assert objective.directions == ("minimize", "minimize", "maximize")
    trades = [some_trades([5.0, -2.0]), some_trades([7.0]), None]
    values = objective.values(METRICS, trades)
    assert values.shape == (3, 3)
    assert values[:2, 0].tolist() == [-3.0, -7.0]
    assert np.isnan(values[2]).all()
    scores = objective.scores(METRICS, trades)
    assert scores[:2, 0].tolist() == [3.0, 7.0]
    assert scores[1, 1] > scores[0, 1]
    assert np.array_equal(objective.signed(scores), values, equal_nan=True)


def test_it_travels_to_workers() -> None:
    objective = Objective.parse(["sharpe", {"sharpe": 1.0, "drawdown": -2}, "sharpe / max_drawdown"])
    assert pickle.loads(pickle.dumps(objective)) == objective
    assert objective.n_targets == 3


def test_over_several_symbols_metrics_are_aggregated_first_and_losses_afterwards() -> None:
    by_symbol = {"A": METRICS, "B": {name: 2.0 * values for name, values in METRICS.items()}}
    trades = {
        "A": [some_trades([5.0]), some_trades([7.0]), some_trades([9.0])],
        "B": [some_trades([1.0]), some_trades([8.0]), None],
    }
    objective = Objective.parse(["sharpe * sharpe", "drawdown", "freqtrade:OnlyProfitHyperOptLoss"])
    values = objective.values_over(by_symbol, trades, "mean")
    assert values[0].tolist() == pytest.approx([1.5**2, 0.15, -3.0])
    worst = objective.values_over(by_symbol, trades, "minimum")
    assert worst[0].tolist() == pytest.approx([1.0, 0.2, -1.0])
    assert worst[1].tolist() == pytest.approx([4.0, 0.8, -7.0])
    assert np.isnan(worst[2, [0, 2]]).all()
    alone = objective.values_over({"A": METRICS}, {"A": trades["A"]}, "median")
    assert np.array_equal(alone, objective.values(METRICS, trades["A"]), equal_nan=True)


@pytest.mark.parametrize(
    ("target", "path", "message"),
    [
        ("sharp", "/t", "did you mean 'sharpe'"),
        (["sharpe", "calmr"], "/t/1", "did you mean 'calmar'"),
        (["sharpe", " sharpe"], "/t/1", "sharpe is there twice"),
        ([], "/t", "1 to 4 targets"),
        (["sharpe"] * 5, "/t", "1 to 4 targets"),
        ([["sharpe"]], "/t/0", "is no target"),
        ({}, "/t", "1 to 32 metrics"),
        ({"sharpe": NAN}, "/t/sharpe", "not finite"),
        ({"sharpe": "1"}, "/t/sharpe", "is not a number"),
        ({"sharpe": 0}, "/t/sharpe", "says nothing"),
        ({"return": 1, "total_return": 2}, "/t/total_return", "twice"),
        ({"sharpee": 1}, "/t", "did you mean 'sharpe'"),
        (7, "/t", "is no target"),
        ("freqtrade:SharpeHyperOptLosDaily", "/t", "did you mean 'SharpeHyperOptLossDaily'"),
        ("hyperopt:SharpeHyperOptLoss", "/t", "write freqtrade: or guarded:"),
        ("freqtrade:", "/t", "there are ShortTradeDurHyperOptLoss"),
        ("", "/t", "column 1"),
    ],
)
def test_what_is_no_target_is_refused_with_its_path(target: Any, path: str, message: str) -> None:
    with pytest.raises(Invalid, match=message) as refused:
        Objective.parse(target, "/t")
    assert refused.value.path == path
