"""The machine's clock is set back by a day and forwards by a week under a running daemon (Debian's libfaketime)."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import zmq

from journeys.conftest import import_markets
from journeys.daemon import DaemonProcess, Dealer, wait_until
from storage.released import PACKAGE_ID, make_released

DAILY = {
    "schedule_id": "daily",
    "every": "1d",
    "search": {"symbol": "BTC/USDT", "strategy_id": "ma_cross_v1.0", "param_ranges": {"fast_period": [5, 9]}},
}
DAY = timedelta(days=1)
GRACE_S = 6.0


class Clock:
    """The clock that a daemon sees: the real one, moved by what is written to a file."""

    def __init__(self, file: Path) -> None:
        libraries = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
        if not libraries:
            pytest.skip("libfaketime is not installed (apt install libfaketime)")
        self.file = file
        self.moved = timedelta()
        self.environ = {
            "LD_PRELOAD": str(libraries[0]),
            "FAKETIME_TIMESTAMP_FILE": str(file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
        self.move(timedelta())

    def move(self, by: timedelta) -> None:
        self.moved = by
        draft = self.file.with_suffix(".new")
        draft.write_text(f"{by.total_seconds():+.0f}")
        draft.replace(self.file)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.moved


@pytest.fixture
def clock(tmp_path: Path) -> Clock:
    return Clock(tmp_path / "clock")


@pytest.fixture
def own_daemon(clock: Clock, tmp_path: Path) -> Iterator[DaemonProcess]:
    folder = tmp_path / "data"
    folder.mkdir()
    import_markets(folder)
    make_released(folder / "tunesmith.db")
    until = (datetime.now(UTC) + 3 * DAY).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    with closing(sqlite3.connect(folder / "tunesmith.db")) as conn:
        conn.execute("DELETE FROM schedules")
        conn.execute("UPDATE parameter_packages SET valid_until = ?", (until,))
        conn.commit()
    short = {"TUNESMITH_WORKERS__COUNT": "1", "TUNESMITH_SERVER__CLOCK_GRACE_S": str(GRACE_S)}
    made = DaemonProcess(folder, {**short, **clock.environ})
    made.start()
    yield made
    made.kill()


class Watcher:
    """What can be seen of the daemon from outside while its clock moves."""

    def __init__(self, daemon: DaemonProcess, clock: Clock, dealer: Dealer, events: zmq.Socket[bytes]) -> None:
        self.daemon, self.clock, self.dealer, self.events = daemon, clock, dealer, events

    def move_clock(self, by: timedelta) -> None:
        """Set the clock, and wait until the daemon has noticed and gone on for a while."""
        before = self.n_jumps()
        self.clock.move(by)
        wait_until(lambda: self.n_jumps() > before, 90.0, self.daemon.log)
        for _ in range(3):
            assert self.events.poll(90_000), "no heartbeat"
            self.events.recv_multipart()
        assert self.dealer.data("ping", {}, deadline_ms=180_000)["version"]

    def move_clock_for(self, by: timedelta, seconds: float) -> None:
        """Set the clock, and set it right after so many seconds; meanwhile the daemon has looked what expires."""
        before = self.n_jumps()
        self.clock.move(by)
        time.sleep(seconds)
        self.clock.move(timedelta())
        wait_until(lambda: self.n_jumps() == before + 2, 90.0, self.daemon.log)

    def n_jumps(self) -> int:
        return self.daemon.log().count("the clock jumped")

    def schedule(self) -> dict[str, Any]:
        [found] = self.dealer.data("schedule.list", {})["schedules"]
        return dict(found)

    def until_next_run(self) -> timedelta:
        return datetime.fromisoformat(self.schedule()["next_at"]) - self.clock.now()

    def until_planned(self) -> None:
        """Wait until the next run is within a day: the daemon plans it anew a moment after it has told of the jump."""
        wait_until(
            lambda: timedelta() < self.until_next_run() <= DAY, 90.0, lambda: f"the next run is {self.schedule()}"
        )

    def n_runs(self) -> int:
        tasks = self.dealer.data("task.list", {"kind": "optimization", "limit": 50})["tasks"]
        return sum(task["task_id"] != "opt_unfinished" for task in tasks)

    def expired(self) -> list[str]:
        """The packages that were announced as expired."""
        told = self.dealer.data("events.replay", {"topics": ["pkg/"], "after": 0})["events"]
        return [one["event"]["data"]["package_id"] for one in told if one["event"]["type"] == "package.expired"]

    def package_state(self) -> str:
        return str(self.dealer.data("package.get", {"package_id": PACKAGE_ID})["state"])


def test_setting_the_clock_loses_nothing_and_runs_nothing_twice(
    own_daemon: DaemonProcess, clock: Clock, context: zmq.Context[Any]
) -> None:
    with Dealer(context, own_daemon.doors["requests"]) as dealer, context.socket(zmq.SUB) as events:
        events.setsockopt(zmq.LINGER, 0)
        events.subscribe("hb/")
        events.connect(own_daemon.doors["events"])
        watcher = Watcher(own_daemon, clock, dealer, events)
        watcher.move_clock_for(7 * DAY, 2.5)
        assert watcher.package_state() == "in_force"
        created = dealer.data("schedule.create", DAILY, id="create")

        watcher.move_clock(-DAY)
        watcher.until_planned()
        assert (watcher.n_runs(), watcher.package_state()) == (0, "in_force")

        watcher.move_clock(7 * DAY)
        wait_until(lambda: watcher.n_runs() == 1, 90.0, own_daemon.log)
        assert watcher.package_state() == "expired", "by this clock"
        wait_until(lambda: watcher.expired() == [PACKAGE_ID], 90.0, own_daemon.log)
        watcher.until_planned()

        watcher.move_clock(timedelta())
        watcher.until_planned()
        assert (watcher.n_runs(), watcher.package_state()) == (1, "expired")
        assert not dealer.ask("package.latest", {"symbol": "BTC/USDT"})["ok"]

        assert dealer.data("schedule.create", DAILY, id="create") == created
        told = dealer.data("events.replay", {"topics": ["pkg/", "task/"], "after": 0})["events"]
        assert [one["event"]["seq"] for one in told] == list(range(1, len(told) + 1))
        assert watcher.expired() == [PACKAGE_ID]
        assert "Traceback" not in json.dumps([line for line in own_daemon.log().splitlines() if "opt_unf" not in line])
