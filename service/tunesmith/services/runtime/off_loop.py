"""Work of some milliseconds that would hold up the event loop: done beside it, one piece after the other.

One thread, so that the loop never competes with more than one for the interpreter, however many requests ask.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


class Aside:
    """Runs functions in a thread of its own, in the order in which they come."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "aside")

    async def run(self, work: Callable[[], T]) -> T:
        """The answer of the function, or what it raises; who is cancelled while it waits for its turn leaves it out."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)
