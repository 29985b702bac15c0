"""Hold-outs: where each market's begins, and who looked at it."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from tunesmith.errors import Internal
from tunesmith.storage.sqlite.connections import Connection, Source
from tunesmith.storage.sqlite.rows import Row, insert, select
from tunesmith.storage.timestamps import milliseconds, now

Name = tuple[str, str]
"""Venue and symbol."""


class Look(Row, frozen=True, kw_only=True):
    """One look at bars of a hold-out: [start_ms, end_ms), by a backtest, a verdict or an approval by criteria."""

    table: ClassVar[str] = "holdout_looks"

    venue: str
    symbol: str
    start_ms: int
    end_ms: int
    boundary_ms: int
    user: str
    kind: str
    task_id: str | None
    time: str


class Move(Row, frozen=True, kw_only=True):
    """A hold-out that began at `from_ms` and begins at `to_ms` since `time`."""

    table: ClassVar[str] = "holdout_moves"

    venue: str
    symbol: str
    from_ms: int
    to_ms: int
    time: str


async def boundary(source: Source, venue: str, symbol: str) -> int | None:
    """The instant at which the hold-out begins, UTC milliseconds; None before it was set."""
    row = await source.fetch_one("SELECT boundary_ms FROM holdouts WHERE venue = ? AND symbol = ?", (venue, symbol))
    return None if row is None else int(row[0])


def stored_boundaries(database: Path) -> dict[tuple[str, str], int]:
    """Every boundary in the database at that path, by venue and symbol, whoever has it open; none where none is."""
    if not database.exists():
        return {}
    try:
        with contextlib.closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True)) as conn:
            rows = conn.execute("SELECT venue, symbol, boundary_ms FROM holdouts").fetchall()
    except sqlite3.Error:
        return {}
    return {(venue, symbol): edge for venue, symbol, edge in rows}


async def set_boundary(conn: Connection, venue: str, symbol: str, boundary_ms: int) -> int:
    """The boundary that is in force: `boundary_ms` when none was stored, else the stored one; see `advance`."""
    sql = "INSERT OR IGNORE INTO holdouts (venue, symbol, boundary_ms, created_at) VALUES (?, ?, ?, ?)"
    await conn.execute(sql, (venue, symbol, boundary_ms, now()))
    stored = await boundary(conn, venue, symbol)
    if stored is None:
        raise Internal("the hold-out's boundary was not stored")
    return stored


async def advance(conn: Connection, venue: str, symbol: str, to_ms: int) -> Move | None:
    """Moves the boundary to `to_ms` and writes that down; None (and nothing done) where that is not later."""
    edge = await boundary(conn, venue, symbol)
    if edge is None or to_ms <= edge:
        return None
    sql = "UPDATE holdouts SET boundary_ms = ? WHERE venue = ? AND symbol = ?"
    await conn.execute(sql, (to_ms, venue, symbol))
    move = Move(venue=venue, symbol=symbol, from_ms=edge, to_ms=to_ms, time=now())
    await insert(conn, move)
    return move


async def moves(source: Source, venue: str, symbol: str) -> list[Move]:
    """How the boundary moved, oldest first."""
    return await select(source, Move, "WHERE venue = ? AND symbol = ? ORDER BY id", (venue, symbol))


async def boundaries(source: Source, names: Sequence[Name]) -> dict[Name, int]:
    """The boundary of each of a market's names, venue and symbol, that has one."""
    found = {name: await boundary(source, *name) for name in names}
    return {name: edge for name, edge in found.items() if edge is not None}


async def last_seen(
    source: Source, names: Sequence[Name], boundary_ms: int, *, elsewhen: Sequence[Name] = ()
) -> int | None:
    """When all that was looked at beyond `boundary_ms`, under any of the market's names, was over; None without a look.

    That is where the latest look ends, or when it was made: bars that had closed by then existed, imported or not, and
    somebody may have known them. Of looks under names with other times, `elsewhen`, only when they were made is heard.
    """
    sql = "SELECT end_ms, time FROM holdout_looks WHERE venue = ? AND symbol = ? AND end_ms > ?"
    rows = [row for name in names for row in await source.fetch_all(sql, (*name, boundary_ms))]
    ends = [max(int(row[0]), milliseconds(row[1])) for row in rows]
    ends += [milliseconds(look.time) for look in await _looks_elsewhen(source, elsewhen, boundary_ms)]
    return max(ends, default=None)


async def record_look(
    conn: Connection, venue: str, symbol: str, span: tuple[int, int], user: str, kind: str, task_id: str | None
) -> Look | None:
    """Writes down that `user` saw the bars in `span` [start_ms, end_ms) as far as they lie in the hold-out.

    `kind` is backtest, verdict or approval. None (and nothing written) when no boundary is set or none of it was seen.
    """
    edge = await boundary(conn, venue, symbol)
    if edge is None or span[1] <= max(span[0], edge):
        return None
    look = Look(
        venue=venue,
        symbol=symbol,
        start_ms=max(span[0], edge),
        end_ms=span[1],
        boundary_ms=edge,
        user=user,
        kind=kind,
        task_id=task_id,
        time=now(),
    )
    await insert(conn, look)
    return look


async def looks(
    source: Source, names: Sequence[Name], start_ms: int, end_ms: int, *, elsewhen: Sequence[Name] = ()
) -> list[Look]:
    """Every look under any of a market's names that shares time with [start_ms, end_ms), whatever the timeframe was.

    Under names with other times, `elsewhen`, every look that was made after `start_ms`. Oldest first.
    """
    tail = "WHERE venue = ? AND symbol = ? AND start_ms < ? AND end_ms > ? ORDER BY id"
    found = [look for name in names for look in await select(source, Look, tail, (*name, end_ms, start_ms))]
    found += await _looks_elsewhen(source, elsewhen, start_ms)
    return sorted(found, key=lambda look: look.time)


async def _looks_elsewhen(source: Source, names: Sequence[Name], since_ms: int) -> list[Look]:
    tail = "WHERE venue = ? AND symbol = ? ORDER BY id"
    found = [look for name in names for look in await select(source, Look, tail, name)]
    return [look for look in found if milliseconds(look.time) > since_ms]
