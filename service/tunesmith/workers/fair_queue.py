"""The queue of an executor: by priority, and within a priority by turns."""

from __future__ import annotations

from collections import OrderedDict
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")


class Place(NamedTuple):
    """Where an item queues: priority 0 is the first; users take turns, and within a user tasks."""

    priority: int
    user: str
    task: str | None


class Turns(Generic[T]):
    """Items by place. Each operation is O(1), but for the choice among the few priorities in use.

    The user who was served goes to the end of the users of that priority, the task to the end of the user's tasks: a
    task of 200 chunks does not keep another's single one waiting, nor a user of 200 tasks another user.
    """

    def __init__(self) -> None:
        self._levels: dict[int, OrderedDict[str, OrderedDict[str | None, OrderedDict[T, None]]]] = {}
        self._n = 0

    def __len__(self) -> int:
        return self._n

    def put(self, item: T, place: Place, *, first: bool = False) -> None:
        """Queue a hashable item behind its task's others, or before all of its priority."""
        users = self._levels.setdefault(place.priority, OrderedDict())
        tasks = users.setdefault(place.user, OrderedDict())
        items = tasks.setdefault(place.task, OrderedDict())
        items[item] = None
        self._n += 1
        if first:
            items.move_to_end(item, last=False)
            tasks.move_to_end(place.task, last=False)
            users.move_to_end(place.user, last=False)

    def take(self) -> T:
        """Remove and return the item whose turn it is; `KeyError` when there is none."""
        if not self._levels:
            raise KeyError("nothing is queued")
        priority = min(self._levels)
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
        self._n -= 1
        if not items:
            del tasks[place.task]
        if not tasks:
            del users[place.user]
        if not users:
            del self._levels[place.priority]
        return True
