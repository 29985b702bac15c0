"""Metrics of the path through a real daemon: a search for one of them, its trials, and the report of its winner."""

from __future__ import annotations

from journeys.daemon import Dealer
from journeys.edges import EDGE
from tunesmith.domain.metrics import ACCOUNT_METRICS, METRICS

SEARCH = {"symbol": "PLANTED/USDT", "strategy_id": "ma_cross_v1.0", "param_ranges": EDGE, "method": "grid"}


def test_a_search_for_the_best_omega_keeps_it_in_its_trials_and_all_metrics_in_its_report(dealer: Dealer) -> None:
    started = dealer.data("optimization.start", {**SEARCH, "optimization_target": "omega"})
    search = {"optimization_id": started["optimization_id"]}
    done = dealer.until_done("optimization.status", search)
    assert done["status"] == "completed", done
    results = dealer.data("optimization.results", {**search, "limit": 1000})
    for trial in results["trials"]:
        assert set(trial["metrics"]) == {*ACCOUNT_METRICS, "omega"}
    scores = [trial["metrics"]["omega"] for trial in results["trials"] if trial["eligible"]]
    assert results["best_score"] == scores[0] == max(scores)
    report = dealer.data("report.get", {"report_id": done["report_id"]})
    assert set(report["metrics"]) == set(METRICS)
    assert report["metrics"]["omega"] == results["best_score"]


def test_trials_cannot_be_sorted_by_what_was_not_computed(dealer: Dealer) -> None:
    started = dealer.data("optimization.start", SEARCH)
    search = {"optimization_id": started["optimization_id"]}
    dealer.until_done("optimization.status", search)
    error = dealer.ask("optimization.results", {**search, "sort": "ulcer_index"})["error"]
    assert (error["code"], error["errors"][0]["path"]) == ("invalid", "/data/sort")
    assert "did not compute ulcer_index" in error["detail"]


def test_the_daemon_lists_the_table(dealer: Dealer) -> None:
    table = {row["name"]: row for row in dealer.data("server.info", {})["metrics"]}
    assert list(table) == list(METRICS)
    row = METRICS["timing_sharpe"]._asdict()
    del row["compute"]  # the function, which is not told
    assert table["timing_sharpe"] == row
    assert "normal distribution has 3" in table["kurtosis"]["formula"]
