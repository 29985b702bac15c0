"""What bots said of packages, in the order in which they said it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from tunesmith.protocol.messages.packages import Outcome
from tunesmith.storage.sqlite.connections import Connection, Source
from tunesmith.storage.sqlite.rows import Row, insert, json_text, row_of, select_one

MOST_SAID = 10_000
"""Acknowledgements that are kept of one user."""
_PRUNED_EVERY = 100
_BOT = "symbol, venue, timeframe, strategy_id, user, client"
_LAST_SAID = f"""
    SELECT said.*, outcome = 'applied' AND NOT EXISTS (
        SELECT 1 FROM package_acks AS later
        WHERE ({", ".join(f"later.{name}" for name in _BOT.split(", "))})
            = ({", ".join(f"said.{name}" for name in _BOT.split(", "))})
            AND later.id > said.id AND later.outcome = 'applied' AND later.package_id <> said.package_id
    ) AS runs
    FROM package_acks AS said
    WHERE package_id IN (SELECT value FROM json_each(?)) AND NOT EXISTS (
        SELECT 1 FROM package_acks AS later
        WHERE later.package_id = said.package_id AND later.id > said.id
            AND later.user = said.user AND later.client = said.client
    )
    ORDER BY id
"""  # noqa: S608 - our own names


class AckRow(Row, frozen=True, kw_only=True):
    """One acknowledgement; a bot is a user and a client."""

    table: ClassVar[str] = "package_acks"

    package_id: str
    venue: str
    symbol: str
    timeframe: str
    strategy_id: str
    user: str
    client: str
    outcome: Outcome
    reason: str
    time: str


class LastAck(AckRow, frozen=True, kw_only=True):
    """What a bot last said of a package; `runs` says that it applied no other of that market and strategy since."""

    runs: bool


async def last_of(conn: Connection, ack: AckRow) -> AckRow | None:
    """What the bot of an acknowledgement said last of any package of its market and strategy, or None."""
    where = " AND ".join(f"{name} = ?" for name in _BOT.split(", "))
    values = tuple(getattr(ack, name) for name in _BOT.split(", "))
    return await select_one(conn, AckRow, f"WHERE {where} ORDER BY id DESC", values)


async def create(conn: Connection, ack: AckRow) -> None:
    """Stores an acknowledgement, whose package must be there; beyond some `MOST_SAID` of one user the oldest go."""
    await insert(conn, ack)
    number = await conn.fetch_one("SELECT last_insert_rowid()")
    if number is None or number[0] % _PRUNED_EVERY:
        return
    sql = """DELETE FROM package_acks WHERE id IN
             (SELECT id FROM package_acks WHERE user = ? ORDER BY id DESC LIMIT -1 OFFSET ?)"""
    await conn.execute(sql, (ack.user, MOST_SAID))


async def of_packages(source: Source, package_ids: Sequence[str]) -> list[LastAck]:
    """What each bot last said of each of these packages, in the order in which it was said."""
    text = json_text(list(package_ids))
    return [row_of(LastAck, row) for row in await source.fetch_all(_LAST_SAID, (text,))]
