"""The setting decision.min_trades reaches into searches that do not say how many trades they ask for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq

from journeys.conftest import import_markets
from journeys.daemon import DaemonProcess, Dealer

SEARCH = {
    "symbol": "BTC/USDT",
    "strategy_id": "ma_cross_v1.0",
    "param_ranges": {"fast_period": [5, 8], "slow_period": [30], "signal_threshold": 0.0},
}


@pytest.fixture
def strict(tmp_path: Path) -> Iterator[DaemonProcess]:
    """A daemon that asks for more trades than there are bars."""
    import_markets(tmp_path)
    running = DaemonProcess(tmp_path, {"TUNESMITH_DECISION__MIN_TRADES": "1000000", "TUNESMITH_WORKERS__COUNT": "1"})
    running.start()
    yield running
    assert running.stop() == 0, running.log()[-3000:]


def test_the_floor_of_a_search_is_the_setting_unless_the_request_says(
    strict: DaemonProcess, context: zmq.Context[Any]
) -> None:
    asked = {"silent": None, "other": {"min_sharpe": -1000.0}, "asking": {"min_trades": 1}}
    found = {}
    with Dealer(context, strict.doors["requests"]) as dealer:
        for name, constraints in asked.items():
            started = dealer.data("optimization.start", {**SEARCH, "constraints": constraints})
            done = dealer.until_done("optimization.status", {"optimization_id": started["optimization_id"]})
            assert done["status"] == "completed", done
            found[name] = done["best_params"] is not None
    assert found == {"silent": False, "other": False, "asking": True}
