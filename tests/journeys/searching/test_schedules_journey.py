"""A schedule through the daemon: stored, refused with its field, and made up once after a downtime."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import zmq

from journeys.conftest import import_markets
from journeys.daemon import DaemonProcess, Dealer, wait_until

SEARCH = {
    "symbol": "BTC/USDT",
    "strategy_id": "ma_cross_v1.0",
    "method": "grid",
    "param_ranges": {"fast_period": [5, 8, 12], "slow_period": [30, 60], "signal_threshold": 0.0},
}


def test_a_missed_run_is_made_up_once(tmp_path: Path, context: zmq.Context[Any]) -> None:
    import_markets(tmp_path)
    file = tmp_path / "schedules.json"
    file.write_text(json.dumps([{"schedule_id": "nightly", "cron": "0 3 * * *", "search": SEARCH}]))
    running = DaemonProcess(tmp_path, {"TUNESMITH_SCHEDULES__FILE": str(file)})
    running.start()
    try:
        with Dealer(context, running.doors["requests"]) as bot:
            made = bot.data("schedule.create", {"schedule_id": "hourly", "every": "1h", "search": SEARCH})
            assert made["search"]["approve"] is not None
            refused = bot.ask(
                "schedule.create", {"schedule_id": "x", "every": "1h", "search": {**SEARCH, "symbol": "NO/NE"}}
            )["error"]
            assert (refused["code"], refused["errors"][0]["path"]) == ("not_found", "/data/search/symbol")
            neither = bot.ask("schedule.create", {"schedule_id": "x", "search": SEARCH})["error"]
            assert neither["errors"][0]["path"] == "/data/every"
            known = {row["schedule_id"]: row for row in bot.data("schedule.list", {})["schedules"]}
            assert set(known) == {"hourly", "nightly"}
            assert known["nightly"]["user"] == "settings"
        running.stop()
        with sqlite3.connect(tmp_path / "tunesmith.db") as database:
            database.execute("UPDATE schedules SET next_at = '2026-01-01T00:00:00.000Z' WHERE id = 'hourly'")
        running.start()
        with Dealer(context, running.doors["requests"]) as bot:

            def ran() -> bool:
                return any(row["last_task_id"] for row in bot.data("schedule.list", {})["schedules"])

            wait_until(ran, 30, running.log)
            [hourly] = [r for r in bot.data("schedule.list", {})["schedules"] if r["schedule_id"] == "hourly"]
            assert hourly["next_at"] > hourly["last_at"]
            done = bot.until_done("optimization.status", {"optimization_id": hourly["last_task_id"]})
            assert (done["status"], done["n_done"]) == ("completed", 6)
            searches = bot.data("task.list", {"kind": "optimization"})["tasks"]
            assert [t["client"] for t in searches] == ["schedule:hourly"]
            assert bot.data("schedule.delete", {"schedule_id": "hourly"})["deleted"]
            again = bot.ask("schedule.delete", {"schedule_id": "hourly"})["error"]
            assert again["code"] == "not_found"
    finally:
        running.stop()
