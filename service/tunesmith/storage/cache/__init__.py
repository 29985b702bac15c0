"""Where computed answers are kept: in this process, and in a shared cache behind the setting `cache.redis_url`.

A shared cache is a class with the face of `caches.Cache` in a file of its own, and a row here; from outside the
package, `register_cache`.
"""

from __future__ import annotations

from collections.abc import Callable

from tunesmith.storage.cache.caches import Cache, LayeredCache, MemoryCache
from tunesmith.storage.cache.redis_cache import RedisCache

CACHES: dict[str, Callable[[str], Cache]] = {"redis": RedisCache, "rediss": RedisCache, "unix": RedisCache}
"""Scheme of a URL → the shared cache behind it."""


def register_cache(scheme: str, make: Callable[[str], Cache]) -> None:
    """Add a shared cache for the URLs of a scheme. Raises `ValueError` where the scheme is taken."""
    if scheme in CACHES:
        raise ValueError(f"there is a cache for {scheme}:// already")
    CACHES[scheme] = make


def open_cache(url: str, max_bytes: int) -> Cache:
    """A cache in this process of `max_bytes`, before the shared one at `url` unless that is empty.

    Raises `Invalid` for a URL that no cache is behind.
    """
    near = MemoryCache(max_bytes)
    return LayeredCache(near, CACHES.get(url.partition("://")[0], RedisCache)(url)) if url else near
