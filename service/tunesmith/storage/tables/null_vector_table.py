"""Null vectors: what counted searches find on permuted markets. A cache: whatever is not here is made again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

import msgspec

from tunesmith.storage.sqlite.connections import Connection, Source
from tunesmith.storage.sqlite.rows import Row, select
from tunesmith.storage.timestamps import now


class NullRow(Row, frozen=True, kw_only=True):
    """What a counted search finds on `n` permuted markets: `v`, `places` and `links` are arrays as bytes.

    `ground` names all that it depends on beside the search: the market, where its hold-out begins, the secret, the
    other searches that it follows. The bytes are whoever stores them to make sense of.
    """

    table: ClassVar[str] = "null_vectors"

    counted_id: int
    ground: str
    n: int
    v: bytes
    places: bytes | None = None
    links: bytes | None = None


async def get(source: Source, counted_ids: Sequence[int], ground: str) -> dict[int, NullRow]:
    """Those of the searches' vectors that are stored, by the search's counted id."""
    tail = "WHERE counted_id IN (SELECT value FROM json_each(?)) AND ground = ?"
    rows = await select(source, NullRow, tail, (msgspec.json.encode(counted_ids).decode(), ground))
    return {row.counted_id: row for row in rows}


async def put(conn: Connection, rows: Iterable[NullRow]) -> None:
    """Stores vectors; a longer one replaces a shorter one, and never the other way round."""
    sql = """INSERT INTO null_vectors (counted_id, ground, n, made_at, v, places, links) VALUES (?, ?, ?, ?, ?, ?, ?)
             ON CONFLICT (counted_id, ground) DO UPDATE SET
                 n = excluded.n, made_at = excluded.made_at, v = excluded.v, places = excluded.places,
                 links = excluded.links
             WHERE excluded.n >= n"""
    time = now()
    values = [(row.counted_id, row.ground, row.n, time, row.v, row.places, row.links) for row in rows]
    await conn.execute_many(sql, values)


async def forget(conn: Connection, before: str, limit: int = 100) -> int:
    """Deletes vectors that were made before a time, so many at most; how many there were."""
    sql = """DELETE FROM null_vectors WHERE rowid IN (
                 SELECT rowid FROM null_vectors WHERE made_at < ? ORDER BY made_at LIMIT ?
             )"""
    return await conn.execute(sql, (before, limit))
