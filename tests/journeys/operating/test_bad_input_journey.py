"""Bad input gets its error code with the path of the field, within the deadline, and the daemon goes on."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

import pytest
import zmq

from journeys.daemon import DaemonProcess, Dealer

SEARCH = {"symbol": "BTC/USDT", "strategy_id": "ma_cross_v1.0", "method": "grid"}
BACKTEST = {"symbol": "BTC/USDT", "strategy_id": "ma_cross_v1.0"}


def body(data: Any, message_type: str = "optimization.start", **more: Any) -> bytes:
    return json.dumps({"v": 1, "type": message_type, "id": "bad", "data": data, **more}).encode()


@pytest.mark.parametrize(
    ("message_type", "data", "code", "path"),
    [
        ("optimization.start", {**SEARCH, "symbol": 7}, "invalid", "/data/symbol"),
        ("optimization.start", {**SEARCH, "param_range": {}}, "invalid", "/data/param_range"),
        ("optimization.start", {"strategy_id": "ma_cross_v1.0"}, "invalid", "/data/symbol"),
        (
            "optimization.start",
            {**SEARCH, "param_ranges": {"fast_period": {"min": "five", "max": 60}}},
            "invalid",
            "/data/param_ranges/fast_period/min",
        ),
        (
            "optimization.start",
            {**SEARCH, "param_ranges": {"fast_period": {"min": 60, "max": 5}}},
            "invalid",
            "/data/param_ranges/fast_period/min",
        ),
        (
            "optimization.start",
            {**SEARCH, "param_ranges": {"fats_period": [5, 6]}},
            "invalid",
            "/data/param_ranges/fats_period",
        ),
        ("optimization.start", {**SEARCH, "optimization_target": "sharp"}, "invalid", "/data/optimization_target"),
        ("optimization.start", {**SEARCH, "method": "guess"}, "invalid", "/data/method"),
        ("optimization.start", {**SEARCH, "max_iterations": 0}, "invalid", "/data/max_iterations"),
        ("optimization.start", {**SEARCH, "symbol": "DOGE/USDT"}, "not_found", "/data/symbol"),
        ("optimization.start", {**SEARCH, "strategy_id": "ma_cros"}, "not_found", "/data/strategy_id"),
        ("backtest.start", {**BACKTEST, "start_date": "2030-01-01"}, "invalid", "/data/start_date"),
        ("backtest.start", {**BACKTEST, "start_date": "yesterday"}, "invalid", "/data/start_date"),
        ("backtest.start", {**BACKTEST, "end_date": "2019-01-01"}, "invalid", "/data/end_date"),
        (
            "backtest.start",
            {**BACKTEST, "start_date": "2024-03-01", "end_date": "2024-02-01"},
            "invalid",
            "/data/end_date",
        ),
        ("backtest.start", {**BACKTEST, "params": {"fast_period": 1}}, "invalid", "/data/params/fast_period"),
        (
            "backtest.start",
            {**BACKTEST, "params": {"fast_period": 50, "slow_period": 20}},
            "invalid",
            "/data/params",
        ),
        ("backtest.start", {**BACKTEST, "costs": {"fee_rate": -1}}, "invalid", "/data/costs/fee_rate"),
        ("backtest.start", {**BACKTEST, "timeframe": "90x"}, "invalid", "/data/timeframe"),
        ("backtest.start", {**BACKTEST, "initial_cash": 0}, "invalid", "/data/initial_cash"),
        ("backtest.status", {"task_id": "bt-none"}, "not_found", "/data/task_id"),
        ("strategy.create", {"id": "evil", "code": "__import__('os')"}, "invalid", "/data/code"),
        ("strategy.create", {"id": "a b", "code": "x"}, "invalid", "/data/id"),
        ("strategy.update", {"id": "ma_cross_v1.0", "version": "9"}, "forbidden", "/data/id"),
        ("strategy.approve", {"strategy_id": "ma_cross_v1.0"}, "invalid", "/data"),
        ("package.get", {"package_id": "zz"}, "invalid", "/data/package_id"),
        ("workers.resize", {"count": 256}, "invalid", "/data/count"),
    ],
)
def test_a_wrong_field_is_named(dealer: Dealer, message_type: str, data: Any, code: str, path: str) -> None:
    reply = dealer.ask(message_type, data)
    assert not reply["ok"]
    assert (reply["error"]["code"], reply["error"]["errors"][0]["path"]) == (code, path), reply["error"]
    assert reply["type"] == f"{message_type}.reply"


def test_a_grid_of_ten_to_the_twelve_is_refused_with_its_size(dealer: Dealer) -> None:
    code = "\n".join(f"p{i} = Int(1, 1, 1000)" for i in range(4)) + "\nenter_long(close > p0 + p1 + p2 + p3)\n"
    dealer.ask("strategy.create", {"id": "wide", "code": code})
    reply = dealer.ask("optimization.start", {**SEARCH, "strategy_id": "wide"})
    assert reply["error"]["code"] == "invalid"
    assert "1,000,000,000,000" in reply["error"]["detail"]
    assert reply["error"]["errors"][0]["path"] == "/data/param_ranges"


@pytest.mark.parametrize(
    ("frames", "code", "reply_type"),
    [
        ([b"not json"], "bad_json", "error.reply"),
        ([b""], "bad_json", "error.reply"),
        ([b"\xff\xfe"], "bad_json", "error.reply"),
        ([b'{"v": 1, "type": "ping", "id": "bad", "data": {"x": NaN}}'], "bad_json", "error.reply"),
        ([b"[" * 10_000 + b"]" * 10_000], "invalid", "error.reply"),
        ([body({}, "ping", v=2)], "unsupported_version", "ping.reply"),
        ([body({}, "pong")], "unknown_type", "pong.reply"),
        ([body({}, "ping", extra=1)], "invalid", "ping.reply"),
        ([b"a", b"b", b"c", b"d", body({}, "ping")], "too_large", "ping.reply"),
        ([body({"symbol": "x" * 2 * 1024 * 1024})], "too_large", "optimization.start.reply"),
    ],
    ids=["text", "empty", "not utf-8", "nan", "deep", "version", "type", "field", "5 frames", "2 MiB"],
)
def test_a_wrong_frame_gets_its_code(dealer: Dealer, frames: list[bytes], code: str, reply_type: str) -> None:
    reply = dealer.send_frames(frames)
    assert (reply["ok"], reply["error"]["code"]) == (False, code), reply
    assert reply["type"] in (reply_type, "error.reply")


def test_numbers_beyond_a_double_are_refused_with_their_path(dealer: Dealer) -> None:
    text = json.dumps(
        {
            "v": 1,
            "type": "optimization.start",
            "id": "bad",
            "data": {**SEARCH, "param_ranges": {"fast_period": {"min": 5}}},
        }
    )
    reply = dealer.send_frames([text.replace('"min": 5', '"min": 1e999').encode()])
    assert (reply["error"]["code"], reply["error"]["errors"][0]["path"]) == (
        "invalid",
        "/data/param_ranges/fast_period/min",
    )


def test_nothing_half_written_stays(daemon: DaemonProcess, dealer: Dealer) -> None:
    before = dealer.data("task.list", {})["total"]
    dealer.ask("optimization.start", {**SEARCH, "param_ranges": {"fast_period": [5], "slow_period": "x"}})
    dealer.ask("strategy.create", {"id": "half", "code": "enter_long(close >"})
    assert dealer.data("task.list", {})["total"] == before
    assert dealer.ask("strategy.get", {"id": "half"})["error"]["code"] == "not_found"
    assert dealer.data("ping", {})["protocol"] == 1


def test_the_same_id_with_another_body_is_a_conflict(dealer: Dealer) -> None:
    first = dealer.ask("backtest.start", BACKTEST, id="same-id")
    again = dealer.ask("backtest.start", BACKTEST, id="same-id")
    other = dealer.ask("backtest.start", {**BACKTEST, "initial_cash": 5.0}, id="same-id")
    assert first["data"] == again["data"]
    assert other["error"]["code"] == "conflict"


@pytest.mark.parametrize(
    ("payload", "status", "code"),
    [
        (b"not json", 400, "bad_json"),
        (json.dumps({**BACKTEST, "symbol": "DOGE/USDT"}).encode(), 404, "not_found"),
        (json.dumps({**BACKTEST, "params": {"fast_period": 1}}).encode(), 422, "invalid"),
        (b"x" * 2 * 1024 * 1024, 413, "too_large"),
    ],
)
def test_http_answers_with_the_same_problems(daemon: DaemonProcess, payload: bytes, status: int, code: str) -> None:
    request = urllib.request.Request(
        f"http://{daemon.doors['http']}/api/backtest/start",
        data=payload,
        headers={"content-type": "application/json"},
    )
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request, timeout=90)
    with caught.value as answer:
        assert answer.headers["content-type"].startswith("application/problem+json")
        assert (answer.status, json.loads(answer.read())["code"]) == (status, code)


def test_an_import_of_unsound_bars_names_every_problem(dealer: Dealer) -> None:
    hour = 3_600_000
    rows = [
        [0, 10.0, 11.0, 9.0, 10.0, 1.0],
        [hour, 10.0, 9.5, 9.0, 10.0, 1.0],
        [hour, 10.0, 11.0, 9.0, -1.0, 1.0],
    ]
    reply = dealer.ask("data.import", {"symbol": "BAD/USDT", "timeframe": "1h", "bars": rows}, deadline_ms=25_000)
    assert reply["error"]["code"] == "invalid"
    detail = reply["error"]["detail"] + json.dumps(reply["error"]["errors"])
    assert "high" in detail
    assert "zero" in detail or "below" in detail
    listed = dealer.data("data.list", {})["data"]
    assert "BAD/USDT" not in {series["symbol"] for series in listed}


def test_a_client_that_never_reads_does_not_stop_the_others(
    daemon: DaemonProcess, dealer: Dealer, context: zmq.Context[Any]
) -> None:
    with context.socket(zmq.DEALER) as deaf:
        deaf.setsockopt(zmq.LINGER, 0)
        deaf.setsockopt(zmq.RCVHWM, 1)
        deaf.connect(daemon.doors["requests"])
        for _ in range(500):
            deaf.send(body({}, "schema.get"))
        assert dealer.data("ping", {})["protocol"] == 1
