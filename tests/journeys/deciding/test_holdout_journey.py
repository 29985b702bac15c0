"""The hold-out through a real daemon: who gets it, who looked, and which numbers a package carries."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Any

import pytest

from journeys.daemon import DaemonProcess, Dealer, wait_until
from journeys.edges import RULE, kept, searched

MARKET = {"symbol": "PLANTED/USDT", "strategy_id": RULE}


def finished(dealer: Dealer, data: dict[str, Any]) -> dict[str, Any]:
    started = dealer.data("backtest.start", data)
    done = dealer.until_done("backtest.status", {"task_id": started["task_id"]})
    assert done["status"] == "completed", done
    return {**started, **done}


def looks(daemon: DaemonProcess, task_id: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(daemon.folder / "tunesmith.db")) as conn:
        sql = "SELECT kind, user, start_ms = boundary_ms, boundary_ms FROM holdout_looks WHERE task_id = ?"
        return conn.execute(sql, (task_id,)).fetchall()


def test_the_boundary_is_one_instant_whatever_is_asked(dealer: Dealer) -> None:
    plain = dealer.data("backtest.start", MARKET)
    shorter = dealer.data("backtest.start", {**MARKET, "start_date": "2020-01-01", "timeframe": "2d"})
    before = dealer.data("backtest.start", {**MARKET, "end_date": "2021-01-01"})
    assert plain["withheld_from"] == shorter["withheld_from"] is not None
    assert before["withheld_from"] is None


def test_a_range_in_the_holdout_is_refused_unless_it_is_asked_for(dealer: Dealer) -> None:
    boundary = dealer.data("backtest.start", MARKET)["withheld_from"]
    reply = dealer.ask("backtest.start", {**MARKET, "start_date": boundary})
    assert (reply["error"]["code"], reply["error"]["errors"][0]["path"]) == ("invalid", "/data/start_date")
    assert "hold-out" in reply["error"]["detail"]


def test_a_look_is_written_down_and_what_lies_beyond_alone_is_no_ground_for_a_verdict(
    daemon: DaemonProcess, dealer: Dealer
) -> None:
    boundary = dealer.data("backtest.start", MARKET)["withheld_from"]
    seen = finished(dealer, {**MARKET, "start_date": boundary, "use_holdout": True})
    assert [look[:3] for look in looks(daemon, seen["task_id"])] == [("backtest", "local", 1)]
    [summary] = [
        row
        for row in dealer.data("report.list", {"symbol": "PLANTED/USDT", "limit": 1000})["reports"]
        if row["report_id"] == seen["report_id"]
    ]
    assert summary["used_holdout"]
    verdict = dealer.verdict({"strategy_id": RULE, "backtest_id": seen["report_id"]})
    assert verdict["verdict"] == "insufficient_data"
    assert "0 bars are in sample" in verdict["reason"]


def test_a_package_carries_the_numbers_of_its_search_and_a_proof_uses_nothing_up(
    daemon: DaemonProcess, dealer: Dealer, symbol: str
) -> None:
    found = searched(dealer, symbol, end_date="2022-06-01", approve={})
    verdict = dealer.until_done("verdict.status", {"verdict_id": found["verdict_id"]})
    assert (verdict["approved"], verdict["grade"]) == (True, "tested"), verdict["reason"]
    in_sample = next(check for check in verdict["checks"] if check["name"] == "min_sharpe")
    assert in_sample["value"] == found["best_score"]
    assert verdict["parameter_package"]["metrics"]["in_sample"]["sharpe"] == found["best_score"]
    assert [look[0] for look in looks(daemon, found["verdict_id"])] == ["verdict"]


def test_an_approval_by_criteria_uses_the_holdout_up(daemon: DaemonProcess, dealer: Dealer, symbol: str) -> None:
    by_criteria = kept(dealer, symbol)
    assert {look[0] for look in looks(daemon, by_criteria["verdict_id"])} == {"verdict", "approval"}
    search = searched(dealer, symbol)
    verdict = dealer.verdict({"strategy_id": RULE, "optimization_id": search["optimization_id"]})
    assert (verdict["verdict"], verdict["parameter_package"]) == ("insufficient_data", None)
    assert f"the hold-out of {symbol} is used up: an approval by criteria used it" in verdict["reason"]


@pytest.mark.parametrize("message_type", ["task.cancel", "optimization.cancel"])
def test_a_cancelled_search_keeps_its_best(dealer: Dealer, message_type: str) -> None:
    data = {"symbol": "BTC/USDT", "strategy_id": RULE, "method": "random", "max_iterations": 900_000}
    search = dealer.data("optimization.start", data)["optimization_id"]
    status: dict[str, Any] = {}

    def begun() -> bool:
        status.update(dealer.data("optimization.status", {"optimization_id": search}))
        return status["best_score"] is not None

    wait_until(begun, 60.0, lambda: f"nothing was found: {status}")
    name = "task_id" if message_type == "task.cancel" else "optimization_id"
    assert dealer.data(message_type, {name: search})["status"] == "cancelled"
    after = dealer.data("optimization.status", {"optimization_id": search})
    assert after["status"] == "cancelled"
    best = dealer.data("optimization.results", {"optimization_id": search, "limit": 1000})
    eligible = next(trial for trial in best["trials"] if trial["eligible"])
    assert (after["best_score"], best["best_score"]) == (eligible["metrics"]["sharpe"],) * 2
    assert after["best_score"] >= status["best_score"]


def test_workers_can_be_added_and_taken_away(dealer: Dealer) -> None:
    assert dealer.data("workers.resize", {"count": 3})["target"] == 3
    wait_until(lambda: dealer.data("server.info", {})["workers"]["alive"] == 3, 60.0, lambda: "no third worker came")
    dealer.data("workers.resize", {"count": 2})
    wait_until(lambda: dealer.data("server.info", {})["workers"]["alive"] == 2, 60.0, lambda: "the third stayed")
