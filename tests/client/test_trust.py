"""What a bot with trusted keys takes, and what it refuses and why, over real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from client.daemon import SYMBOL, TESTED, TOPIC, FakeDaemon, package
from tunesmith.client import AsyncClient, PackageEvent, streams
from tunesmith.client.asynchronous import DEADLINE_S
from tunesmith.client.heartbeats import CLOCKS_APART_S, SignedHeartbeats
from tunesmith.client.streams import PackageEvents
from tunesmith.client.trust import Trust
from tunesmith.errors import Forbidden, Invalid
from tunesmith.protocol.codec import decode_event
from tunesmith.protocol.envelope import Event
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


def run(
    daemon: FakeDaemon, ring: Ring, test: Callable[[AsyncClient], Awaitable[None]], deadline_s: float = DEADLINE_S
) -> None:
    async def main() -> None:
        made = AsyncClient(daemon.requests, daemon.events, trusted=ring.file, deadline_s=deadline_s)
        async with asyncio.timeout(90), made as client:
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


@pytest.fixture
def fake(daemon: FakeDaemon) -> FakeDaemon:
    """Who has no key, but all that the daemon ever signed; not started."""
    made = FakeDaemon()
    made.requests, made.events = daemon.requests, daemon.events
    return made


def test_who_has_no_key_cannot_bring_back_what_was_revoked(
    daemon: FakeDaemon, fake: FakeDaemon, ring: Ring, caplog: pytest.LogCaptureFixture
) -> None:
    ring.trust(ring.new())
    daemon.key = ring.keys.current()
    approve(daemon, A)
    fake.log, fake.signatures = daemon.log[:], daemon.signatures

    def take_over() -> None:
        daemon.append(TOPIC, "package.revoked", {"package_id": A, "reason": "it loses"})
        daemon.stop()
        fake.start()

    async def test(client: AsyncClient) -> None:
        """Somebody who was there all the time, by every way to a package."""
        stream = client.package_events(SYMBOL, grades=TESTED)
        assert told(await anext(stream)) == ("approved", "a", None)
        await asyncio.to_thread(take_over)
        for epoch in ("epoch-2", "epoch-1"):  # to make the client begin anew, and then have its own again
            fake.epoch = epoch
            await asyncio.to_thread(fake.stop)
            await asyncio.to_thread(fake.start)
            await asyncio.to_thread(fake.publish, 1)
            assert await heard(client) == []
        assert [p async for p in client.packages(SYMBOL, timeout_s=QUIET_S, grades=TESTED)] == []
        with pytest.raises(Forbidden, match=r"no heartbeat at .* is signed by a trusted key and of now"):
            await client.latest_package(SYMBOL)

    async def newcomer(client: AsyncClient) -> None:
        assert await heard(client) == []

    try:
        run(daemon, ring, test, deadline_s=QUIET_S)
        run(daemon, ring, newcomer)
    finally:
        fake.stop()
    assert "heartbeat refused: it is not signed" in caplog.text


def beat(key: Any, epoch: str = "e1", head: int = 1, ago_s: float = 0.0, **changed: Any) -> tuple[Event, bytes, bytes]:
    """A signed heartbeat as it comes: read, its bytes, their signature."""
    time = datetime.fromtimestamp(datetime.now(UTC).timestamp() - ago_s, UTC).isoformat()
    event = {
        "specversion": "1.0", "v": 1, "id": "1", "source": "s", "type": "heartbeat", "time": time, "epoch": epoch,
        "keyid": key.keyid, "data": {"epoch": epoch, "head": head, "package_head": head}, **changed,
    }  # fmt: skip
    frame = msgspec.json.encode(event)
    return decode_event(frame), frame, key.sign(frame)


def test_a_heartbeat_vouches_once_and_for_now(ring: Ring) -> None:
    ring.trust(ring.new())
    key = ring.keys.current()
    pulse = SignedHeartbeats(Trust(file=ring.file))

    def refusal(event: Event, frame: bytes, signature: bytes | None) -> str | None:
        found = pulse.refusal(event, frame, signature)
        if found is None:
            pulse.believe(event)
        return found

    first = beat(key, ago_s=60.0, head=7)
    assert refusal(*first[:2], None) == NOT_SIGNED
    assert "tampered" in str(refusal(*first[:2], bytes(64)))
    assert refusal(*first) is None
    assert (pulse.epoch, pulse.head) == ("e1", 7)
    assert refusal(*first) == "one as new as it came before"
    assert refusal(*beat(key, ago_s=30.0, head=9)) is None
    assert refusal(*beat(key, ago_s=40.0)) == "one as new as it came before"
    assert "this machine's clock says otherwise" in str(SignedHeartbeats(Trust(file=ring.file)).refusal(
        *beat(key, ago_s=CLOCKS_APART_S + 10.0)
    ))  # fmt: skip
    assert refusal(*beat(key, type="package.approved")) == "it is no heartbeat"
    assert refusal(*beat(key, epoch="e2", ago_s=20.0)) is None
    assert (pulse.epoch, pulse.head) == ("e2", 1)
    assert refusal(*beat(key, epoch="e1")) == "its epoch e1 is over"


def test_clients_without_trusted_keys_hear_signed_heartbeats_as_others(daemon: FakeDaemon, ring: Ring) -> None:
    ring.new()
    daemon.key = ring.keys.current()

    async def main() -> None:
        async with AsyncClient(daemon.requests, daemon.events) as client:
            stream = client.packages(SYMBOL, grades=TESTED)
            daemon.append(TOPIC, "package.approved", package(A), lost=True)  # only the heartbeat tells of it
            assert (await anext(stream))["package_id"] == A

    asyncio.run(main())
