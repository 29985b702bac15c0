"""The publisher goes on: a database that refuses for a while delays events, it does not end them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import structlog

from tunesmith.errors import Internal
from tunesmith.services.packages import publisher as publishing
from tunesmith.services.packages.publisher import Publisher
from tunesmith.storage.sqlite.database import Database
from tunesmith.storage.tables import outbox

TOPIC = "pkg/BTC/USDT/1h/x/"
REFUSE = "CREATE TRIGGER refused BEFORE UPDATE OF published_at ON events BEGIN SELECT RAISE(FAIL, 'no'); END"
ALLOW = "DROP TRIGGER refused"


class Scene:
    """A publisher over a real database, and what it sent."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.sent: list[int] = []
        self.faults: list[Exception] = []
        self.publisher = Publisher(database, self.publish)

    def publish(self, topic: str, frame: bytes, signature: bytes | None) -> None:
        if self.faults:
            raise self.faults.pop()
        self.sent.append(json.loads(frame)["seq"])

    async def append(self) -> None:
        await self.database.write(lambda conn: outbox.append(conn, TOPIC, "package.approved", None, {}))

    async def run(self, sql: str) -> None:
        await self.database.write(lambda conn: conn.execute(sql))

    async def until(self, condition: Callable[[], Any]) -> None:
        async with asyncio.timeout(90):
            while not condition():
                await asyncio.sleep(0.002)

    async def until_all_is_marked(self) -> None:
        async with asyncio.timeout(90):
            while await outbox.unpublished(self.database):
                await asyncio.sleep(0.002)


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publishing, "_FIRST_PAUSE_S", 0.005)


def play(folder: Path, scene: Callable[[Scene], Awaitable[None]]) -> None:
    async def main() -> None:
        database = await Database.open(folder / "t.db")
        try:
            made = Scene(database)
            await made.publisher.start(lambda topic, frame, signature: None)
            try:
                await scene(made)
            finally:
                await made.publisher.close()
        finally:
            await database.close()

    asyncio.run(main())


def test_a_refused_write_delays_events_and_repeats_none(tmp_path: Path) -> None:
    async def scene(scene: Scene) -> None:
        with structlog.testing.capture_logs() as lines:
            await scene.run(REFUSE)
            await scene.append()
            await scene.until(lambda: len(lines) >= 3)
            assert {line["log_level"] for line in lines} == {"warning"}
            await scene.append()
            await scene.until(lambda: 2 in scene.sent)
            assert scene.publisher.alive
            await scene.run(ALLOW)
            await scene.until_all_is_marked()
        await scene.append()
        await scene.until(lambda: 3 in scene.sent)
        assert scene.sent == [1, 2, 3]

    play(tmp_path, scene)


@pytest.mark.parametrize("fault", [Internal("the disk is full"), RuntimeError("nobody thought of it")])
def test_what_could_not_be_sent_is_sent_later(tmp_path: Path, fault: Exception) -> None:
    async def scene(scene: Scene) -> None:
        scene.faults = [fault, fault]
        with structlog.testing.capture_logs() as lines:
            await scene.append()
            await scene.append()
            await scene.until(lambda: 2 in scene.sent)
        assert scene.sent == [1, 2]
        assert len(lines) == 2
        assert scene.publisher.alive

    play(tmp_path, scene)


def test_a_refusal_at_the_end_is_no_failure_and_the_next_start_sends_again(tmp_path: Path) -> None:
    async def refused(scene: Scene) -> None:
        with structlog.testing.capture_logs() as lines:
            await scene.run(REFUSE)
            await scene.append()
            await scene.until(lambda: lines)
            await scene.publisher.close()
        assert scene.sent == [1]
        assert not scene.publisher.alive
        await scene.run(ALLOW)
        scene.publisher = Publisher(scene.database, scene.publish)  # as the next daemon's
        await scene.publisher.start(lambda topic, frame, signature: None)
        await scene.until_all_is_marked()
        assert scene.sent == [1, 1]

    play(tmp_path, refused)


def test_what_is_committed_is_sent_once_and_in_order_whether_handed_over_or_read(tmp_path: Path) -> None:
    async def scene(scene: Scene) -> None:
        with structlog.testing.capture_logs():
            for number in range(300):
                if number % 50 == 25:
                    scene.faults = [Internal("not now")]  # what is committed meanwhile waits in the outbox
                await asyncio.gather(*(scene.append() for _ in range(number % 3 + 1)))
            n = scene.database.head
            await scene.until(lambda: len(scene.sent) >= n)
            await scene.until_all_is_marked()
        assert scene.sent == list(range(1, n + 1))

    play(tmp_path, scene)


def test_an_event_is_sent_before_who_asked_for_it_is_answered(tmp_path: Path) -> None:
    async def scene(scene: Scene) -> None:
        await scene.append()
        await scene.until(lambda: scene.sent == [1])
        await scene.append()
        assert scene.sent == [1, 2]

    play(tmp_path, scene)
