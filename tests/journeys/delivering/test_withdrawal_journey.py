"""What is withdrawn hides nothing: whoever comes late still hears of the package that is in force."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq

from journeys.daemon import DaemonProcess, Dealer
from journeys.edges import RULE, kept, plant
from tunesmith.client import AsyncClient

SYMBOL = "PLANTED/USDT"
TOPIC = f"pkg/{SYMBOL}/1d/{RULE}/"
VENUES = ("north", "south")
QUIET_S = 1.0


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[DaemonProcess]:
    """A daemon of its own for each test, with one symbol at two venues."""
    for venue in VENUES:
        plant(tmp_path, SYMBOL, venue=venue)
    running = DaemonProcess(tmp_path)
    running.start()
    yield running
    code = running.stop()
    assert code == 0, running.log()[-3000:]


class Trader:
    """An operator and the late bots that come after what the operator did."""

    def __init__(self, daemon: DaemonProcess, dealer: Dealer, context: zmq.Context[Any]) -> None:
        self.daemon = daemon
        self.dealer = dealer
        self.context = context

    def approve(self, venue: str) -> str:
        """A new package of the venue; its id."""
        package_id: str = kept(self.dealer, SYMBOL, venue=venue)["parameter_package"]["package_id"]
        return package_id

    def revoke(self, package_id: str) -> None:
        assert self.dealer.data("package.revoke", {"package_id": package_id})["state"] == "revoked"

    def state(self, package_id: str) -> str:
        state: str = self.dealer.data("package.get", {"package_id": package_id})["state"]
        return state

    def heard(self) -> list[tuple[str, str]]:
        """(type, package id) of every event on the topic, oldest first."""
        replay = self.dealer.data("events.replay", {"topics": ["pkg/"], "after": 0})
        return [(e["event"]["type"], e["event"]["data"]["package_id"]) for e in replay["events"]]

    def late_bots(self) -> list[tuple[str, str]]:
        """What the last event of the topic is (type and package id) to a plain subscriber and in a snapshot."""
        with self.context.socket(zmq.SUB) as socket:
            socket.setsockopt(zmq.LINGER, 0)
            socket.subscribe(TOPIC)
            socket.connect(self.daemon.doors["events"])
            assert socket.poll(10_000), "a late subscriber heard nothing"
            _, frame = socket.recv_multipart()[:2]
        snapshot = self.dealer.data("events.snapshot", {"topics": [TOPIC]})
        events = [json.loads(frame), *(record["event"] for record in snapshot["events"])]
        return [(event["type"], event["data"]["package_id"]) for event in events]

    async def of_the_client(self) -> list[str]:
        """The packages that the client library hands to a bot that starts now."""
        doors = self.daemon.doors
        async with AsyncClient(doors["requests"], doors["events"]) as client:
            found = client.packages(SYMBOL, grades=("criteria",), timeout_s=QUIET_S)
            return [package["package_id"] async for package in found]


@pytest.fixture
def trader(daemon: DaemonProcess, dealer: Dealer, context: zmq.Context[Any]) -> Trader:
    return Trader(daemon, dealer, context)


def test_revoking_a_superseded_package_does_not_hide_its_successor(trader: Trader) -> None:
    first = trader.approve("north")
    second = trader.approve("north")
    trader.revoke(first)
    assert (trader.state(first), trader.state(second)) == ("revoked", "in_force")
    assert trader.late_bots() == [("package.approved", second)] * 2
    assert asyncio.run(trader.of_the_client()) == [second]
    trader.revoke(second)
    assert trader.late_bots() == [("package.revoked", second)] * 2
    assert asyncio.run(trader.of_the_client()) == []
    assert trader.heard() == [
        ("package.approved", first),
        ("package.approved", second),
        ("package.revoked", first),
        ("package.approved", second),
        ("package.revoked", second),
    ]


def test_one_venue_s_withdrawal_does_not_hide_another_venue_s_package(trader: Trader, daemon: DaemonProcess) -> None:
    north, south = (trader.approve(venue) for venue in VENUES)

    async def follow() -> list[str]:
        """A bot that was there before: both approvals stand, and the repeated one is handed out once."""
        async with AsyncClient(daemon.doors["requests"], daemon.doors["events"]) as client:
            packages = client.packages(SYMBOL, grades=("criteria",), timeout_s=QUIET_S)
            got = [(await anext(packages))["package_id"]]
            await asyncio.to_thread(trader.revoke, south)
            return got + [package["package_id"] async for package in packages]

    assert asyncio.run(follow()) == [south, north]
    assert (trader.state(north), trader.state(south)) == ("in_force", "revoked")
    assert trader.late_bots() == [("package.approved", north)] * 2
    assert asyncio.run(trader.of_the_client()) == [north]
