"""Stored replies, by which a request that is sent again is answered without doing its work again."""

from __future__ import annotations

from typing import ClassVar

from tunesmith.storage.clock import now
from tunesmith.storage.connections import Connection, Source
from tunesmith.storage.rows import Row, insert, select_one


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
    conn: Connection, user: str, client: str, request_id: str, message_type: str, body_hash: str, reply: str
) -> StoredReply:
    """Stores a reply; the one that was stored first stays, and is what this answers (compare its `body_hash`)."""
    stored = await find(conn, user, client, request_id)
    if stored is not None:
        return stored
    row = StoredReply(
        user=user,
        client=client,
        id=request_id,
        type=message_type,
        body_hash=body_hash,
        reply=reply,
        created_at=now(),
    )
    await insert(conn, row)
    return row


async def forget(conn: Connection, before: str, limit: int = 5_000) -> int:
    """Removes replies stored before a time (ISO text), at most `limit` of them; how many."""
    sql = "DELETE FROM requests WHERE rowid IN (SELECT rowid FROM requests WHERE created_at < ? LIMIT ?)"
    return await conn.execute(sql, (before, limit))
