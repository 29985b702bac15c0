"""A bot's line breaks, falls silent, or leads to another place: its requests are answered, its packages complete."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack

import pytest

from client.daemon import SYMBOL, TESTED, TOPIC, FakeDaemon, package
from client.relay import Relay
from tunesmith.client import AsyncClient, sockets, streams

NAMES = ["a" * 64, "b" * 64, "c" * 64, "d" * 64]


class Line:
    """A daemon behind a relay for each door, and what a bot heard through them."""

    def __init__(self) -> None:
        self.daemon = FakeDaemon(heartbeat_s=0.05)
        self.heard: list[str] = []

    def __enter__(self) -> Line:
        self.daemon.start()
        self.relays = [Relay(self.daemon.requests), Relay(self.daemon.events)]
        return self

    def __exit__(self, *exception: object) -> None:
        for relay in self.relays:
            relay.__exit__()
        self.daemon.stop()

    def approve(self, name: str) -> None:
        self.daemon.append(TOPIC, "package.approved", package(name))

    def cut(self) -> None:
        for relay in self.relays:
            relay.cut()

    def fall_silent(self) -> None:
        """What is sent is lost, but no connection ends; those made from now on are good."""
        for relay in self.relays:
            relay.silent = True

    def heal(self) -> None:
        """New connections are good; those that fell silent stay so."""
        for relay in self.relays:
            relay.silent = False

    def move(self) -> None:
        """The daemon stops, and is there again at another address."""
        self.daemon.stop()
        self.daemon.requests = self.daemon.events = "tcp://127.0.0.1:0"
        self.daemon.start()
        for relay, target in zip(self.relays, (self.daemon.requests, self.daemon.events), strict=True):
            relay.target = target

    async def until(self, n: int) -> None:
        async with asyncio.timeout(90):
            while len(self.heard) < n:
                await asyncio.sleep(0.005)


@pytest.fixture
def line(monkeypatch: pytest.MonkeyPatch) -> Iterator[Line]:
    monkeypatch.setattr(streams, "JITTER_S", 0.0)
    monkeypatch.setattr(sockets, "HEARTBEAT_MS", 100)
    monkeypatch.setattr(sockets, "HEARTBEAT_TIMEOUT_MS", 300)
    monkeypatch.setattr(sockets, "RECONNECT_MAX_MS", 200)
    with Line() as line:
        yield line


def play(line: Line, scene: Callable[[AsyncClient], Awaitable[None]]) -> None:
    """The scene beside a bot that follows packages."""

    async def follow(client: AsyncClient) -> None:
        async for event in client.package_events(SYMBOL, grades=TESTED):
            line.heard.append(event.package_id)

    async def main() -> None:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(asyncio.timeout(90))
            client = AsyncClient(line.relays[0].address, line.relays[1].address, deadline_s=30.0)
            await stack.enter_async_context(client)
            following = asyncio.create_task(follow(client))
            try:
                await scene(client)
            finally:
                following.cancel()
                await asyncio.gather(following, return_exceptions=True)

    asyncio.run(main())


def test_a_daemon_that_is_somewhere_else_by_now_is_found_and_nothing_is_missed(line: Line) -> None:
    async def scene(client: AsyncClient) -> None:
        line.approve(NAMES[0])
        await line.until(1)
        await asyncio.to_thread(line.move)
        line.approve(NAMES[1])
        assert (await client.ping()).version == "1"
        line.approve(NAMES[2])
        await line.until(3)
        assert line.heard == NAMES[:3]

    play(line, scene)


def test_connections_that_break_again_and_again_lose_nothing(line: Line) -> None:
    async def scene(client: AsyncClient) -> None:
        for number, name in enumerate(NAMES, 1):
            line.approve(name)
            line.cut()
            assert (await client.ping()).version == "1"
            await line.until(number)
        assert line.heard == NAMES

    play(line, scene)


def test_a_line_that_falls_silent_is_given_up_and_made_anew(line: Line) -> None:
    """A cable is cut: nothing arrives, and nothing says so."""

    async def scene(client: AsyncClient) -> None:
        line.approve(NAMES[0])
        await line.until(1)
        await client.ping()
        line.fall_silent()
        line.approve(NAMES[1])
        asked = asyncio.create_task(client.ping())
        await asyncio.sleep(0.15)  # long enough for both ends to have spoken into the void
        line.heal()
        assert (await asked).version == "1"
        await line.until(2)
        assert line.heard == NAMES[:2]

    play(line, scene)
