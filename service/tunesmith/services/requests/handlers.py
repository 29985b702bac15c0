"""Routes: what stands behind a message type, and the handler that is made of it."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from tunesmith.protocol.catalog import MESSAGES, Call, Handler, Written
from tunesmith.protocol.envelope import Reply, Request
from tunesmith.services.requests.idempotency import Finish, once
from tunesmith.services.requests.lookups import looked_up
from tunesmith.services.requests.opened_results import entering_opened
from tunesmith.services.requests.settled_replies import settled_replies
from tunesmith.services.runtime.context import Context
from tunesmith.storage.sqlite.fair_turns import asker


@dataclass(frozen=True, slots=True)
class Route:
    """The use case behind a message type.

    `finish` completes the reply of one that changes something. `settled_by` names the request's fields that hold task
    ids, where the reply stays the same once all those tasks have ended. `looked_up`: the reply follows from request,
    database and time alone, so that it holds until something is written.
    """

    handle: Callable[..., Any]
    finish: Finish | None = None
    settled_by: tuple[str, ...] = ()
    looked_up: bool = False

    def handler(self, context: Context, message_type: str) -> Handler:
        """The handler of `message_type`: idempotent where it changes something; results of others are entered.

        What it reads, it reads in the turn of the user who asks.
        """
        made = self._made(context, message_type)
        opening = entering_opened(context, message_type, made, repeats=bool(self.settled_by))

        def handle(request: Request, call: Call) -> Reply | Written | Awaitable[Reply]:
            asker.set(call.user)
            return opening(request, call)

        return handle

    def _made(self, context: Context, message_type: str) -> Handler:
        if MESSAGES[message_type].changes:
            return once(context, self.handle, self.finish)
        if self.settled_by:
            return settled_replies(context, self.handle, self.settled_by)
        if self.looked_up:
            return looked_up(context.database, functools.partial(self.handle, context))
        return functools.partial(self.handle, context)
