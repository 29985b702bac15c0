"""What is known of markets beside their candles: their marks, which names are one market, and which bars were replaced.

It stays when candles are replaced or removed.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar, NamedTuple

from tunesmith.domain.market.timeframes import UNIT_MS
from tunesmith.errors import Internal
from tunesmith.storage.sqlite.connections import Connection, Source
from tunesmith.storage.sqlite.rows import Row, insert
from tunesmith.storage.tables.holdout_table import Name
from tunesmith.storage.timestamps import now

_ONE_CLOCK_MS = 2 * UNIT_MS["d"]


class NewMark(Row, frozen=True, kw_only=True):
    """The mark of a stored series; `closes` and `mark` are bytes as `domain.market` packs them."""

    table: ClassVar[str] = "market_marks"

    venue: str
    symbol: str
    timeframe: str
    data_hash: str
    closes: bytes
    mark: bytes


class StoredMark(NamedTuple):
    """A mark as it is in the database."""

    id: int
    venue: str
    symbol: str
    timeframe: str
    data_hash: str
    mark: bytes


class Closes(NamedTuple):
    """The daily closes of a marked series, which its hash and timeframe name."""

    venue: str
    symbol: str
    timeframe: str
    data_hash: str
    closes: bytes


class Kin(NamedTuple):
    """A name of a market. What happens at t under it happens at scale * t + offset_ms under the name that was asked."""

    venue: str
    symbol: str
    scale: float = 1.0
    offset_ms: int = 0
    r: float = 1.0
    n: int = 0

    @property
    def name(self) -> Name:
        return self.venue, self.symbol

    @property
    def has_our_times(self) -> bool:
        """Whether a time means the same under both names, to two days."""
        return self.scale == 1.0 and abs(self.offset_ms) <= _ONE_CLOCK_MS

    def ours(self, time_ms: int) -> int | None:
        """Their time as ours; None where theirs runs backwards."""
        if self.scale <= 0.0:
            return None
        return time_ms + self.offset_ms if self.scale == 1.0 else round(self.scale * time_ms) + self.offset_ms

    def from_the_other_side(self, own: Name) -> Kin:
        """How the market `own` is under this name."""
        return Kin(*own, 1.0 / self.scale, round(-self.offset_ms / self.scale), self.r, self.n)


async def kin(source: Source, name: Name) -> list[Kin]:
    """Every other name that the market is known to have."""
    sql = """SELECT kin_venue, kin_symbol, scale, offset_ms, r, n FROM market_kin WHERE venue = ? AND symbol = ?
             ORDER BY kin_venue, kin_symbol"""
    return [Kin(*row) for row in await source.fetch_all(sql, name)]


async def marked(source: Source, name: Name) -> set[tuple[str, str]]:
    """Timeframe and hash of each series that was marked under a name."""
    sql = "SELECT timeframe, data_hash FROM market_marks WHERE venue = ? AND symbol = ?"
    return {(row[0], row[1]) for row in await source.fetch_all(sql, name)}


async def unmarked(source: Source) -> list[Name]:
    """The names that have a hold-out and no mark: an older program worked on them."""
    sql = "SELECT venue, symbol FROM holdouts EXCEPT SELECT venue, symbol FROM market_marks ORDER BY venue, symbol"
    return [(row[0], row[1]) for row in await source.fetch_all(sql)]


async def newest(source: Source) -> int:
    """The id of the newest mark; 0 where there is none."""
    row = await source.fetch_one("SELECT coalesce(max(id), 0) FROM market_marks")
    return int(row[0]) if row else 0


async def put_mark(conn: Connection, mark: NewMark, instead_of: Sequence[int]) -> None:
    """Store a mark, in the place of those of which it has every bar."""
    await conn.execute_many("DELETE FROM market_marks WHERE id = ?", [(each,) for each in instead_of])
    await insert(conn, mark, {"made_at": now()})


async def put_kin(conn: Connection, own: Name, other: Kin) -> None:
    """Store that two names are one market, each way; the first that is known of them stays."""
    sql = """INSERT OR IGNORE INTO market_kin
                 (venue, symbol, kin_venue, kin_symbol, scale, offset_ms, r, n, known_at)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"""
    time = now()
    await conn.execute(sql, (*own, *other, time))
    await conn.execute(sql, (*other.name, *other.from_the_other_side(own), time))


async def closes(source: Source) -> list[Closes]:
    """The daily closes of everything that was marked."""
    sql = "SELECT venue, symbol, timeframe, data_hash, closes FROM market_marks ORDER BY id"
    return [Closes(*row) for row in await source.fetch_all(sql)]


async def put_renewal(conn: Connection, name: Name, user: str, time: str) -> None:
    """Store that bars of a market which had been used were replaced."""
    sql = "INSERT INTO market_renewals (venue, symbol, time, user) VALUES (?, ?, ?, ?)"
    await conn.execute(sql, (*name, time, user))


async def renewed(source: Source, name: Name, since: str) -> str | None:
    """When used bars of a market were last replaced, if that was at `since` or later (ISO text)."""
    sql = "SELECT max(time) FROM market_renewals WHERE venue = ? AND symbol = ? AND time >= ?"
    row = await source.fetch_one(sql, (*name, since))
    return None if row is None or row[0] is None else str(row[0])


def stored_marks(database: Path, newest_id: int) -> Iterator[StoredMark]:
    """Every mark up to `newest_id` in the database at that path, whoever has it open, one at a time."""
    with reading(database) as conn:
        sql = "SELECT id, venue, symbol, timeframe, data_hash, mark FROM market_marks WHERE id <= ? ORDER BY id"
        for row in conn.execute(sql, (newest_id,)):
            yield StoredMark(*row)


def stored_kin(database: Path, name: Name) -> set[Name]:
    """The other names of a market that the database at that path knows."""
    with reading(database) as conn:
        sql = "SELECT kin_venue, kin_symbol FROM market_kin WHERE venue = ? AND symbol = ?"
        return set(conn.execute(sql, name).fetchall())


def used_until(database: Path, name: Name) -> int | None:
    """When the last bar ends that a search or a verdict used under a name, UTC milliseconds; None where none did.

    Raises `Internal` where the database at that path cannot tell; one that is not there yet has nothing.
    """
    if not database.exists():
        return None
    sql = """SELECT max(end_ms) FROM (
                 SELECT end_ms FROM counted_markets WHERE venue = ?1 AND symbol = ?2
                 UNION ALL SELECT end_ms FROM holdout_looks WHERE venue = ?1 AND symbol = ?2)"""
    with reading(database) as conn:
        found = conn.execute(sql, name).fetchone()[0]
    return None if found is None else int(found)


@contextlib.contextmanager
def reading(database: Path) -> Iterator[sqlite3.Connection]:
    """The database at that path to read from, whoever has it open. Raises `Internal` where it cannot be read."""
    try:
        conn = sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True)
        with contextlib.closing(conn):
            conn.execute("PRAGMA busy_timeout = 5000")
            yield conn
    except sqlite3.Error as error:
        raise Internal(f"{database} cannot be read ({error}); start the daemon once, it says what is wrong") from error
