"""The message about the audit log: who asked for what only operators may do, and what came of it."""

from __future__ import annotations

from typing import Annotated

import msgspec

from tunesmith.domain.names import Date
from tunesmith.protocol.envelope import Limit, Offset, Reply, Request

Word = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]


class ListAudit(Request, frozen=True, kw_only=True):
    """`audit.list`: newest first; `since` and what else is given narrows it down."""

    user: Word | None = None
    type: Word | None = None
    outcome: Word | None = None
    since: Date | None = None
    limit: Limit = 50
    offset: Offset = 0


class AuditEntry(Reply, frozen=True, kw_only=True):
    """One act: `outcome` is ok, an error's code, what a verdict came to, or opened; `target` what it was about.

    Opened: results of another user's task, the target, were delivered to the user, and a verdict counts them from then.

    `door` is requests, inbox or http; `task` for what came of a task that `user` had asked for; `files` for what a
    command did to keys or tokens, with the machine's account that ran it as `user`. `n` counts refused attempts of the
    same kind within a second, which are one entry after the first.
    """

    id: int
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
    n: int


class AuditList(Reply, frozen=True, kw_only=True):
    entries: list[AuditEntry]
    total: int
