"""What bots said of packages, in the order in which they said it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from tunesmith.protocol.messages.packages import Outcome
from tunesmith.storage.sqlite.connections import Connection, Source
from tunesmith.storage.sqlite.rows import Row, insert, json_text, row_of

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


async def create(conn: Connection, ack: AckRow) -> None:
    """Stores an acknowledgement; its package must be there."""
    await insert(conn, ack)


async def of_packages(source: Source, package_ids: Sequence[str]) -> list[LastAck]:
    """What each bot last said of each of these packages, in the order in which it was said."""
    text = json_text(list(package_ids))
    return [row_of(LastAck, row) for row in await source.fetch_all(_LAST_SAID, (text,))]
