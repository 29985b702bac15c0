"""A metric is added from outside the package by a function and its row: tables, targets and reports have it."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import groupby, pairwise
from pathlib import Path
from statistics import fmean

import numpy as np
import pytest

import tunesmith as ts
from contracts import metric_checks as checks
from contracts.real_daemon import Doors, client_of, with_daemon
from reference import metrics as reference
from reference.cases import random_bars
from reference.metrics import SlowTrade
from tunesmith.compute.strategies import builtin
from tunesmith.domain.closed_trades import AccountPath
from tunesmith.domain.metrics import METRICS, Metric, register
from tunesmith.errors import Invalid

RULE = "ma_cross_v1.0"
BARS = random_bars(np.random.default_rng(3), 900)


def losing_streak(path: AccountPath) -> float:
    longest = run = 0
    for profit in path.trades.profit_abs:
        run = run + 1 if profit < 0 else 0
        longest = max(longest, run)
    return float(longest)


def upside_capture(path: AccountPath) -> float:
    equity = np.concatenate([[path.trades.initial_cash], path.equity])
    rises = np.diff(path.closes) / path.closes[:-1]
    up = rises > 0.0
    return float((np.diff(equity) / equity[:-1])[1:][up].mean() / rises[up].mean()) if up.any() else math.nan


STREAK = Metric(
    "losing_streak", "most closed trades in a row with P < 0", "trades", "minimize", "a toy", "path", losing_streak
)
CAPTURE = Metric(
    "upside_capture", "mean(R) / mean(r), both where r > 0", "ratio", "maximize", "a toy", "path", upside_capture
)


def slow_streak(
    equity: Sequence[float], closes: Sequence[float], trades: Sequence[SlowTrade], initial_cash: float
) -> float:
    runs = groupby(trade.profit < 0 for trade in trades)
    return float(max((len(list(run)) for lost, run in runs if lost), default=0))


def slow_capture(
    equity: Sequence[float], closes: Sequence[float], trades: Sequence[SlowTrade], initial_cash: float
) -> float:
    pairs = zip(pairwise(equity), pairwise(closes), strict=True)
    both = [(after / before - 1.0, last / first - 1.0) for (before, after), (first, last) in pairs]
    up = [(ours, market) for ours, market in both if market > 0.0]
    return fmean(ours for ours, _ in up) / fmean(market for _, market in up) if up else math.nan


@pytest.fixture
def toys(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(reference.OWN, "losing_streak", slow_streak)
    monkeypatch.setitem(reference.OWN, "upside_capture", slow_capture)
    for metric in (STREAK, CAPTURE):
        register(metric)
    yield
    del METRICS["losing_streak"], METRICS["upside_capture"]


def test_it_keeps_every_law_of_the_contract(toys: None) -> None:
    for metric in (STREAK, CAPTURE):
        checks.check_declaration(metric)
        checks.check_against_reference(metric)


def test_a_report_has_it(toys: None) -> None:
    report = ts.backtest(builtin(RULE), BARS)
    losses = [trade["profit"] < 0 for trade in report.trades]
    assert report.metrics["losing_streak"] == max(len(list(run)) for lost, run in groupby(losses) if lost)
    assert math.isfinite(report.metrics["upside_capture"])
    assert report.disagreements == []


def test_it_is_a_target_a_part_of_one_and_a_bound(toys: None) -> None:
    asked = {"fast_period": [3, 5, 8, 13], "slow_period": [20, 30, 50], "signal_threshold": 0.0}
    how = {"method": "grid", "constraints": ["losing_streak <= 4", "n_trades >= 1"]}
    for target, pick in (("losing_streak", np.nanmin), ("upside_capture", np.nanmax)):
        study = ts.optimize(builtin(RULE), BARS, asked, target=target, **how)  # type: ignore[arg-type]
        few = study.table.metrics["losing_streak"] <= 4
        assert study.best_score == pick(study.table.metrics[target][few])
    study = ts.optimize(builtin(RULE), BARS, asked, target="upside_capture - losing_streak / 10", **how)  # type: ignore[arg-type]
    columns = study.table.metrics
    few = columns["losing_streak"] <= 4
    assert not few.all()
    assert study.best_score == np.nanmax((columns["upside_capture"] - columns["losing_streak"] / 10)[few])
    sharpest = ts.optimize(builtin(RULE), BARS, asked, target="sharpe", method="grid")
    assert "losing_streak" not in sharpest.table.metrics, "nobody asked for it"


def test_the_daemon_lists_it_and_keeps_a_column_for_it(toys: None, tmp_path: Path) -> None:
    def scene(doors: Doors) -> None:
        with client_of(doors) as client:
            listed = {row["name"]: row for row in client.request("server.info", {})["metrics"]}
            assert listed["losing_streak"] == {
                "name": "losing_streak",
                "formula": "most closed trades in a row with P < 0",
                "unit": "trades",
                "direction": "minimize",
                "source": "a toy",
                "basis": "path",
            }

    with_daemon(tmp_path, scene)
    with closing(sqlite3.connect(tmp_path / "tunesmith.db")) as database:
        assert {"losing_streak", "upside_capture"} <= {row[1] for row in database.execute("PRAGMA table_info(trials)")}


def test_a_name_is_one_metric_s_and_a_row_needs_its_function(toys: None) -> None:
    for wrong in (STREAK, STREAK._replace(name="return"), STREAK._replace(name="no name")):
        with pytest.raises(ValueError, match="cannot be named"):
            register(wrong)
    for wrong in (STREAK._replace(name="other", compute=None), STREAK._replace(name="other", basis="account")):
        with pytest.raises(ValueError, match="has a function"):
            register(wrong)
    with pytest.raises(Invalid, match="did you mean 'losing_streak'"):
        ts.evaluate(builtin(RULE), BARS, metrics=["losing_streaks"])
