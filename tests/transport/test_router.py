from __future__ import annotations

import asyncio
import errno
import os
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest

from transport.rooms import Handlers, body
from tunesmith.config import Limits
from tunesmith.protocol.codec import decode_reply
from tunesmith.protocol.envelope import ReplyEnvelope
from tunesmith.transport.router import Peer, Router

START = {"symbol": "BTC/USDT", "strategy_id": "s"}
CREATE = {"id": "s", "code": "x"}


class Bench:
    """A router on the running loop, its handlers, and what its observer saw."""

    def __init__(self, limits: Limits) -> None:
        self.handlers = Handlers()
        self.seen: Counter[tuple[str, str]] = Counter()
        self.router = Router(self.handlers.table(), limits, self._observe)

    def _observe(self, type: str, code: str, seconds: float) -> None:
        self.seen[type, code] += 1

    async def ask(self, request: bytes, peer: Peer = Peer()) -> ReplyEnvelope:  # noqa: B008 - immutable
        return decode_reply(await self.router.handle(request, peer))

    def send(self, request: bytes, peer: Peer = Peer()) -> asyncio.Task[ReplyEnvelope]:  # noqa: B008 - immutable
        return asyncio.create_task(self.ask(request, peer))


def bench(test: Callable[[Bench], Awaitable[None]], **limits: int) -> None:
    async def main() -> None:
        async with asyncio.timeout(10):
            await test(Bench(Limits(**limits)))

    asyncio.run(main())


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0)


def code(reply: ReplyEnvelope) -> str:
    return "ok" if reply.ok else reply.error["code"]


def test_a_request_comes_back_under_its_type_and_id() -> None:
    async def test(bench: Bench) -> None:
        reply = await bench.ask(body("ping", "a:1", client="bot", deadline_ms=100), Peer(door="http", user="me"))
        assert (reply.ok, reply.type, reply.id, reply.data["uptime_s"]) == (True, "ping.reply", "a:1", None)
        call = bench.handlers.seen[0]
        assert (call.type, call.id, call.user, call.door, call.client) == ("ping", "a:1", "me", "http", "bot")
        assert 0 < call.remaining() <= 0.1
        assert bench.seen == {("ping", "ok"): 1}

    bench(test)


@pytest.mark.parametrize(
    ("request_", "peer", "expected"),
    [
        (b"no", Peer(), ("bad_json", "error.reply", None)),
        (body(v=2), Peer(), ("unsupported_version", "ping.reply", "r1")),
        (body("pong"), Peer(), ("unknown_type", "pong.reply", "r1")),
        (body("server.info"), Peer(), ("unknown_type", "server.info.reply", "r1")),
        (body(data={"x": 1}), Peer(), ("invalid", "ping.reply", "r1")),
        (body(id="x" * 65), Peer(), ("invalid", "ping.reply", None)),
        (b" " * 2**20 + body(), Peer(), ("too_large", "ping.reply", "r1")),
        (body("strategy.create", data=CREATE), Peer(role="bot"), ("forbidden", "strategy.create.reply", "r1")),
        (body("strategy.create", data={}), Peer(role="bot"), ("forbidden", "strategy.create.reply", "r1")),
        (body("strategy.create", data=CREATE), Peer(role="operator"), ("ok", "strategy.create.reply", "r1")),
        (body("verdict.get", data={"verdict_id": "v"}), Peer(), ("not_found", "verdict.get.reply", "r1")),
        (body(), Peer(door="inbox"), ("invalid", "ping.reply", "r1")),
        (body(client="bot"), Peer(door="inbox"), ("ok", "ping.reply", "r1")),
    ],
)
def test_each_refusal_has_its_code(request_: bytes, peer: Peer, expected: tuple[str, str, str | None]) -> None:
    async def test(bench: Bench) -> None:
        reply = await bench.ask(request_, peer)
        assert (code(reply), reply.type, reply.id) == expected
        assert sum(bench.seen.values()) == 1

    bench(test)


def test_names_from_the_network_do_not_become_labels() -> None:
    async def test(bench: Bench) -> None:
        for i in range(5):
            await bench.ask(body(f"type{i}"))
        await bench.ask(b"[]")
        assert bench.seen == {("unknown", "unknown_type"): 5, ("unknown", "invalid"): 1}

    bench(test)


def test_an_unexpected_exception_is_internal_and_tells_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async def test(bench: Bench) -> None:
        raw = await bench.router.handle(body("events.snapshot", data={"topics": ["pkg/"]}), Peer())
        assert code(decode_reply(raw)) == "internal"
        assert b"password" not in raw
        assert b"Traceback" not in raw
        assert bench.router.in_flight == 0
        assert code(await bench.ask(body())) == "ok"

    bench(test)


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE])
@pytest.mark.parametrize("waits", [False, True])
def test_too_many_open_files_are_no_fault_and_may_be_tried_again(number: int, waits: bool) -> None:
    def refuse(request: Any, call: Any) -> Any:
        raise OSError(number, os.strerror(number))

    async def refuse_later(request: Any, call: Any) -> Any:
        refuse(request, call)

    async def test(bench: Bench) -> None:
        router = Router({"ping": refuse_later if waits else refuse}, Limits())
        reply = decode_reply(await router.handle(body(), Peer()))
        assert code(reply) == "busy"
        assert reply.error is not None
        assert (reply.error["retryable"], reply.error["retry_after_ms"]) == (True, 1_000)

    bench(test)


def test_a_reply_that_cannot_be_encoded_is_internal() -> None:
    async def test(bench: Bench) -> None:
        router = Router({"ping": lambda request, call: object()}, Limits())  # type: ignore[arg-type, return-value]
        assert code(decode_reply(await router.handle(body(), Peer()))) == "internal"

    bench(test)


def test_the_deadline_answers_and_cancels_a_read() -> None:
    async def test(bench: Bench) -> None:
        reply = await bench.ask(body("task.list", "read", deadline_ms=20))
        assert code(reply) == "deadline_exceeded"
        assert reply.error["retryable"]
        await until(lambda: not bench.router.in_flight)
        assert bench.handlers.finished == ["read"]
        assert bench.seen == {("task.list", "deadline_exceeded"): 1}

    bench(test)


def test_what_changes_something_goes_on_after_its_deadline() -> None:
    async def test(bench: Bench) -> None:
        assert code(await bench.ask(body("backtest.start", "change", START, deadline_ms=20))) == "deadline_exceeded"
        assert bench.router.in_flight == 1
        bench.handlers.gate.set()
        assert await bench.router.drained(5)
        assert bench.handlers.finished == ["change"]
        assert sum(bench.seen.values()) == 1

    bench(test)


def test_who_names_no_deadline_is_given_the_time_in_which_the_workers_start() -> None:
    async def test(bench: Bench) -> None:
        bench.router.is_starting = lambda: True
        asked = bench.send(body("backtest.start", "import", START))
        named = await bench.ask(body("backtest.start", "named", START, deadline_ms=30))
        assert code(named) == "deadline_exceeded"
        assert not asked.done()
        bench.handlers.gate.set()
        assert code(await asked) == "ok"

    bench(test, default_deadline_ms=20)


def test_the_default_deadline_is_the_setting() -> None:
    async def test(bench: Bench) -> None:
        assert code(await bench.ask(body("task.list"))) == "deadline_exceeded"

    bench(test, default_deadline_ms=20)


def test_a_flooder_is_told_busy_after_a_while_and_others_are_served_at_once() -> None:
    async def test(bench: Bench) -> None:
        flooder, honest = Peer(lane=b"1"), Peer(lane=b"2")
        waiting = [bench.send(body("backtest.start", f"f{i}", START), flooder) for i in range(3)]
        await until(lambda: bench.router.in_flight == 3)
        refusals = [bench.send(body("backtest.start", f"more-{i}", START), flooder) for i in range(5)]
        assert code(await bench.ask(body(), honest)) == "ok"
        assert not any(task.done() for task in refusals)
        refused = await refusals[0]
        assert (code(refused), refused.error["retry_after_ms"]) == ("busy", 50)
        assert [code(await task) for task in refusals] == ["busy"] * 5
        bench.handlers.gate.set()
        assert [code(await task) for task in waiting] == ["ok"] * 3
        assert code(await bench.ask(body(), flooder)) == "ok"

    bench(test, in_flight_per_user=3)


def test_refusals_that_wait_are_answered_before_the_end() -> None:
    async def test(bench: Bench) -> None:
        waiting = bench.send(body("backtest.start", "first", START))
        await until(lambda: bench.router.in_flight == 1)
        refused = bench.send(body("backtest.start", "second", START))
        await asyncio.sleep(0)
        bench.handlers.gate.set()
        assert await bench.router.drained(5)
        assert (code(await waiting), code(await refused)) == ("ok", "busy")
        assert bench.seen["backtest.start", "busy"] == 1

    bench(test, in_flight_per_user=1)


def test_the_total_is_limited_too() -> None:
    async def test(bench: Bench) -> None:
        waiting = [bench.send(body("backtest.start", f"f{i}", START), Peer(lane=bytes([i]))) for i in range(4)]
        await until(lambda: bench.router.in_flight == 4)
        assert code(await bench.ask(body("backtest.start", "x", START), Peer(lane=b"other"))) == "busy"
        bench.handlers.gate.set()
        assert [code(await task) for task in waiting] == ["ok"] * 4

    bench(test, in_flight_total=4)


def test_draining_refuses_the_new_and_waits_for_the_old() -> None:
    async def test(bench: Bench) -> None:
        old = bench.send(body("backtest.start", "old", START))
        await until(lambda: bench.router.in_flight == 1)
        bench.router.draining = True
        assert code(await bench.ask(body())) == "draining"
        assert code(await bench.ask(body("no.such"))) == "draining"
        assert code(await bench.ask(b"no")) == "bad_json"
        bench.handlers.gate.set()
        assert await bench.router.drained(5)
        assert code(await old) == "ok"

    bench(test)


def test_what_does_not_end_is_cancelled_and_still_answered() -> None:
    async def test(bench: Bench) -> None:
        stuck = bench.send(body("backtest.start", "stuck", START))
        await until(lambda: bench.router.in_flight == 1)
        assert not await bench.router.drained(0.02)
        assert code(await stuck) == "draining"
        assert bench.router.in_flight == 0

    bench(test)


def test_dispatch_takes_data_without_an_envelope() -> None:
    async def dispatch(bench: Bench, type: str, data: Any, **more: Any) -> Any:
        return await bench.router.dispatch(type, "id", msgspec.json.encode(data), Peer(door="http"), **more)

    async def test(bench: Bench) -> None:
        good = await dispatch(bench, "ping", {})
        assert (good.code, msgspec.json.decode(good.data)["protocol"]) == ("ok", 1)
        assert (await dispatch(bench, "ping", {"x": 1})).error.path == "/data/x"
        assert (await dispatch(bench, "nope", {})).code == "unknown_type"
        assert (await dispatch(bench, "task.list", {}, deadline_ms=10)).code == "deadline_exceeded"
        assert (await dispatch(bench, "ping", "x" * 2**20)).code == "too_large"
        assert (await bench.router.dispatch("ping", "id", b'{"x":"\xff"}', Peer())).code == "bad_json"
        bench.router.draining = True
        assert (await dispatch(bench, "ping", {})).code == "draining"
        assert bench.seen["ping", "ok"] == 1
        assert bench.seen["ping", "too_large"] == 1

    bench(test)


def test_who_stops_waiting_does_not_stop_the_work() -> None:
    async def test(bench: Bench) -> None:
        gone = bench.send(body("backtest.start", "gone", START))
        await until(lambda: bench.router.in_flight == 1)
        gone.cancel()
        bench.handlers.gate.set()
        assert await bench.router.drained(5)
        assert bench.handlers.finished == ["gone"]

    bench(test)


def test_a_handler_for_no_known_type_is_refused_at_start() -> None:
    with pytest.raises(Exception, match=r"no message type 'pin'"):
        Router({"pin": Handlers.ping}, Limits())
