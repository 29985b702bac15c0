"""What is found is told in the target's own values and the trials' own numbers, whichever way is better."""

from __future__ import annotations

import io
import json
from typing import Any

import msgspec
import numpy as np
import pyarrow.csv
import pyarrow.parquet
import pytest

from compute.analysis.searches import SPACE, search
from tunesmith.compute.analysis.comparison import compare
from tunesmith.compute.analysis.export import to_csv, to_json, to_parquet
from tunesmith.compute.analysis.landscape import heat_map
from tunesmith.compute.analysis.ranking import front, ranking
from tunesmith.compute.analysis.search_report import report
from tunesmith.compute.analysis.trial_set import Trials
from tunesmith.errors import Invalid

VALUES = ("best_score", "value", "score", "best_so_far", "mean", "median", "best", "with_score", "quantiles")
"""Members that hold values of the score."""


def both(n: int = 400) -> tuple[Trials, Trials]:
    """A search, and the same search for a target that is to be small instead."""
    trials = search(n)
    return trials, Trials(SPACE, trials.points, trials.scores, trials.eligible, trials.metrics, minimized=True)


def turned(found: Any, name: str = "") -> Any:
    """What was found, with the sign of every value of the score changed, and quantiles from small to large."""
    if isinstance(found, dict):
        return {key: turned(value, "" if isinstance(value, dict) else key) for key, value in found.items()}
    if isinstance(found, list):
        each = [turned(value, name) for value in found]
        return each[::-1] if name == "quantiles" else each
    return 0.0 - found if name in VALUES and isinstance(found, float) else found


def test_a_target_to_be_minimized_finds_the_same_in_values_of_the_other_sign() -> None:
    maximized, minimized = both()
    expected = turned(msgspec.to_builtins(report(maximized)))
    found = msgspec.to_builtins(report(minimized))
    assert found["summary"].pop("quantiles") == pytest.approx(expected["summary"].pop("quantiles"))
    assert found == expected


def test_zero_has_no_sign() -> None:
    trials = Trials(SPACE, search(1).points, np.zeros(1), np.ones(1, bool), minimized=True)
    assert b"-0" not in msgspec.json.encode(report(trials).summary)


def test_a_comparison_of_targets_to_be_minimized_has_differences_of_their_values() -> None:
    a, b = search(300), search(300)
    better = Trials(SPACE, b.points, b.scores + 1.0, b.eligible)
    plain = compare(Trials(SPACE, a.points, a.scores, a.eligible), better)
    found = compare(
        Trials(SPACE, a.points, a.scores, a.eligible, minimized=True),
        Trials(SPACE, better.points, better.scores, better.eligible, minimized=True),
    )
    assert plain.best_difference == pytest.approx(1.0)
    assert found.best_difference == pytest.approx(-1.0)
    assert found.mean_difference == pytest.approx(-1.0)
    assert found.largest_difference == pytest.approx(-1.0)
    assert (found.n_better, found.n_worse, found.superiority) == (plain.n_better, 0, plain.superiority)


def test_trials_are_named_by_their_numbers_where_some_are_missing() -> None:
    whole = search(300)
    numbers = np.arange(300, dtype=np.int64) * 7 + 3
    some = Trials(SPACE, whole.points, whole.scores, whole.eligible, whole.metrics, numbers=numbers)
    plain, found = report(whole), report(some)
    assert plain.summary.best is not None
    assert found.summary.best == numbers[plain.summary.best]
    assert [each.index for each in found.top] == [numbers[each.index] for each in plain.top]
    assert [each.index for each in found.bottom] == [numbers[each.index] for each in plain.bottom]
    course = zip(found.convergence.improvements, plain.convergence.improvements, strict=True)
    assert all(a.index == numbers[b.index] and a.score == b.score for a, b in course)
    values = np.column_stack([whole.scores, whole.metrics["max_drawdown"]])
    fronts = [front(each, values, ["a", "b"], ("maximize", "minimize")) for each in (some, whole)]
    assert fronts[0].indices == [numbers[i] for i in fronts[1].indices]
    assert heat_map(some, "fast", "kind", through=7 * 40 + 3).rows == heat_map(whole, "fast", "kind", through=40).rows
    for missing in (4, 7 * 300 + 3):
        with pytest.raises(Invalid, match=f"there is no trial {missing}"):
            heat_map(some, "fast", "kind", through=missing)
    assert [row["index"] for row in json.loads(to_json(some))] == numbers.tolist()


def test_a_ranking_by_a_metric_has_its_raw_values_whatever_the_target() -> None:
    for trials in both():
        drawdowns = [each.value for each in ranking(trials, "max_drawdown", 5)]
        assert drawdowns == sorted(trials.metrics["max_drawdown"][trials.eligible])[:5]


def test_an_export_has_a_column_for_each_of_several_targets() -> None:
    trials = search(50)
    scores = {"sharpe": trials.scores, "1 - max_drawdown": 1.0 - trials.metrics["max_drawdown"]}
    parquet = pyarrow.parquet.read_table(io.BytesIO(to_parquet(trials, scores)))
    assert "score" not in parquet.column_names
    assert parquet.column("score.1 - max_drawdown").to_pylist() == scores["1 - max_drawdown"].tolist()
    assert pyarrow.csv.read_csv(io.BytesIO(to_csv(trials, scores))).to_pylist() == parquet.to_pylist()
    rows = json.loads(to_json(trials, scores))
    assert [row["score.1 - max_drawdown"] for row in rows] == scores["1 - max_drawdown"].tolist()
    assert rows[0]["score.sharpe"] is None


def test_a_front_of_very_many_trials_is_spread_with_its_ends_and_its_knee() -> None:
    n = 5000
    points = np.repeat(search(1).points, n, axis=0)
    trials = Trials(SPACE, points, np.zeros(n), np.ones(n, bool))
    values = np.column_stack([np.cos(np.arange(n) / n), np.sin(np.arange(n) / n)])
    both: tuple[Any, ...] = ("maximize", "maximize")
    whole, found = front(trials, values, ["a", "b"], both, most=n), front(trials, values, ["a", "b"], both, most=50)
    assert (whole.size, len(whole.indices), found.size) == (n, n, n)
    assert 50 <= len(found.indices) <= 51
    assert (found.indices[0], found.indices[-1]) == (whole.indices[0], whole.indices[-1])
    assert found.knee is not None
    assert whole.knee is not None
    assert found.indices[found.knee] == whole.indices[whole.knee]
    assert max(np.diff(found.indices)) <= n / 50 + 2
