"""kill −9 in the middle: nothing acknowledged is lost, nothing is done twice, and the result is the same to the bit."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import zmq

from journeys.conftest import import_markets
from journeys.daemon import DaemonProcess, Dealer, wait_until
from journeys.edges import EDGE
from journeys.test_main_job import next_event, subscriber

SEARCH = {
    "symbol": "BTC/USDT",
    "strategy_id": "ma_cross_v1.0",
    "param_ranges": {
        "fast_period": {"min": 2, "max": 60},
        "slow_period": {"min": 61, "max": 160},
        "signal_threshold": 0.0,
    },
    "method": "grid",
}
SMALL_CHUNKS = {"TUNESMITH_WORKERS__CHUNK_TRIALS": "50"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    import_markets(tmp_path)
    return tmp_path


@pytest.fixture
def own_daemon(folder: Path) -> Iterator[DaemonProcess]:
    made = DaemonProcess(folder, SMALL_CHUNKS)
    made.start()
    yield made
    made.stop()


Connect = Callable[[DaemonProcess], Dealer]


@pytest.fixture
def connect(context: zmq.Context[Any]) -> Iterator[Connect]:
    """Makes a bot for a daemon as it listens now; each is closed at the end, however the test ends."""
    with ExitStack() as stack:
        yield lambda daemon: stack.enter_context(Dealer(context, daemon.doors["requests"]))


def trials_of(dealer: Dealer, optimization_id: str) -> list[dict[str, Any]]:
    trials: list[dict[str, Any]] = []
    while True:
        data = {"optimization_id": optimization_id, "sort": "index", "limit": 1000, "offset": len(trials)}
        page = dealer.data("optimization.results", data)
        trials += page["trials"]
        if len(trials) >= page["total"]:
            return trials


def test_a_search_goes_on_after_a_kill_and_ends_the_same(own_daemon: DaemonProcess, connect: Connect) -> None:
    dealer = connect(own_daemon)
    undisturbed = dealer.data("optimization.start", SEARCH, id="undisturbed")["optimization_id"]
    whole = dealer.until_done("optimization.status", {"optimization_id": undisturbed})
    assert whole["status"] == "completed", whole

    killed = dealer.data("optimization.start", SEARCH, id="killed")["optimization_id"]
    status: dict[str, Any] = {}

    def in_the_middle() -> bool:
        status.update(dealer.data("optimization.status", {"optimization_id": killed}))
        return bool(status["n_done"] > 0)

    wait_until(in_the_middle, 60.0, lambda: f"it did not begin: {status}")
    own_daemon.kill()
    own_daemon.start()
    dealer = connect(own_daemon)
    again = dealer.until_done("optimization.status", {"optimization_id": killed})
    assert again["status"] == "completed", again
    assert again["n_done"] == whole["n_trials"]
    assert (again["best_params"], again["best_score"]) == (whole["best_params"], whole["best_score"])
    assert trials_of(dealer, killed) == trials_of(dealer, undisturbed)
    repeated = dealer.data("optimization.start", SEARCH, id="killed")
    assert repeated["optimization_id"] == killed


def test_an_approval_survives_the_kill_and_reaches_the_bot_once(
    own_daemon: DaemonProcess, context: zmq.Context[Any], connect: Connect
) -> None:
    dealer = connect(own_daemon)
    search = dealer.data(
        "optimization.start",
        {"symbol": "PLANTED/USDT", "strategy_id": "ma_cross_v1.0", "param_ranges": EDGE, "method": "grid"},
    )
    dealer.until_done("optimization.status", {"optimization_id": search["optimization_id"]})
    request = {"strategy_id": "ma_cross_v1.0", "optimization_id": search["optimization_id"]}
    acknowledged = dealer.data("strategy.approve", request, id="approve-1", deadline_ms=1000)
    own_daemon.kill()
    own_daemon.start()
    dealer = connect(own_daemon)
    verdict = dealer.until_done("verdict.status", {"verdict_id": acknowledged["verdict_id"]})
    assert (verdict["approved"], verdict["grade"]) == (True, "tested"), verdict
    repeated = dealer.verdict(request, id="approve-1")
    assert repeated["verdict_id"] == acknowledged["verdict_id"]
    assert repeated["parameter_package"] == verdict["parameter_package"]
    assert dealer.data("package.list", {"symbol": "PLANTED/USDT"})["total"] == 1
    with subscriber(context, own_daemon, "pkg/PLANTED/") as events:
        _, event = next_event(events)
    assert event["data"] == verdict["parameter_package"]


def test_a_killed_worker_costs_nothing_but_time(own_daemon: DaemonProcess, connect: Connect) -> None:
    dealer = connect(own_daemon)
    search = dealer.data("optimization.start", SEARCH)["optimization_id"]
    status: dict[str, Any] = {}

    def begun() -> bool:
        status.update(dealer.data("optimization.status", {"optimization_id": search}))
        return bool(status["n_done"] > 0)

    wait_until(begun, 60.0, lambda: f"it did not begin: {status}")
    assert own_daemon.kill_workers() > 0
    found = dealer.until_done("optimization.status", {"optimization_id": search})
    assert found["status"] == "completed", found
    assert found["n_done"] == found["n_trials"]


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_daemon_cleanly_in_the_middle_of_work(
    folder: Path, connect: Connect, how: signal.Signals
) -> None:
    daemon = DaemonProcess(folder, SMALL_CHUNKS)
    daemon.start()
    dealer = connect(daemon)
    search = dealer.data("optimization.start", SEARCH)["optimization_id"]
    assert daemon.stop(how) == 0, daemon.log()[-3000:]
    assert "Traceback" not in daemon.log()
    assert not (folder / "doors.json").exists()
    daemon.start()
    dealer = connect(daemon)
    cancelled = dealer.data("optimization.cancel", {"optimization_id": search})
    assert cancelled["status"] == "cancelled"
    daemon.stop()


def test_two_daemons_never_share_a_folder(own_daemon: DaemonProcess) -> None:
    second = DaemonProcess(own_daemon.folder)
    with pytest.raises(AssertionError, match="the daemon ended with 1"):
        second.start()
    assert "Traceback" not in json.dumps(second.log().splitlines()[-5:])
