"""The disk turns read-only under a working daemon: what is refused, what goes on, and what is there afterwards."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import zmq

from journeys.conftest import import_markets
from journeys.daemon import DaemonProcess, Dealer, wait_until
from journeys.operating.test_disk_journey import SEARCH, create, get, reasons
from journeys.small_disk import locked, loop_disk

LONG = {**SEARCH, "param_ranges": {"fast_period": {"min": 2, "max": 60}, "slow_period": {"min": 61, "max": 160}}}
"""5,900 trials in chunks of 50: it is under way when the disk fails."""


@pytest.fixture
def context() -> Iterator[zmq.Context[Any]]:
    with zmq.Context() as made:
        yield made


@contextmanager
def running(folder: Path, log: Path) -> Iterator[DaemonProcess]:
    """A daemon that is ready, and that ends as it is told to."""
    made = DaemonProcess(folder, {"TUNESMITH_WORKERS__COUNT": "1", "TUNESMITH_WORKERS__CHUNK_TRIALS": "50"})
    made.log_file = log
    try:
        made.start()
        wait_until(lambda: not reasons(made), 60.0, lambda: reasons(made))
        yield made
        assert made.stop() == 0, made.log()[-3000:]
    finally:
        made.kill()


def begin(dealer: Dealer) -> str:
    """A strategy is stored and a search is under way, whose id this is."""
    assert create(dealer, "before")["ok"]
    search: str = dealer.data("optimization.start", LONG)["optimization_id"]
    about = {"optimization_id": search}
    wait_until(lambda: dealer.data("optimization.status", about)["n_done"] > 0, 60.0, lambda: "no trial is done")
    return search


def changes_are_refused(dealer: Dealer) -> None:
    backtest = {"symbol": "BTC/USDT", "strategy_id": "ma_cross_v1.0"}
    for reply in (create(dealer, "refused"), dealer.ask("backtest.start", backtest)):
        assert not reply["ok"]
        error = reply["error"]
        assert (error["code"], error["retryable"]) == ("internal", True), error
        assert error["retry_after_ms"] > 0
        assert "read-only" in error["detail"]


def reads_go_on(daemon: DaemonProcess, dealer: Dealer, search: str) -> int:
    """How many trials of the search are stored."""
    assert dealer.data("ping", {})["version"]
    listed = {one["id"] for one in dealer.data("strategy.list", {"limit": 500})["strategies"]}
    assert "before" in listed
    assert "refused" not in listed
    found = dealer.data("optimization.status", {"optimization_id": search})
    assert found["status"] == "running"
    assert 0 < found["n_done"] < found["n_trials"]
    n_stored = stored(dealer, search)
    assert n_stored > 0
    assert get(daemon, "/livez")[0] == 200
    assert get(daemon, "/readyz")[0] == 503
    assert "the database takes no writes" in reasons(daemon)
    return n_stored


def stored(dealer: Dealer, search: str) -> int:
    """How many trials of the search can be read."""
    found = dealer.data("optimization.results", {"optimization_id": search, "limit": 1})
    return int(found["total"])


def all_is_there(dealer: Dealer, file: Path) -> None:
    assert create(dealer, "refused")["ok"]
    assert {one["id"] for one in dealer.data("strategy.list", {"limit": 500})["strategies"]} >= {"before", "refused"}
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as conn:
        assert conn.execute("PRAGMA integrity_check").fetchone()[0] == "ok"


def test_files_that_may_not_be_written_for_a_while(tmp_path: Path, context: zmq.Context[Any]) -> None:
    import_markets(tmp_path)
    file = tmp_path / "tunesmith.db"
    with running(tmp_path, tmp_path / "daemon.log") as daemon, Dealer(context, daemon.doors["requests"]) as dealer:
        search = begin(dealer)
        with locked(file, file.with_name("tunesmith.db-wal"), tmp_path / "snapshots", tmp_path):
            changes_are_refused(dealer)
            n_stored = reads_go_on(daemon, dealer, search)
        wait_until(lambda: not reasons(daemon), 90.0, lambda: reasons(daemon))
        all_is_there(dealer, file)
        wait_until(lambda: stored(dealer, search) > n_stored, 60.0, lambda: "the search does not go on")


def test_a_disk_that_failed_and_is_mounted_anew(tmp_path: Path, context: zmq.Context[Any]) -> None:
    folder, log = tmp_path / "data", tmp_path / "daemon.log"
    folder.mkdir()
    with loop_disk(folder, tmp_path / "image", 64) as disk:
        import_markets(folder)
        with running(folder, log) as daemon, Dealer(context, daemon.doors["requests"]) as dealer:
            search = begin(dealer)
            disk.fail()
            changes_are_refused(dealer)
            n_stored = reads_go_on(daemon, dealer, search)
        disk.leave()
        disk.mount()
        with running(folder, log) as daemon, Dealer(context, daemon.doors["requests"]) as dealer:
            all_is_there(dealer, folder / "tunesmith.db")
            # fewer may be stored than were read: such an ext4 says to the last fsync that it was done
            wait_until(lambda: stored(dealer, search) > n_stored, 60.0, lambda: "the search does not go on")
