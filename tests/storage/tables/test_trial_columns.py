"""Stored trials as columns, read beside the database that writes them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from storage.opened import add_optimization, batch, over_database
from tunesmith.errors import Internal, Invalid
from tunesmith.storage.sqlite.database import Database
from tunesmith.storage.tables import trial_columns, trial_table
from tunesmith.storage.tables.trial_columns import Columns, read_columns


async def insert(database: Database, start: int, scores: list[float], **more: Any) -> None:
    made = batch(start, scores, **more)
    await database.write(lambda conn: trial_table.insert_batch(conn, "o1", made))


async def read(database: Database, n_targets: int = 1, metrics: tuple[str, ...] = (), of: str = "o1") -> list[Columns]:
    return await asyncio.to_thread(lambda: list(read_columns(database.path, of, n_targets, metrics)))


@over_database
async def test_what_was_stored_is_read_in_order_with_holes_and_nothing_for_what_is_undefined(
    database: Database,
) -> None:
    await database.write(lambda conn: add_optimization(conn, "o1"))
    await insert(database, 10, [1.0, np.nan], eligible=np.array([True, False]))
    await insert(database, 2, [np.inf, 4.0, 5.0])
    [part] = await read(database, metrics=("sharpe", "calmar"))
    assert part.numbers.tolist() == [2, 3, 4, 10, 11]
    assert part.params == ['{"p": 2}', '{"p": 3}', '{"p": 4}', '{"p": 10}', '{"p": 11}']
    assert part.eligible.tolist() == [True, True, True, True, False]
    np.testing.assert_array_equal(part.scores, [[np.nan], [4.0], [5.0], [1.0], [np.nan]])
    np.testing.assert_array_equal(part.metrics["sharpe"], part.scores[:, 0])
    assert np.isnan(part.metrics["calmar"]).all()


@over_database
async def test_scores_of_several_targets_come_back_as_they_were(database: Database) -> None:
    await database.write(lambda conn: add_optimization(conn, "o1"))
    scores = np.array([[1.0, 2.0, np.nan], [np.nan, 0.5, -1.0]])
    made = msgspec.structs.replace(batch(0, [0.0, 0.0]), scores=scores)
    await database.write(lambda conn: trial_table.insert_batch(conn, "o1", made))
    [part] = await read(database, n_targets=3)
    np.testing.assert_array_equal(part.scores, scores)


@over_database
async def test_many_trials_come_in_parts_of_one_moment(database: Database) -> None:
    await database.write(lambda conn: add_optimization(conn, "o1"))
    await insert(database, 0, list(map(float, range(25))))
    whole = trial_columns._PART
    trial_columns._PART = 10
    try:
        parts = read_columns(database.path, "o1", 1)
        found = [next(parts)]
        await insert(database, 25, [25.0])
        found += list(parts)
    finally:
        trial_columns._PART = whole
    assert [len(part.numbers) for part in found] == [10, 10, 5]
    assert np.concatenate([part.numbers for part in found]).tolist() == list(range(25))


@over_database
async def test_a_search_without_trials_has_no_part(database: Database) -> None:
    await database.write(lambda conn: add_optimization(conn, "o1"))
    assert await read(database) == []
    assert await read(database, of="o2") == []


@over_database
async def test_only_metrics_are_read(database: Database) -> None:
    with pytest.raises(Invalid, match="'error FROM trials --' is no metric"):
        await read(database, metrics=("sharpe", "error FROM trials --"))


def test_a_database_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(Internal, match="cannot be read"):
        list(read_columns(tmp_path / "no.db", "o1", 1))
    assert list(tmp_path.iterdir()) == []
