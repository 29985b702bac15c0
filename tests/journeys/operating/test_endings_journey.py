"""How a daemon ends and begins again: an older database, a damaged one, a restored one, two signals."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import zmq

from journeys.conftest import import_markets
from journeys.daemon import DaemonProcess, Dealer, children, wait_until
from journeys.test_main_job import next_event, subscriber
from storage.released import EPOCH, PACKAGE_ID, RELEASED, make_released
from tunesmith.app import UNFIT
from tunesmith.client import AsyncClient
from tunesmith.storage.sqlite import backups, restoring

SEARCH = {
    "symbol": "BTC/USDT",
    "strategy_id": "ma_cross_v1.0",
    "param_ranges": {"fast_period": {"min": 2, "max": 9}, "slow_period": {"min": 61, "max": 80}},
    "method": "grid",
}
TOPIC = "pkg/BTC/USDT/1h/old_rule/"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("endings")
    import_markets(made)
    make_released(made / "tunesmith.db")
    return made


@pytest.fixture(scope="module")
def own_daemon(folder: Path) -> Iterator[DaemonProcess]:
    made = DaemonProcess(
        folder,
        {
            "TUNESMITH_WORKERS__COUNT": "1",
            "TUNESMITH_WORKERS__CHUNK_TRIALS": "20",
        },
    )
    made.start()
    yield made
    made.stop()


def test_the_clients_of_the_older_program_go_on_with_the_newer_one(
    own_daemon: DaemonProcess, context: zmq.Context[Any]
) -> None:
    [made] = backups.listing(own_daemon.folder / "backups")
    with closing(sqlite3.connect(made.path)) as conn:
        assert (made.why, conn.execute("PRAGMA user_version").fetchone()[0]) == ("upgrade", RELEASED)
    with Dealer(context, own_daemon.doors["requests"]) as dealer:
        latest = dealer.data("package.latest", {"symbol": "BTC/USDT", "timeframe": "1h"})
        assert latest["package"]["package_id"] == PACKAGE_ID
        assert dealer.data("task.logs", {"task_id": "bt_done"})["lines"][0]["message"] == "backtest started"
        assert dealer.data("strategy.get", {"id": "old_rule"})["version"] == "1.0"
        missed = dealer.data("events.replay", {"topics": ["pkg/"], "after": 0})
        assert (missed["epoch"], [one["event"]["seq"] for one in missed["events"]]) == (EPOCH, [2])
    with subscriber(context, own_daemon, TOPIC) as events:
        _, event = next_event(events)
    assert (event["seq"], event["epoch"]) == (2, EPOCH)


def test_a_damaged_database_keeps_the_daemon_down_and_bots_go_on_with_the_restored_one(
    own_daemon: DaemonProcess, context: zmq.Context[Any]
) -> None:
    file = own_daemon.folder / "tunesmith.db"

    def lose_and_restore() -> restoring.Restored:
        assert own_daemon.stop() == 0
        with file.open("r+b") as spoiled:
            spoiled.seek(4096 * 3)
            spoiled.write(os.urandom(4096 * 20))
        with pytest.raises(AssertionError, match=f"the daemon ended with {UNFIT}:"):
            own_daemon.start()
        assert "damaged; restore a backup" in json.loads(own_daemon.log().splitlines()[-1])["reason"]
        done = restoring.restore(file, made.path)
        own_daemon.doors = doors
        own_daemon.start()
        return done

    async def bot() -> restoring.Restored:
        """Takes the package, hears that it is revoked, and takes it again: the backup knows of no revocation."""
        doors = own_daemon.doors
        async with AsyncClient(doors["requests"], doors["events"]) as client:
            packages = client.packages("BTC/USDT", grades=("criteria",), timeout_s=60.0)
            assert (await anext(packages))["package_id"] == PACKAGE_ID
            await client.request("package.revoke", {"package_id": PACKAGE_ID, "reason": "to be forgotten"})
            done = await asyncio.to_thread(lose_and_restore)
            assert (await anext(packages))["package_id"] == PACKAGE_ID
            return done

    made = backups.make(file, own_daemon.folder / "backups", "asked", keep=5)
    own_daemon.keeps_doors = True
    doors = own_daemon.doors
    done = asyncio.run(bot())
    assert own_daemon.doors["events"] == doors["events"]
    with Dealer(context, own_daemon.doors["requests"]) as dealer:
        assert dealer.data("server.info", {})["epoch"] == done.epoch != EPOCH
        assert dealer.data("package.latest", {"symbol": "BTC/USDT"})["package"]["package_id"] == PACKAGE_ID
    with subscriber(context, own_daemon, TOPIC) as events:
        _, event = next_event(events)
    assert (event["epoch"], event["data"]["package_id"]) == (done.epoch, PACKAGE_ID)
    assert event["seq"] > done.head


def test_a_second_signal_ends_at_once_and_leaves_no_worker(own_daemon: DaemonProcess) -> None:
    assert own_daemon.process is not None
    workers = [pid for server in children(own_daemon.process.pid) for pid in children(server)]
    with zmq.Context() as context, Dealer(context, own_daemon.doors["requests"]) as dealer:
        dealer.data("optimization.start", {**SEARCH, "seed": 2})
        for pid in workers:
            os.kill(pid, signal.SIGSTOP)  # what is at work does not end while the daemon waits for it
        own_daemon.process.send_signal(signal.SIGTERM)
        wait_until(lambda: '"stopping"' in own_daemon.log(), 90.0, own_daemon.log)
        own_daemon.process.send_signal(signal.SIGINT)
        assert own_daemon.process.wait(timeout=90) == 128 + signal.SIGINT
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers), 90.0, lambda: str(workers))
