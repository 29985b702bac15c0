"""The outbox: durable events, written in the transaction that they tell of and published after its commit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

import msgspec

from tunesmith.errors import Internal
from tunesmith.protocol.envelope import VERSION
from tunesmith.storage.sqlite.connections import Appended, Connection, Source
from tunesmith.storage.sqlite.database import Database
from tunesmith.storage.sqlite.restoring import RESTORED
from tunesmith.storage.sqlite.rows import Row, number, select
from tunesmith.storage.timestamps import now

_LAST = "\U0010ffff"


class EventRow(Row, frozen=True, kw_only=True):
    """One durable event: `event` is its JSON exactly as it is published, `signature` that of the key that it names."""

    table: ClassVar[str] = "events"

    seq: int
    topic: str
    prev: int
    type: str
    time: str
    subject: str | None
    event: str
    signature: bytes | None
    published_at: str | None

    @property
    def frame(self) -> bytes:
        """The bytes of the JSON frame."""
        return self.event.encode()


class Missed(NamedTuple):
    """An answer to a bot that missed events; `more` says that the limit cut it short."""

    epoch: str
    head: int
    events: list[EventRow]
    more: bool


async def append(conn: Connection, topic: str, event_type: str, subject: str | None, data: Any) -> Appended:
    """Writes the next event of the gapless sequence; `data` is anything that msgspec encodes.

    The connection's key signs it here, once: what is sent again, replayed or in a snapshot is the same to the bit,
    whatever became of the key since. The envelope is PROTOCOL.md's, a CloudEvents 1.0 JSON event.
    """
    sql = """SELECT (SELECT value FROM meta WHERE key = 'epoch') AS epoch,
                    (SELECT value FROM meta WHERE key = 'instance') AS instance,
                    coalesce((SELECT max(seq) FROM events), 0) AS head,
                    coalesce((SELECT max(seq) FROM events WHERE topic = ?), 0) AS prev"""
    state = await conn.fetch_one(sql, (topic,))
    if state is None or not topic.endswith("/"):
        raise Internal(f"{topic!r} is no topic: it does not end in /")
    seq, time, key = int(state["head"]) + 1, now(), conn.signing_key
    event: dict[str, Any] = {
        "specversion": "1.0",
        "v": VERSION,
        "id": f"{state['epoch']}-{seq}",
        "source": f"urn:tunesmith:{state['instance']}",
        "type": event_type,
        "time": time,
        "subject": subject,
        "epoch": state["epoch"],
        "seq": seq,
        "prev": int(state["prev"]),
        "keyid": key.keyid if key else None,
        "data": data,
    }
    frame = msgspec.json.encode({key: value for key, value in event.items() if value is not None or key == "data"})
    signature = key.sign(frame) if key else None
    await conn.execute(
        "INSERT INTO events (seq, topic, prev, type, time, subject, event, signature) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (seq, topic, event["prev"], event_type, time, subject, frame.decode(), signature),
    )
    appended = Appended(seq, topic, frame, signature)
    conn.appended.append(appended)
    return appended


async def tell_again(conn: Connection) -> int:
    """After a restore, appends the newest event of each package topic once more, in the new epoch; how many.

    Bots that begin anew and those that come late hear those, and not events of an epoch that is over.
    """
    if not await conn.execute("DELETE FROM meta WHERE key = ?", (RESTORED,)):
        return 0
    below, bounds = _below(["pkg/"])
    tail = f"WHERE seq IN (SELECT max(seq) FROM events WHERE {below} GROUP BY topic) ORDER BY seq"  # noqa: S608 - constants
    rows = await select(conn, EventRow, tail, bounds)
    for row in rows:
        await append(conn, row.topic, row.type, row.subject, msgspec.json.decode(row.event)["data"])
    return len(rows)


async def unpublished(source: Source, after: int = 0, limit: int = 1000) -> list[EventRow]:
    """Events with a `seq` above `after` that were not marked as published, oldest first."""
    tail = "WHERE published_at IS NULL AND seq > ? ORDER BY seq LIMIT ?"
    return await select(source, EventRow, tail, (after, limit))


async def mark_published(conn: Connection, seqs: Sequence[int]) -> None:
    """Marks events as published, and with them the packages that they brought."""
    time = now()
    rows = [(time, seq) for seq in seqs]
    await conn.execute_many("UPDATE events SET published_at = ? WHERE seq = ? AND published_at IS NULL", rows)
    sql = "UPDATE parameter_packages SET published_at = ? WHERE seq = ? AND published_at IS NULL"
    await conn.execute_many(sql, rows)


async def snapshot(database: Database, prefixes: Sequence[str], limit: int = 1000) -> Missed:
    """The newest event of each topic below the prefixes (the newest `limit` of them), oldest first, and the head."""
    below, bounds = _below(prefixes)
    tail = f"""WHERE seq IN (SELECT max(seq) FROM events WHERE {below} GROUP BY topic ORDER BY 1 DESC LIMIT ?)
               ORDER BY seq"""  # noqa: S608 - made of placeholders
    async with database.reader() as conn:
        events = await select(conn, EventRow, tail, [*bounds, limit + 1])
        return Missed(database.epoch, await head(conn), events[-limit:], len(events) > limit)


async def replay(database: Database, after: int, prefixes: Sequence[str], limit: int = 200) -> Missed:
    """Events with a `seq` above `after` on topics below the prefixes, oldest first, and the head."""
    below, bounds = _below(prefixes)
    async with database.reader() as conn:
        tail = f"WHERE seq > ? AND ({below}) ORDER BY seq LIMIT ?"
        events = await select(conn, EventRow, tail, [after, *bounds, limit + 1])
        return Missed(database.epoch, await head(conn), events[:limit], len(events) > limit)


async def n_unpublished(source: Source) -> int:
    """How many events are not marked as published."""
    return await number(source, "SELECT count(*) FROM events WHERE published_at IS NULL")


async def head(source: Source) -> int:
    """The newest event's `seq`, 0 before the first (`Database.head` knows it without a query)."""
    return await number(source, "SELECT coalesce(max(seq), 0) FROM events")


def _below(prefixes: Sequence[str]) -> tuple[str, list[str]]:
    """A condition on `topic` that an index can serve, and its parameters."""
    terms = " OR ".join("(topic >= ? AND topic < ?)" for _ in prefixes) or "0"
    return terms, [bound for prefix in prefixes for bound in (prefix, prefix + _LAST)]
