"""Strategies and their versions; the built-in ones are there after every start."""

from __future__ import annotations

import msgspec
import pytest

from storage.opened import MA, add_report, over_database
from tunesmith.errors import Conflict, NotFound
from tunesmith.storage.sqlite.database import Database
from tunesmith.storage.tables import report_table, strategy_table
from tunesmith.storage.tables.strategy_table import StrategyRow, StrategyText

GRID = StrategyText(
    id="grid_v1.2",
    name="Grid Trading Strategy",
    version="1.2",
    code="# kernel",
    kind="kernel",
    default_params={"grid_num": 10, "profit_ratio": 0.01, "stop_loss": 0.05},
)


async def get(database: Database, strategy_id: str) -> StrategyRow:
    row = await strategy_table.get(database, strategy_id)
    assert row is not None
    return row


@over_database
async def test_a_strategy_and_its_first_version(database: Database) -> None:
    row = await database.write(lambda conn: strategy_table.create(conn, MA))
    assert await get(database, MA.id) == row
    assert (row.code_hash, row.builtin, row.deleted_at, row.default_params) == (
        MA.code_hash,
        False,
        None,
        MA.default_params,
    )
    version = await strategy_table.get_version(database, MA.id, "1.0")
    assert version is not None
    assert (version.code, version.doc, version.number) == (MA.code, MA.doc, 1)
    with pytest.raises(Conflict) as refused:
        await database.write(lambda conn: strategy_table.create(conn, MA))
    assert refused.value.path == "/data/id"


@over_database
async def test_an_update_is_a_new_version_and_old_ones_stay(database: Database) -> None:
    await database.write(lambda conn: strategy_table.create(conn, MA))
    newer = msgspec.structs.replace(MA, version="1.1", code="other", default_params={"fast_period": 6})
    row = await database.write(lambda conn: strategy_table.update(conn, newer))
    assert (row.version, row.code, row.default_params) == ("1.1", "other", {"fast_period": 6})
    assert await strategy_table.versions(database, MA.id) == ["1.0", "1.1"]
    old = await strategy_table.get_version(database, MA.id, "1.0")
    assert old is not None
    assert old.code == MA.code
    with pytest.raises(Conflict):
        await database.write(lambda conn: strategy_table.update(conn, newer))
    with pytest.raises(NotFound):
        await database.write(lambda conn: strategy_table.update(conn, GRID))


@over_database
async def test_a_deleted_strategy_is_listed_no_more_and_stays_readable(database: Database) -> None:
    await database.write(lambda conn: add_report(conn, "r1"))
    assert await database.write(lambda conn: strategy_table.delete(conn, MA.id))
    assert not await database.write(lambda conn: strategy_table.delete(conn, MA.id))
    assert await strategy_table.listing(database) == ([], 0)
    assert await strategy_table.ids(database) == []
    assert (await get(database, MA.id)).deleted_at is not None
    assert await strategy_table.get_version(database, MA.id, "1.0") is not None
    assert await report_table.get(database, "r1") is not None
    with pytest.raises(NotFound):
        await database.write(lambda conn: strategy_table.update(conn, msgspec.structs.replace(MA, version="2")))
    with pytest.raises(Conflict):
        await database.write(lambda conn: strategy_table.create(conn, MA))


@over_database
async def test_listings_are_by_id_and_paged(database: Database) -> None:
    for name in "cab":
        text = msgspec.structs.replace(MA, id=name)
        await database.write(lambda conn, text=text: strategy_table.create(conn, text))
    rows, total = await strategy_table.listing(database, limit=2, offset=1)
    assert ([row.id for row in rows], total) == (["b", "c"], 3)


@over_database
async def test_built_in_strategies_are_seeded_once(database: Database) -> None:
    assert await database.write(lambda conn: strategy_table.seed_builtins(conn, [MA, GRID])) == [MA.id, GRID.id]
    before = await database.fetch_all("SELECT * FROM strategies, strategy_versions")
    assert await database.write(lambda conn: strategy_table.seed_builtins(conn, [MA, GRID])) == []
    assert await database.fetch_all("SELECT * FROM strategies, strategy_versions") == before
    grid = await get(database, "grid_v1.2")
    assert (grid.builtin, grid.kind, grid.default_params["grid_num"]) == (True, "kernel", 10)


@over_database
async def test_a_built_in_strategy_whose_code_changed_has_a_new_version(database: Database) -> None:
    await database.write(lambda conn: strategy_table.seed_builtins(conn, [MA]))
    changed = [msgspec.structs.replace(MA, code=f"code {i}") for i in range(2)]
    for text in (*changed, changed[-1]):
        await database.write(lambda conn, text=text: strategy_table.seed_builtins(conn, [text]))
    assert await strategy_table.versions(database, MA.id) == ["1.0", "1.0-r2", "1.0-r3"]
    named = msgspec.structs.replace(MA, version="1.1", default_params={})
    await database.write(lambda conn: strategy_table.seed_builtins(conn, [named]))
    row = await get(database, MA.id)
    assert (row.version, row.default_params, row.code) == ("1.1", {}, MA.code)


@over_database
async def test_installed_strategies_come_and_go_and_leave_a_users_own_alone(database: Database) -> None:
    mine = msgspec.structs.replace(MA, id="mine")
    steps = msgspec.structs.replace(GRID, id="steps")
    await database.write(lambda conn: strategy_table.create(conn, mine))

    async def seed(*texts: StrategyText) -> list[str]:
        await database.write(lambda conn: strategy_table.seed_builtins(conn, [MA, GRID]))
        return await database.write(lambda conn: strategy_table.seed_installed(conn, texts, [MA.id, GRID.id]))

    assert await seed(steps, msgspec.structs.replace(steps, id="mine")) == ["mine"]
    assert (await get(database, "steps")).builtin
    row = await get(database, "mine")
    assert (row.builtin, row.kind, row.code) == (False, "rule", MA.code)
    assert await seed() == []
    assert await strategy_table.ids(database) == [GRID.id, MA.id, "mine"]
    assert (await get(database, "steps")).deleted_at is not None
    assert await seed(steps) == []
    assert (await get(database, "steps")).deleted_at is None
    assert await strategy_table.versions(database, "steps") == [GRID.version]
