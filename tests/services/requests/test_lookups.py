"""Lookups: the same reply until something is written, and never one that a write has made old."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from tunesmith.protocol.catalog import Call, Written, finished
from tunesmith.protocol.codec import encode
from tunesmith.protocol.messages.strategies import GetStrategy, StrategyDeleted
from tunesmith.services.requests.lookups import Lookups, looked_up
from tunesmith.storage.sqlite.database import Database

CALL = Call("strategy.get", "r1", "local", "bot", "requests", 0.0)


class Scene:
    """A lookup over a real database, whose reading can be held up."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.n_read = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.handle = looked_up(database, self.read)

    async def read(self, request: Any, call: Call) -> StrategyDeleted:
        self.n_read += 1
        reply = StrategyDeleted(id=f"{request.id}-{self.n_read}", deleted=False)
        await self.gate.wait()
        return reply

    async def ask(self, id: str = "a") -> str:
        made = self.handle(GetStrategy(id=id), CALL)
        found = await finished(made)
        assert isinstance(found, StrategyDeleted)
        assert not isinstance(made, Written) or made.text == encode(found)
        return found.id

    async def write(self) -> None:
        await self.database.write(lambda conn: conn.execute("UPDATE meta SET value = value"))


def play(folder: Path, scene: Callable[[Scene], Awaitable[None]]) -> None:
    async def main() -> None:
        database = await Database.open(folder / "t.db")
        try:
            await scene(Scene(database))
        finally:
            await database.close()

    asyncio.run(main())


def test_a_reply_holds_until_something_is_written(tmp_path: Path) -> None:
    async def scene(scene: Scene) -> None:
        assert [await scene.ask(), await scene.ask(), await scene.ask("b")] == ["a-1", "a-1", "b-2"]
        await scene.write()
        assert [await scene.ask(), await scene.ask()] == ["a-3", "a-3"]

    play(tmp_path, scene)


def test_what_is_written_while_it_is_read_makes_it_old(tmp_path: Path) -> None:
    async def scene(scene: Scene) -> None:
        scene.gate.clear()
        asked = asyncio.create_task(scene.ask())
        await asyncio.sleep(0)
        await scene.write()
        scene.gate.set()
        assert await asked == "a-1"
        assert await scene.ask() == "a-2"

    play(tmp_path, scene)


def test_a_reply_whose_time_is_over_is_read_again(tmp_path: Path) -> None:
    async def scene(scene: Scene) -> None:
        lookups = Lookups(scene.database)
        request, reply = GetStrategy(id="a"), StrategyDeleted(id="a", deleted=False)
        lookups.keep(request, reply, lookups.n_commits, until="2999-01-01T00:00:00.000Z")
        assert lookups.find(request) == Written(reply, encode(reply))
        lookups.keep(request, reply, lookups.n_commits, until="2024-01-01T00:00:00.000Z")
        assert lookups.find(request) is None

    play(tmp_path, scene)


def test_the_replies_used_last_are_kept_within_the_bytes(tmp_path: Path) -> None:
    async def scene(scene: Scene) -> None:
        lookups = Lookups(scene.database, max_bytes=200)
        requests = [GetStrategy(id=name) for name in "abcd"]
        for request in requests:
            lookups.keep(request, StrategyDeleted(id="x" * 20, deleted=False), lookups.n_commits)
        assert [lookups.find(request) is not None for request in requests] == [False, False, True, True]
        lookups.keep(requests[0], StrategyDeleted(id="x" * 500, deleted=False), lookups.n_commits)
        assert lookups.find(requests[0]) is None

    play(tmp_path, scene)
