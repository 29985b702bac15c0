"""Turns at the few reading connections: users take them one after the other, however many reads one has asked for.

Who the reads are for is said once for each request (`asker`), and holds for all that is started from it.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Iterable
from contextvars import ContextVar
from typing import Generic, TypeVar

T = TypeVar("T")

asker: ContextVar[str] = ContextVar("asker", default="")
"""The user for whom the database is read; the daemon itself where nobody asked."""


class FairTurns(Generic[T]):
    """Lends things to one caller each. Who waits is served in turns of users, and in order within a user."""

    def __init__(self, things: Iterable[T]) -> None:
        self._idle = list(things)
        self._waiting: OrderedDict[str, deque[asyncio.Future[T]]] = OrderedDict()

    async def get(self) -> T:
        """A thing that nobody else has; `put` gives it back."""
        if self._idle:
            return self._idle.pop()
        turn: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(asker.get(), deque()).append(turn)
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # lent before the cancel arrived here
                self.put(turn.result())
            raise

    def put(self, thing: T) -> None:
        """Give a thing back: the next user's oldest wait ends."""
        while self._waiting:
            user, turns = next(iter(self._waiting.items()))
            turn = turns.popleft()
            while turn.done() and turns:  # given up: the user's next one has the turn
                turn = turns.popleft()
            self._waiting.move_to_end(user)
            if not turns:
                del self._waiting[user]
            if not turn.done():
                turn.set_result(thing)
                return
        self._idle.append(thing)
