"""What every cache does, whichever the settings choose, and one made outside of the package."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import ClassVar

import pytest

from storage.redis_server import RedisServer
from tunesmith.errors import Invalid
from tunesmith.storage.cache import CACHES, open_cache, redis_cache, register_cache
from tunesmith.storage.cache.caches import Cache, LayeredCache, MemoryCache
from tunesmith.storage.cache.redis_cache import RedisCache

Walk = Callable[[Cache], Awaitable[None]]


class Shelf:
    """A shared cache that no file of the package knows: the shelves of this process by their address."""

    shelves: ClassVar[dict[str, dict[str, tuple[bytes, float]]]] = {}

    def __init__(self, url: str) -> None:
        self.kept = self.shelves.setdefault(url, {})

    async def get(self, key: str) -> bytes | None:
        value, until = self.kept.get(key, (None, 0.0))
        return value if time.monotonic() < until else None

    async def set(self, key: str, value: bytes, ttl_s: float | None = None) -> None:
        self.kept[key] = (value, math.inf if ttl_s is None else time.monotonic() + ttl_s)

    async def delete(self, key: str) -> None:
        self.kept.pop(key, None)

    async def trouble(self) -> str | None:
        return None

    async def close(self) -> None: ...


@pytest.fixture
def shelf() -> Iterator[str]:
    register_cache("shelf", Shelf)
    yield "shelf://here/3"
    del CACHES["shelf"]
    Shelf.shelves.clear()


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with RedisServer() as running:
        yield running


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine may bring Redis' answer after the real time limit, which would be a miss."""
    monkeypatch.setattr(redis_cache, "TIMEOUT_S", 20.0)


@pytest.fixture(params=["in process", "redis", "layered", "shelf", "chosen by the setting"])
def walk(request: pytest.FixtureRequest) -> Callable[[Walk], None]:
    """Runs steps with a fresh cache."""
    needed = {"redis": "server", "layered": "server", "shelf": "shelf", "chosen by the setting": "shelf"}
    with_one = request.getfixturevalue(needed[request.param]) if request.param in needed else None
    makers: dict[str, Callable[[], Cache]] = {
        "in process": MemoryCache,
        "redis": lambda: RedisCache(with_one.url),
        "layered": lambda: open_cache(with_one.url, 2**26),
        "shelf": lambda: Shelf(with_one),
        "chosen by the setting": lambda: open_cache(with_one, 2**26),
    }

    def run(steps: Walk) -> None:
        async def main() -> None:
            cache = makers[request.param]()
            try:
                await steps(cache)
            finally:
                await cache.close()

        asyncio.run(main())

    return run


@pytest.mark.parametrize("value", [b"", b"{}", bytes(range(256)), b"x" * 1_000_000], ids=["0", "2", "256", "1 MB"])
def test_it_answers_what_was_set_last(walk: Callable[[Walk], None], value: bytes) -> None:
    async def steps(cache: Cache) -> None:
        assert await cache.get("fresh") is None
        await cache.set("k", b"before")
        await cache.set("k", value)
        assert await cache.get("k") == value
        assert await cache.trouble() is None
        await cache.delete("k")

    walk(steps)


def test_keys_are_apart_whatever_is_in_them(walk: Callable[[Walk], None]) -> None:
    keys = ["a", "a:", ":a", "a b", "ä", "a\n", "a\x00b", "a*", "x" * 1000]

    async def steps(cache: Cache) -> None:
        for key in keys:
            await cache.set(key, key.encode())
        assert [await cache.get(key) for key in keys] == [key.encode() for key in keys]
        for key in keys:
            await cache.delete(key)
            assert await cache.get(key) is None

    walk(steps)


def test_deleting_what_is_not_there_is_nothing(walk: Callable[[Walk], None]) -> None:
    async def steps(cache: Cache) -> None:
        await cache.set("kept", b"1")
        await cache.delete("absent")
        assert await cache.get("kept") == b"1"

    walk(steps)


def test_a_value_is_gone_after_its_time(walk: Callable[[Walk], None]) -> None:
    async def steps(cache: Cache) -> None:
        await cache.set("short", b"1", ttl_s=0.02)
        await cache.set("long", b"2", ttl_s=60.0)
        async with asyncio.timeout(10.0):
            while await cache.get("short") is not None:
                await asyncio.sleep(0.005)
        assert await cache.get("long") == b"2"

    walk(steps)


def test_many_at_once_each_get_their_own(walk: Callable[[Walk], None]) -> None:
    async def steps(cache: Cache) -> None:
        for n in range(20):
            await cache.set(f"n{n}", b"%d" % n)
        found = await asyncio.gather(*(cache.get(f"n{n}") for n in range(20)))
        assert found == [b"%d" % n for n in range(20)]

    walk(steps)


def test_layers_answer_from_the_near_one_while_the_far_one_is_away(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        far = RedisCache(server.url)
        await far.set("elsewhere", b"2")
        cache = LayeredCache(MemoryCache(), far)
        await cache.set("here", b"1")
        assert [await cache.get(key) for key in ("here", "elsewhere")] == [b"1", b"2"]
        assert await far.get("here") == b"1"
        server.freeze()
        monkeypatch.setattr(redis_cache, "TIMEOUT_S", 0.05)
        try:
            assert await cache.get("here") == b"1"
            assert await cache.get("elsewhere") is None
            await cache.set("new", b"3")
            assert await cache.get("new") == b"3"
            assert "Redis does not answer" in (await cache.trouble() or "")
        finally:
            server.thaw()
            await cache.close()

    asyncio.run(main())


def test_the_scheme_of_the_setting_chooses_the_shared_cache(shelf: str, server: RedisServer) -> None:
    async def main() -> None:
        assert isinstance(open_cache("", 100), MemoryCache)
        for url, far in ((shelf, Shelf(shelf)), (server.url, RedisCache(server.url))):
            cache = open_cache(url, 100)
            await cache.set("chosen", url.encode())
            assert await far.get("chosen") == url.encode()
            await cache.close()
            await far.close()

    asyncio.run(main())
    with pytest.raises(ValueError, match="shelf:// already"):
        register_cache("shelf", Shelf)
    with pytest.raises(Invalid, match="redis_url"):
        open_cache("nowhere://127.0.0.1", 100)
