from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator

import pytest

from client.daemon import TESTED, FakeDaemon, busy
from tunesmith.client import AsyncClient, Client
from tunesmith.errors import (
    Conflict,
    DeadlineExceeded,
    Draining,
    Internal,
    Invalid,
    TooLarge,
    TunesmithError,
    UnknownType,
)


@pytest.fixture
def daemon() -> Iterator[FakeDaemon]:
    with FakeDaemon() as daemon:
        yield daemon


def run(daemon: FakeDaemon, test: Callable[[AsyncClient], Awaitable[None]]) -> None:
    async def main() -> None:
        async with asyncio.timeout(90), AsyncClient(daemon.requests, daemon.events, name="bot") as client:
            await test(client)

    asyncio.run(main())


async def until(condition: Callable[[], object]) -> None:
    while not condition():
        await asyncio.sleep(0.005)


def test_many_requests_at_once_get_their_own_replies(daemon: FakeDaemon) -> None:
    async def test(client: AsyncClient) -> None:
        replies = await asyncio.gather(*(client.request("ping", id=f"r{i}") for i in range(3000)))
        assert len(replies) == 3000
        assert sorted(daemon.ids) == sorted(f"r{i}" for i in range(3000))
        assert (await client.ping()).protocol == 1

    run(daemon, test)


def test_a_slow_request_does_not_hold_up_another(daemon: FakeDaemon) -> None:
    async def test(client: AsyncClient) -> None:
        slow = asyncio.create_task(client.backtest("BTC/USDT", "grid"))
        await until(lambda: daemon.asked["backtest.start"])
        await client.ping()
        assert not slow.done()
        await asyncio.to_thread(daemon.open_access_control)
        assert (await slow).task_id == "bt-bot"

    run(daemon, test)


def test_what_the_daemon_refuses_is_raised_as_what_it_is(daemon: FakeDaemon) -> None:
    async def test(client: AsyncClient) -> None:
        with pytest.raises(Invalid) as refused:
            await client.optimize("BTC/USDT", "s", {"fast": {"min": "x"}})
        assert refused.value.path == "/data/param_ranges/fast/min"
        with pytest.raises(UnknownType):
            await client.request("optimisation.start")
        with pytest.raises(Invalid) as refused:
            await client.request("ping", {"x": 1})
        assert refused.value.path == "/data/x"
        daemon.refusals = [Internal("broken")]
        with pytest.raises(Internal):
            await client.ping()
        with pytest.raises(TooLarge):
            await client.request("ping", {"x": "y" * 2_000_000})
        with pytest.raises(TooLarge):
            await client.request("ping", {"x": "y" * 5_000_000})
        assert (await client.optimize("BTC/USDT", "s", {"n": [1, 2]})).n_trials == 1

    run(daemon, test)


def test_busy_and_draining_are_tried_again_with_the_same_id(daemon: FakeDaemon) -> None:
    async def test(client: AsyncClient) -> None:
        daemon.refusals = [busy(), busy(), Draining("going")]
        await client.request("ping", id="same")
        assert daemon.ids == ["same"] * 4
        daemon.refusals = [busy() for _ in range(1000)]
        with pytest.raises(TunesmithError, match="later"):
            await client.request("ping", deadline_s=0.3)
        daemon.refusals = []

    run(daemon, test)


def test_a_request_outlives_a_restart_of_the_daemon(daemon: FakeDaemon) -> None:
    async def test(client: AsyncClient) -> None:
        await client.ping()
        waiting = asyncio.create_task(client.backtest("BTC/USDT", "grid", id="keep"))
        await until(lambda: daemon.asked["backtest.start"] == 1)
        await asyncio.to_thread(daemon.stop)
        sent_while_down = asyncio.create_task(client.ping())
        await asyncio.to_thread(daemon.start)
        await until(lambda: daemon.asked["backtest.start"] == 2)
        await asyncio.to_thread(daemon.open_access_control)
        assert (await waiting).status == "pending"
        assert daemon.ids.count("keep") == 2
        assert (await sent_while_down).protocol == 1

    run(daemon, test)


def test_a_client_may_be_there_before_the_daemon(daemon: FakeDaemon) -> None:
    async def test(client: AsyncClient) -> None:
        early = asyncio.create_task(client.ping())
        await asyncio.sleep(0)
        await asyncio.to_thread(daemon.start)
        assert (await early).protocol == 1
        assert daemon.asked["ping"] == 1

    daemon.stop()
    run(daemon, test)


def test_nobody_there_is_told_at_the_deadline(daemon: FakeDaemon) -> None:
    async def test(client: AsyncClient) -> None:
        began = time.monotonic()
        with pytest.raises(DeadlineExceeded, match="ping"):
            await client.request("ping", deadline_s=0.2)
        assert 0.2 <= time.monotonic() - began < 2

    daemon.stop()
    run(daemon, test)


def test_the_daemon_learns_of_the_deadline(daemon: FakeDaemon) -> None:
    async def test(client: AsyncClient) -> None:
        with pytest.raises(DeadlineExceeded, match="before the deadline"):
            await client.request("backtest.start", {"symbol": "A", "strategy_id": "s"}, deadline_s=1.0)

    run(daemon, test)


def test_one_id_waits_once(daemon: FakeDaemon) -> None:
    async def test(client: AsyncClient) -> None:
        first = asyncio.create_task(client.backtest("A", "s", id="one"))
        await until(lambda: daemon.asked["backtest.start"])
        with pytest.raises(Conflict):
            await client.request("ping", id="one")
        await asyncio.to_thread(daemon.open_access_control)
        await first

    run(daemon, test)


def test_a_cancelled_request_leaves_nothing_behind(daemon: FakeDaemon) -> None:
    async def test(client: AsyncClient) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await client.backtest("A", "s", id="gone")
        await client.request("ping", id="gone")

    run(daemon, test)


def test_closing_ends_what_waits(daemon: FakeDaemon) -> None:
    async def test(client: AsyncClient) -> None:
        waiting = asyncio.create_task(client.backtest("A", "s"))
        await until(lambda: daemon.asked["backtest.start"])
        await client.close()
        with pytest.raises(Draining):
            await waiting

    run(daemon, test)


def test_a_tasks_end_is_waited_for_whether_it_is_past_or_to_come(daemon: FakeDaemon) -> None:
    def end(task_id: str, **more: bool) -> None:
        data = {"task_id": task_id, "kind": "backtest", "status": "completed", "result": {"report_id": "r"}}
        daemon.append(f"task/{task_id}/done/", "task.completed", data, **more)

    async def test(client: AsyncClient) -> None:
        end("past")
        assert (await client.wait("past")).result == {"report_id": "r"}
        coming = asyncio.create_task(client.wait("coming"))
        lost = asyncio.create_task(client.wait("lost"))
        await until(lambda: daemon.asked["events.snapshot"] == 3)
        await asyncio.to_thread(end, "coming")
        assert (await coming).status == "completed"
        await asyncio.to_thread(end, "lost", lost=True)
        assert (await lost).task_id == "lost"
        with pytest.raises(DeadlineExceeded):
            await client.wait("never", timeout_s=0.2)

    run(daemon, test)


def test_the_end_before_a_task_was_resumed_is_not_waited_for(daemon: FakeDaemon) -> None:
    async def test(client: AsyncClient) -> None:
        daemon.resumed.add("t")
        waiting = asyncio.create_task(client.wait("t"))
        await until(lambda: daemon.asked["task.logs"] == 1)
        daemon.resumed.clear()
        await asyncio.to_thread(daemon.append, "task/t/done/", "task.completed", data | {"status": "completed"})
        assert (await waiting).status == "completed"

    data = {"task_id": "t", "kind": "optimization", "status": "cancelled"}
    daemon.append("task/t/done/", "task.cancelled", data)
    run(daemon, test)


def test_approve_waits_for_the_verdict(daemon: FakeDaemon) -> None:
    async def test(client: AsyncClient) -> None:
        data = {"task_id": "vd-1", "kind": "verdict", "status": "completed"}
        waiting = asyncio.create_task(client.approve("s", optimization_id="opt-1"))
        await asyncio.to_thread(daemon.append, "task/vd-1/done/", "task.completed", data)
        assert (await waiting).approved

    run(daemon, test)


def test_approve_tells_of_a_verdict_that_takes_longer(daemon: FakeDaemon) -> None:
    async def test(client: AsyncClient) -> None:
        assert (await client.approve("s", backtest_id="b", deadline_s=0.5)).status == "running"

    run(daemon, test)


def test_the_blocking_client_serves_many_threads(daemon: FakeDaemon) -> None:
    failures: list[BaseException] = []

    def work(client: Client) -> None:
        try:
            for _ in range(50):
                assert client.ping().protocol == 1
        except BaseException as error:
            failures.append(error)

    with Client(daemon.requests, daemon.events) as client:
        threads = [threading.Thread(target=work, args=(client,)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert failures == []
        assert client.optimize("A", "s").optimization_id == "opt-1"
        with pytest.raises(UnknownType):
            client.request("no.such")
    client.close()


def test_closing_the_blocking_client_ends_threads_that_wait(daemon: FakeDaemon) -> None:
    client = Client(daemon.requests, daemon.events)
    ended: list[str] = []

    def ask() -> None:
        with pytest.raises(Draining):
            client.backtest("A", "s")
        ended.append("ask")

    def follow() -> None:
        assert list(client.packages("BTC/USDT", grades=TESTED)) == []
        ended.append("follow")

    threads = [threading.Thread(target=ask), threading.Thread(target=follow)]
    for thread in threads:
        thread.start()
    end = time.monotonic() + 10
    while not (daemon.asked["backtest.start"] and daemon.asked["events.snapshot"]):
        assert time.monotonic() < end
        time.sleep(0.005)
    client.close()
    for thread in threads:
        thread.join(10)
    assert sorted(ended) == ["ask", "follow"]


def test_a_bot_imports_msgspec_and_zmq_alone() -> None:
    code = (
        "import sys, tunesmith.client\n"
        "foreign = {name.partition('.')[0] for name in sys.modules} - set(sys.stdlib_module_names)\n"
        "print(sorted(n for n in foreign if not n.startswith('_') and n not in sys.builtin_module_names))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    found = set(eval(out))
    assert {"msgspec", "zmq", "tunesmith"} <= found
    assert not found & {"numpy", "pandas", "structlog", "prometheus_client", "fastapi", "aiosqlite", "numba", "redis"}
