"""A walk-forward through the daemon: windows in order, one account, and nothing of the hold-out."""

from __future__ import annotations

import numpy as np

from journeys.daemon import DaemonProcess, Dealer

REQUEST = {
    "symbol": "BTC/USDT",
    "strategy_id": "ma_cross_v1.0",
    "param_ranges": {"fast_period": {"min": 5, "max": 12}, "slow_period": [20, 40], "signal_threshold": 0.0},
    "train_bars": 1500,
    "test_bars": 700,
    "method": "grid",
}


def test_it_walks_the_in_sample_part(daemon: DaemonProcess, dealer: Dealer) -> None:
    started = dealer.data("walkforward.start", REQUEST)
    done = dealer.until_done("walkforward.status", {"walkforward_id": started["walkforward_id"]})
    assert (done["status"], done["progress"]) == ("completed", 1.0)
    assert done["n_windows"] == len(done["windows"]) == started["n_windows"]
    assert done["windows"][-1]["trade_to"] < done["withheld_from"]
    assert [w["trade_from"] for w in done["windows"]] == sorted({w["trade_from"] for w in done["windows"]})
    grown = float(np.prod([1.0 + w["total_return"] for w in done["windows"]])) - 1.0
    assert abs(done["metrics"]["total_return"] - grown) < 1e-9
    assert done["metrics"]["n_trades"] == sum(w["n_trades"] for w in done["windows"])
    assert "four in ten" in done["cannot_say"]


def test_windows_that_leave_nothing_to_trade_are_refused_with_the_field(dealer: Dealer) -> None:
    refused = dealer.ask("walkforward.start", {**REQUEST, "train_bars": 90_000})["error"]
    assert refused["code"] == "invalid"
    assert refused["errors"][0]["path"] == "/data/train_bars"
    unknown = dealer.ask("walkforward.status", {"walkforward_id": "wf-none"})["error"]
    assert unknown["code"] == "not_found"
