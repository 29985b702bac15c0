"""A daemon with strategies that its operator installed: listed, backtested, searched, upgraded, uninstalled."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq

import tunesmith as ts
from journeys.conftest import SAMPLE, import_markets
from journeys.daemon import DaemonProcess, Dealer
from stepped import averaging
from stepped.packages import AVERAGING, install, uninstall
from tunesmith.compute.search.split import default_boundary, split_at
from tunesmith.compute.strategies.installed import as_strategy
from tunesmith.domain.metrics import METRICS

NEWER = AVERAGING.replace('version="1.0"', 'version="1.1"')


@pytest.fixture
def packages(tmp_path: Path) -> Path:
    folder = tmp_path / "packages"
    folder.mkdir()
    install(folder, "averaging_package", AVERAGING)
    install(folder, "broken_package", "import no_such_module_anywhere")
    return folder


@pytest.fixture
def daemon(tmp_path: Path, packages: Path) -> Iterator[DaemonProcess]:
    folder = tmp_path / "data"
    folder.mkdir()
    import_markets(folder)
    running = DaemonProcess(folder, {"PYTHONPATH": str(packages), "TUNESMITH_WORKERS__COUNT": "1"})
    running.start()
    yield running
    running.stop()


def listed(dealer: Dealer) -> dict[str, str]:
    return {row["id"]: row["version"] for row in dealer.data("strategy.list", {})["strategies"]}


def test_from_the_entry_point_to_the_report_and_away_again(
    daemon: DaemonProcess, packages: Path, context: zmq.Context[Any]
) -> None:
    with Dealer(context, daemon.doors["requests"]) as dealer:
        assert listed(dealer)["averaging_v1.0"] == "1.0"
        assert "no_such_module_anywhere" in daemon.log()
        assert len(listed(dealer)) == 11
        told = dealer.data("strategy.get", {"id": "averaging_v1.0"})
        assert told["kind"] == "kernel"
        assert [p["name"] for p in told["parameters"]] == ["drop", "gain", "growth", "risk", "entries", "share"]
        assert told["code_hash"] == hashlib.sha256(AVERAGING.encode()).hexdigest()
        refused = dealer.ask("strategy.update", {"id": "averaging_v1.0", "version": "2", "code": "x = 1"})
        assert refused["error"]["code"] == "forbidden"
        refused = dealer.ask(
            "backtest.start", {"symbol": "BTC/USDT", "strategy_id": "averaging_v1.0", "params": {"drop": 3.0}}
        )
        assert refused["error"]["errors"][0]["path"] == "/data/params/drop"
        backtest_is_the_librarys(dealer)
        search_finds_a_point(dealer)

    daemon.stop()
    install(packages, "averaging_package", NEWER)
    daemon.start()
    with Dealer(context, daemon.doors["requests"]) as dealer:
        assert listed(dealer)["averaging_v1.0"] == "1.1"
        told = dealer.data("strategy.get", {"id": "averaging_v1.0", "version": "1.0"})
        assert (told["code"], told["parameters"]) == (AVERAGING, [])
        old = {"symbol": "BTC/USDT", "strategy_id": "averaging_v1.0", "strategy_version": "1.0"}
        assert "installed with other code, version 1.1" in dealer.ask("backtest.start", old)["error"]["detail"]

    daemon.stop()
    uninstall(packages, "averaging_package")
    daemon.start()
    with Dealer(context, daemon.doors["requests"]) as dealer:
        assert "averaging_v1.0" not in listed(dealer)
        asked = {"symbol": "BTC/USDT", "strategy_id": "averaging_v1.0"}
        assert dealer.ask("backtest.start", asked)["error"]["code"] == "not_found"
        assert dealer.data("strategy.get", {"id": "averaging_v1.0"})["code"] == NEWER


def backtest_is_the_librarys(dealer: Dealer) -> None:
    bars = ts.Bars.read(SAMPLE, symbol="BTC/USDT", timeframe="1h", venue="demo")
    in_sample = bars.slice(0, split_at(bars, default_boundary(bars, 0.3)).in_stop)
    table = ts.evaluate(as_strategy(averaging.STRATEGY), in_sample, {"entries": 3, "share": 0.3}, metrics=list(METRICS))
    expected = {name: float(values[0]) for name, values in table.metrics.items()}
    started = dealer.data(
        "backtest.start",
        {"symbol": "BTC/USDT", "strategy_id": "averaging_v1.0", "params": {"entries": 3, "share": 0.3}},
    )
    done = dealer.until_done("backtest.status", {"task_id": started["task_id"]})
    assert done["status"] == "completed", done["error"]
    assert done["metrics"] == {name: None if math.isnan(v) else v for name, v in expected.items()}
    report = dealer.data("report.get", {"report_id": done["report_id"]})
    assert report["strategy_version"] == "1.0"
    assert len(report["trades"]) > expected["n_trades"] - 1 > 5


def search_finds_a_point(dealer: Dealer) -> None:
    started = dealer.data(
        "optimization.start",
        {
            "symbol": "BTC/USDT",
            "strategy_id": "averaging_v1.0",
            "method": "random",
            "max_iterations": 50,
            "optimization_target": "return",
        },
    )
    done = dealer.until_done("optimization.status", {"optimization_id": started["optimization_id"]})
    assert done["status"] == "completed", done["error"]
    assert done["n_done"] == 50
