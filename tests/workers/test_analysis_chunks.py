"""What a worker makes of a stored search: the points and scores that the search had, and files of them."""

from __future__ import annotations

import asyncio
import hashlib
import os
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from compute.analysis.searches import PARAMETERS, RANGES, SPACE, search
from storage.opened import add_optimization
from tunesmith.compute.analysis.trial_set import Trials
from tunesmith.domain.parameters import Parameter
from tunesmith.storage.sqlite.database import Database
from tunesmith.storage.tables import trial_table
from tunesmith.workers.chunks.analysis_chunks import analyze, export_trials, load
from tunesmith.workers.chunks.analysis_payloads import Analyze, Export, Format, StoredSearch


def store(folder: Path, of: Trials, texts: list[str] | None = None) -> Path:
    """A database with these trials as the search opt-1."""
    path = folder / "t.db"
    made = trial_table.Batch(
        start=0,
        params=texts or [msgspec.json.encode(of.params(i)).decode() for i in range(len(of))],
        metrics=of.metrics,
        scores=np.asarray(of.scores).reshape(-1, 1),
        eligible=of.eligible,
        errors=[None] * len(of),
    )

    async def main() -> None:
        database = await Database.open(path)
        try:
            await database.write(lambda conn: add_optimization(conn, "opt-1"))
            if len(of):
                await database.write(lambda conn: trial_table.insert_batch(conn, "opt-1", made))
        finally:
            await database.close()

    asyncio.run(main())
    return path


def stored(path: Path, **more: Any) -> StoredSearch:
    values: dict[str, Any] = {
        "database": str(path),
        "optimization_id": "opt-1",
        "parameters": PARAMETERS,
        "ranges": RANGES,
        "targets": ("sharpe",),
        "directions": ("maximize",),
        "target": 0,
        "by": None,
        "minimized": False,
        **more,
    }
    return StoredSearch(**values)


def test_the_search_comes_back_as_it_was(tmp_path: Path) -> None:
    of = search(500)
    found, values = load(stored(store(tmp_path, of), metrics=("n_trades",)))
    assert found.space == SPACE
    np.testing.assert_array_equal(found.points, of.points)
    np.testing.assert_array_equal(found.scores, of.scores)
    np.testing.assert_array_equal(values[:, 0], of.scores)
    np.testing.assert_array_equal(found.eligible, of.eligible)
    assert list(found.metrics) == ["n_trades"]
    np.testing.assert_array_equal(found.metrics["n_trades"], of.metrics["n_trades"])


def test_the_score_may_be_another_metric(tmp_path: Path) -> None:
    of = search(50)
    found, _ = load(stored(store(tmp_path, of), by="max_drawdown", minimized=True))
    np.testing.assert_array_equal(found.scores, -of.metrics["max_drawdown"])
    np.testing.assert_array_equal(found.own(found.scores), of.metrics["max_drawdown"])


def test_choices_that_are_equal_in_python_are_told_apart(tmp_path: Path) -> None:
    choice = Parameter(name="class", kind="choice", default="a", choices=("a", 1, True, 1.0, "1"))
    of = search(5)
    texts = [f'{{"class":{value}}}' for value in ('"1"', "1.0", "true", "1", '"a"')]
    path = store(tmp_path, Trials(SPACE, of.points, of.scores, of.eligible), texts)
    found, _ = load(stored(path, parameters=(choice,), ranges={}))
    assert found.points[:, 0].tolist() == [4.0, 3.0, 2.0, 1.0, 0.0]


def test_a_search_without_trials_is_analysed(tmp_path: Path) -> None:
    path = store(tmp_path, Trials(SPACE, np.empty((0, 5)), np.empty(0), np.empty(0, bool)))
    what = ("ranking", "importance", "correlations", "marginals", "heat_map", "convergence", "recommendation")
    payload = Analyze(
        search=stored(path),
        what=frozenset(what),  # type: ignore[arg-type]
        n=3,
        importance_method="fanova",
        x="fast",
        y="kind",
        statistic="mean",
        through=None,
    )
    found = analyze(payload)
    assert (found["summary"].n_trials, found["top"], found["box"], found["narrow"]) == (0, [], None, None)


@pytest.mark.parametrize("kind", ["csv", "json", "parquet"])
def test_an_export_replaces_the_one_before_and_old_ones_go(tmp_path: Path, kind: Format) -> None:
    path, folder = store(tmp_path, search(40)), tmp_path / "exports"
    made = export_trials(Export(search=stored(path), format=kind, folder=str(folder), keep_s=60.0))
    content = (folder / made.name).read_bytes()
    assert (made.size, made.version) == (len(content), hashlib.sha256(content).hexdigest())
    for name in (f"opt-1-0123456789ab.{kind}", "opt-2-0123456789ab.csv", "opt-3-0123456789ab.csv"):
        (folder / name).write_text("before")
    os.utime(folder / "opt-3-0123456789ab.csv", (0, 0))
    again = export_trials(Export(search=stored(path), format=kind, folder=str(folder), keep_s=60.0))
    assert again == made
    assert {file.name for file in folder.iterdir()} == {made.name, "opt-2-0123456789ab.csv"}
