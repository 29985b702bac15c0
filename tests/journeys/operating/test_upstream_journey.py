"""A market that is not stored is asked of the upstream data service, over either wire, and the work goes on."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import zmq

from journeys.conftest import import_markets
from journeys.daemon import DaemonProcess, Dealer, wait_until
from storage.sources.stubs import FIRST, HOUR, SERVICES, Service

N_BARS = 6_000
BACKTEST = {"symbol": "A/B", "strategy_id": "ma_cross_v1.0", "timeframe": "1h"}
PARAMS = {"fast_period": 5, "slow_period": 20, "signal_threshold": 0.0}
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
    reply = dealer.ask("backtest.start", {**BACKTEST, **changes}, deadline_ms=180_000)
    assert not reply["ok"], reply
    error: dict[str, Any] = reply["error"]
    return error


def test_bars_are_fetched_once_and_the_work_goes_on(stand: tuple[Dealer, Service]) -> None:
    dealer, service = stand
    service.faults.append((500, b'{"v": 1, "type": "bars.get.reply", "ok": false, "error": {"code": "busy"}}'))
    error = refused(dealer)
    assert (error["code"], error["retryable"]) == ("internal", True)
    assert "busy" in error["detail"]

    started = dealer.data("optimization.start", SEARCH, deadline_ms=180_000)
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
    dealer.data("optimization.start", {**SEARCH, "end_date": end}, deadline_ms=180_000)
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


def test_a_slow_download_keeps_no_backtest_on_stored_bars_waiting(tmp_path: Path) -> None:
    import_markets(tmp_path)
    service = Service(n_bars=40_000, pause_s=1.0)
    stored = {"symbol": "BTC/USDT", "strategy_id": "ma_cross_v1.0"}
    with ExitStack() as stack:
        address = stack.enter_context(SERVICES["http"](service))
        daemon = DaemonProcess(tmp_path, {"TUNESMITH_SOURCES__UPSTREAM": address})
        daemon.start()
        stack.callback(daemon.stop)
        context = stack.enter_context(zmq.Context())
        waiting, other = (stack.enter_context(Dealer(context, daemon.doors["requests"])) for _ in range(2))

        def backtest(day: int) -> float:
            """The seconds that a backtest on a window takes that was never cut before."""
            began = time.monotonic()
            started = other.data("backtest.start", {**stored, "params": PARAMS, "start_date": f"2024-01-0{day}"})
            done = other.until_done("backtest.status", {"task_id": started["task_id"]})
            assert done["status"] == "completed", done
            return time.monotonic() - began

        backtest(4)  # whatever is loaded or compiled the first time
        alone_s = backtest(5)
        n_workers = len(daemon.workers())
        waiting.send("backtest.start", {**BACKTEST, "params": PARAMS}, deadline_ms=30_000)
        wait_until(lambda: bool(service.asked), 90.0, lambda: "the download did not begin")
        beside_s = backtest(6)
        n_pages = len(service.asked)
        reply = waiting.reply()
        assert reply["ok"], reply
        assert len(service.asked) >= n_pages + 3, "the backtest was done in the middle of the download"
        assert len(daemon.workers()) > n_workers, "downloads have processes of their own, which begin with the first"
        assert beside_s < alone_s + 3.0


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
