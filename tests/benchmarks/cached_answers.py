"""How long a repeated backtest takes, from the request to its completed event, wherever the cache is and however it is.

PYTHONPATH=tests python -m benchmarks.cached_answers [REQUESTS]

Each case asks REQUESTS times (default 200), one after the other, through a real daemon and a real Redis. A daemon keeps
what it computed in process as well, so it answers that while Redis is away; `restarted` is one that has it from Redis
alone. `new` are backtests that no cache can have, a tenth as often: what an outage adds to them. `computed` counts the
answers that were not in the cache; the first requests of an outage, which open the circuit, are among those measured.
"""

from __future__ import annotations

import itertools
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import zmq

from journeys.conftest import import_markets
from journeys.daemon import DaemonProcess, Dealer
from journeys.test_main_job import http, subscriber
from storage.redis_server import RedisServer

BACKTEST = {"symbol": "BTC/USDT", "strategy_id": "ma_cross_v1.0", "params": {"fast_period": 5, "slow_period": 20}}
WARM_UP = 20
COUNT = itertools.count(1)


def nothing(server: RedisServer) -> None:
    """Redis stays as it is."""


CASES: dict[str, tuple[Callable[[RedisServer], None], Callable[[RedisServer], None], bool]] = {
    "Redis": (nothing, nothing, False),
    "Redis stopped": (RedisServer.stop, RedisServer.start, False),
    "Redis frozen": (RedisServer.freeze, RedisServer.thaw, False),
    "Redis flushed each time": (RedisServer.flush, nothing, True),
}
"""Name → what fails, what mends it, whether it fails before every request."""


def computed(daemon: DaemonProcess) -> float:
    samples = http(daemon, "GET", "/api/metrics")["tunesmith_cache"]["samples"]
    return sum(sample["value"] for sample in samples if sample["labels"] == {"of": "backtest", "result": "miss"})


def one(dealer: Dealer, events: zmq.Socket[bytes], **changes: float) -> float:
    """Seconds from the request to the event that says completed."""
    begin = time.perf_counter()
    task_id = dealer.data("backtest.start", {**BACKTEST, **changes})["task_id"]
    while True:
        assert events.poll(300_000), "the backtest did not end"
        topic, frame = events.recv_multipart()[:2]
        if topic == f"task/{task_id}/done/".encode():
            assert json.loads(frame)["type"] == "task.completed"
            return time.perf_counter() - begin


def measure(daemon: DaemonProcess, n: int, before_each: Callable[[], None], *, new: bool = False) -> str:
    with zmq.Context() as context:
        dealer = Dealer(context, daemon.doors["requests"])
        events = subscriber(context, daemon, "task/")
        missed = computed(daemon)
        times: list[float] = []
        for _ in range(n):
            before_each()
            changes = {"initial_cash": 10_000.0 + next(COUNT)} if new else {}
            times.append(1000 * one(dealer, events, **changes))
        missed = computed(daemon) - missed
        events.close()
        dealer.close()
    times.sort()
    p50, p99 = times[n // 2], times[min(n - 1, int(0.99 * n))]
    return f"{p50:8.1f} {p99:8.1f} {times[-1]:8.1f} {missed:9.0f}"


def warmed(folder: Path, environ: dict[str, str]) -> DaemonProcess:
    import_markets(folder)
    daemon = DaemonProcess(folder, environ)
    daemon.start()
    measure(daemon, WARM_UP, lambda: None)
    return daemon


def main(n: int = 200) -> None:
    print(f"{'milliseconds':26}{'p50':>8} {'p99':>8} {'max':>8} {'computed':>9}")
    with tempfile.TemporaryDirectory() as folder:
        daemon = warmed(Path(folder), {})
        print(f"{'in process':26}{measure(daemon, n, lambda: None)}", flush=True)
        daemon.stop()
    with tempfile.TemporaryDirectory() as folder, RedisServer() as server:
        daemon = warmed(Path(folder), {"TUNESMITH_CACHE__REDIS_URL": server.url})
        for name, (fail, mend, each) in CASES.items():
            fail(server)
            print(f"{name:26}{measure(daemon, n, _each(fail, server) if each else _nothing)}", flush=True)
            if not each:
                print(f"{name + ', new':26}{measure(daemon, max(1, n // 10), _nothing, new=True)}", flush=True)
            mend(server)
            recover(daemon)
        daemon.stop()
        daemon.start()
        recover(daemon)
        print(f"{'Redis, restarted':26}{measure(daemon, n, _nothing)}", flush=True)
        daemon.stop()


def _each(fail: Callable[[RedisServer], None], server: RedisServer) -> Callable[[], None]:
    return lambda: fail(server)


def _nothing() -> None:
    """Before a request that nothing happens before."""


def recover(daemon: DaemonProcess) -> None:
    """Wait until the daemon is well again, and has the answer in its cache."""
    health: dict[str, Any] = {}
    while health.get("status") != "ok":
        time.sleep(0.05)
        health = http(daemon, "GET", "/health")
    measure(daemon, 2, _nothing)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
