"""The cache in process, against a dictionary that remembers when each key was last used."""

from __future__ import annotations

import asyncio
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunesmith.storage.cache.caches import MemoryCache

KEYS = ["a", "b", "c", "dd"]
actions = st.lists(st.tuples(st.sampled_from(["get", "set", "delete"]), st.sampled_from(KEYS), st.integers(0, 12)))


@given(actions)
def test_it_keeps_what_was_used_last_within_its_bytes(steps: list[tuple[str, str, int]]) -> None:
    async def main() -> None:
        cache = MemoryCache(max_bytes=20)
        model: dict[str, bytes] = {}
        for action, key, size in steps:
            value = b"x" * size
            if action == "get":
                assert await cache.get(key) == model.get(key)
                if key in model:
                    model[key] = model.pop(key)
            elif action == "delete":
                await cache.delete(key)
                model.pop(key, None)
            else:
                await cache.set(key, value)
                model.pop(key, None)
                model[key] = value
                while sum(len(k) + len(v) for k, v in model.items()) > 20:
                    del model[next(iter(model))]
            assert cache.n_bytes == sum(len(k) + len(v) for k, v in model.items()) <= 20

    asyncio.run(main())


def test_a_value_larger_than_the_cache_displaces_nothing() -> None:
    async def main() -> None:
        cache = MemoryCache(max_bytes=20)
        await cache.set("a", b"1")
        await cache.set("b", b"x" * 100)
        assert await cache.get("a") == b"1"
        assert await cache.get("b") is None

    asyncio.run(main())


def test_a_value_is_gone_after_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        cache = MemoryCache()
        await cache.set("a", b"1", ttl_s=10)
        await cache.set("b", b"2")
        start = time.monotonic()
        assert await cache.get("a") == b"1"
        monkeypatch.setattr(time, "monotonic", lambda: start + 11)
        assert await cache.get("a") is None
        assert await cache.get("b") == b"2"
        assert cache.n_bytes == 2

    asyncio.run(main())
