"""The audit log: rows are added and never changed or removed, which triggers of the table see to."""

from __future__ import annotations

from typing import ClassVar

from tunesmith.storage.sqlite.connections import Connection, Source
from tunesmith.storage.sqlite.rows import Page, Row, insert, page

FILES = "files"
"""The door of what came in by no socket: by the files that commands write, or what became of keys."""


class NewEntry(Row, frozen=True, kw_only=True):
    """One act on its way into the log."""

    table: ClassVar[str] = "audit"

    time: str
    user: str
    role: str
    door: str
    client: str
    type: str
    request_id: str
    target: str
    outcome: str
    detail: str
    n: int = 1


class AuditRow(NewEntry, frozen=True, kw_only=True):
    """One act as it stands in the log, numbered in the order in which they were added."""

    id: int


async def append(conn: Connection, entry: NewEntry) -> None:
    """Add an entry, in the transaction of what it tells of."""
    await insert(conn, entry)


async def listing(
    source: Source,
    *,
    user: str | None = None,
    type: str | None = None,
    outcome: str | None = None,
    since: str | None = None,
    limit: int = 50,
    offset: int = 0,
) -> Page:
    """`AuditRow`s, newest first; `since` is a time (ISO text)."""
    filters = {"user": user, "type": type, "outcome": outcome, "time >= ?": since}
    return await page(source, AuditRow, filters, order="id DESC", limit=limit, offset=offset)


async def request_ids(source: Source, door: str) -> set[str]:
    """The ids of all requests that came in there; reads the whole log."""
    rows = await source.fetch_all("SELECT request_id FROM audit WHERE door = ?", (door,))
    return {row[0] for row in rows}
