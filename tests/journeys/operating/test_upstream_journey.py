"""A market that is not stored is asked of the upstream data service, over either wire, and the work goes on."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq

from journeys.daemon import DaemonProcess, Dealer
from storage.sources.stubs import FIRST, HOUR, SERVICES, Service

N_BARS = 6_000
BACKTEST = {"symbol": "A/B", "strategy_id": "ma_cross_v1.0", "timeframe": "1h"}
SEARCH = {**BACKTEST, "method": "grid", "param_ranges": {"fast_period": [5, 6], "slow_period": [20]}}


@pytest.fixture(scope="module", params=["zmq", "http"])
def stand(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Dealer, Service]]:
    service = Service(n_bars=N_BARS)
    with SERVICES[request.param](service) as address:
        environ = {"TUNESMITH_SOURCES__UPSTREAM": address, "TUNESMITH_SOURCES__TIMEOUT_S": "1"}
        daemon = DaemonProcess(tmp_path_factory.mktemp("daemon"), environ)
        daemon.start()
        with zmq.Context() as context, Dealer(context, daemon.doors["requests"]) as dealer:
            yield dealer, service
        assert daemon.stop() == 0
        assert "Traceback" not in daemon.log()


def refused(dealer: Dealer, **changes: Any) -> dict[str, Any]:
    reply = dealer.ask("backtest.start", {**BACKTEST, **changes}, deadline_ms=20_000)
    assert not reply["ok"], reply
    error: dict[str, Any] = reply["error"]
    return error


def test_bars_are_fetched_once_and_the_work_goes_on(stand: tuple[Dealer, Service]) -> None:
    dealer, service = stand
    service.faults.append((500, b'{"v": 1, "type": "bars.get.reply", "ok": false, "error": {"code": "busy"}}'))
    error = refused(dealer)
    assert (error["code"], error["retryable"]) == ("internal", True)
    assert "busy" in error["detail"]

    started = dealer.data("optimization.start", SEARCH, deadline_ms=20_000)
    done = dealer.until_done("optimization.status", {"optimization_id": started["optimization_id"]})
    assert done["status"] == "completed", done
    [series] = dealer.data("data.list", {})["data"]
    assert (series["venue"], series["symbol"], series["n_bars"]) == ("upstream", "A/B", N_BARS)
    asked = service.asked[-1]["data"]
    assert asked["end_ms"] <= time.time() * 1000
    assert (asked["venue"], asked["limit"]) == ("upstream", 5_000)

    n_asked = len(service.asked)
    dealer.data("optimization.start", {**SEARCH, "start_date": "2024-02-01", "end_date": "2024-03-01"})
    dealer.data("optimization.start", {**SEARCH, "timeframe": "4h"})
    assert len(service.asked) == n_asked

    service.n_bars += 48
    end = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime((FIRST + (N_BARS + 24) * HOUR) / 1000))
    dealer.data("optimization.start", {**SEARCH, "end_date": end}, deadline_ms=20_000)
    [series] = dealer.data("data.list", {})["data"]
    assert series["n_bars"] == N_BARS + 24


@pytest.mark.parametrize(
    ("changes", "code", "says"),
    [
        ({"symbol": "C/D"}, "not_found", "no such symbol"),
        ({"symbol": "C/D", "timeframe": None}, "not_found", "name the timeframe"),
        ({"symbol": "C/D", "timeframe": "1x"}, "invalid", "timeframe"),
        ({"symbol": "C/D", "start_date": "yesterday"}, "invalid", "yesterday"),
    ],
)
def test_what_cannot_be_fetched_is_refused(
    stand: tuple[Dealer, Service], changes: dict[str, Any], code: str, says: str
) -> None:
    error = refused(stand[0], **changes)
    assert (error["code"], says in error["detail"]) == (code, True), error


def test_unsound_bars_are_refused_and_not_stored(stand: tuple[Dealer, Service]) -> None:
    dealer, service = stand
    for body in (
        b'{"v": 1, "type": "bars.get.reply", "ok": true, "data": {"bars": [[1704067200000, 1, 0.5, 2, 1, 1]]}}',
        b'{"v": 1, "type": "bars.get.reply", "ok": true, "data": {"bars": [["now", 1, 1, 1, 1, 1]]}}',
        b"[]",
    ):
        service.faults.append((200, body))
        assert refused(dealer, symbol="E/F")["code"] in ("invalid", "internal")
    assert {series["symbol"] for series in dealer.data("data.list", {})["data"]} <= {"A/B"}


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("tcp://192.0.2.1:5560", "insecure_upstream"),
        ("http://example.org/bars", "insecure_upstream"),
        ("ftp://x", "no address"),
    ],
)
def test_an_upstream_that_nothing_vouches_for_is_refused_at_start(tmp_path: Path, address: str, says: str) -> None:
    daemon = DaemonProcess(tmp_path, {"TUNESMITH_SOURCES__UPSTREAM": address})
    with pytest.raises(AssertionError, match=says):
        daemon.start()
