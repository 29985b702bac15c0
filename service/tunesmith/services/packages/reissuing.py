"""Signing anew: when another key signs, the packages in force are announced once more, so that it vouches for them.

A bot that believes the new key alone, or that began to ask for signatures, has them then as well. To the others it is a
package that they know.
"""

from __future__ import annotations

import structlog

from tunesmith.protocol.topics import package_topics
from tunesmith.services.packages.package_requests import announce
from tunesmith.services.runtime.context import Context
from tunesmith.storage.sqlite.connections import Connection
from tunesmith.storage.sqlite.database import Database
from tunesmith.storage.tables import outbox, package_table

logger = structlog.get_logger(__name__)

_AT_A_TIME = 100


class Reissuing:
    """Remembers which key has vouched for everything in force."""

    def __init__(self) -> None:
        self._keyid: str | None = None

    async def reissue_packages(self, context: Context) -> int:
        """Announce what is in force and another key, or none, has signed; how many packages there were."""
        key = context.database.signing_key()
        if key is None or key.keyid == self._keyid:
            return 0
        n_reissued = 0
        while n := await context.database.write(_reissue):
            n_reissued += n
        self._keyid = key.keyid
        if n_reissued:
            logger.info("packages in force were signed anew", keyid=key.keyid, n=n_reissued)
        return n_reissued


async def _reissue(conn: Connection) -> int:
    key = conn.signing_key
    if key is None:
        return 0
    due = await package_table.signed_by_others(conn, key.keyid, _AT_A_TIME)
    for row in due:
        event = await announce(conn, row, "package.approved", row.doc)
        await package_table.carry(conn, row.id, event.seq)
    return len(due)


async def tell_on_second_topics(database: Database) -> int:
    """Announce packages in force on the second topic of their market, where none has told of them there; how many."""
    n_told = 0
    while await package_table.without_second_topic(database, 1):
        n_told += await database.write(_tell_again)
    return n_told


async def _tell_again(conn: Connection) -> int:
    due = await package_table.without_second_topic(conn, _AT_A_TIME)
    for row in due:
        *_, topic = package_topics(row.symbol, row.timeframe, row.strategy_id)
        await outbox.append(conn, topic, "package.approved", row.symbol, row.doc)
    return len(due)
