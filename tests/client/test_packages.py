from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from client.daemon import SYMBOL, TESTED, TOPIC, FakeDaemon, package
from tunesmith.client import AsyncClient, Client, streams
from tunesmith.client.following import Numbered
from tunesmith.client.package_shelf import PackageFilter
from tunesmith.errors import BadJson, Forbidden, Invalid
from tunesmith.protocol.envelope import Event
from tunesmith.protocol.messages.server import Pong

A, B, C = "a" * 64, "b" * 64, "c" * 64
ELSEWHERE = "pkg/ETH/USDT/1h/grid/"
QUIET_S = 0.4


@pytest.fixture
def daemon() -> Iterator[FakeDaemon]:
    with FakeDaemon() as daemon:
        yield daemon


@pytest.fixture(autouse=True)
def no_jitter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "JITTER_S", 0.01)


def run(daemon: FakeDaemon, test: Callable[[AsyncClient], Awaitable[None]]) -> None:
    async def main() -> None:
        async with asyncio.timeout(90), AsyncClient(daemon.requests, daemon.events) as client:
            await test(client)

    asyncio.run(main())


def approve(daemon: FakeDaemon, package_id: str = A, *, topic: str = TOPIC, lost: bool = False, **fields: Any) -> int:
    return daemon.append(topic, "package.approved", package(package_id, **fields), lost=lost)


def revoke(daemon: FakeDaemon, package_id: str, **more: bool) -> int:
    return daemon.append(TOPIC, "package.revoked", {"package_id": package_id, "reason": "why not"}, **more)


def ids(packages: list[dict[str, Any]]) -> list[str]:
    return [p["package_id"] for p in packages]


async def all_of(client: AsyncClient, **more: Any) -> list[str]:
    return ids([p async for p in client.packages(SYMBOL, timeout_s=QUIET_S, **{"grades": TESTED, **more})])


def test_a_bot_gets_what_is_in_force_and_then_what_comes(daemon: FakeDaemon) -> None:
    async def test(client: AsyncClient) -> None:
        packages = client.packages(SYMBOL, "1h", "grid", grades=TESTED)
        assert await anext(packages) == package(A)
        await asyncio.to_thread(approve, daemon, B, future_field=1)
        assert await anext(packages) == package(B, future_field=1)

    approve(daemon, A)
    run(daemon, test)


def test_several_bots_of_one_client_follow_side_by_side(daemon: FakeDaemon) -> None:
    async def test(client: AsyncClient) -> None:
        found = await asyncio.gather(
            all_of(client), all_of(client, timeframe="1d"), all_of(client, grades=("criteria",))
        )
        assert found == [[A, B], [B], [A, B, C]]

    approve(daemon, A)
    approve(daemon, B, topic="pkg/BTC/USDT/1d/grid/", timeframe="1d")
    approve(daemon, C, topic="pkg/BTC/USDT/1h/x/", strategy_id="x", grade="criteria")
    run(daemon, test)


@pytest.mark.parametrize(
    "refused",
    [
        {"grade": "criteria"},
        {"symbol": "ETH/USDT"},
        {"timeframe": "1d"},
        {"strategy_id": "other"},
        {"valid_until": "2024-01-02T00:00:00Z"},
        {"valid_until": "2024-01-02T00:00:00"},
        {"valid_until": "soon"},
        {"params": None},
        {"package_id": 7},
        {"grade": "golden"},
    ],
)
def test_packages_that_a_bot_must_not_take_are_refused(daemon: FakeDaemon, refused: dict[str, Any]) -> None:
    async def test(client: AsyncClient) -> None:
        assert await all_of(client) == []
        packages = client.packages(SYMBOL, grades=TESTED)
        await asyncio.to_thread(daemon.append, TOPIC, "package.approved", {**package(A), **refused})
        await asyncio.to_thread(approve, daemon, B)
        assert (await anext(packages))["package_id"] == B

    daemon.append(TOPIC, "package.approved", {**package(A), **refused})
    run(daemon, test)


def test_grades_are_the_callers_choice(daemon: FakeDaemon) -> None:
    async def test(client: AsyncClient) -> None:
        assert await all_of(client) == [B]
        assert await all_of(client, grades=("criteria",)) == [A, B]
        assert await all_of(client, grades="proven") == []

    approve(daemon, A, grade="criteria")
    approve(daemon, B, topic="pkg/BTC/USDT/1d/grid/", timeframe="1d", grade="proven")  # as older daemons call tested
    run(daemon, test)


def test_a_bot_that_chooses_no_grade_is_told_the_choices_before_it_opens_a_socket() -> None:
    async def main() -> None:
        async with AsyncClient("tcp://127.0.0.1:1", "tcp://127.0.0.1:1") as client:
            for follow in (client.packages, client.package_events):
                with pytest.raises(Invalid, match=r"'criteria': .* 'tested': .* 'proven': "):
                    follow(SYMBOL)
            with pytest.raises(Invalid, match="there is no grade 'best'"):
                await client.packages_in_force(SYMBOL, "1h", "grid", grades=["best"])
            assert client._context is None

    asyncio.run(main())
    with Client("tcp://127.0.0.1:1", "tcp://127.0.0.1:1") as blocking, pytest.raises(Invalid, match="name the lowest"):
        blocking.packages(SYMBOL)


def test_what_is_revoked_or_superseded_is_not_handed_out(daemon: FakeDaemon) -> None:
    async def test(client: AsyncClient) -> None:
        assert await all_of(client) == []
        packages = client.packages(SYMBOL, timeout_s=QUIET_S, grades=TESTED)
        assert [p async for p in packages] == []

        def happen() -> None:
            approve(daemon, A)
            approve(daemon, B)
            approve(daemon, C, topic="pkg/BTC/USDT/1h/x/", strategy_id="x")
            daemon.append("pkg/BTC/USDT/1h/x/", "package.expired", {"package_id": C})

        await asyncio.to_thread(happen)
        await asyncio.sleep(0.1)  # the bot is busy elsewhere meanwhile
        assert ids([p async for p in packages]) == [B]

    approve(daemon, A)
    revoke(daemon, A)
    run(daemon, test)


def test_what_was_revoked_unheard_while_it_waited_is_not_handed_out(daemon: FakeDaemon) -> None:
    async def test(client: AsyncClient) -> None:
        packages = client.packages(SYMBOL, timeout_s=QUIET_S, grades=TESTED)
        assert (await anext(packages))["package_id"] == A

        def happen() -> None:
            daemon.append(topic, "package.revoked", {"package_id": B, "reason": "why not"}, lost=True)
            daemon.append(ELSEWHERE, "package.revoked", {"package_id": C, "reason": "why not"})

        await asyncio.to_thread(happen)
        while packages._stream._beat is None or packages._stream._beat.data["package_head"] < len(daemon.log):
            await asyncio.sleep(0.01)  # the bot is busy elsewhere; a heartbeat tells meanwhile that something came
        assert [p async for p in packages] == []

    topic = "pkg/BTC/USDT/1h/x/"
    approve(daemon, A)
    approve(daemon, B, topic=topic, strategy_id="x")
    run(daemon, test)


def test_of_missed_events_in_many_pages_none_is_believed_before_the_last(daemon: FakeDaemon) -> None:
    async def test(client: AsyncClient) -> None:
        packages = client.packages(SYMBOL, timeout_s=5, grades=TESTED)
        assert (await anext(packages))["package_id"] == A

        def miss() -> None:
            approve(daemon, B, lost=True)
            revoke(daemon, B, lost=True)
            approve(daemon, C, lost=True)
            daemon.append(ELSEWHERE, "package.revoked", {"package_id": B, "reason": "why not"})

        await asyncio.to_thread(miss)
        assert (await anext(packages))["package_id"] == C

    daemon.page = 1
    approve(daemon, A)
    run(daemon, test)


def test_one_that_expires_while_it_waits_is_not_handed_out(daemon: FakeDaemon) -> None:
    async def test(client: AsyncClient) -> None:
        packages = client.packages(SYMBOL, timeout_s=QUIET_S, grades=TESTED)
        soon = datetime.now(UTC) + timedelta(seconds=0.3)
        topics = [f"pkg/BTC/USDT/{i}h/grid/" for i in (1, 2)]
        await asyncio.to_thread(approve, daemon, A, topic=topics[0])
        await asyncio.to_thread(approve, daemon, B, topic=topics[1], timeframe="2h", valid_until=soon.isoformat())
        first = await anext(packages)
        await asyncio.sleep(0.4)
        assert [first["package_id"], *ids([p async for p in packages])] in ([A], [B, A])

    run(daemon, test)


def test_events_tell_of_everything_that_happens_to_packages(daemon: FakeDaemon) -> None:
    async def test(client: AsyncClient) -> None:
        events = client.package_events(SYMBOL, grades=TESTED)
        assert (await anext(events)).kind == "approved"

        def happen() -> None:
            daemon.append(TOPIC, "package.revoked", {"package_id": A, "reason": "why not", "suspended": True})
            approve(daemon, B)
            approve(daemon, C, grade="criteria", supersedes=B)
            daemon.append(TOPIC, "package.expired", {"package_id": C})
            daemon.append(TOPIC, "package.sung_about", {"package_id": C})
            approve(daemon, A)

        await asyncio.to_thread(happen)
        got = [await anext(events) for _ in range(5)]
        assert [(e.kind, e.package_id) for e in got] == [
            ("revoked", A),
            ("approved", B),
            ("superseded", B),
            ("expired", C),
            ("approved", A),
        ]
        assert got[0].reason == "why not"
        assert [e.suspended for e in got] == [True, False, False, False, False]
        assert [e.seq for e in got] == [2, 3, 4, 5, 7]

    approve(daemon, A)
    run(daemon, test)


def test_repeats_are_passed_on_once(daemon: FakeDaemon) -> None:
    async def test(client: AsyncClient) -> None:
        events = client.package_events(SYMBOL, timeout_s=QUIET_S, grades=TESTED)
        assert (await anext(events)).seq == 1

        def happen() -> None:
            for seq in (1, approve(daemon, B), 2, 1, approve(daemon, C), 3, 1):
                daemon.publish(seq)

        await asyncio.to_thread(happen)
        assert [e.seq async for e in events] == [2, 3]

    approve(daemon, A)
    run(daemon, test)


def test_lost_events_are_recovered_also_the_last_one(daemon: FakeDaemon) -> None:
    async def test(client: AsyncClient) -> None:
        events = client.package_events(SYMBOL, timeout_s=5, grades=TESTED)
        assert (await anext(events)).seq == 1

        def lose_some() -> None:
            approve(daemon, B, lost=True)
            approve(daemon, C, lost=True)
            approve(daemon, A)
            approve(daemon, B, lost=True)

        await asyncio.to_thread(lose_some)
        assert [(await anext(events)).seq for _ in range(4)] == [2, 3, 4, 5]
        assert daemon.asked["events.replay"] >= 1

    approve(daemon, A)
    run(daemon, test)


def test_a_restart_loses_nothing(daemon: FakeDaemon) -> None:
    async def test(client: AsyncClient) -> None:
        events = client.package_events(SYMBOL, grades=TESTED)
        assert (await anext(events)).seq == 1
        await asyncio.to_thread(daemon.stop)
        approve(daemon, B)
        approve(daemon, C)
        await asyncio.to_thread(daemon.start)
        assert [(await anext(events)).seq for _ in range(2)] == [2, 3]
        await asyncio.to_thread(revoke, daemon, C)
        assert (await anext(events)).kind == "revoked"

    approve(daemon, A)
    run(daemon, test)


def test_another_database_is_followed_from_its_beginning(daemon: FakeDaemon) -> None:
    async def test(client: AsyncClient) -> None:
        events = client.package_events(SYMBOL, grades=TESTED)
        assert (await anext(events)).package_id == A
        await asyncio.to_thread(daemon.stop)
        daemon.replace_database()
        approve(daemon, B)
        await asyncio.to_thread(daemon.start)
        found = await anext(events)
        assert (found.package_id, found.seq) == (B, 1)
        await asyncio.to_thread(approve, daemon, C)
        assert (await anext(events)).package_id == C

    approve(daemon, A)
    run(daemon, test)


def test_a_bot_may_be_there_before_the_daemon(daemon: FakeDaemon) -> None:
    async def test(client: AsyncClient) -> None:
        waiting = asyncio.create_task(anext(client.packages(SYMBOL, grades=TESTED)))
        await asyncio.sleep(0)
        await asyncio.to_thread(daemon.start)
        assert (await waiting)["package_id"] == A

    daemon.stop()
    approve(daemon, A)
    run(daemon, test)


def test_a_subscription_that_falls_silent_is_made_anew(daemon: FakeDaemon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "SILENCE_S", 0.3)

    async def test(client: AsyncClient) -> None:
        events = client.package_events(SYMBOL, grades=TESTED)
        assert (await anext(events)).seq == 1
        stream = events._stream
        before = stream._wire
        assert before is not None
        before._socket.disconnect(daemon.events)  # as if the address had gone: libzmq will not come back by itself
        await asyncio.to_thread(approve, daemon, B)
        assert (await anext(events)).seq == 2
        assert stream._wire is not before

    approve(daemon, A)
    run(daemon, test)


def test_a_cancelled_step_loses_nothing(daemon: FakeDaemon) -> None:
    async def test(client: AsyncClient) -> None:
        events = client.package_events(SYMBOL, grades=TESTED)
        got: list[int] = []
        publishing = asyncio.create_task(
            asyncio.to_thread(lambda: [approve(daemon, A, lost=i % 3 == 1) for i in range(60)])
        )
        while got[-1:] != [60]:
            try:
                async with asyncio.timeout(0.0005):
                    got.append((await anext(events)).seq)
            except TimeoutError:
                continue
        await publishing
        assert got == list(range(got[0], 61))

    run(daemon, test)


def test_what_cannot_be_asked_is_raised(daemon: FakeDaemon) -> None:
    async def test(client: AsyncClient) -> None:
        with pytest.raises(Forbidden):
            await anext(client.packages(SYMBOL, grades=TESTED))

    async def refuse(request: Any, call: Any) -> Any:
        raise Forbidden("not for you")

    daemon.call(daemon.router._handlers.__setitem__, "events.snapshot", refuse)
    run(daemon, test)


def test_a_grade_that_a_newer_daemon_gives_is_an_error_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    async def answer(type: str, data: Any) -> dict[str, Any]:
        return {"package": package(A, grade="golden"), "state": "in_force", "verdict_id": None, "seq": 1}

    async def main() -> None:
        async with AsyncClient("tcp://127.0.0.1:1", "tcp://127.0.0.1:1") as client:
            monkeypatch.setattr(client, "request", answer)
            with pytest.raises(BadJson, match="cannot be read by this version: Invalid enum value 'golden'"):
                await client.latest_package(SYMBOL)

    asyncio.run(main())


def test_a_malformed_answer_is_raised(daemon: FakeDaemon) -> None:
    async def test(client: AsyncClient) -> None:
        with pytest.raises(BadJson, match=r"events\.snapshot"):
            await anext(client.packages(SYMBOL, grades=TESTED))

    async def ramble(request: Any, call: Any) -> Any:
        return Pong(version="1", protocol=1, time="t", uptime_s=0.0)

    daemon.call(daemon.router._handlers.__setitem__, "events.snapshot", ramble)
    run(daemon, test)


def test_malformed_frames_are_ignored(daemon: FakeDaemon) -> None:
    async def test(client: AsyncClient) -> None:
        events = client.package_events(SYMBOL, grades=TESTED)
        assert (await anext(events)).seq == 1
        send = daemon._events_door._send
        for frames in (
            [TOPIC.encode()],
            [TOPIC.encode(), b"{"],
            [TOPIC.encode(), b"[]"],
            [b"pkg/BTC/USDT/\xff", b"{}"],
        ):
            await asyncio.to_thread(daemon.call, send, frames)
        await asyncio.to_thread(approve, daemon, B)
        assert (await anext(events)).seq == 2

    approve(daemon, A)
    run(daemon, test)


def test_an_iterator_that_is_left_stops_listening(daemon: FakeDaemon) -> None:
    async def test(client: AsyncClient) -> None:
        async for found in client.packages(SYMBOL, grades=TESTED):
            assert found["package_id"] == A
            break
        gc.collect()
        assert [stream.closed for stream in client._streams] == [True]
        async with client.packages(SYMBOL, grades=TESTED) as packages:
            await anext(packages)
        with pytest.raises(StopAsyncIteration):
            await anext(packages)

    approve(daemon, A)
    run(daemon, test)


def test_the_blocking_client_follows_too(daemon: FakeDaemon) -> None:
    approve(daemon, A)
    with Client(daemon.requests, daemon.events) as client:
        assert ids(list(client.packages(SYMBOL, timeout_s=QUIET_S, grades=TESTED))) == [A]
        with client.package_events(SYMBOL, grades=TESTED) as events:
            assert next(events).package_id == A
            revoke(daemon, A)
            assert next(events).kind == "revoked"
        for found in client.packages("ETH/USDT", timeout_s=0.1, grades=TESTED):
            raise AssertionError(found)


def test_a_prefix_is_as_long_as_what_is_asked_for() -> None:
    assert PackageFilter("A/B", None, None, ()).prefix == "pkg/A/B/"
    assert PackageFilter("A/B", "1h", None, ()).prefix == "pkg/A/B/1h/"
    assert PackageFilter("A/B", "1h", "s", ()).prefix == "pkg/A/B/1h/s/"
    assert PackageFilter("A/B", None, "s", ()).prefix == "pkg/A/B/"


def test_a_longer_symbol_under_the_same_prefix_is_refused() -> None:
    """`pkg/BTC/USDT/` is also the beginning of the topics of a symbol BTC/USDT/1h."""
    data = package(A, symbol="BTC/USDT/1h", timeframe="1d")
    event = Event(
        specversion="1.0",
        v=1,
        id="i",
        source="s",
        type="package.approved",
        time="t",
        epoch="e",
        data=data,
        seq=1,
        prev=0,
    )
    told = Numbered("pkg/BTC/USDT/1h/1d/grid/", event)
    assert PackageFilter("BTC/USDT", None, None, TESTED).read(told) is None
    found = PackageFilter("BTC/USDT/1h", None, None, TESTED).read(told)
    assert found is not None
    assert msgspec.to_builtins(found)["package"] == data


def test_a_late_bot_does_not_wait_for_a_heartbeat() -> None:
    with FakeDaemon(heartbeat_s=30) as daemon:
        approve(daemon, A)

        async def test(client: AsyncClient) -> None:
            began = time.monotonic()
            assert (await anext(client.packages(SYMBOL, grades=TESTED)))["package_id"] == A
            assert time.monotonic() - began < 2

        run(daemon, test)


def test_a_bot_says_what_became_of_a_package_with_either_client(daemon: FakeDaemon) -> None:
    async def test(client: AsyncClient) -> None:
        said = await client.acknowledge(A, "refused", reason="a position is open")
        assert (said.package_id, said.outcome, said.reason, said.runs) == (A, "refused", "a position is open", False)

    run(daemon, test)
    with Client(daemon.requests, daemon.events, name="bot-1") as client:
        said = client.acknowledge(A)
        assert (said.client, said.outcome, said.runs) == ("bot-1", "applied", True)
    assert daemon.asked["package.ack"] == 2
