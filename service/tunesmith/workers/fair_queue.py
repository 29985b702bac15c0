"""The queue of an executor: by priority, which waiting improves; within one users take turns, then their tasks."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")

AGING_S = 5.0
"""Seconds of waiting that count as one priority: 9 is served at least once in 45 s beside a stream of 0."""


class Place(NamedTuple):
    """Where an item queues: priority 0 is the first; users take turns, and within a user tasks."""

    priority: int
    user: str
    task: str | None


class FairQueue(Generic[T]):
    """Items by place. Each operation is O(1), but for the choice among the few priorities in use.

    The user who was served goes to the end of the users of that priority, the task to the end of the user's tasks: a
    task of 200 chunks does not keep another's single one waiting, nor a user of 200 tasks another user. A priority from
    which nothing was taken for a while counts as a better one, by one for each `AGING_S`, so that nobody starves.
    `clock` says the seconds, which nobody sets.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._levels: dict[int, OrderedDict[str, OrderedDict[str | None, OrderedDict[T, None]]]] = {}
        self._clock = clock
        self._waits_since: dict[int, float] = {}  # priority → when it was last served, or came to be
        self.n = 0  # how many are queued

    def __len__(self) -> int:
        return self.n

    def put(self, item: T, place: Place, *, first: bool = False) -> None:
        """Queue a hashable item behind its task's others, or before all of its priority."""
        if place.priority not in self._levels:
            self._levels[place.priority], self._waits_since[place.priority] = OrderedDict(), self._clock()
        users = self._levels[place.priority]
        tasks = users.setdefault(place.user, OrderedDict())
        items = tasks.setdefault(place.task, OrderedDict())
        items[item] = None
        self.n += 1
        if first:
            items.move_to_end(item, last=False)
            tasks.move_to_end(place.task, last=False)
            users.move_to_end(place.user, last=False)

    def take(self) -> T:
        """Remove and return the item that comes next; `KeyError` when there is none."""
        if not self._levels:
            raise KeyError("nothing is queued")
        priority = self._next_priority()
        users = self._levels[priority]
        user, tasks = next(iter(users.items()))
        task, items = next(iter(tasks.items()))
        item = next(iter(items))
        tasks.move_to_end(task)
        users.move_to_end(user)
        self.discard(item, Place(priority, user, task))
        return item

    def discard(self, item: T, place: Place) -> bool:
        """Remove an item; whether it was queued."""
        users = self._levels.get(place.priority)
        tasks = users.get(place.user) if users is not None else None
        items = tasks.get(place.task) if tasks is not None else None
        if users is None or tasks is None or items is None or item not in items:
            return False
        del items[item]
        self.n -= 1
        if not items:
            del tasks[place.task]
        if not tasks:
            del users[place.user]
        if not users:
            del self._levels[place.priority], self._waits_since[place.priority]
        return True

    def _next_priority(self) -> int:
        """The priority that is served next: the least, once what each has waited is taken off."""
        now = self._clock()
        chosen = min(self._levels, key=lambda level: (level - (now - self._waits_since[level]) / AGING_S, level))
        self._waits_since[chosen] = now
        return chosen


class FairSlots:
    """A semaphore of `n` slots that serves those who wait in the order of a `FairQueue`.

    For executors that hand their work to somebody else and bound how much is out at a time. Belongs to one event loop.
    """

    def __init__(self, n: int) -> None:
        self.n = n
        self.n_taken = 0
        self._queue: FairQueue[asyncio.Future[None]] = FairQueue()

    @property
    def n_waiting(self) -> int:
        return len(self._queue)

    async def take(self, place: Place) -> None:
        """Wait for a slot and take it; the caller calls `release` when it is done. Raises what `refuse` was given."""
        granted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.put(granted, place)
        self._grant()
        try:
            await granted
        except asyncio.CancelledError:
            self._queue.discard(granted, place)
            if not granted.cancelled() and granted.exception() is None:  # granted before the cancel arrived here
                self.release()
            raise

    def release(self) -> None:
        """Give a slot back."""
        self.n_taken -= 1
        self._grant()

    def resize(self, n: int) -> None:
        """Have `n` slots from now on; where more are taken, the next ones wait until enough are given back."""
        self.n = n
        self._grant()

    def refuse(self, error: Exception) -> None:
        """Raise `error` in every call that waits for a slot."""
        while self._queue:
            granted = self._queue.take()
            if not granted.done():
                granted.set_exception(error)

    def _grant(self) -> None:
        while self._queue and self.n_taken < self.n:
            granted = self._queue.take()
            if not granted.done():  # cancelled, but its call has not run since
                self.n_taken += 1
                granted.set_result(None)
