"""The whole way through each door in turn, undisturbed and with kill −9 after every step.

strategy.create → backtest.start → optimization.start → strategy.approve → the package arrives
"""

from __future__ import annotations

import itertools
import json
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest
import zmq

from journeys.conftest import import_markets
from journeys.daemon import FEW_DRAWS, DaemonProcess, wait_until
from journeys.edges import plant
from journeys.test_main_job import CODE, next_event, subscriber

TIMEOUT_MS = 90_000
PATHS = {
    "strategy.create": "/api/strategies",
    "backtest.start": "/api/backtest/start",
    "optimization.start": "/api/optimization/start",
    "strategy.approve": "/api/strategies/approve",
}
"""The REST routes of what is asked here; the rest goes through /api/messages/."""


class Endpoint(Protocol):
    def ask(self, message_type: str, data: dict[str, Any], request_id: str) -> dict[str, Any]: ...

    def close(self) -> None: ...


class Request:
    """REQ or DEALER: a socket that is asked and answers."""

    def __init__(self, kind: int, context: zmq.Context[Any], daemon: DaemonProcess) -> None:
        self.socket = context.socket(kind)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.connect(daemon.doors["requests"])

    def ask(self, message_type: str, data: dict[str, Any], request_id: str) -> dict[str, Any]:
        self.socket.send(json.dumps({"v": 1, "type": message_type, "id": request_id, "data": data}).encode())
        assert self.socket.poll(TIMEOUT_MS), f"no reply to {message_type}"
        return checked(json.loads(self.socket.recv_multipart()[-1]))

    def close(self) -> None:
        self.socket.close()


class Inbox:
    """PUB into the inbox, the reply by SUB on the events door. What gets lost is published again under the same id."""

    def __init__(self, context: zmq.Context[Any], daemon: DaemonProcess) -> None:
        self.pub = context.socket(zmq.PUB)
        self.pub.setsockopt(zmq.LINGER, 0)
        self.pub.connect(daemon.doors["inbox"])
        self.sub = subscriber(context, daemon, "rep/bot9/")

    def ask(self, message_type: str, data: dict[str, Any], request_id: str) -> dict[str, Any]:
        request = {"v": 1, "type": message_type, "id": request_id, "client": "bot9", "data": data}
        replies: list[dict[str, Any]] = []

        def answered() -> bool:
            self.pub.send_multipart([b"req/", json.dumps(request).encode()])
            while self.sub.poll(500):
                topic, frame = self.sub.recv_multipart()[:2]
                if topic == f"rep/bot9/{request_id}/".encode():
                    replies.append(json.loads(frame))
                    return True
            return False

        wait_until(answered, TIMEOUT_MS / 1000, lambda: f"no reply to {message_type}")
        return checked(replies[0])

    def close(self) -> None:
        self.pub.close()
        self.sub.close()


class Http:
    """The sidecar."""

    def __init__(self, daemon: DaemonProcess) -> None:
        self.root = f"http://{daemon.doors['http']}"

    def ask(self, message_type: str, data: dict[str, Any], request_id: str) -> dict[str, Any]:
        path = PATHS.get(message_type, f"/api/messages/{message_type}")
        headers = {"content-type": "application/json", "idempotency-key": request_id}
        request = urllib.request.Request(self.root + path, json.dumps(data).encode(), headers)
        with urllib.request.urlopen(request, timeout=TIMEOUT_MS / 1000) as answer:
            reply: dict[str, Any] = json.loads(answer.read())
        return reply

    def close(self) -> None:
        """Every request has its own connection."""


def checked(reply: dict[str, Any]) -> dict[str, Any]:
    assert reply["ok"], reply["error"]
    data: dict[str, Any] = reply["data"]
    return data


DOORS: dict[str, Callable[[zmq.Context[Any], DaemonProcess], Endpoint]] = {
    "dealer": lambda context, daemon: Request(zmq.DEALER, context, daemon),
    "req": lambda context, daemon: Request(zmq.REQ, context, daemon),
    "inbox": Inbox,
    "http": lambda context, daemon: Http(daemon),
}


class Walk:
    """Asks through one door; `killing` kills the daemon after every acknowledged start, and starts it again."""

    _numbers = itertools.count()

    def __init__(self, name: str, context: zmq.Context[Any], daemon: DaemonProcess, *, killing: bool) -> None:
        self.name = name
        self.context = context
        self.daemon = daemon
        self.killing = killing
        self.door = DOORS[name](context, daemon)

    def ask(self, message_type: str, data: dict[str, Any], request_id: str | None = None) -> dict[str, Any]:
        return self.door.ask(message_type, data, request_id or f"{self.name}-{next(self._numbers)}")

    def start(self, message_type: str, data: dict[str, Any]) -> dict[str, Any]:
        """Ask for work, and after the kill ask again: it is the same work."""
        request_id = f"{self.name}-{next(self._numbers)}"
        reply = self.ask(message_type, data, request_id)
        if self.killing:
            self.daemon.kill()
            self.door.close()
            self.daemon.start()
            self.door = DOORS[self.name](self.context, self.daemon)
            again = self.ask(message_type, data, request_id)
            for name in ("task_id", "optimization_id", "verdict_id", "code_hash"):
                assert again.get(name) == reply.get(name)
        return reply

    def until_done(self, message_type: str, data: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = {}

        def final() -> bool:
            found.update(self.ask(message_type, data))
            return found["status"] not in ("pending", "running")

        wait_until(final, 150.0, lambda: f"{message_type} is still {found}")
        assert found["status"] == "completed", found
        return found


@pytest.fixture
def own_daemon(tmp_path: Path) -> Iterator[DaemonProcess]:
    import_markets(tmp_path)
    made = DaemonProcess(tmp_path, FEW_DRAWS)
    made.start()
    yield made
    made.stop()


@pytest.mark.parametrize("name", DOORS)
def test_the_whole_way(daemon: DaemonProcess, context: zmq.Context[Any], name: str) -> None:
    go(Walk(name, context, daemon, killing=False))


def test_the_whole_way_with_a_kill_after_every_step(own_daemon: DaemonProcess, context: zmq.Context[Any]) -> None:
    """Over HTTP; over ZeroMQ, test_kill.py and test_sessions.py kill in the middle of each kind of work."""
    go(Walk("http", context, own_daemon, killing=True))


def go(walk: Walk) -> None:
    name, context = walk.name, walk.context
    strategy = f"mine_{name}"
    symbol = plant(walk.daemon.folder)
    walk.start("strategy.create", {"id": strategy, "code": CODE})
    market = {"symbol": symbol, "strategy_id": strategy}
    backtest = walk.start("backtest.start", market)
    report = walk.until_done("backtest.status", {"task_id": backtest["task_id"]})
    assert report["metrics"]["n_trades"] > 0
    ranges = {"fast": {"min": 2, "max": 20}, "slow": {"min": 10, "max": 60, "step": 5}}
    search = walk.start("optimization.start", {**market, "param_ranges": ranges, "method": "grid"})
    found = walk.until_done("optimization.status", {"optimization_id": search["optimization_id"]})
    n_pairs = sum(fast < slow for fast in range(2, 21) for slow in range(10, 61, 5))
    assert found["n_done"] == found["n_trials"] == n_pairs
    request = {"strategy_id": strategy, "optimization_id": search["optimization_id"], "accept_old_data": True}
    asked = walk.start("strategy.approve", request)
    verdict = walk.until_done("verdict.status", {"verdict_id": asked["verdict_id"]})
    assert (verdict["approved"], verdict["grade"]) == (True, "tested"), verdict
    with subscriber(context, walk.daemon, f"pkg/{symbol}/1d/{strategy}/") as events:
        _, event = next_event(events)
    assert event["data"] == verdict["parameter_package"]
    assert event["data"]["params"] == found["best_params"]
    assert walk.ask("package.list", {"symbol": symbol, "strategy_id": strategy})["total"] == 1
    walk.door.close()
