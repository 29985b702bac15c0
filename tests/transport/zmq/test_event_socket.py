from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from typing import Any

import msgspec
import pytest
import zmq

from transport.rooms import Bot, Room
from tunesmith.config import Events
from tunesmith.transport.zmq.event_socket import LastValues, Throttle

TOPIC = "pkg/BTC/USDT/1h/grid/"


def event(seq: int, **data: Any) -> bytes:
    return msgspec.json.encode({"specversion": "1.0", "v": 1, "id": f"e-{seq}", "seq": seq, "prev": 0, "data": data})


def subscriber(room: Room, bot: Bot, *prefixes: bytes, timeout_ms: int = 30_000) -> zmq.Socket[bytes]:
    socket = bot.socket(zmq.SUB, room.events.endpoint, timeout_ms)
    for prefix in prefixes:
        socket.subscribe(prefix)
    return socket


def ready(socket: zmq.Socket[bytes]) -> None:
    """Wait for a heartbeat: from then on the subscription is in force."""
    socket.subscribe(b"hb/")
    while socket.recv_multipart()[0] != b"hb/":
        pass
    socket.unsubscribe(b"hb/")


def received(socket: zmq.Socket[bytes], n: int) -> list[list[bytes]]:
    found = []
    while len(found) < n:
        frames = socket.recv_multipart()
        if frames[0] != b"hb/":
            found.append(frames)
    return found


@pytest.fixture
def quick() -> Any:
    with Room(events=Events(heartbeat_s=0.05)) as room:
        yield room


def test_an_event_has_topic_json_and_where_given_a_signature(quick: Room, bot: Bot) -> None:
    socket = subscriber(quick, bot, b"pkg/")
    ready(socket)
    quick.call(quick.events.publish, TOPIC, event(1))
    quick.call(quick.events.publish, TOPIC, event(2), b"s" * 64)
    assert received(socket, 2) == [[TOPIC.encode(), event(1)], [TOPIC.encode(), event(2), b"s" * 64]]


def test_a_topic_never_matches_another_market(quick: Room, bot: Bot) -> None:
    socket = subscriber(quick, bot, b"pkg/BTC/USD/")
    ready(socket)
    quick.call(quick.events.publish, TOPIC, event(1))
    quick.call(quick.events.publish, "pkg/BTC/USD/1h/grid/", event(2))
    assert received(socket, 1)[0][1] == event(2)


def test_a_late_bot_gets_the_newest_package_at_once(quick: Room, bot: Bot) -> None:
    quick.call(quick.events.publish, TOPIC, event(1))
    quick.call(quick.events.publish, TOPIC, event(2), b"sig")
    quick.call(quick.events.prime, "pkg/ETH/USDT/1h/grid/", event(3))
    quick.call(quick.events.publish, "task/t/done/", event(4))
    began = time.perf_counter()
    late = subscriber(quick, bot, b"pkg/BTC/")
    assert received(late, 1) == [[TOPIC.encode(), event(2), b"sig"]]
    assert time.perf_counter() - began < 3.0  # of the heartbeats none brings it
    everything = subscriber(quick, bot, b"")
    assert [frames[1] for frames in received(everything, 2)] == [event(2), event(3)]
    exact = subscriber(quick, bot, b"pkg/ETH/USDT/1h/grid/")
    assert received(exact, 1)[0][1] == event(3)


def test_a_subscription_to_what_is_not_there_resends_nothing(quick: Room, bot: Bot) -> None:
    quick.call(quick.events.publish, TOPIC, event(1))
    other = subscriber(quick, bot, b"pkg/BTC/USDT/1h/grid/x", b"pkg/ETH", b"task/")
    ready(other)
    ready(other)
    assert not other.poll(100)


def test_bots_that_join_together_cause_few_duplicates(quick: Room, bot: Bot) -> None:
    quick.call(quick.events.publish, TOPIC, event(1))
    bots = [subscriber(quick, bot, b"pkg/BTC/USDT/") for _ in range(200)]
    poller = zmq.Poller()
    for socket in bots:
        poller.register(socket, zmq.POLLIN)
    got: Counter[int] = Counter()
    while len(got) < len(bots):
        ready_now = poller.poll(30_000)
        assert ready_now, f"{len(bots) - len(got)} bots got nothing"
        for socket, _ in ready_now:
            assert socket.recv_multipart()[1] == event(1)
            got[bots.index(socket)] += 1
    while ready_now := poller.poll(200):
        for socket, _ in ready_now:
            socket.recv_multipart()
            got[bots.index(socket)] += 1
    assert max(got.values()) <= 10
    assert sum(got.values()) - len(bots) <= 5 * len(bots)


def test_heartbeats_carry_epoch_and_heads(quick: Room, bot: Bot) -> None:
    quick.head = 7
    quick.call(quick.events.publish, TOPIC, event(5))
    socket = subscriber(quick, bot, b"hb/")
    beats = [json.loads(socket.recv_multipart()[1]) for _ in range(3)]
    for beat in beats:
        assert beat["data"] == {"epoch": "epoch-1", "head": 7, "package_head": 5}
        assert (beat["specversion"], beat["v"], beat["type"], beat["epoch"]) == ("1.0", 1, "heartbeat", "epoch-1")
        assert beat["source"] == "urn:tunesmith:test"
        assert "seq" not in beat
        assert "prev" not in beat
    assert len({beat["id"] for beat in beats}) == 3


def test_progress_is_thinned_and_ends_with_the_newest(quick: Room, bot: Bot) -> None:
    socket = subscriber(quick, bot, b"task/")
    ready(socket)
    began = time.perf_counter()
    for i in range(200):
        quick.call(quick.events.progress, "t1", {"task_id": "t1", "progress": i / 199})
    got = []
    while not got or got[-1]["data"]["progress"] < 1:
        got.append(json.loads(received(socket, 1)[0][1]))
    elapsed = time.perf_counter() - began
    assert 2 <= len(got) <= 2 + elapsed / 0.1
    assert got[0]["type"] == "task.progress"
    assert got[0]["subject"] == "t1"
    assert [e["data"]["progress"] for e in got] == sorted(e["data"]["progress"] for e in got)


def test_no_progress_comes_after_the_end(quick: Room, bot: Bot) -> None:
    socket = subscriber(quick, bot, b"task/t1/")
    ready(socket)

    def work() -> None:
        quick.events.progress("t1", {"progress": 0.1})
        quick.events.progress("t1", {"progress": 0.2})
        quick.events.publish("task/t1/done/", event(1))

    quick.call(work)
    assert [frames[0] for frames in received(socket, 2)] == [b"task/t1/progress/", b"task/t1/done/"]
    assert not socket.poll(250)


def test_a_subscriber_that_does_not_read_loses_and_slows_nobody(bot: Bot) -> None:
    with Room(events=Events(heartbeat_s=0.05, high_water_mark=10)) as room:
        slow = bot.context.socket(zmq.SUB)
        slow.rcvhwm = 10
        slow.rcvbuf = 4096
        slow.linger = 0
        slow.connect(room.events.endpoint)
        slow.subscribe(b"task/")
        fast = subscriber(room, bot, b"pkg/ETH/")
        ready(slow)
        ready(fast)
        padding = "x" * 50_000
        for i in range(1, 401):
            room.call(room.events.publish, f"task/{i}/done/", event(i, padding=padding))
        room.call(room.events.publish, "pkg/ETH/USDT/1h/grid/", event(500))
        assert received(fast, 1)[0][1] == event(500)
        got = 0
        while slow.poll(300):
            got += slow.recv_multipart()[0].startswith(b"task/")
        slow.close()
        assert 10 <= got < 400


def test_what_a_subscriber_sends_otherwise_is_ignored(quick: Room, bot: Bot) -> None:
    socket = bot.socket(zmq.XSUB, quick.events.endpoint)
    for frames in ([b""], [b"\x02junk"], [b"\x01pkg/", b"more"], [b"\x00never"], [b"\xff" * 100_000]):
        socket.send_multipart(frames)
    socket.send(b"\x01hb/")
    assert socket.recv_multipart()[0] == b"hb/"


@pytest.mark.parametrize(("n", "n_bytes"), [(1, 1_100), (1_500, 600)], ids=["one too long", "without end"])
def test_a_subscriber_that_would_fill_the_memory_is_cut_off_and_nobody_else(
    quick: Room, bot: Bot, n: int, n_bytes: int
) -> None:
    honest = subscriber(quick, bot, b"task/")
    ready(honest)
    greedy = bot.socket(zmq.XSUB, quick.events.endpoint)
    greedy.send(b"\x01hb/")
    assert greedy.recv_multipart()[0] == b"hb/"
    monitor = greedy.get_monitor_socket(zmq.EVENT_DISCONNECTED)
    for i in range(n):
        greedy.send(b"\x01" + b"%d" % i + b"x" * n_bytes)
    assert monitor.poll(30_000), "it was not cut off"
    greedy.disable_monitor()
    monitor.close(0)
    greedy.close(0)
    quick.call(quick.events.publish, "task/1/done/", event(1))
    assert received(honest, 1) == [[b"task/1/done/", event(1)]]


def test_many_honest_subscriptions_stand_over_many_connections(quick: Room, bot: Bot) -> None:
    topics = [b"pkg/MARKET%05d/USDT/1h/ma_cross_v1.0/" % i for i in range(4_000)]
    for _ in range(3):  # each connection is counted for itself
        socket = bot.context.socket(zmq.SUB)
        socket.sndhwm = socket.rcvhwm = 0  # else libzmq drops what is subscribed beyond 1,000 before it connects
        socket.connect(quick.events.endpoint)
        for topic in topics:
            socket.subscribe(topic)
        ready(socket)
        quick.call(quick.events.publish, topics[-1].decode(), event(1))
        assert received(socket, 1)[0][0] == topics[-1]
        socket.close(0)


class LeapingLoop(asyncio.SelectorEventLoop):
    """A loop that waits for nobody: when it has nothing to do, its clock leaps to the next timer."""

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0
        select = self._selector.select  # type: ignore[attr-defined]

        def leap(timeout: float | None) -> Any:
            self._now += timeout or 0.0
            return select(0)

        self._selector.select = leap  # type: ignore[attr-defined]

    def time(self) -> float:
        return self._now


class TestLastValues:
    """Windows by the loop's own clock."""

    def run(self, subscriptions: list[tuple[float, bytes]], seconds: float) -> list[tuple[float, bytes]]:
        sent: list[tuple[float, bytes]] = []

        async def main() -> None:
            loop = asyncio.get_running_loop()
            began = loop.time()
            last = LastValues(0.02, lambda frames: sent.append((loop.time() - began, frames[0])))
            for topic in (b"pkg/a/", b"pkg/ab/", b"pkg/b/"):
                last.keep(topic, [topic])
            for at, prefix in subscriptions:
                loop.call_at(began + at, last.wanted, prefix)
            await asyncio.sleep(seconds)
            last.stop()

        with asyncio.Runner(loop_factory=LeapingLoop) as runner:
            runner.run(main())
        return sent

    def test_one_resend_for_all_who_come_together(self) -> None:
        sent = self.run([(0.0, b"pkg/a/"), (0.001, b"pkg/a/"), (0.002, b"pkg/a"), (0.003, b"")], 0.15)
        assert sorted(topic for _, topic in sent) == [b"pkg/a/", b"pkg/ab/", b"pkg/b/"]
        assert min(at for at, _ in sent) >= 0.02

    def test_a_stream_of_bots_does_not_wait_for_ever(self) -> None:
        sent = self.run([(i / 100, b"pkg/b/") for i in range(150)], 2.0)
        assert [at for at, _ in sent] == pytest.approx([1.0, 1.51])

    def test_a_crowd_may_pause_longer(self) -> None:
        assert len(self.run([(0.0, b"pkg/b/")] * 250 + [(0.05, b"pkg/b/")], 0.2)) == 1
        assert len(self.run([(0.0, b"pkg/b/")] * 99 + [(0.05, b"pkg/b/")], 0.2)) == 2

    def test_a_later_bot_gets_its_own(self) -> None:
        assert len(self.run([(0.0, b"pkg/b/"), (0.2, b"pkg/b/")], 0.4)) == 2


def test_the_throttle_holds_the_newest_of_each_topic() -> None:
    sent: list[tuple[str, bytes]] = []

    async def main() -> None:
        throttle = Throttle(0.02, lambda topic, frames: sent.append((topic, frames[0])))
        for i in range(5):
            throttle.put("a", lambda i=i: [b"%d" % i])  # type: ignore[misc]
            throttle.put("b", lambda i=i: [b"%d" % i])  # type: ignore[misc]
        throttle.forget("b")
        await asyncio.sleep(0.1)
        throttle.put("a", lambda: [b"new"])
        throttle.put("a", lambda: [b"dropped"])
        throttle.stop()
        await asyncio.sleep(0.05)

    with asyncio.Runner(loop_factory=LeapingLoop) as runner:
        runner.run(main())
    assert sent == [("a", b"0"), ("b", b"0"), ("a", b"4"), ("a", b"new")]
