"""The outbox: a gapless sequence of events, each with the one before it on its topic, and what bots ask of it."""

from __future__ import annotations

import asyncio
import json
import tempfile
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.opened import add_package, over_database
from tunesmith.errors import Internal, Invalid
from tunesmith.storage.sqlite.connections import Connection
from tunesmith.storage.sqlite.database import Database
from tunesmith.storage.tables import outbox, package_table

TOPICS = ["pkg/BTC/USD/1h/a/", "pkg/BTC/USDT/1h/a/", "pkg/BTC/USDT/1h/a_b/", "pkg/ÄTH/USDT/5m/a/", "task/1/done/"]
PREFIXES = ["pkg/", "pkg/BTC/USD", "pkg/BTC/USD/", "pkg/BTC/USDT/", "pkg/BTC/USDT/1h/a/", "pkg/Ä", "task/", "x/", ""]


@over_database
async def test_an_event_has_the_envelope_of_the_protocol(database: Database) -> None:
    data = {"a": [1, 2.5, None], "nan": float("nan"), "é": "ü"}
    appended = await database.write(lambda conn: outbox.append(conn, "pkg/A/1h/s/", "package.approved", "A", data))
    event = json.loads(appended.frame)
    time = event.pop("time")
    assert time.endswith("Z")
    assert len(time) == len("2024-01-31T00:00:00.000Z")
    assert event == {
        "specversion": "1.0",
        "v": 1,
        "id": f"{database.epoch}-1",
        "source": "urn:tunesmith:default",
        "type": "package.approved",
        "subject": "A",
        "epoch": database.epoch,
        "seq": 1,
        "prev": 0,
        "data": {**data, "nan": None},
    }
    (row,) = await outbox.unpublished(database)
    assert row.frame == appended.frame


@over_database
async def test_optional_attributes_are_left_out_or_in(database: Database) -> None:
    bare = await database.write(lambda conn: outbox.append(conn, "t/", "x", None, None))
    full = await database.write(lambda conn: outbox.append(conn, "t/", "x", "s", None))
    assert not {"subject", "keyid"} & json.loads(bare.frame).keys()
    assert json.loads(bare.frame)["data"] is None
    assert json.loads(full.frame)["subject"] == "s"


@over_database
async def test_the_key_of_the_moment_signs_and_its_signature_stays(database: Database) -> None:
    await database.write(lambda conn: outbox.append(conn, "t/", "x", None, {"n": 0}))
    for keyid in ("k1", "k2"):
        database.signing_key = lambda keyid=keyid: Stamp(keyid)  # type: ignore[misc]
        await database.write(lambda conn: outbox.append(conn, "t/", "x", None, {"é": "ü"}))
    unsigned, *signed = (await outbox.replay(database, 0, ["t/"])).events
    assert (unsigned.signature, "keyid" in json.loads(unsigned.frame)) == (None, False)
    assert [json.loads(row.frame)["keyid"] for row in signed] == ["k1", "k2"]
    assert [row.signature for row in signed] == [
        Stamp(k).sign(r.frame) for k, r in zip(("k1", "k2"), signed, strict=True)
    ]
    assert (await outbox.snapshot(database, ["t/"])).events == signed[1:]
    assert [row.signature for row in await outbox.unpublished(database)] == [None, *(row.signature for row in signed)]


class Stamp(NamedTuple):
    """A key that anybody could have; tests of real ones stand beside them."""

    keyid: str

    def sign(self, frame: bytes) -> bytes:
        return self.keyid.encode() + frame[::-1]


@over_database
async def test_a_topic_must_end_in_a_slash(database: Database) -> None:
    with pytest.raises(Internal, match="no topic"):
        await database.write(lambda conn: outbox.append(conn, "pkg/BTC", "x", None, {}))


@over_database
async def test_marking_published_marks_the_package_too(database: Database) -> None:
    row = await database.write(lambda conn: add_package(conn, "a" * 64))
    await database.write(lambda conn: outbox.append(conn, "t/", "x", None, {}))
    await database.write(lambda conn: outbox.mark_published(conn, [row.seq]))
    assert [event.seq for event in await outbox.unpublished(database)] == [2]
    package = await package_table.get(database, row.id)
    assert package is not None
    assert package.published_at is not None
    first = (await outbox.snapshot(database, ["pkg/BTC/USDT/1h/x/"])).events[-1].published_at
    assert first is not None
    await database.write(lambda conn: outbox.mark_published(conn, [row.seq]))
    assert (await outbox.snapshot(database, ["pkg/BTC/USDT/1h/x/"])).events[-1].published_at == first


@over_database
async def test_a_limit_keeps_the_newest_of_a_snapshot_and_the_oldest_of_a_replay(database: Database) -> None:
    for i in range(6):
        await database.write(lambda conn, i=i: outbox.append(conn, f"t/{i}/", "x", None, {}))
    snapshot = await outbox.snapshot(database, ["t/"], limit=4)
    assert ([e.seq for e in snapshot.events], snapshot.more, snapshot.head) == ([3, 4, 5, 6], True, 6)
    replay = await outbox.replay(database, 1, ["t/"], limit=4)
    assert ([e.seq for e in replay.events], replay.more, replay.head) == ([2, 3, 4, 5], True, 6)
    rest = await outbox.replay(database, 5, ["t/"], limit=4)
    assert ([e.seq for e in rest.events], rest.more) == ([6], False)


steps = st.lists(st.tuples(st.sampled_from(TOPICS), st.integers(1, 3), st.booleans()), max_size=25)


@settings(max_examples=40, deadline=None)
@given(steps, st.lists(st.sampled_from(PREFIXES), min_size=1, max_size=3), st.integers(0, 30))
def test_the_laws_of_the_sequence(writes: list[tuple[str, int, bool]], prefixes: list[str], after: int) -> None:
    """Writes of several events each, some of which fail as a whole: no gap, no repeat, every prev right."""

    async def main() -> None:
        with tempfile.TemporaryDirectory() as folder:
            database = await Database.open(Path(folder) / "t.db", n_readers=1)
            try:
                await asyncio.gather(*(append(database, *write) for write in writes))
                await look(database)
            finally:
                await database.close()

    async def append(database: Database, topic: str, n: int, fails: bool) -> None:
        async def write(conn: Connection) -> None:
            for _ in range(n):
                await outbox.append(conn, topic, "x", None, {})
            if fails:
                raise Invalid("undone")

        try:
            await database.write(write)
        except Invalid:
            assert fails

    async def look(database: Database) -> None:
        everything = (await outbox.replay(database, 0, [""], 10_000)).events
        topics = [topic for topic, n, fails in writes if not fails for _ in range(n)]
        assert [event.seq for event in everything] == list(range(1, len(topics) + 1))
        assert [event.topic for event in everything] == topics
        newest: dict[str, int] = {}
        for event in everything:
            body = json.loads(event.event)
            assert (body["seq"], body["prev"]) == (event.seq, event.prev) == (event.seq, newest.get(event.topic, 0))
            newest[event.topic] = event.seq
        head = len(topics)
        assert database.head == head
        chosen = [event for event in everything if event.topic.startswith(tuple(prefixes))]
        snapshot = await outbox.snapshot(database, prefixes)
        assert snapshot.events == [event for event in chosen if newest[event.topic] == event.seq]
        replay = await outbox.replay(database, after, prefixes)
        assert replay.events == [event for event in chosen if event.seq > after]
        assert (replay.head, snapshot.head, replay.epoch, replay.more) == (head, head, database.epoch, False)

    asyncio.run(main())
