"""Stored replies, by which a request that is sent again is answered without doing its work again."""

from __future__ import annotations

from typing import ClassVar

from tunesmith.storage.sqlite.connections import Connection, Source
from tunesmith.storage.sqlite.rows import Row, select_one
from tunesmith.storage.timestamps import SQL_NOW

Key = tuple[str, str, str]
"""A user, a client (empty where none was named) and the id of a request."""

MOST_PASSING = 1_000
"""Passing replies that are kept of one user."""


class StoredReply(Row, frozen=True, kw_only=True):
    """The reply (JSON text) to one user's, one client's request id; `client` is empty where none was named."""

    table: ClassVar[str] = "requests"

    user: str
    client: str
    id: str
    type: str
    body_hash: str
    reply: str
    created_at: str


async def find(source: Source, user: str, client: str, request_id: str) -> StoredReply | None:
    """The stored reply, or None."""
    return await select_one(source, StoredReply, "WHERE user = ? AND client = ? AND id = ?", (user, client, request_id))


lookup = find
"""The same on the readers' side."""


async def store(
    conn: Connection, key: Key, message_type: str, body_hash: str, reply: str, *, passing: bool = False
) -> None:
    """Stores a reply; where one is stored already, that one stays.

    `passing`: the same request makes it again; beyond `MOST_PASSING` such replies to one user the oldest go.
    """
    sql = f"""INSERT INTO requests (user, client, id, type, body_hash, reply, passing, created_at)
              VALUES (?, ?, ?, ?, ?, ?, ?, {SQL_NOW}) ON CONFLICT (user, client, id) DO NOTHING"""  # noqa: S608 - a constant
    await conn.execute(sql, (*key, message_type, body_hash, reply, passing))
    if passing:
        sql = """DELETE FROM requests WHERE rowid IN
                 (SELECT rowid FROM requests WHERE user = ? AND passing ORDER BY rowid DESC LIMIT -1 OFFSET ?)"""
        await conn.execute(sql, (key[0], MOST_PASSING))


async def forget(conn: Connection, before: str, limit: int = 5_000) -> int:
    """Removes replies stored before a time (ISO text), at most `limit` of them; how many."""
    sql = "DELETE FROM requests WHERE rowid IN (SELECT rowid FROM requests WHERE created_at < ? LIMIT ?)"
    return await conn.execute(sql, (before, limit))
