"""Turns at the reading connections: one user's many reads do not keep another's one waiting."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tunesmith.storage.sqlite.database import Database
from tunesmith.storage.sqlite.fair_turns import FairTurns, asker


def test_users_take_turns_and_each_is_served_in_order() -> None:
    served: list[str] = []

    async def read(turns: FairTurns[int], user: str, name: str) -> None:
        asker.set(user)
        thing = await turns.get()
        served.append(name)
        await asyncio.sleep(0)
        turns.put(thing)

    async def main() -> None:
        turns = FairTurns([1])
        held = await turns.get()
        asked = [asyncio.create_task(read(turns, "evil", f"evil {i}")) for i in range(6)]
        await asyncio.sleep(0)
        asked += [asyncio.create_task(read(turns, user, f"{user} {i}")) for user in ("ann", "bob") for i in range(2)]
        await asyncio.sleep(0)
        asked[1].cancel()
        turns.put(held)
        await asyncio.gather(*asked, return_exceptions=True)
        assert await turns.get() == 1, "it came back"

    asyncio.run(main())
    assert served == ["evil 0", "ann 0", "bob 0", "evil 2", "ann 1", "bob 1", "evil 3", "evil 4", "evil 5"]


def test_one_that_was_lent_as_its_caller_was_cancelled_is_lent_again() -> None:
    async def main() -> None:
        turns = FairTurns([1])
        held = await turns.get()
        waiting = asyncio.create_task(turns.get())
        await asyncio.sleep(0)
        turns.put(held)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        async with asyncio.timeout(5):
            assert await turns.get() == 1

    asyncio.run(main())


def test_a_read_waits_for_those_under_way_and_not_for_those_of_another_that_wait(tmp_path: Path) -> None:
    ended: list[str] = []
    slow = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000) SELECT max(i) FROM n"

    async def read(database: Database, user: str, sql: str) -> None:
        asker.set(user)
        await database.fetch_all(sql)
        ended.append(user)

    async def main() -> None:
        database = await Database.open(tmp_path / "t.db", n_readers=2)
        try:
            flood = [asyncio.create_task(read(database, "evil", slow)) for _ in range(20)]
            await asyncio.sleep(0)
            await read(database, "ann", "SELECT 1")
            await asyncio.gather(*flood)
        finally:
            await database.close()

    asyncio.run(main())
    assert ended.index("ann") <= 4
