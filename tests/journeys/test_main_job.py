"""The main job through every door: create → backtest → optimize → approve → the package arrives."""

from __future__ import annotations

import json
import re
import urllib.request
from dataclasses import replace
from typing import Any

import pytest
import zmq

from journeys.conftest import SAMPLE
from journeys.daemon import DaemonProcess, Dealer, wait_until
from journeys.edges import EDGE, RULE, disturbed, judged, kept, searched, store
from tunesmith.cli.demo.demo_command import REAL
from tunesmith.domain.market.bars import Bars
from tunesmith.protocol.canonical import canonical_hash

CODE = '''"""Moving-average cross with a stop."""
fast = Int(5, 2, 60)
slow = Int(20, 5, 240)
require(fast < slow)
enter_long(crossed_above(sma(close, fast), sma(close, slow)))
exit_long(crossed_below(sma(close, fast), sma(close, slow)))
stop_loss(0.2)
'''


def subscriber(context: zmq.Context[Any], daemon: DaemonProcess, topic: str) -> zmq.Socket[bytes]:
    socket = context.socket(zmq.SUB)
    socket.setsockopt(zmq.LINGER, 0)
    socket.setsockopt(zmq.SUBSCRIBE, topic.encode())
    socket.connect(daemon.doors["events"])
    return socket


def next_event(socket: zmq.Socket[bytes], timeout_s: float = 30.0) -> tuple[str, dict[str, Any]]:
    assert socket.poll(timeout_s * 1000), "no event came"
    topic, frame = socket.recv_multipart()[:2]
    return topic.decode(), json.loads(frame)


def http(daemon: DaemonProcess, method: str, path: str, body: Any = None, **headers: str) -> Any:
    request = urllib.request.Request(
        f"http://{daemon.doors['http']}{path}",
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"content-type": "application/json", **{k.replace("_", "-"): v for k, v in headers.items()}},
    )
    with urllib.request.urlopen(request, timeout=90) as reply:
        return json.loads(reply.read())


def test_a_dealer_walks_the_whole_way(
    daemon: DaemonProcess, dealer: Dealer, context: zmq.Context[Any], symbol: str
) -> None:
    with subscriber(context, daemon, f"pkg/{symbol}/1d/mine_v1/") as events:
        created = dealer.data("strategy.create", {"id": "mine_v1", "code": CODE})
        assert [p["name"] for p in created["parameters"]] == ["fast", "slow"]
        assert created["parameters_schema"]["properties"]["fast"] == {
            "type": "integer",
            "minimum": 2,
            "maximum": 60,
            "default": 5,
        }

        started = dealer.data("backtest.start", {"symbol": symbol, "strategy_id": "mine_v1"})
        assert started["status"] == "pending"
        assert started["withheld_from"] is not None
        backtest = dealer.until_done("backtest.status", {"task_id": started["task_id"]})
        assert backtest["status"] == "completed", backtest
        report = dealer.data("report.get", {"report_id": backtest["report_id"]})
        assert report["metrics"] == backtest["metrics"]
        assert report["end_date"] <= started["withheld_from"]
        assert len(report["trades"]) >= report["metrics"]["n_trades"] > 0

        search = dealer.data(
            "optimization.start",
            {
                "symbol": symbol,
                "strategy_id": "mine_v1",
                "param_ranges": {"fast": {"min": 2, "max": 20}, "slow": {"min": 10, "max": 60, "step": 5}},
                "optimization_target": "sharpe",
                "method": "grid",
            },
        )
        n_pairs = sum(fast < slow for fast in range(2, 21) for slow in range(10, 61, 5))
        assert search["n_trials"] == n_pairs
        found = dealer.until_done("optimization.status", {"optimization_id": search["optimization_id"]})
        assert found["status"] == "completed", found
        assert found["n_done"] == n_pairs
        results = dealer.data("optimization.results", {"optimization_id": search["optimization_id"], "limit": 1000})
        scores = [trial["metrics"]["sharpe"] for trial in results["trials"] if trial["metrics"]["sharpe"] is not None]
        assert scores == sorted(scores, reverse=True)
        best = next(trial for trial in results["trials"] if trial["eligible"])
        assert (best["params"], best["metrics"]["sharpe"]) == (found["best_params"], found["best_score"])
        assert best["metrics"]["n_trades"] >= 10

        verdict = dealer.verdict({"strategy_id": "mine_v1", "optimization_id": search["optimization_id"]})
        assert verdict["approved"], verdict["reason"]
        package = verdict["parameter_package"]
        assert (package["grade"], package["params"]) == ("tested", found["best_params"])

        topic, event = next_event(events)
        assert topic == f"pkg/{symbol}/1d/mine_v1/"
        assert (event["type"], event["data"]) == ("package.approved", package)
        log = dealer.data("audit.list", {"limit": 1000})["entries"]
        [approved] = [entry for entry in log if entry["target"] == package["package_id"]]
        assert (approved["type"], approved["user"], approved["door"]) == ("verdict", "local", "task")
        assert (approved["outcome"], approved["request_id"]) == ("approved", verdict["verdict_id"])
        [asked] = [entry for entry in log if entry["detail"] == verdict["verdict_id"]]
        told = (asked["type"], asked["target"], asked["outcome"])
        assert told == ("strategy.approve", search["optimization_id"], "ok")


def test_a_package_is_named_by_its_content(dealer: Dealer, symbol: str) -> None:
    package = judged(dealer, symbol)["parameter_package"]
    rest = {name: value for name, value in package.items() if name != "package_id"}
    assert package["package_id"] == canonical_hash(rest)
    assert dealer.data("package.get", {"package_id": package["package_id"]})["package"] == package


def test_req_is_served_too(daemon: DaemonProcess, context: zmq.Context[Any]) -> None:
    with context.socket(zmq.REQ) as req:
        req.setsockopt(zmq.LINGER, 0)
        req.connect(daemon.doors["requests"])
        req.send(b'{"v": 1, "type": "ping", "id": "r1"}')
        assert req.poll(10_000)
        reply = json.loads(req.recv())
    assert (reply["type"], reply["id"], reply["ok"]) == ("ping.reply", "r1", True)


def test_the_inbox_answers_on_the_events_door(daemon: DaemonProcess, context: zmq.Context[Any]) -> None:
    with subscriber(context, daemon, "rep/bot7/") as events, context.socket(zmq.PUB) as pub:
        pub.setsockopt(zmq.LINGER, 0)
        pub.connect(daemon.doors["inbox"])
        request = {"v": 1, "type": "strategy.list", "id": "i1", "client": "bot7", "data": {}}

        def answered() -> bool:
            pub.send_multipart([b"req/", json.dumps(request).encode()])
            return bool(events.poll(100))

        wait_until(answered, 90.0, lambda: "the inbox did not answer")
        topic, reply = next_event(events)
    assert topic == "rep/bot7/i1/"
    assert reply["ok"]
    assert "ma_cross_v1.0" in {strategy["id"] for strategy in reply["data"]["strategies"]}


def test_http_walks_the_same_way(daemon: DaemonProcess, dealer: Dealer) -> None:
    started = http(
        daemon,
        "POST",
        "/api/optimization/start",
        {"symbol": "PLANTED/USDT", "strategy_id": "ma_cross_v1.0", "param_ranges": EDGE, "method": "grid"},
        Idempotency_Key="http-1",
    )
    again = http(
        daemon,
        "POST",
        "/api/optimization/start",
        {"symbol": "PLANTED/USDT", "strategy_id": "ma_cross_v1.0", "param_ranges": EDGE, "method": "grid"},
        Idempotency_Key="http-1",
    )
    assert again == started
    optimization_id = started["optimization_id"]
    dealer.until_done("optimization.status", {"optimization_id": optimization_id})
    over_http = http(daemon, "GET", f"/api/optimization/results/{optimization_id}?limit=5&sort=total_return")
    over_zmq = dealer.data(
        "optimization.results", {"optimization_id": optimization_id, "limit": 5, "sort": "total_return"}
    )
    assert over_http == over_zmq
    health = http(daemon, "GET", "/health")
    assert health["status"] == "ok"
    lines = [line["message"] for line in dealer.data("task.logs", {"task_id": optimization_id})["lines"]]
    assert any("191 trials" in line for line in lines), lines


def test_a_late_bot_gets_the_newest_package_at_once(
    daemon: DaemonProcess, dealer: Dealer, context: zmq.Context[Any], symbol: str
) -> None:
    package = kept(dealer, symbol)["parameter_package"]
    with subscriber(context, daemon, f"pkg/{symbol}/1d/{package['strategy_id']}/") as events:
        _, event = next_event(events, timeout_s=60.0)
    latest = dealer.data("package.latest", {"symbol": symbol, "strategy_id": package["strategy_id"]})
    assert event["data"] == latest["package"]
    snapshot = dealer.data("events.snapshot", {"topics": [f"pkg/{symbol}/"]})
    assert event in [record["event"] for record in snapshot["events"]]


def test_a_revoked_package_is_announced_and_out_of_force(
    daemon: DaemonProcess, dealer: Dealer, context: zmq.Context[Any], symbol: str
) -> None:
    package = kept(dealer, symbol)["parameter_package"]
    topic = f"pkg/{symbol}/1d/{package['strategy_id']}/"
    with subscriber(context, daemon, topic) as events:
        _, before = next_event(events)
        revoked = dealer.data("package.revoke", {"package_id": package["package_id"], "reason": "test"})
        assert revoked["state"] == "revoked"
        _, event = next_event(events)
    assert event["type"] == "package.revoked"
    assert event["prev"] == before["seq"]
    assert event["data"]["package_id"] == package["package_id"]
    reply = dealer.ask("package.latest", {"symbol": symbol, "strategy_id": package["strategy_id"]})
    assert reply["error"]["code"] == "not_found"


def test_real_candles_that_show_no_edge_are_rejected_in_figures_and_their_holdout_stays_unseen(
    daemon: DaemonProcess, dealer: Dealer
) -> None:
    bars = Bars.read(SAMPLE, symbol="REAL/USDT", timeframe="1h")
    other = disturbed(bars, 1)
    a_day_later = replace(other, timestamp=other.timestamp + 86_400_000)
    store(daemon.folder, a_day_later)  # a lineage of its own, whoever looked at the sample's, and not related to it
    found = searched(dealer, "REAL/USDT", param_ranges=REAL.ranges)
    assert found["best_score"] > 3.0, "a fine backtest"
    verdict = dealer.verdict({"strategy_id": RULE, "optimization_id": found["optimization_id"]})
    assert (verdict["approved"], verdict["verdict"], verdict["parameter_package"]) == (False, "rejected", None)
    assert re.search(r"on 21 of \d+ shuffled versions of this market one of these searches found", verdict["reason"])
    assert {check["segment"] for check in verdict["checks"]} == {"data", "in_sample"}


@pytest.mark.parametrize("door", ["zeromq", "http"])
def test_every_type_has_a_schema(daemon: DaemonProcess, dealer: Dealer, door: str) -> None:
    info = dealer.data("server.info", {})
    if door == "zeromq":
        schema = dealer.data("schema.get", {})
        assert set(schema["messages"]) == set(info["types"])
    else:
        openapi = http(daemon, "GET", "/openapi.json")
        assert openapi["openapi"].startswith("3.")
        assert "/api/backtest/start" in openapi["paths"]
