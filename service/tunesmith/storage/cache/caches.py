"""The cache: answers that are cheap to lose, by key. One in process; `redis_cache` has the same face."""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import Protocol


class Cache(Protocol):
    """Where values may be kept. A cache that cannot be reached behaves as an empty one."""

    async def get(self, key: str) -> bytes | None: ...

    async def set(self, key: str, value: bytes, ttl_s: float | None = None) -> None: ...

    async def delete(self, key: str) -> None: ...

    async def trouble(self) -> str | None: ...

    async def close(self) -> None: ...


class MemoryCache:
    """The values used last, up to `max_bytes` of keys and values; one that is larger by itself is not kept."""

    def __init__(self, max_bytes: int = 64 * 2**20) -> None:
        self.max_bytes = max_bytes
        self.n_bytes = 0
        self._entries: OrderedDict[str, tuple[bytes, float | None]] = OrderedDict()

    async def get(self, key: str) -> bytes | None:
        """The value, unless it is not there or its time is over."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        value, until = entry
        if until is not None and until <= time.monotonic():
            self._drop(key)
            return None
        self._entries.move_to_end(key)
        return value

    async def set(self, key: str, value: bytes, ttl_s: float | None = None) -> None:
        """Keeps `value`, for `ttl_s` seconds at most."""
        self._drop(key)
        if _size(key, value) > self.max_bytes:
            return
        self._entries[key] = (value, None if ttl_s is None else time.monotonic() + ttl_s)
        self.n_bytes += _size(key, value)
        while self.n_bytes > self.max_bytes:
            self._drop(next(iter(self._entries)))

    async def delete(self, key: str) -> None:
        """Forgets `key`; nothing happens when it is not there."""
        self._drop(key)

    async def trouble(self) -> str | None:
        """None: what is in process can always be reached."""
        return None

    async def close(self) -> None:
        """Forgets everything."""
        self._entries.clear()
        self.n_bytes = 0

    def _drop(self, key: str) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self.n_bytes -= _size(key, entry[0])


class LayeredCache:
    """A cache at hand before one that is shared: what was set here stays quick while the shared one is away.

    For values that never change under their key; a deleted one may live on in other processes. What comes from afar is
    not kept near, for nothing says how long it may be.
    """

    def __init__(self, near: Cache, far: Cache) -> None:
        self._near, self._far = near, far

    async def get(self, key: str) -> bytes | None:
        """The value from the first that has it."""
        value = await self._near.get(key)
        return await self._far.get(key) if value is None else value

    async def set(self, key: str, value: bytes, ttl_s: float | None = None) -> None:
        """Keeps `value` in both, for `ttl_s` seconds at most."""
        await self._near.set(key, value, ttl_s)
        await self._far.set(key, value, ttl_s)

    async def delete(self, key: str) -> None:
        """Forgets `key` in both."""
        await self._near.delete(key)
        await self._far.delete(key)

    async def trouble(self) -> str | None:
        """What is wrong with either."""
        return await self._near.trouble() or await self._far.trouble()

    async def close(self) -> None:
        """Closes both."""
        await self._near.close()
        await self._far.close()


def _size(key: str, value: bytes) -> int:
    return len(key.encode()) + len(value)
