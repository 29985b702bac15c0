from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import zmq

from transport.rooms import Bot, Room, body
from tunesmith.config import Limits
from tunesmith.errors import Invalid
from tunesmith.transport.router import Router
from tunesmith.transport.zmq.endpoints import FRAMES_PER_TURN, TURN_S, BindPolicy, Endpoint, bind, listen
from tunesmith.transport.zmq.request_sockets import RequestSocket

START = {"symbol": "BTC/USDT", "strategy_id": "s"}


def until(condition: Callable[[], object], seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.005)


def code(frame: bytes) -> str:
    reply = json.loads(frame)
    return "ok" if reply["ok"] else reply["error"]["code"]


def ask(socket: zmq.Socket[bytes], *frames: bytes) -> list[bytes]:
    socket.send_multipart(list(frames))
    return socket.recv_multipart()


def test_req_and_dealer_are_answered(room: Room, bot: Bot) -> None:
    req = bot.socket(zmq.REQ, room.requests.endpoint)
    assert code(ask(req, body())[0]) == "ok"
    dealer = bot.socket(zmq.DEALER, room.requests.endpoint)
    assert ask(dealer, body())[:-1] == []
    assert ask(dealer, b"", body())[:-1] == [b""]


@pytest.mark.parametrize("route", [[], [b""], [b"x", b""], [b"\x00\xff", b"a" * 3000, b""], [b"", b"", b""]])
def test_every_frame_before_the_body_comes_back_byte_for_byte(room: Room, bot: Bot, route: list[bytes]) -> None:
    dealer = bot.socket(zmq.DEALER, room.requests.endpoint)
    *before, reply = ask(dealer, *route, body())
    assert before == route
    assert code(reply) == "ok"


@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        ([b"not json"], "bad_json"),
        ([b""], "bad_json"),
        ([b"", b""], "bad_json"),
        ([body(), b""], "bad_json"),
        ([b"1", b"2", b"3", b"4", body()], "too_large"),
        ([b"", b"2", b"3", b"4", body()], "too_large"),
        ([b" " * 2_000_000 + body()], "too_large"),
        ([b"", b" " * 4_000_000 + body()], "too_large"),
        ([body(data=[])], "invalid"),
        ([body(data={"nan": 1})], "invalid"),
        ([b'{"v":1,"type":"ping","id":"a","data":{"x":NaN}}'], "bad_json"),
        ([b'{"v":1,"type":"ping","id":"a","deadline_ms":1e999}'], "invalid"),
        ([b'{"v":1,"type":"ping","id":"a","data":' + b"[" * 400_000 + b"]" * 400_000 + b"}"], "invalid"),
        ([b'{"v":1,"type":"ping","id":"\xff"}'], "bad_json"),
        ([body(id="x" * 100_000)], "invalid"),
        ([body("x" * 100_000)], "invalid"),
    ],
)
def test_bad_frames_are_answered_and_the_door_goes_on(room: Room, bot: Bot, frames: list[bytes], expected: str) -> None:
    dealer = bot.socket(zmq.DEALER, room.requests.endpoint)
    *before, reply = ask(dealer, *frames)
    assert before == frames[:-1]
    assert code(reply) == expected
    assert len(reply) < 4_000
    assert code(ask(dealer, body())[-1]) == "ok"


def test_a_req_that_sends_too_many_frames_is_still_answered(room: Room, bot: Bot) -> None:
    req = bot.socket(zmq.REQ, room.requests.endpoint)
    *before, reply = ask(req, *[b"x"] * 200, body())
    assert before == []
    assert code(reply) == "too_large"


def test_a_frame_over_the_hard_limit_cuts_the_connection_alone(room: Room, bot: Bot) -> None:
    honest = bot.socket(zmq.DEALER, room.requests.endpoint)
    big = bot.socket(zmq.DEALER, room.requests.endpoint, timeout_ms=300)
    big.send(b"x" * (4 * 2**20 + 1))
    with pytest.raises(zmq.Again):
        big.recv()
    assert code(ask(honest, body())[-1]) == "ok"


def test_requests_of_one_client_are_answered_out_of_order(room: Room, bot: Bot) -> None:
    dealer = bot.socket(zmq.DEALER, room.requests.endpoint)
    dealer.send(body("backtest.start", "slow", START))
    dealer.send(body("ping", "fast"))
    assert json.loads(dealer.recv())["id"] == "fast"
    room.call(room.handlers.gate.set)
    assert json.loads(dealer.recv())["id"] == "slow"


def test_many_requests_sent_at_once_are_all_answered(room: Room, bot: Bot) -> None:
    dealers = [bot.socket(zmq.DEALER, room.requests.endpoint) for _ in range(8)]
    for i in range(500):
        for dealer in dealers:
            dealer.send_multipart([b"", body(id=str(i))])
    for dealer in dealers:
        assert [json.loads(dealer.recv_multipart()[1])["id"] for _ in range(500)] == [str(i) for i in range(500)]
    assert room.observed == {("ping", "ok"): 4000}


def test_a_flooder_gets_busy_while_an_honest_ping_is_answered(bot: Bot) -> None:
    with Room(Limits(in_flight_per_user=32)) as room:
        flooder = bot.socket(zmq.DEALER, room.requests.endpoint)
        for i in range(1000):
            flooder.send(body("backtest.start", f"f{i}", START, deadline_ms=60_000))
        honest = bot.socket(zmq.REQ, room.requests.endpoint)
        waits = []
        for i in range(200):
            began = time.perf_counter()
            assert code(ask(honest, body(id=f"h{i}"))[0]) == "ok"
            waits.append(time.perf_counter() - began)
        assert {code(flooder.recv()) for _ in range(1000 - 32)} == {"busy"}
        room.call(room.handlers.gate.set)
        assert {code(flooder.recv()) for _ in range(32)} == {"ok"}
        assert sorted(waits)[100] < 0.1


class Flooded:
    """A door with a flooder and an honest client, that calls `then` with the number of messages taken so far."""

    def __init__(self, context: zmq.Context[Any], then: Callable[[int], None]) -> None:
        taken: list[bytes] = []
        self.taken = taken

        class Listening(Endpoint):
            _sure_of_more = True

            def _take(self, frames: list[bytes], n_frames: int) -> None:
                taken.append(frames[-1])
                then(len(taken))

        socket = listen(context, zmq.ROUTER, Limits())
        self.door = Listening(socket, bind(socket, "inproc://flooded", "server.requests"))
        self.flooder, self.honest = context.socket(zmq.DEALER), context.socket(zmq.DEALER)
        for client in (self.flooder, self.honest):
            client.linger = 0
            client.connect("inproc://flooded")
        for _ in range(400):
            self.flooder.send(b"flood")

    def run(self, main: Callable[[], Coroutine[Any, Any, None]]) -> None:
        async def opened() -> None:
            self.door.start()
            try:
                async with asyncio.timeout(20):
                    await main()
            finally:
                self.door.stop()

        asyncio.run(opened())
        self.flooder.close()
        self.honest.close()


def test_who_comes_while_another_floods_waits_for_no_more_than_a_turn() -> None:
    async def until_heard() -> None:
        while b"honest" not in flooded.taken:
            await asyncio.sleep(0)

    with zmq.Context() as context:
        flooded = Flooded(context, lambda n: flooded.honest.send(b"honest") if n == 10 else None)
        flooded.run(until_heard)
    assert flooded.taken.index(b"honest") - 10 <= FRAMES_PER_TURN // 2


def test_requests_that_take_long_let_the_loop_breathe_between_them() -> None:
    async def beside() -> None:
        for turn in range(10):
            assert len(flooded.taken) <= 2 * turn + 2
            await asyncio.sleep(0)
        assert len(flooded.taken) >= 5

    with zmq.Context() as context:
        flooded = Flooded(context, lambda n: time.sleep(2 * TURN_S))
        flooded.run(beside)


def test_a_client_that_never_reads_costs_only_its_own_replies(room: Room, bot: Bot) -> None:
    deaf = bot.socket(zmq.DEALER, room.requests.endpoint)
    request = b'{"v":1,"type":"' + b"\\u0041" * 64 + b'","id":"a"}'
    n_sent = 0
    honest = bot.socket(zmq.REQ, room.requests.endpoint)
    while not room.dropped["requests"]:
        for _ in range(500):
            deaf.send(request)
        n_sent += 500
        assert n_sent < 200_000
        assert code(ask(honest, body())[0]) == "ok"
    assert code(ask(honest, body())[0]) == "ok"


def test_the_reply_to_a_client_that_left_is_dropped_and_counted(room: Room, bot: Bot) -> None:
    leaver = bot.socket(zmq.DEALER, room.requests.endpoint)
    leaver.send(body("backtest.start", "left", START))
    until(lambda: room.router.in_flight == 1)
    monitor = room.call(room.requests._socket.get_monitor_socket, zmq.EVENT_DISCONNECTED)
    with monitor:
        leaver.close(0)
        assert monitor.poll(10_000), "the leaver did not leave"
        room.call(room.requests._socket.disable_monitor)
    honest = bot.socket(zmq.REQ, room.requests.endpoint)
    ask(honest, body())  # read by the thread that saw the leaver go, so behind its going
    room.call(room.handlers.gate.set)
    until(lambda: room.router.in_flight == 0)
    until(lambda: room.dropped["requests"] == 1)
    assert code(ask(honest, body())[0]) == "ok"


def test_the_inbox_answers_on_the_events_door(room: Room, bot: Bot) -> None:
    events = bot.socket(zmq.SUB, room.events.endpoint)
    events.subscribe(b"rep/bot-1/")
    events.subscribe(b"hb/")
    assert events.recv_multipart()[0] == b"hb/"
    inbox = bot.socket(zmq.PUB, room.inbox.endpoint)

    def reply(*frames: bytes) -> tuple[bytes, dict[str, Any]]:
        """Publishes until an answer comes: a PUB socket drops what it sends before it is connected."""
        while True:
            inbox.send_multipart(list(frames))
            if events.poll(50):
                topic, answer = events.recv_multipart()
                if topic != b"hb/":
                    return topic, json.loads(answer)

    def drain() -> None:
        while events.poll(100):
            events.recv_multipart()

    topic, answer = reply(b"anything", body("ping", "i1", client="bot-1"))
    assert (topic, answer["type"], answer["ok"]) == (b"rep/bot-1/i1/", "ping.reply", True)
    drain()
    topic, answer = reply(body("ping", "i2", {"x": 1}, client="bot-1"))
    assert (topic, answer["error"]["errors"][0]["path"]) == (b"rep/bot-1/i2/", "/data/x")
    drain()
    topic, answer = reply(b"a", b"b", body("ping", "bad id", client="bot-1"))
    assert (topic, answer["id"], answer["error"]["code"]) == (b"rep/bot-1/-/", None, "invalid")
    drain()
    inbox.send(body("ping", "i3"))
    inbox.send(b"not json")
    until(lambda: room.dropped["inbox"] == 2)


def test_a_taken_port_is_told_clearly(room: Room) -> None:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    try:
        with pytest.raises(Invalid, match=r"server\.requests.*in use"):
            RequestSocket(context, room.requests.endpoint, room.router, Limits())
    finally:
        context.destroy(linger=0)


def test_a_door_to_the_outside_is_refused() -> None:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    try:
        with pytest.raises(Invalid, match="insecure_bind"):
            RequestSocket(context, "tcp://*:0", Router({}, Limits()), Limits())
        door = RequestSocket(context, "tcp://*:0", Router({}, Limits()), Limits(), entry=BindPolicy(insecure_bind=True))
        door.stop()
    finally:
        context.destroy(linger=0)


def test_clients_in_many_threads_get_their_own_replies(room: Room) -> None:
    wrong: list[str] = []

    def work(name: str) -> None:
        bot = Bot()
        req = bot.socket(zmq.REQ, room.requests.endpoint)
        for i in range(100):
            if json.loads(ask(req, body(id=f"{name}-{i}"))[0])["id"] != f"{name}-{i}":
                wrong.append(f"{name}-{i}")
        bot.context.destroy(linger=0)

    threads = [threading.Thread(target=work, args=(f"t{i}",)) for i in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert wrong == []
    assert room.observed["ping", "ok"] == 1600
