"""The main job with Redis, without it, and with Redis failing in the middle: the same answers, at worst slower."""

from __future__ import annotations

import itertools
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq

from journeys.conftest import import_markets
from journeys.daemon import DaemonProcess, Dealer, wait_until
from journeys.edges import EDGE, plant
from journeys.test_main_job import http, next_event, subscriber
from storage.redis_server import RedisServer

BACKTEST = {"symbol": "PLANTED/USDT", "strategy_id": "ma_cross_v1.0", "params": {"fast_period": 5, "slow_period": 20}}
_COUNT = itertools.count()
TRIES = 5
"""How often Redis may be asked again: on a busy machine it may answer after the daemon's time limit, as a miss."""

REPEATS = ("report_id", "task_id", "created_at")
"""What differs between two reports of the same backtest."""


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with RedisServer() as running:
        yield running


@pytest.fixture(scope="module")
def redis_daemon(tmp_path_factory: pytest.TempPathFactory, server: RedisServer) -> Iterator[DaemonProcess]:
    folder = tmp_path_factory.mktemp("redis-daemon")
    import_markets(folder)
    running = DaemonProcess(folder, {"TUNESMITH_CACHE__REDIS_URL": server.url})
    running.start()
    yield running
    assert running.stop() == 0, running.log()[-3000:]
    assert "Traceback" not in running.log()


@pytest.fixture
def asker(redis_daemon: DaemonProcess, context: zmq.Context[Any]) -> Iterator[Dealer]:
    with Dealer(context, redis_daemon.doors["requests"]) as made:
        yield made


def hits(daemon: DaemonProcess, of: str = "backtest") -> float:
    samples = http(daemon, "GET", "/api/metrics")["tunesmith_cache"]["samples"]
    return sum(sample["value"] for sample in samples if sample["labels"] == {"of": of, "result": "hit"})


def report_of(dealer: Dealer, **changes: Any) -> dict[str, Any]:
    started = dealer.data("backtest.start", {**BACKTEST, **changes})
    done = dealer.until_done("backtest.status", {"task_id": started["task_id"]})
    assert done["status"] == "completed", done
    report = dealer.data("report.get", {"report_id": done["report_id"]})
    assert report["task_id"] == started["task_id"]
    return report


def content(report: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in report.items() if name not in REPEATS}


def says_so(dealer: Dealer, task_id: str) -> bool:
    lines = dealer.data("task.logs", {"task_id": task_id})["lines"]
    return any("from the cache" in line["message"] for line in lines)


@pytest.mark.parametrize("where", ["in process", "redis"])
def test_a_repeated_backtest_is_answered_from_the_cache(request: pytest.FixtureRequest, where: str) -> None:
    daemon: DaemonProcess = request.getfixturevalue("redis_daemon" if where == "redis" else "daemon")
    dealer: Dealer = request.getfixturevalue("asker" if where == "redis" else "dealer")
    first = report_of(dealer, initial_cash=5_000)
    before = hits(daemon)
    second = report_of(dealer, initial_cash=5_000)
    assert hits(daemon) == before + 1
    assert second["report_id"] != first["report_id"]
    assert content(second) == content(first)
    wait_until(lambda: says_so(dealer, second["task_id"]), 90.0, lambda: "the task's log does not say it")
    for changed in ({"initial_cash": 5_001}, {"initial_cash": 5_000, "costs": {"fee_rate": 0.002}}):
        report_of(dealer, **changed)
    assert hits(daemon) == before + 1


def of_search(dealer: Dealer, optimization_id: str) -> list[dict[str, Any]]:
    """What the daemon says of a search: its status, and two pages of its results."""
    pages: list[dict[str, Any]] = [{}, {"sort": "max_drawdown", "limit": 3, "offset": 2}]
    return [
        dealer.data("optimization.status", {"optimization_id": optimization_id}),
        *(dealer.data("optimization.results", {"optimization_id": optimization_id, **page}) for page in pages),
    ]


def settled(daemon: DaemonProcess) -> bool:
    return bool(http(daemon, "GET", "/health")["tasks_running"] == 0)


def searched(dealer: Dealer, daemon: DaemonProcess) -> str:
    """The id of a search that has ended."""
    market = {"symbol": "PLANTED/USDT", "strategy_id": "ma_cross_v1.0"}
    search = dealer.data("optimization.start", {**market, "param_ranges": EDGE, "method": "grid"})
    asked = {"optimization_id": search["optimization_id"]}
    assert dealer.until_done("optimization.status", asked)["status"] == "completed"
    wait_until(lambda: settled(daemon), 90.0, lambda: "the search does not end")
    return str(search["optimization_id"])


def test_what_an_ended_search_answers_outlives_the_daemon_in_redis(
    context: zmq.Context[Any], server: RedisServer, tmp_path: Path
) -> None:
    import_markets(tmp_path)
    daemon = DaemonProcess(tmp_path, {"TUNESMITH_CACHE__REDIS_URL": server.url})
    said: list[list[dict[str, Any]]] = []
    asked: list[str] = []

    def live() -> float:
        """Start the daemon, ask the same twice, and stop it; how much it knew at once."""
        daemon.start()
        with Dealer(context, daemon.doors["requests"]) as dealer:
            if not asked:
                asked.append(searched(dealer, daemon))
            before = hits(daemon, "task")
            said.append(of_search(dealer, asked[0]))
            known = hits(daemon, "task")
            assert of_search(dealer, asked[0]) == said[-1] == said[0]
            assert hits(daemon, "task") == known + 3
        assert daemon.stop() == 0
        return known - before

    assert live() in (0, 1)
    assert any(live() == 3 for _ in range(TRIES))
    server.flush()
    assert live() == 0


def test_tasks_on_the_same_window_read_the_market_once(redis_daemon: DaemonProcess, asker: Dealer) -> None:
    report_of(asker, initial_cash=8_000)
    before = hits(redis_daemon, "window")
    report_of(asker, initial_cash=8_001)
    report_of(asker, initial_cash=8_002, costs={"fee_rate": 0.002})
    assert hits(redis_daemon, "window") == before + 2


def test_daemons_that_share_a_redis_share_answers(
    redis_daemon: DaemonProcess, asker: Dealer, context: zmq.Context[Any], tmp_path: Path
) -> None:
    import_markets(tmp_path)
    other = DaemonProcess(tmp_path, redis_daemon.environ)
    other.start()

    def is_shared(dealer: Dealer, cash: int) -> bool:
        first = report_of(asker, initial_cash=cash)
        assert content(report_of(dealer, initial_cash=cash)) == content(first)
        return hits(other) == 1

    with Dealer(context, other.doors["requests"]) as dealer:
        assert any(is_shared(dealer, 6_000 + n) for n in range(TRIES))
    assert other.stop() == 0


def spoil(server: RedisServer) -> None:
    assert server.spoil() > 0


def nothing(server: RedisServer) -> None:
    """Redis stays as it is."""


def complaints(daemon: DaemonProcess) -> tuple[str, list[bool]]:
    """What the daemon says of its health, and whether each of its reasons is Redis."""
    health = http(daemon, "GET", "/health")
    return health["status"], ["Redis" in why for why in health["degraded"]]


@pytest.mark.parametrize(
    ("fail", "mend", "away"),
    [
        (nothing, nothing, False),
        (RedisServer.stop, RedisServer.start, True),
        (RedisServer.freeze, RedisServer.thaw, True),
        (RedisServer.flush, nothing, False),
        (spoil, nothing, False),
    ],
    ids=["well", "stopped", "frozen", "flushed", "foreign values"],
)
def test_the_main_job_goes_on_whatever_redis_does(
    redis_daemon: DaemonProcess,
    asker: Dealer,
    context: zmq.Context[Any],
    server: RedisServer,
    fail: Callable[[RedisServer], None],
    mend: Callable[[RedisServer], None],
    away: bool,
) -> None:
    before = report_of(asker)
    symbol = plant(redis_daemon.folder)
    market = {"symbol": symbol, "strategy_id": "ma_cross_v1.0"}
    search = asker.data("optimization.start", {**market, "param_ranges": EDGE, "method": "grid"})
    fail(server)
    try:
        found = asker.until_done("optimization.status", {"optimization_id": search["optimization_id"]})
        assert found["status"] == "completed", found
        said = of_search(asker, search["optimization_id"])
        assert said[0] == found
        assert of_search(asker, search["optimization_id"]) == said
        assert content(report_of(asker)) == content(before)
        new = 7_000 + next(_COUNT)
        assert content(report_of(asker, initial_cash=new)) == content(report_of(asker, initial_cash=new))
        with urllib.request.urlopen(f"http://{redis_daemon.doors['http']}/readyz", timeout=90) as ready:
            assert ready.status == 200
        complaint = "degraded" if away else "ok", [True] * away
        wait_until(lambda: complaints(redis_daemon) == complaint, 90.0, lambda: f"{complaints(redis_daemon)}")
        verdict = asker.verdict({"strategy_id": "ma_cross_v1.0", "optimization_id": search["optimization_id"]})
        assert verdict["approved"], verdict["reason"]
        with subscriber(context, redis_daemon, f"pkg/{symbol}/1d/ma_cross_v1.0/") as events:
            _, event = next_event(events)
        assert event["data"] == verdict["parameter_package"]
    finally:
        mend(server)
    wait_until(
        lambda: http(redis_daemon, "GET", "/health")["status"] == "ok", 90.0, lambda: "the daemon did not recover"
    )
    assert of_search(asker, search["optimization_id"]) == said
    report_of(asker)
    count = hits(redis_daemon)
    assert content(report_of(asker)) == content(before)
    assert hits(redis_daemon) == count + 1
