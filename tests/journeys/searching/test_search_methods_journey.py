"""Every search method through a daemon: the library's trials to the bit, whatever stops it and whoever computes."""

from __future__ import annotations

import math
import random
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq

import tunesmith as ts
from benchmarks.session_kills import run
from journeys.conftest import SAMPLE, import_markets
from journeys.daemon import DaemonProcess, Dealer, wait_until
from journeys.session_scenes import LONG, SMALL_CHUNKS
from tunesmith.domain.parameters import decode_point
from tunesmith.domain.search.methods import MethodOptions, Stage
from tunesmith.domain.search.stop_rules import StopRules
from tunesmith.notebook.study import Study

RANGES: dict[str, Any] = {
    "fast_period": {"min": 2, "max": 40},
    "slow_period": {"min": 10, "max": 120, "step": 2},
    "signal_threshold": {"min": 0.0, "max": 0.02},
}
STAGES = [{"name": "lines", "params": {"fast_period": RANGES["fast_period"], "slow_period": RANGES["slow_period"]}}]
STAGES += [{"name": "threshold", "params": {"signal_threshold": RANGES["signal_threshold"]}}]
METHODS: dict[str, dict[str, Any]] = {
    "grid": {
        "param_ranges": {"fast_period": [3, 8, 20], "slow_period": RANGES["slow_period"], "signal_threshold": 0.0}
    },
    "random": {},
    "latin_hypercube": {},
    "sobol": {},
    "tpe": {"max_iterations": 40, "options": {"batch": 5, "n_initial": 15}},
    "gaussian_process": {"max_iterations": 30, "options": {"batch": 5, "n_initial": 15}},
    "genetic": {"options": {"population": 12}},
    "nsga2": {"options": {"population": 12}, "optimization_target": ["sharpe", "drawdown"]},
    "staged": {"options": {"stages": STAGES}},
    "zoom": {"options": {"n_initial": 30, "rounds": 3}},
    "auto": {"max_iterations": 500},
}
MANY = {
    "param_ranges": {
        "fast_period": {"min": 2, "max": 20},
        "slow_period": RANGES["slow_period"],
        "signal_threshold": 0.0,
    },
    "constraints": ["n_trades >= 3"],
}
SESSION = {**LONG, "size": 600, "mode": "random", "strategies": ["ma_cross_v1.0", "rsi_reversion"]}


def request_of(method: str, **more: Any) -> dict[str, Any]:
    """What is asked of daemon and library alike."""
    asked = {"param_ranges": RANGES, "max_iterations": 70, "method": method, "seed": 11, **METHODS[method], **more}
    return {"optimization_target": "sharpe", **asked}


def start(dealer: Dealer, request: dict[str, Any]) -> dict[str, Any]:
    return dealer.data("optimization.start", {"symbol": "BTC/USDT", "strategy_id": "ma_cross_v1.0", **request})


def finished(dealer: Dealer, request: dict[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The status and the trials of a search that has ended."""
    started = start(dealer, request)
    return ended(dealer, started["optimization_id"])


def ended(dealer: Dealer, task_id: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    status = dealer.until_done("optimization.status", {"optimization_id": task_id})
    assert status["status"] == "completed", status["error"]
    found: list[dict[str, Any]] = []
    while len(found) < status["n_done"]:
        asked = {"optimization_id": task_id, "sort": "index", "limit": 1000, "offset": len(found)}
        found += dealer.data("optimization.results", asked)["trials"]
    told = ("n_trials", "n_done", "n_failed", "stopped_by", "best_params", "best_score")
    return {name: status[name] for name in told}, found


@pytest.fixture(scope="module")
def bars() -> ts.Bars:
    return ts.Bars.read(SAMPLE, symbol="BTC/USDT", timeframe="1h", venue="demo")


def params_of(study: Study, i: int) -> dict[str, Any]:
    return decode_point(study.strategy.parameters, study.points[i])


@pytest.mark.parametrize("method", METHODS)
def test_the_daemon_makes_the_trials_of_the_library(dealer: Dealer, bars: ts.Bars, method: str) -> None:
    request = request_of(method)
    options = dict(request.get("options", {}))
    if "stages" in options:
        options["stages"] = [Stage(**stage) for stage in options["stages"]]
    study = ts.optimize(
        ts.strategy("ma_cross_v1.0"),
        bars,
        request["param_ranges"],
        target=request["optimization_target"],
        method=method,
        options=MethodOptions(**options),
        max_iterations=request["max_iterations"],
        seed=request["seed"],
    )
    status, trials = finished(dealer, request)
    assert status["n_done"] == status["n_trials"] == len(trials) == len(study.points)
    for i, trial in enumerate(trials):
        assert trial["params"] == params_of(study, i), i
        assert trial["eligible"] == bool(study.outcome.found.eligible[i])
        for name, value in trial["metrics"].items():
            expected = float(study.outcome.found.metrics[name][i])
            assert value == (expected if math.isfinite(expected) else None), (i, name)
        first = float(study.outcome.found.values[i, 0])
        assert trial["score"] == (first if math.isfinite(first) else None)
    if method != "nsga2":
        assert status["best_params"] == study.best_params


@pytest.fixture
def own_daemon(tmp_path: Path) -> Iterator[DaemonProcess]:
    import_markets(tmp_path)
    made = DaemonProcess(tmp_path, SMALL_CHUNKS)
    made.start()
    yield made
    made.stop()


def test_a_kill_at_any_moment_changes_nothing(own_daemon: DaemonProcess, context: zmq.Context[Any]) -> None:
    """For a method whose trials are all known beforehand, and for one that learns."""
    seed = secrets.randbelow(2**31)
    print(f"seed {seed}")
    draw = random.Random(seed)
    for request in (
        {"method": "grid", **MANY, "stop": {"batch": 20, "patience": 5}},
        {"method": "genetic", "max_iterations": 300, "options": {"population": 20}, **MANY},
    ):
        with Dealer(context, own_daemon.doors["requests"]) as dealer:
            whole = finished(dealer, request)
            task_id = start(dealer, request)["optimization_id"]
            at_least = draw.randrange(1, whole[0]["n_trials"] - 100)
            wait_until(
                lambda task_id=task_id, n=at_least, dealer=dealer: (
                    dealer.data("optimization.status", {"optimization_id": task_id})["n_done"] >= n
                ),
                60.0,
                lambda: f"it did not begin (seed {seed})",
            )
            own_daemon.kill()
        own_daemon.start()
        with Dealer(context, own_daemon.doors["requests"]) as dealer:
            assert ended(dealer, task_id) == whole, f"seed {seed}"


def test_any_number_of_workers_makes_the_same_trials(own_daemon: DaemonProcess, context: zmq.Context[Any]) -> None:
    stop = {"batch": 60, "patience": 4}
    searches = [
        {"method": "latin_hypercube", "max_iterations": 900, **MANY, "stop": stop},
        {"method": "genetic", "max_iterations": 200, "options": {"population": 20}, **MANY, "stop": stop},
    ]
    with Dealer(context, own_daemon.doors["requests"]) as dealer:
        tables = []
        for n_workers in (1, 2, 3):
            dealer.data("workers.resize", {"count": n_workers})
            wait_until(lambda n=n_workers: n_ready(dealer) == n, 60.0, lambda: "the workers did not come")
            tables.append([finished(dealer, request) for request in searches])
    assert tables[0] == tables[1] == tables[2]
    assert tables[0][0][0]["stopped_by"] == "no_improvement"


def n_ready(dealer: Dealer) -> int:
    found: int = dealer.data("server.info", {})["workers"]["ready"]
    return found


def test_an_early_end_of_the_library_is_the_daemons(dealer: Dealer, bars: ts.Bars) -> None:
    request = request_of("random", max_iterations=800, stop={"batch": 40, "patience": 3})
    study = ts.optimize(
        ts.strategy("ma_cross_v1.0"),
        bars,
        RANGES,
        method="random",
        max_iterations=800,
        seed=11,
        stop=StopRules(batch=40, patience=3),
    )
    status, trials = finished(dealer, request)
    assert (status["stopped_by"], status["n_trials"]) == (study.outcome.stopped_by, len(study.points))
    assert [trial["params"] for trial in trials] == [params_of(study, i) for i in range(len(study.points))]


def test_a_session_killed_again_and_again_ends_as_one_left_alone(tmp_path: Path) -> None:
    seed = secrets.randbelow(2**31)
    draw = random.Random(seed)
    for name in ("whole", "killed"):
        (tmp_path / name).mkdir()
    whole = run(tmp_path / "whole", 2, [], SESSION)
    moments = [draw.uniform(0.0, whole.seconds / 3) for _ in range(2)]
    killed = run(tmp_path / "killed", 3, moments, SESSION)
    assert killed.n_kills > 0
    assert (killed.status, killed.table) == ("completed", whole.table), f"seed {seed}"
