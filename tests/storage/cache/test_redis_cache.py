"""Redis away, frozen, flushed, slow, full, restarted, full of foreign values: slower, never wrong or stuck."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.redis_server import RedisServer, free_port
from tunesmith.errors import Invalid
from tunesmith.storage.cache import redis_cache
from tunesmith.storage.cache.redis_cache import FAILURES, TIMEOUT_S, RedisCache, seal, unseal

PATIENCE_S = 2.0
"""A call may take TIMEOUT_S; a busy machine may add to it. Without a limit it would take for ever."""


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with RedisServer() as running:
        yield running


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests of a Redis that is well: a busy machine may bring its answer after the real time limit, as a miss."""
    monkeypatch.setattr(redis_cache, "TIMEOUT_S", 20.0)


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[RedisCache]:
    cache = RedisCache(url, retry_s=0.05)
    try:
        yield cache
    finally:
        await cache.close()


async def timed(call: Awaitable[object]) -> float:
    begin = time.monotonic()
    assert await call is None
    return time.monotonic() - begin


async def until_well(cache: RedisCache) -> None:
    async with asyncio.timeout(30.0):
        while await cache.trouble() is not None:
            await asyncio.sleep(0.01)


async def until_kept(cache: RedisCache, key: str, value: bytes, before: bytes | None = None) -> None:
    """Set it until it is answered: a busy machine may bring an answer too late, which is a miss and nothing else."""
    async with asyncio.timeout(30.0):
        while (found := await cache.get(key)) != value:
            assert found in (None, before)
            await until_well(cache)
            await cache.set(key, value)


async def an_outage_costs_a_few_timeouts(cache: RedisCache) -> None:
    """Every call is a miss in time; after a few of them nothing is asked any more."""
    took = [await timed(cache.get("k")) for _ in range(FAILURES)]
    assert max(took) < TIMEOUT_S + PATIENCE_S
    begin = time.monotonic()
    for _ in range(1000):
        assert await cache.get("k") is None
        await cache.set("k", b"new")
        await cache.delete("k")
    assert time.monotonic() - begin < 3000 * TIMEOUT_S / 10
    assert "Redis does not answer" in (await cache.trouble() or "")


def test_away_from_the_start() -> None:
    async def main() -> None:
        async with opened(f"redis://127.0.0.1:{free_port()}/0") as cache:
            await an_outage_costs_a_few_timeouts(cache)

    asyncio.run(main())


@pytest.mark.parametrize(
    ("fails", "mends"),
    [(RedisServer.freeze, RedisServer.thaw), (RedisServer.stop, RedisServer.start)],
    ids=["frozen", "restarted"],
)
def test_it_recovers_by_itself(
    server: RedisServer, fails: Callable[[RedisServer], None], mends: Callable[[RedisServer], None]
) -> None:
    async def main() -> None:
        async with opened(server.url) as cache:
            await until_kept(cache, "k", b"1")
            fails(server)
            await an_outage_costs_a_few_timeouts(cache)
            mends(server)
            await until_well(cache)
            await until_kept(cache, "k", b"2", before=b"1")

    asyncio.run(main())


def test_an_answer_that_comes_too_late_is_never_taken_for_another(server: RedisServer) -> None:
    async def main() -> None:
        async with opened(server.url) as cache:
            for n in range(20):
                await until_kept(cache, f"k{n}", b"%d" % n)
            for _ in range(3):
                server.freeze()
                found = await asyncio.gather(*(cache.get(f"k{n}") for n in range(20)))
                assert found == [None] * 20
                server.thaw()
                await until_well(cache)
                for n in range(20):
                    await until_kept(cache, f"k{n}", b"%d" % n)

    asyncio.run(main())


def test_one_that_hangs_in_the_middle_of_a_value(server: RedisServer) -> None:
    async def half(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(65_536):
            writer.write(b"$1000\r\nhalf")
        writer.close()

    async def main() -> None:
        liar = await asyncio.start_server(half, "127.0.0.1", 0)
        async with liar, opened(f"redis://127.0.0.1:{liar.sockets[0].getsockname()[1]}") as cache:
            assert await timed(cache.get("k")) < TIMEOUT_S + PATIENCE_S

    asyncio.run(main())


def test_one_that_speaks_another_language() -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(65_536)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async def main() -> None:
        web = await asyncio.start_server(greet, "127.0.0.1", 0)
        async with web, opened(f"redis://127.0.0.1:{web.sockets[0].getsockname()[1]}") as cache:
            await an_outage_costs_a_few_timeouts(cache)

    asyncio.run(main())


@pytest.mark.usefixtures("patient")
def test_slow_but_in_time_is_slower_only(server: RedisServer) -> None:
    async def main() -> None:
        async with slowed(server.port, 0.01) as url, opened(url) as cache:
            await cache.set("k", b"1")
            assert await cache.get("k") == b"1"

    asyncio.run(main())


def test_slower_than_the_timeout_is_a_miss(server: RedisServer) -> None:
    async def main() -> None:
        async with opened(server.url) as direct:
            await until_kept(direct, "k", b"1")
        async with slowed(server.port, 4 * TIMEOUT_S) as url, opened(url) as cache:
            await an_outage_costs_a_few_timeouts(cache)

    asyncio.run(main())


@asynccontextmanager
async def slowed(port: int, delay_s: float) -> AsyncIterator[str]:
    """The URL of a door to the server at `port` that hands on every answer `delay_s` seconds late."""

    async def carry(source: asyncio.StreamReader, target: asyncio.StreamWriter, wait_s: float) -> None:
        try:
            while data := await source.read(65_536):
                await asyncio.sleep(wait_s)
                target.write(data)
        except OSError:
            pass
        finally:
            target.close()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(carry(reader, far_writer, 0.0), carry(far_reader, writer, delay_s))

    door = await asyncio.start_server(accept, "127.0.0.1", 0)
    async with door:
        yield f"redis://127.0.0.1:{door.sockets[0].getsockname()[1]}/0"


@pytest.mark.usefixtures("patient")
def test_flushed_is_empty_and_well(server: RedisServer) -> None:
    async def main() -> None:
        async with opened(server.url) as cache:
            await cache.set("k", b"1")
            server.flush()
            assert await cache.get("k") is None
            assert await cache.trouble() is None
            await cache.set("k", b"2")
            assert await cache.get("k") == b"2"

    asyncio.run(main())


@pytest.mark.usefixtures("patient")
def test_foreign_values_are_misses_and_are_replaced(server: RedisServer) -> None:
    async def main() -> None:
        async with opened(server.url) as cache:
            for spoil in (
                ("SET", "tunesmith:k", "foreign"),
                ("SET", "tunesmith:k", ""),
                ("SET", "tunesmith:k", seal("other", b"1")),
                ("SET", "tunesmith:k", seal("k", b"1")[:-1]),
                ("LPUSH", "tunesmith:k", "a", "list"),
                ("HSET", "tunesmith:k", "a", "hash"),
            ):
                server.ask("DEL", "tunesmith:k")
                server.ask(*spoil)
                assert await cache.get("k") is None
                assert await cache.trouble() is None
                await cache.set("k", b"1")
                assert await cache.get("k") == b"1"

    asyncio.run(main())


@pytest.mark.usefixtures("patient")
def test_a_full_one_still_answers_and_says_so() -> None:
    async def main(server: RedisServer) -> None:
        async with opened(server.url) as cache:
            await cache.set("k", b"1")
            server.ask("CONFIG", "SET", "maxmemory", "1")
            await cache.set("more", b"2")
            assert await cache.get("more") is None
            assert await cache.get("k") == b"1"
            assert "Redis refuses" in (await cache.trouble() or "")
            server.ask("CONFIG", "SET", "maxmemory", "0")
            await cache.set("more", b"2")
            assert await cache.get("more") == b"2"
            assert await cache.trouble() is None

    with RedisServer("--maxmemory-policy", "noeviction") as server:
        asyncio.run(main(server))


@pytest.mark.usefixtures("patient")
def test_a_wrong_password_is_trouble_and_no_error() -> None:
    async def main(server: RedisServer) -> None:
        async with opened(server.url.replace("//", "//:wrong@")) as cache:
            assert await cache.get("k") is None
            assert await cache.trouble() is not None
        async with opened(server.url.replace("//", "//:right@")) as cache:
            await cache.set("k", b"1")
            assert await cache.get("k") == b"1"

    with RedisServer() as server:
        server.ask("CONFIG", "SET", "requirepass", "right")
        asyncio.run(main(server))


@pytest.mark.parametrize("url", ["localhost:6379", "http://localhost", "redis://localhost:port/0"])
def test_a_url_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(Invalid, match="redis_url"):
        RedisCache(url)


def test_options_in_the_url_do_not_take_the_limits_away(server: RedisServer) -> None:
    async def main() -> None:
        async with opened(f"{server.url}?socket_timeout=30&socket_connect_timeout=30") as cache:
            server.freeze()
            assert await timed(cache.get("k")) < TIMEOUT_S + PATIENCE_S
            server.thaw()

    asyncio.run(main())


@given(st.text(max_size=20), st.binary(max_size=200), st.data())
def test_a_sealed_value_opens_under_its_key_and_unharmed_alone(key: str, value: bytes, data: st.DataObject) -> None:
    sealed = seal(key, value)
    assert unseal(key, sealed) == value
    assert unseal(key + "x", sealed) is None
    at = data.draw(st.integers(0, len(sealed) - 1))
    bit = data.draw(st.integers(1, 255))
    assert unseal(key, sealed[:at] + bytes([sealed[at] ^ bit]) + sealed[at + 1 :]) is None
    assert unseal(key, sealed[:at]) is None
