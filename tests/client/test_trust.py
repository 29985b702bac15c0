"""What a bot with trusted keys takes, and what it refuses and why, over real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest

from client.daemon import SYMBOL, TESTED, TOPIC, FakeDaemon, package
from tunesmith.client import AsyncClient, PackageEvent, streams
from tunesmith.client.streams import PackageEvents
from tunesmith.errors import Invalid
from tunesmith.storage.secrets.signing_keys import SigningKeys

A, B, C = "a" * 64, "b" * 64, "c" * 64
QUIET_S = 0.4
NOT_SIGNED = "it is not signed"


@pytest.fixture
def daemon() -> Iterator[FakeDaemon]:
    with FakeDaemon() as daemon:
        yield daemon


@pytest.fixture(autouse=True)
def no_jitter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "JITTER_S", 0.01)


class Ring:
    """Keys, and a bot's file with those that it trusts."""

    def __init__(self, folder: Path) -> None:
        self.keys = SigningKeys(folder / "signing")
        self.file = folder / "trusted.keys"

    def new(self) -> str:
        return self.keys.new().keyid

    def trust(self, *keyids: str) -> None:
        lines = [file.key.line for file in self.keys.listing() if file.keyid in keyids]
        draft = self.file.with_suffix(".new")
        draft.write_text("".join(f"{line}\n" for line in lines))
        draft.replace(self.file)


@pytest.fixture
def ring(tmp_path: Path) -> Ring:
    return Ring(tmp_path)


def run(daemon: FakeDaemon, ring: Ring, test: Callable[[AsyncClient], Awaitable[None]]) -> None:
    async def main() -> None:
        async with asyncio.timeout(90), AsyncClient(daemon.requests, daemon.events, trusted=ring.file) as client:
            await test(client)

    asyncio.run(main())


def approve(daemon: FakeDaemon, package_id: str = A, **fields: Any) -> int:
    return daemon.append(TOPIC, "package.approved", package(package_id, **fields))


async def heard(client: AsyncClient) -> list[tuple[str, str, str | None]]:
    """(kind, first letter of the package's id, reason) of all that comes until it is quiet."""
    return [
        told(event) async for event in client.package_events(SYMBOL, timeout_s=QUIET_S, refusals=True, grades=TESTED)
    ]


async def send_until_refused(
    daemon: FakeDaemon, stream: PackageEvents, topic: str, frame: bytes, signature: bytes | None
) -> list[PackageEvent]:
    """Send it, again while the subscription does not stand yet; all that came up to the refusal."""
    came: list[PackageEvent] = []
    while not any(event.kind == "refused" for event in came):
        await asyncio.to_thread(daemon.send, topic, frame, signature)
        with suppress(TimeoutError):
            async with asyncio.timeout(0.05):
                came.append(await anext(stream))
    return came


def told(event: PackageEvent) -> tuple[str, str, str | None]:
    return event.kind, event.package_id[:1], event.reason


def test_what_no_trusted_key_signed_is_refused_however_it_comes(daemon: FakeDaemon, ring: Ring) -> None:
    good, stranger = ring.new(), ring.new()
    strange = ring.keys.current()
    ring.trust(good)
    ring.keys.retire(stranger)
    daemon.key = ring.keys.current()

    approve(daemon, A)

    def happen() -> None:
        daemon.key, kept = None, daemon.key
        approve(daemon, B)
        daemon.key = strange
        approve(daemon, C)
        daemon.key = kept
        seq = daemon.append(TOPIC, "package.approved", package("d" * 64), lost=True)
        daemon.log[seq - 1][1]["data"]["params"] = {"n": 1000}
        approve(daemon, "e" * 64)

    unknown = f"it is signed by the unknown key {stranger!r}"
    altered = f"it was tampered with: the signature of the key {good} does not match"

    async def test(client: AsyncClient) -> None:
        stream = client.package_events(SYMBOL, timeout_s=QUIET_S, refusals=True, grades=TESTED)
        assert told(await anext(stream)) == ("approved", "a", None)
        await asyncio.to_thread(happen)
        assert sorted([told(event) async for event in stream]) == [
            ("approved", "e", None),
            ("refused", "b", NOT_SIGNED),
            ("refused", "c", unknown),
            ("refused", "d", altered),
        ]
        found = client.packages(SYMBOL, timeout_s=QUIET_S, grades=TESTED)
        assert [p["package_id"][0] async for p in found] == ["e"]

    run(daemon, ring, test)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda frame, signature: (frame, None), NOT_SIGNED),
        (lambda frame, signature: (frame.replace(b'"n":1}', b'"n":2}'), signature), "tampered"),
        (lambda frame, signature: (frame + b" ", signature), "tampered"),
        (lambda frame, signature: (frame, signature[:-1]), "tampered"),
        (lambda frame, signature: (frame, b""), "tampered"),
        (lambda frame, signature: (frame, bytes(64)), "tampered"),
        (lambda frame, signature: (frame.replace(b"keyid", b"keyed"), signature), NOT_SIGNED),
        (lambda frame, signature: (frame.replace(b'"seq":1', b'"seq":9'), signature), "tampered"),
    ],
)
def test_one_changed_bit_on_the_way_is_refused_and_the_true_one_found(
    daemon: FakeDaemon, ring: Ring, change: Callable[[bytes, bytes], tuple[bytes, bytes | None]], reason: str
) -> None:
    ring.trust(ring.new())
    daemon.key = ring.keys.current()

    async def test(client: AsyncClient) -> None:
        stream = client.package_events(SYMBOL, refusals=True, grades=TESTED)
        daemon.append(TOPIC, "package.approved", package(A), lost=True)
        frame = msgspec.json.encode(daemon.log[0][1])
        came = await send_until_refused(daemon, stream, TOPIC, *change(frame, daemon.signatures[1]))
        while not any(event.kind == "approved" for event in came):
            came.append(await anext(stream))
        assert {event.package_id for event in came} == {A}
        [refused] = [event for event in came if event.kind == "refused"]
        assert reason in str(refused.reason)

    run(daemon, ring, test)


def test_a_signed_package_on_another_topic_is_not_taken(daemon: FakeDaemon, ring: Ring) -> None:
    ring.trust(ring.new())
    daemon.key = ring.keys.current()
    daemon.append("pkg/BTC/USDT/1d/grid/", "package.approved", package(A))
    daemon.append(TOPIC, "package.approved", package(B, symbol="ETH/USDT"))
    daemon.append(TOPIC.replace("grid", "other"), "package.approved", package(C))
    approve(daemon, "d" * 64, valid_until="2024-01-02T00:00:00Z")

    async def test(client: AsyncClient) -> None:
        assert await heard(client) == [
            ("refused", "a", "it is for BTC/USDT 1h grid"),
            ("refused", "c", "it is for BTC/USDT 1h grid"),
            ("refused", "d", "it expired at 2024-01-02T00:00:00Z"),
        ]
        frame = msgspec.json.encode(daemon.log[1][1])  # what was meant for one market is sent again for another
        stream = client.package_events("ETH/USDT", refusals=True, grades=TESTED)
        [came] = await send_until_refused(daemon, stream, "pkg/ETH/USDT/1d/grid/", frame, daemon.signatures[2])
        assert told(came) == ("refused", "b", "it is for ETH/USDT 1h grid")

    run(daemon, ring, test)


def test_only_a_signed_revocation_stops_a_bot_and_nothing_old_brings_it_back(daemon: FakeDaemon, ring: Ring) -> None:
    ring.trust(ring.new())
    daemon.key = ring.keys.current()
    approve(daemon, A)

    async def test(client: AsyncClient) -> None:
        stream = client.package_events(SYMBOL, timeout_s=QUIET_S, refusals=True, grades=TESTED)
        assert told(await anext(stream)) == ("approved", "a", None)

        def happen() -> None:
            daemon.key, kept = None, daemon.key
            daemon.append(TOPIC, "package.revoked", {"package_id": A, "reason": "a lie"})
            daemon.key = kept
            approve(daemon, B, supersedes=A)
            daemon.publish(1)  # superseded
            daemon.append(TOPIC, "package.revoked", {"package_id": B, "reason": "why not"})
            daemon.publish(1)
            daemon.publish(3)  # revoked

        await asyncio.to_thread(happen)
        assert [told(event) async for event in stream] == [
            ("refused", "a", f"package.revoked: {NOT_SIGNED}"),
            ("approved", "b", None),
            ("revoked", "b", "why not"),
        ]
        assert [p async for p in client.packages(SYMBOL, timeout_s=QUIET_S, grades=TESTED)] == []

    run(daemon, ring, test)


def test_a_forged_event_with_a_high_number_hides_nothing(daemon: FakeDaemon, ring: Ring) -> None:
    ring.trust(ring.new())
    daemon.key = ring.keys.current()
    approve(daemon, A)

    async def test(client: AsyncClient) -> None:
        stream = client.packages(SYMBOL, grades=TESTED)
        assert (await anext(stream))["package_id"] == A
        forged = {**daemon.log[0][1], "seq": 1_000, "prev": 1, "keyid": daemon.key.keyid if daemon.key else None}
        await asyncio.to_thread(daemon.send, TOPIC, msgspec.json.encode(forged), bytes(64))
        await asyncio.to_thread(approve, daemon, B)
        assert (await anext(stream))["package_id"] == B

    run(daemon, ring, test)


def test_keys_are_rotated_under_a_bot_that_runs(daemon: FakeDaemon, ring: Ring) -> None:
    old = ring.new()
    ring.trust(old)
    daemon.key = old_key = ring.keys.current()
    approve(daemon, A)

    async def test(client: AsyncClient) -> None:
        stream = client.package_events(SYMBOL, refusals=True, grades=TESTED)
        assert told(await anext(stream)) == ("approved", "a", None)
        new = ring.new()
        ring.trust(old, new)
        daemon.key = ring.keys.current()
        await asyncio.to_thread(approve, daemon, B)
        assert told(await anext(stream)) == ("approved", "b", None)
        ring.keys.retire(old)
        ring.trust(old, new)
        daemon.key = old_key
        await asyncio.to_thread(approve, daemon, C)
        assert told(await anext(stream)) == ("refused", "c", f"it is signed by the retired key {old}")
        ring.file.write_text("what is this\n")
        daemon.key = ring.keys.current()
        await asyncio.to_thread(approve, daemon, "d" * 64)
        assert told(await anext(stream)) == ("approved", "d", None)

    run(daemon, ring, test)


def test_what_was_refused_is_taken_as_soon_as_its_key_is_trusted(daemon: FakeDaemon, ring: Ring) -> None:
    ring.trust(ring.new())
    ring.new()
    daemon.key = ring.keys.current()
    approve(daemon, A)

    async def test(client: AsyncClient) -> None:
        stream = client.package_events(SYMBOL, refusals=True, grades=TESTED)
        assert (await anext(stream)).kind == "refused"
        ring.trust(*(file.keyid for file in ring.keys.listing()))
        assert told(await anext(stream)) == ("approved", "a", None)

    run(daemon, ring, test)


def test_without_trusted_keys_signatures_are_no_hindrance(daemon: FakeDaemon, ring: Ring) -> None:
    ring.new()
    daemon.key = ring.keys.current()
    approve(daemon, A)

    async def main() -> None:
        async with AsyncClient(daemon.requests, daemon.events) as client:
            assert (await anext(client.packages(SYMBOL, grades=TESTED)))["package_id"] == A

    asyncio.run(main())


def test_wrong_trust_is_no_trust(ring: Ring, monkeypatch: pytest.MonkeyPatch) -> None:
    key = ring.new()
    with pytest.raises(Invalid, match="cannot read the trusted keys"):
        AsyncClient(trusted=ring.file)
    ring.trust()
    with pytest.raises(Invalid, match="there are no trusted keys"):
        AsyncClient(trusted=ring.file)
    ring.trust(key)
    ring.file.chmod(0o666)
    with pytest.raises(Invalid, match="others may write it"):
        AsyncClient(trusted=str(ring.file))
    with pytest.raises(Invalid, match="line 1"):
        AsyncClient(trusted=[f"{key} AAAA"])
    monkeypatch.setenv("TUNESMITH_TRUSTED_KEYS", str(ring.file.with_name("absent")))
    with pytest.raises(Invalid, match="absent"):
        AsyncClient()
    AsyncClient(trusted=[file.key.line for file in ring.keys.listing()])
