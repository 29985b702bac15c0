"""Trials: stored once each, sorted by any metric, and the best one under constraints. Against plain Python."""

from __future__ import annotations

import math
import random
import tempfile
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.opened import add_optimization, batch, over_database
from tunesmith.domain.metrics import METRICS
from tunesmith.errors import Internal, Invalid
from tunesmith.storage.sqlite.database import Database
from tunesmith.storage.tables import optimization_table, trial_table

numbers = st.one_of(st.integers(-3, 3).map(float), st.sampled_from([math.nan, math.inf, -math.inf]))
rows = st.lists(st.tuples(numbers, numbers, st.booleans()), min_size=1, max_size=12)


async def insert(database: Database, start: int, scores: list[float], **more: Any) -> int:
    made = batch(start, scores, **more)
    return await database.write(lambda conn: trial_table.insert_batch(conn, "o1", made))


@over_database
async def test_a_trial_comes_back_with_every_metric(database: Database) -> None:
    await database.write(lambda conn: add_optimization(conn, "o1"))
    values = {name: [float(i)] for i, name in enumerate(METRICS)}
    scores, texts = np.array([[0.5, math.nan]]), ['{"a": 1, "b": "x"}']
    by_symbol = ['{"A/B": {"sharpe": 1.0}, "C/D": {"sharpe": null}}']
    made = batch(3, [0.0], params=texts, metrics=values, by_symbol=by_symbol)
    made = msgspec.structs.replace(made, scores=scores)
    await database.write(lambda conn: trial_table.insert_batch(conn, "o1", made))
    (trial,) = await trial_table.some(database, "o1", [3, 4])
    assert trial.params == {"a": 1, "b": "x"}
    assert trial.metrics == {name: float(i) for i, name in enumerate(METRICS)}
    assert trial.error is None
    assert (trial.score, trial.scores, trial.eligible) == (0.5, [0.5, None], True)
    assert trial.by_symbol == {"A/B": {"sharpe": 1.0}, "C/D": {"sharpe": None}}


@over_database
async def test_a_repeated_chunk_changes_nothing(database: Database) -> None:
    await database.write(lambda conn: add_optimization(conn, "o1"))
    assert await insert(database, 0, [1.0, 2.0, 3.0]) == 3
    assert await insert(database, 1, [9.0, 9.0, 4.0]) == 1
    assert [t.metrics["sharpe"] for t in await page(database, "index")] == [1.0, 2.0, 3.0, 4.0]
    search = await optimization_table.get(database, "o1")
    assert search is not None
    assert (await trial_table.count(database, "o1"), search.n_done) == (4, 4)


async def page(database: Database, sort: str, descending: bool = False, offset: int = 0) -> list[trial_table.TrialRow]:
    return await trial_table.page(database, "o1", sort=sort, descending=descending, limit=100, offset=offset)


@over_database
async def test_what_is_done_comes_as_ranges(database: Database) -> None:
    await database.write(lambda conn: add_optimization(conn, "o1"))
    assert await trial_table.done_ranges(database, "o1") == []
    for start, n in ((10, 5), (0, 3), (3, 2), (20, 1)):
        await insert(database, start, [0.0] * n)
    assert await trial_table.done_ranges(database, "o1") == [(0, 5), (10, 15), (20, 21)]


@over_database
async def test_what_does_not_fit_is_refused_whole(database: Database) -> None:
    await database.write(lambda conn: add_optimization(conn, "o1"))
    with pytest.raises(Invalid, match="2 values for 1 trials"):
        await insert(database, 0, [1.0], metrics={"sharpe": [1.0, 2.0]})
    with pytest.raises(Internal, match="FOREIGN KEY"):
        await database.write(lambda conn: trial_table.insert_batch(conn, "nowhere", batch(0, [1.0])))
    assert await trial_table.count(database, "o1") == 0


@over_database
async def test_only_metrics_are_sorted_by(database: Database) -> None:
    for name in ("idx", "params", "sharpe; DROP TABLE trials", ""):
        with pytest.raises(Invalid, match="no metric") as refused:
            await page(database, name)
        assert refused.value.path == "/data/sort"


@settings(max_examples=40, deadline=None)
@given(rows, st.booleans())
def test_sorting_and_the_best_trial(data: list[tuple[float, float, bool]], descending: bool) -> None:
    scores, calmar, eligible = (list(column) for column in zip(*data, strict=True))

    def key(index: int) -> tuple[bool, float, int]:
        value = scores[index]
        undefined = not math.isfinite(value)
        return undefined, 0.0 if undefined else (-value if descending else value), index

    @over_database
    async def main(database: Database) -> None:
        await database.write(lambda conn: add_optimization(conn, "o1"))
        metrics = {"sharpe": scores, "calmar": calmar}
        await insert(database, 0, scores, metrics=metrics, eligible=np.array(eligible))
        expected = sorted(range(len(data)), key=key)
        for sort in ("sharpe", "score"):
            listed = await page(database, sort, descending)
            assert [trial.index for trial in listed] == expected
        assert [trial.index for trial in await page(database, "sharpe", descending, offset=2)] == expected[2:]
        for trial in listed:
            value = scores[trial.index]
            assert trial.score == trial.metrics["sharpe"] == (value if math.isfinite(value) else None)
            assert trial.eligible == eligible[trial.index]
        best = await trial_table.best(database, "o1", descending=descending)
        fit = [index for index in expected if eligible[index] and math.isfinite(scores[index])]
        assert (best.index if best else None) == (fit[0] if fit else None)
        told = await trial_table.told(database, "o1", len(data), 1)
        np.testing.assert_array_equal(told.scores[:, 0], np.where(np.isfinite(scores), scores, np.nan))
        assert told.eligible.tolist() == eligible

    with tempfile.TemporaryDirectory() as folder:
        main(Path(folder))


@over_database
async def test_what_failed_or_lies_beyond_the_end_is_deleted_and_no_longer_counted(database: Database) -> None:
    await database.write(lambda conn: add_optimization(conn, "o1"))
    await insert(database, 0, [1.0, 2.0, 3.0, 4.0], errors=[None, "broke", None, None])
    assert await trial_table.count_failed(database, ["o1"]) == 1
    assert await database.write(lambda conn: trial_table.delete_failed(conn, "o1")) == 1
    assert await database.write(lambda conn: trial_table.delete_from(conn, "o1", 3)) == 1
    assert await trial_table.done_ranges(database, "o1") == [(0, 1), (2, 3)]
    search = await optimization_table.get(database, "o1")
    assert search is not None
    assert search.n_done == 2


@over_database
async def test_what_is_counted_is_what_is_there(database: Database) -> None:
    await database.write(lambda conn: add_optimization(conn, "o1"))
    draws = random.Random(16)
    for _ in range(60):
        start, n = draws.randrange(40), draws.randrange(1, 12)
        errors = [draws.choice([None, None, "broke"]) for _ in range(n)]
        match draws.randrange(4):
            case 0:
                await database.write(lambda conn: trial_table.delete_failed(conn, "o1"))
            case 1:
                await database.write(lambda conn, start=start: trial_table.delete_from(conn, "o1", start + 10))  # type: ignore[misc]
            case _:
                await insert(database, start, [0.0] * n, errors=errors)
        [there] = await database.fetch_all("SELECT count(*), count(error) FROM trials")
        search = await optimization_table.get(database, "o1")
        assert search is not None
        assert (search.n_done, search.n_failed) == tuple(there)
