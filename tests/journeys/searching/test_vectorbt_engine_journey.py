"""A search and a backtest that vectorbt evaluates: the numbers of our engine, recorded as vectorbt's; or the reason."""

from __future__ import annotations

from typing import Any

import pytest

from journeys.daemon import Dealer

MARKET = {"symbol": "BTC/USDT", "strategy_id": "ma_cross_v1.0"}
RULE = "enter_long(close > open)\nexit_long(close < open)\nenter_short(close < open)\nexit_short(close > open)\n"


def searched(dealer: Dealer, **more: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The final status of a small random search, and its trials."""
    asked = {**MARKET, "method": "random", "max_iterations": 30, "seed": 3, **more}
    started = dealer.data("optimization.start", asked)
    which = {"optimization_id": started["optimization_id"]}
    done = dealer.until_done("optimization.status", which)
    assert done["status"] == "completed", done["error"]
    return done, dealer.data("optimization.results", {**which, "sort": "index"})["trials"]


def test_a_search_by_vectorbt_is_our_search(dealer: Dealer) -> None:
    ours, our_trials = searched(dealer)
    theirs, their_trials = searched(dealer, engine="vectorbt")
    assert theirs["best_params"] == ours["best_params"]
    assert theirs["best_score"] == pytest.approx(ours["best_score"], rel=1e-9)
    for one, other in zip(our_trials, their_trials, strict=True):
        assert one["params"] == other["params"]
        for name, value in one["metrics"].items():
            assert other["metrics"][name] == (value if value is None else pytest.approx(value, rel=1e-9, abs=1e-9)), (
                name
            )
    for done, engine in ((ours, "tunesmith"), (theirs, "vectorbt")):
        assert dealer.data("report.get", {"report_id": done["report_id"]})["engine"] == engine


def test_a_backtest_by_vectorbt_has_its_numbers_and_its_name(dealer: Dealer) -> None:
    found = {}
    for engine in ("tunesmith", "vectorbt"):
        asked = {**MARKET, "params": {"fast_period": 9, "signal_threshold": 0.0}, "engine": engine}
        done = dealer.until_done("backtest.status", {"task_id": dealer.data("backtest.start", asked)["task_id"]})
        assert done["status"] == "completed", done["error"]
        found[engine] = dealer.data("report.get", {"report_id": done["report_id"]})
        assert found[engine]["engine"] == engine
    for name, value in found["tunesmith"]["metrics"].items():
        wanted = value if value is None else pytest.approx(value, rel=1e-9, abs=1e-9)
        assert found["vectorbt"]["metrics"][name] == wanted, name


@pytest.mark.parametrize(
    ("more", "path"),
    [
        ({"strategy_id": "grid_v1.2"}, "/data/engine"),
        ({"strategy_id": "rsi_reversion"}, "/data/engine"),
        ({"strategy_id": "both_ways", "direction": "both", "costs": {"fixed_fee": 1.0}}, "/data/costs/fixed_fee"),
        ({"engine": "backtrader"}, "/data/engine"),
    ],
)
@pytest.mark.parametrize("message", ["backtest.start", "optimization.start"])
def test_what_vectorbt_means_otherwise_is_refused(
    dealer: Dealer, message: str, more: dict[str, Any], path: str
) -> None:
    dealer.ask("strategy.create", {"id": "both_ways", "code": RULE})
    error = dealer.ask(message, {**MARKET, "engine": "vectorbt", **more})["error"]
    assert error["code"] == "invalid"
    assert error["errors"][0]["path"] == path
