"""Lookups that are answered on the spot: what the database said stays true until something is written.

This process alone writes to the database, so a reply that was read of it and of the request alone holds until the next
commit. A reply is kept with the number of commits at the time when its reading began; whatever is written while it is
read makes it count as old.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import NamedTuple

import msgspec

from tunesmith.protocol.catalog import Call, Handler, Written
from tunesmith.protocol.envelope import Reply, Request
from tunesmith.protocol.messages.packages import PackageReply
from tunesmith.storage.sqlite.database import Database
from tunesmith.storage.timestamps import now

MAX_BYTES = 4 * 2**20
"""Of the replies of one message type, as JSON."""

_encoder = msgspec.json.Encoder()


class _Kept(NamedTuple):
    written: Written
    n_commits: int
    until: str | None
    n_bytes: int


class Lookups:
    """Replies by request, those used last."""

    def __init__(self, database: Database, max_bytes: int = MAX_BYTES) -> None:
        self._database = database
        self._max_bytes = max_bytes
        self._kept: OrderedDict[bytes, _Kept] = OrderedDict()
        self._n_bytes = 0

    @property
    def n_commits(self) -> int:
        """What `keep` is to be told: the state of the database before the reading."""
        return self._database.counts.commits

    def find(self, request: Request) -> Written | None:
        """The reply to the same request, if nothing was written since."""
        key = _encoder.encode(request)
        kept = self._kept.get(key)
        if kept is None:
            return None
        if kept.n_commits != self._database.counts.commits or (kept.until is not None and kept.until <= now()):
            self._drop(key)
            return None
        self._kept.move_to_end(key)
        return kept.written

    def keep(self, request: Request, reply: Reply, n_commits: int, until: str | None = None) -> None:
        """Keep a reply that was read when there had been `n_commits`; it holds until the time `until` at most."""
        key = _encoder.encode(request)
        self._drop(key)
        written = Written(reply, _encoder.encode(reply))
        n_bytes = len(key) + len(written.text)
        if n_bytes > self._max_bytes:
            return
        self._kept[key] = _Kept(written, n_commits, until, n_bytes)
        self._n_bytes += n_bytes
        while self._n_bytes > self._max_bytes:
            self._drop(next(iter(self._kept)))

    def _drop(self, key: bytes) -> None:
        kept = self._kept.pop(key, None)
        if kept is not None:
            self._n_bytes -= kept.n_bytes


def valid_until(reply: Reply) -> str | None:
    """When time alone changes a reply about a package: at its end, unless that is over."""
    if not isinstance(reply, PackageReply):
        return None
    return reply.package.valid_until if reply.package.valid_until > now() else None


def looked_up(database: Database, handle: Callable[[Request, Call], Awaitable[Reply]]) -> Handler:
    """The handler of a message whose reply the database, the request and the time make, and nothing else."""
    lookups = Lookups(database)

    async def look(request: Request, call: Call) -> Reply:
        n_commits = lookups.n_commits
        reply = await handle(request, call)
        lookups.keep(request, reply, n_commits, valid_until(reply))
        return reply

    def answer(request: Request, call: Call) -> Written | Awaitable[Reply]:
        return lookups.find(request) or look(request, call)

    return answer
