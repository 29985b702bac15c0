"""Packages of another grade than their verdict gave, and packages out of force for a while.

Nothing that was signed or hashed is altered: another grade is another package, which supersedes the one before and
carries all that it says, so that the newest event of a topic is enough for a bot that comes late.
"""

from __future__ import annotations

import structlog

from tunesmith.errors import Conflict
from tunesmith.services.packages.package_requests import announce_withdrawn, issue_again
from tunesmith.storage.sqlite.connections import Connection
from tunesmith.storage.sqlite.database import Database
from tunesmith.storage.tables import package_table
from tunesmith.storage.tables.package_table import PackageRow

logger = structlog.get_logger(__name__)

_AT_A_TIME = 100


async def regrade_older(database: Database) -> int:
    """Supersede each package in force that an older version called proven by one that is called tested; how many.

    The new ones are in force then, so that there is nothing to do at the next start.
    """
    n_regraded = 0
    while await package_table.called_proven_before(database, 1):
        n_regraded += await database.write(_regrade)
    if n_regraded:
        logger.info("packages that an older version called proven are called tested", n=n_regraded)
    return n_regraded


async def promote(conn: Connection, package_id: str, reason: str) -> PackageRow:
    """Supersede a tested package in force by a proven one; `reason` says by what evidence. Raises `Conflict`."""
    row = await package_table.get(conn, package_id)
    if row is None or row.state() != "in_force" or row.grade != "tested":
        standing = "not there" if row is None else f"{row.grade}, {row.state().replace('_', ' ')}"
        raise Conflict(f"only a tested package in force can come to be proven; {package_id} is {standing}")
    return await issue_again(conn, row, row.id, {"grade": "proven", "promotes": row.id, "grade_reason": reason})


async def suspend(conn: Connection, package_id: str, user: str, reason: str) -> PackageRow:
    """Take a package in force out of force for a while, for every bot at once. Raises `Conflict`."""
    suspended = await package_table.suspend(conn, package_id, user, reason)
    if suspended is None:
        raise Conflict(f"only a package in force can be suspended; {package_id} is not")
    await announce_withdrawn(conn, "package.revoked", [(suspended, reason)])
    return suspended


async def _regrade(conn: Connection) -> int:
    due = await package_table.called_proven_before(conn, _AT_A_TIME)
    for row in due:
        await issue_again(conn, row, row.id)
    return len(due)
