"""Verdicts on searches in a real daemon: killed in the middle, and which process ever had the hold-out in memory."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
import zmq

from benchmarks.made_markets import AVERAGES
from journeys.daemon import DaemonProcess, Dealer, wait_until
from services.verdict_house import EDGE, LAX, RANGES, edge, rows_of
from tunesmith.storage.market.market_folder import MarketFolder

SEARCH = {"symbol": EDGE, "strategy_id": "averages", "param_ranges": RANGES, "method": "grid", "direction": "both"}


@pytest.fixture
def own(tmp_path: Path) -> Iterator[DaemonProcess]:
    store = MarketFolder(tmp_path / "market")
    store.import_rows(rows_of(edge()), symbol=EDGE, timeframe="1d", venue="local")
    made = DaemonProcess(tmp_path)
    made.start()
    yield made
    made.stop()


def searched(dealer: Dealer) -> str:
    dealer.data("strategy.create", {"id": "averages", "name": "Averages", "version": "1.0", "code": AVERAGES})
    started = dealer.data("optimization.start", SEARCH)
    found = dealer.until_done("optimization.status", {"optimization_id": started["optimization_id"]})
    return str(found["optimization_id"])


def rows(own: DaemonProcess, sql: str) -> list[Any]:
    with closing(sqlite3.connect(own.folder / "tunesmith.db")) as conn:
        return conn.execute(sql).fetchall()


def test_a_verdict_that_was_killed_in_the_middle_is_the_same_and_the_same_look(
    own: DaemonProcess, context: zmq.Context[Any]
) -> None:
    with Dealer(context, own.doors["requests"]) as dealer:
        found = searched(dealer)
        request = {"strategy_id": "averages", "optimization_id": found, "approval_criteria": LAX}
        request["accept_old_data"] = True
        asked = {"v": 1, "type": "strategy.approve", "id": "kill", "deadline_ms": 60_000, "data": request}
        dealer.socket.send(json.dumps(asked).encode())

        def in_the_middle() -> bool:
            return bool(rows(own, "SELECT 1 FROM holdout_looks"))

        wait_until(in_the_middle, 60.0, lambda: "it did not begin")
    own.kill()
    [(verdict_id, status)] = rows(own, "SELECT id, status FROM tasks WHERE kind = 'verdict'")
    assert status == "running"
    own.start()
    with Dealer(context, own.doors["requests"]) as dealer:
        verdict = dealer.until_done("verdict.status", {"verdict_id": verdict_id})
        assert verdict["verdict"] == "approved", verdict
        assert rows(own, "SELECT kind FROM holdout_looks") == [("verdict",)]
        [(stored,)] = rows(own, "SELECT evidence FROM verdicts")
        evidence = msgspec.json.decode(stored)
        assert evidence["ledger"]["look"] == 1
        assert (evidence["searches"]["n"], evidence["counted"]["n"]) == (999, 1)
        assert dealer.verdict(request)["verdict_id"] == verdict_id


def test_no_process_that_searches_has_the_holdout_in_its_memory(own: DaemonProcess, context: zmq.Context[Any]) -> None:
    with Dealer(context, own.doors["requests"]) as dealer:
        verdict = dealer.verdict({"strategy_id": "averages", "optimization_id": searched(dealer)})
    assert own.process is not None
    mapped = [
        {
            Path(line.split()[-1]).stem
            for line in Path(f"/proc/{pid}/maps").read_text().splitlines()
            if "/snapshots/" in line
        }
        for pid in own.workers()
    ]
    [(stored,)] = rows(own, "SELECT evidence FROM verdicts")
    evidence = msgspec.json.decode(stored)
    whole, in_sample = evidence["data_hash"], evidence["in_sample_hash"]
    assert verdict["verdict"] in ("approved", "rejected")
    assert whole != in_sample
    found = [(whole in names, in_sample in names) for names in mapped]
    assert found.count((True, False)) == 1, "the hold-out worker alone"
    assert (False, True) in found
    assert (True, True) not in found
