"""Looking at searches through a real daemon: analysis, comparison, export, and the next search from what was found."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest
import zmq
from jsonschema import Draft202012Validator
from scipy.stats import spearmanr

from journeys.daemon import DaemonProcess, Dealer, wait_until
from tunesmith.protocol.messages.analysis import PIECE_BYTES

MARKET = {"symbol": "PLANTED/USDT", "strategy_id": "ma_cross_v1.0"}
ALL_PARTS = ("ranking", "importance", "correlations", "marginals", "convergence", "recommendation")
RANGES = {
    "fast_period": {"min": 2, "max": 20},
    "slow_period": {"min": 10, "max": 60, "step": 5},
    "signal_threshold": 0.0,
}
LONG = {**RANGES, "signal_threshold": {"min": 0.0, "max": 0.1}}


def searched(dealer: Dealer, **asked: Any) -> str:
    """The id of a search that has completed."""
    started = dealer.data("optimization.start", {**MARKET, "param_ranges": RANGES, "method": "grid", **asked})
    optimization_id: str = started["optimization_id"]
    done = dealer.until_done("optimization.status", {"optimization_id": optimization_id})
    assert done["status"] == "completed", done
    return optimization_id


def analysis(dealer: Dealer, optimization_id: str, **asked: Any) -> dict[str, Any]:
    return dealer.data("optimization.analyze", {"optimization_id": optimization_id, **asked})


def trials_of(dealer: Dealer, optimization_id: str) -> list[dict[str, Any]]:
    found = dealer.data("optimization.results", {"optimization_id": optimization_id, "sort": "index", "limit": 1000})
    assert found["total"] == len(found["trials"])
    return sorted(found["trials"], key=lambda trial: int(trial["index"]))


def fetch(dealer: Dealer, optimization_id: str, kind: str, limit: int = PIECE_BYTES) -> tuple[bytes, dict[str, Any]]:
    """An exported file, piece by piece, and the first reply."""
    asked = {"optimization_id": optimization_id, "format": kind, "limit": limit}
    first = piece = dealer.data("optimization.export", asked)
    content = base64.b64decode(piece["content"])
    while piece["next_offset"] is not None:
        assert piece["next_offset"] == len(content)
        more = {"version": first["version"], "offset": piece["next_offset"]}
        piece = dealer.data("optimization.export", {**asked, **more})
        content += base64.b64decode(piece["content"])
    assert (len(content), hashlib.sha256(content).hexdigest()) == (first["size"], first["version"])
    return content, first


def refusal(dealer: Dealer, message: str, data: dict[str, Any]) -> tuple[str, str, str]:
    error = dealer.ask(message, data)["error"]
    return error["code"], error["errors"][0]["path"], error["detail"]


@pytest.fixture(scope="module")
def grid(daemon: DaemonProcess) -> str:
    """All points of the planted market's ranges."""
    with zmq.Context() as context, Dealer(context, daemon.doors["requests"]) as dealer:
        return searched(dealer)


def test_an_analysis_agrees_with_the_trials_that_it_is_of(dealer: Dealer, grid: str) -> None:
    trials, found = trials_of(dealer, grid), analysis(dealer, grid, n=4)
    good = sorted((t for t in trials if t["eligible"]), key=lambda t: (-t["score"], t["index"]))
    summary = found["summary"]
    assert (summary["n_trials"], summary["n_eligible"]) == (len(trials), len(good))
    assert (summary["best"], summary["best_score"]) == (good[0]["index"], good[0]["score"])
    assert summary["best_params"] == good[0]["params"]
    scores = np.array([t["score"] for t in trials if t["score"] is not None])
    assert summary["quantiles"][3] == pytest.approx(np.median(scores))
    assert [each["index"] for each in found["top"]] == [t["index"] for t in good[:4]]
    assert [each["value"] for each in found["bottom"]] == sorted(t["score"] for t in good)[:4]
    assert {each["parameter"] for each in found["importance"]} == {"fast_period", "slow_period"}
    assert sum(each["share"] for each in found["importance"]) == pytest.approx(1.0)
    fast = [t["params"]["fast_period"] for t in trials if t["score"] is not None]
    told = dict(zip(found["correlations"]["parameters"], found["correlations"]["with_score"], strict=True))
    assert told["fast_period"] == pytest.approx(spearmanr(fast, scores).statistic)
    first = found["marginals"][0]
    mean = np.mean([t["score"] for t in trials if t["params"]["fast_period"] == 2])
    assert (first["axis"]["parameter"], first["axis"]["values"][0]) == ("fast_period", 2)
    assert first["mean"][0] == pytest.approx(mean)
    assert found["convergence"]["improvements"][-1] == {"index": good[0]["index"], "score": good[0]["score"]}
    assert (found["front"], found["heat_map"]) == (None, None)


def test_only_the_parts_that_were_asked_for_are_there(dealer: Dealer, grid: str) -> None:
    found = analysis(dealer, grid, what=["heat_map"], x="slow_period", y="fast_period", statistic="best")
    drawn = found["heat_map"]
    assert (drawn["x"]["parameter"], len(drawn["rows"]), len(drawn["rows"][0])) == ("slow_period", 19, 11)
    assert max(value for row in drawn["rows"] for value in row if value is not None) == found["summary"]["best_score"]
    assert {name for name, value in found.items() if value is None} == {
        *("top", "bottom", "front", "importance", "effects", "correlations", "marginals"),
        *("convergence", "recommendation"),
    }


def test_replies_are_as_their_schemas_say(dealer: Dealer, grid: str) -> None:
    asked = {"optimization_id": grid, "format": "csv", "limit": 100}
    for message, data in (
        ("optimization.analyze", {"optimization_id": grid}),
        (
            "optimization.analyze",
            {"optimization_id": grid, "what": ["heat_map"], "x": "fast_period", "y": "slow_period"},
        ),
        ("optimization.compare", {"a": grid, "b": grid}),
        ("optimization.export", asked),
    ):
        told = dealer.data("schema.get", {"type": message})
        validator = Draft202012Validator({**told["messages"][message]["reply"], "definitions": told["definitions"]})
        validator.validate(dealer.data(message, data))


def test_a_target_to_be_minimized_is_told_in_its_own_values(dealer: Dealer) -> None:
    search = searched(dealer, optimization_target="max_drawdown")
    found, trials = analysis(dealer, search), trials_of(dealer, search)
    good = [t["metrics"]["max_drawdown"] for t in trials if t["eligible"]]
    assert (found["direction"], found["summary"]["best_score"]) == ("minimize", min(good))
    assert [each["value"] for each in found["top"]] == sorted(good)[:10]
    assert [each["value"] for each in found["bottom"]] == sorted(good, reverse=True)[:10]
    course = [value for value in found["convergence"]["best_so_far"] if value is not None]
    assert course == sorted(course, reverse=True)
    assert found["summary"]["quantiles"] == sorted(found["summary"]["quantiles"])
    best = [value for value in found["marginals"][0]["best"] if value is not None]
    assert min(best) == min(good)


def test_a_search_is_looked_at_by_another_metric(dealer: Dealer, grid: str) -> None:
    found, trials = analysis(dealer, grid, by="drawdown"), trials_of(dealer, grid)
    assert (found["score"], found["direction"]) == ("max_drawdown", "minimize")
    assert found["top"][0]["value"] == min(t["metrics"]["max_drawdown"] for t in trials if t["eligible"])


def test_what_is_recommended_can_be_sent_as_it_is(dealer: Dealer, grid: str) -> None:
    advice = analysis(dealer, grid, what=["recommendation"])["recommendation"]
    assert advice["narrow"]["size"] <= advice["box"]["size"] < advice["box"]["size_before"] == 19 * 11
    assert advice["request"]["param_ranges"] == advice["narrow"]["param_ranges"]
    for field in ("method", "max_iterations"):
        advice["request"].pop(field)
    again = searched(dealer, **advice["request"])
    n = len(trials_of(dealer, again))
    assert 0 < n <= advice["narrow"]["size"]
    compared = dealer.data("optimization.compare", {"a": grid, "b": again})["comparison"]
    assert compared["n_common"] == n
    assert (compared["n_better"], compared["n_worse"], compared["best_difference"]) == (0, 0, 0.0)
    assert compared["superiority"] > 0.8


def test_searches_with_different_targets_are_compared_by_a_metric(dealer: Dealer, grid: str) -> None:
    other = searched(dealer, optimization_target="total_return", constraints=["n_trades >= 30"])
    code, path, detail = refusal(dealer, "optimization.compare", {"a": grid, "b": other})
    assert (code, path, "give a metric" in detail) == ("invalid", "/data/by", True)
    found = dealer.data("optimization.compare", {"a": grid, "b": other, "by": "sharpe"})
    assert found["score"] == "sharpe"
    assert (found["a"]["optimization_id"], found["b"]["score"]) == (grid, "total_return")
    assert found["comparison"]["n_common"] == 191
    assert found["comparison"]["b"]["n_eligible"] < found["comparison"]["a"]["n_eligible"]


def test_several_targets_have_a_front_and_each_can_be_the_score(dealer: Dealer) -> None:
    search = searched(dealer, optimization_target=["sharpe", "drawdown"])
    found = analysis(dealer, search, what=["front", "ranking"])
    front = found["front"]
    pages = dealer.data("optimization.results", {"optimization_id": search, "front": True, "limit": 1000})["trials"]
    assert front["indices"] == [trial["index"] for trial in pages]
    assert front["values"] == [trial["scores"] for trial in pages]
    assert (
        front["params"][front["knee"]] == dealer.data("optimization.status", {"optimization_id": search})["best_params"]
    )
    second = analysis(dealer, search, what=["ranking"], target=1)
    assert (second["score"], second["direction"]) == ("max_drawdown", "minimize")
    assert second["top"][0]["value"] == min(trial["scores"][1] for trial in pages)
    assert refusal(dealer, "optimization.analyze", {"optimization_id": search, "target": 2})[:2] == (
        "invalid",
        "/data/target",
    )
    header = fetch(dealer, search, "csv")[0].decode().splitlines()[0]
    assert '"score.sharpe","score.max_drawdown"' in header


def test_several_symbols_are_one_search(dealer: Dealer) -> None:
    asked = {"symbol": None, "symbols": ["PLANTED/USDT", "BTC/USDT"], "timeframe": "1d", "aggregate": "minimum"}
    search = searched(dealer, **asked)
    found, trials = analysis(dealer, search), trials_of(dealer, search)
    assert found["symbols"] == asked["symbols"]
    assert found["top"][0]["value"] == max(t["metrics"]["sharpe"] for t in trials if t["eligible"])
    request = found["recommendation"]["request"]
    assert (request["symbols"], request["symbol"], request["aggregate"]) == (asked["symbols"], None, "minimum")
    assert len(trials_of(dealer, searched(dealer, **{**request, "method": "grid"}))) > 0


def test_without_an_eligible_trial_there_is_nothing_to_recommend(dealer: Dealer) -> None:
    search = searched(dealer, constraints=["n_trades >= 100000"])
    found = analysis(dealer, search)
    assert (found["summary"]["n_eligible"], found["summary"]["best"], found["top"]) == (0, None, [])
    assert found["summary"]["n_defined"] > 0
    recommended = found["recommendation"]
    assert (recommended["box"], recommended["narrow"], recommended["request"]) == (None, None, None)
    assert found["convergence"]["improvements"] == []
    assert len(found["importance"]) == 2


@pytest.mark.parametrize("kind", ["csv", "json", "parquet"])
def test_an_export_holds_every_trial(daemon: DaemonProcess, dealer: Dealer, grid: str, kind: str) -> None:
    trials = trials_of(dealer, grid)
    content, reply = fetch(dealer, grid, kind, limit=4096)
    assert (daemon.folder / reply["path"]).read_bytes() == content
    readers: dict[str, Callable[[bytes], list[dict[str, Any]]]] = {
        "csv": lambda text: list(csv.DictReader(io.StringIO(text.decode()))),
        "json": json.loads,
        "parquet": lambda text: pyarrow.parquet.read_table(io.BytesIO(text)).to_pylist(),
    }
    rows = readers[kind](content)
    assert [int(row["index"]) for row in rows] == [trial["index"] for trial in trials]
    for row, trial in zip(rows, trials, strict=True):
        assert (float(row["score"]) if row["score"] not in (None, "") else None) == trial["score"]
        value = row["metrics"]["sharpe"] if kind == "json" else row["metric.sharpe"]
        assert (float(value) if value not in (None, "") else None) == trial["metrics"]["sharpe"]
    if kind == "json":
        assert rows[7]["params"] == trials[7]["params"]
    else:
        assert int(rows[7]["param.slow_period"]) == trials[7]["params"]["slow_period"]


def test_an_export_can_be_made_without_sending_it(daemon: DaemonProcess, dealer: Dealer, grid: str) -> None:
    reply = dealer.data("optimization.export", {"optimization_id": grid, "limit": 0})
    assert (reply["content"], reply["next_offset"]) == ("", 0)
    assert (daemon.folder / reply["path"]).stat().st_size == reply["size"]


def test_pieces_of_what_is_not_there_are_refused(daemon: DaemonProcess, dealer: Dealer, grid: str) -> None:
    asked = {"optimization_id": grid, "format": "json"}
    unknown = {**asked, "version": "0" * 64}
    assert refusal(dealer, "optimization.export", unknown)[:2] == ("conflict", "/data/version")
    made = dealer.data("optimization.export", {**asked, "limit": 0})
    behind = {**asked, "version": made["version"], "offset": made["size"] + 1}
    assert refusal(dealer, "optimization.export", behind)[:2] == ("invalid", "/data/offset")
    outside = {**asked, "version": "../../../../../etc/passwd"}
    assert refusal(dealer, "optimization.export", outside)[:2] == ("invalid", "/data/version")
    assert len(list((daemon.folder / "exports").glob(f"{grid}-*.json"))) == 1


def counted(dealer: Dealer, search: dict[str, Any]) -> int:
    n: int = analysis(dealer, **search, what=["convergence"])["summary"]["n_trials"]
    return n


def test_a_search_is_looked_at_while_it_runs_and_each_time_anew(daemon: DaemonProcess, dealer: Dealer) -> None:
    asked = {**MARKET, "param_ranges": LONG, "method": "random", "max_iterations": 900_000, "symbol": "BTC/USDT"}
    search = {"optimization_id": dealer.data("optimization.start", asked)["optimization_id"]}
    try:
        wait_until(
            lambda: counted(dealer, search) > 0,
            60.0,
            lambda: "no trial is analysed",
        )
        first = analysis(dealer, **search, what=["convergence"])
        assert first["status"] == "running"
        content = fetch(dealer, search["optimization_id"], "csv")[0]
        assert content.count(b"\n") - 1 >= first["summary"]["n_trials"]
        wait_until(
            lambda: counted(dealer, search) > first["summary"]["n_trials"],
            60.0,
            lambda: "no further trial is analysed",
        )
    finally:
        dealer.data("optimization.cancel", search)
    wait_until(lambda: counted(dealer, search) == counted(dealer, search), 90.0, lambda: "it does not end")
    ended = analysis(dealer, **search, what=["convergence"])
    assert (ended["status"], analysis(dealer, **search, what=["convergence"])) == ("cancelled", ended)
    dealer.data("optimization.resume", search)
    wait_until(
        lambda: counted(dealer, search) > ended["summary"]["n_trials"],
        60.0,
        lambda: "what was kept of the first end is told of the resumed search",
    )
    dealer.data("optimization.cancel", search)
    assert dealer.until_done("optimization.status", search)["n_done"] > ended["summary"]["n_trials"]


def test_what_cannot_be_is_refused_with_its_field(dealer: Dealer, grid: str) -> None:
    def analyze(**asked: Any) -> tuple[str, str, str]:
        return refusal(dealer, "optimization.analyze", {"optimization_id": grid, **asked})

    assert analyze(optimization_id="opt-nowhere")[:2] == ("not_found", "/data/optimization_id")
    assert analyze(what=["front"])[:2] == ("invalid", "/data/what")
    assert analyze(what=["everything"])[:2] == ("invalid", "/data/what/0")
    assert analyze(what=["heat_map"], x="fast_period")[:2] == ("invalid", "/data/y")
    assert analyze(what=["heat_map"], x="fast_period", y="slow")[:2] == ("invalid", "/data/y")
    assert analyze(what=["heat_map"], x="fast_period", y="fast_period")[:2] == ("invalid", "/data/y")
    through = analyze(what=["heat_map"], x="fast_period", y="slow_period", through=191)
    assert through == ("invalid", "/data/through", "there is no trial 191; there are 191")
    assert analyze(by="dradown")[1:] == ("/data/by", "'dradown' is no metric; did you mean 'drawdown'?")
    assert analyze(by="omega")[:2] == ("invalid", "/data/by")
    for side in "ab":
        asked = {"a": grid, "b": grid, side: "opt-nowhere"}
        assert refusal(dealer, "optimization.compare", asked)[:2] == ("not_found", f"/data/{side}")
    asked = {"optimization_id": "opt-nowhere"}
    assert refusal(dealer, "optimization.export", asked)[:2] == ("not_found", "/data/optimization_id")
