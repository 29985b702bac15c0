"""Answers that are being made: what is asked for again meanwhile is made once, and made to its end.

Work whose asker's deadline has passed is not thrown away, so that who asks again gets it.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

T = TypeVar("T")


@dataclass(eq=False)
class _Making(Generic[T]):
    task: asyncio.Task[T]
    n_waiting: int = 0


class UnderWay(Generic[T]):
    """Answers by key. While more than `most` are being made, those that nobody waits for any more are given up."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._making: dict[str, _Making[T]] = {}

    async def get(self, key: str, make: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """The answer of that key, from whoever makes it already, else from `make`; raises what making it raises."""
        making = self._making.get(key)
        if making is None:
            making = self._making[key] = _Making(asyncio.create_task(make()))
            making.task.add_done_callback(functools.partial(self._done, key, making))
        making.n_waiting += 1
        try:
            return await asyncio.shield(making.task)
        except asyncio.CancelledError:
            if making.n_waiting == 1 and len(self._making) > self._most:
                self._forget(key, making)  # who asks now must not wait for what is cancelled
                making.task.cancel()
            raise
        finally:
            making.n_waiting -= 1

    def _done(self, key: str, making: _Making[T], task: asyncio.Task[T]) -> None:
        self._forget(key, making)
        if not task.cancelled():
            task.exception()  # it was told to whoever still waited

    def _forget(self, key: str, making: _Making[T]) -> None:
        if self._making.get(key) is making:
            del self._making[key]
