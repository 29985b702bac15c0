"""`tunesmith optimize` with every method, target and rule, and going on with a search."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cli.command import read, run, said
from tunesmith.cli.demo.planted import planted_market

RULE = "ma_cross_v1.0"
SMALL = ("-r", "fast_period=2:20", "-r", "slow_period=25:60:5", "-r", "signal_threshold=0")
LONG = ("--method", "random", "--iterations", "900000", "-r", "signal_threshold=0:0.1")
FRONT = ("--target", "sharpe", "--target", "max_drawdown")
STAGES = """
[[stages]]
name = "fast"
params = {fast_period = "2:20"}
[[stages]]
name = "slow"
params = {slow_period = "25:60:5"}
"""


@pytest.fixture(scope="module")
def front(folder: Path) -> dict[str, Any]:
    """A finished search for two targets."""
    found: dict[str, Any] = read(
        *("optimize", "PLANTED/USDT", RULE, *SMALL, *FRONT, "--method", "nsga2", "--iterations", "60"),
        *("--option", "population=20", "--watch", "--data-dir", folder),
    )
    return found


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("grid", ("--option", "every=10")),
        ("latin_hypercube", ()),
        ("gaussian_process", ("--option", "acquisition=ucb", "--option", "n_initial=10")),
        ("tpe", ("--target", '{"sharpe": 1, "max_drawdown": -2}')),
        ("genetic", ("--target", "freqtrade:SharpeHyperOptLossDaily", "--option", "population=10")),
        ("zoom", ("--target", "profit_factor * sharpe", "--condition", "3 * fast_period < slow_period")),
    ],
)
def test_methods_take_their_options(folder: Path, method: str, options: tuple[str, ...]) -> None:
    done = run(
        *("optimize", "PLANTED/USDT", RULE, *SMALL, "--method", method, "--iterations", "30", *options),
        *("--watch", "--data-dir", folder),
    )
    assert done.returncode == 0, done.stderr
    assert f" of {16 if method == 'grid' else 30}, {method.replace('_', ' ')}" in done.stdout
    assert "best " in done.stdout


def test_stages_come_from_a_file(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "stages.toml"
    file.write_text(STAGES)
    started = read(
        *("optimize", "PLANTED/USDT", RULE, "--method", "staged", "--stages", file, "--option", "passes=1"),
        *("-r", "signal_threshold=0", "-r", "fast_period=2:20", "-r", "slow_period=25:60:5", "--data-dir", folder),
    )
    assert started["method"] == "staged"


def test_auto_says_which_method_it_chose_and_why(folder: Path) -> None:
    done = run("optimize", "PLANTED/USDT", RULE, *SMALL, "--data-dir", folder)
    assert "grid search, 152 trials" in done.stdout
    assert "All 152 points are tried" in said(done)
    assert "It trades long only, fee 0.001 of an order, slippage 0, start capital 10,000." in said(done)


def test_a_search_ends_early_by_a_rule_and_says_by_which(folder: Path) -> None:
    done = run(
        *("optimize", "PLANTED/USDT", RULE, *SMALL, "--method", "random", "--iterations", "150", "--watch"),
        *("--stop", "target=-5", "--stop", "batch=20", "--data-dir", folder),
    )
    assert done.returncode == 0, done.stderr
    assert "20 of " in done.stdout
    assert "stopped by" in done.stdout
    assert "target" in done.stdout


def test_a_front_is_shown_alone_and_by_its_targets(front: dict[str, Any], folder: Path) -> None:
    shown = run("results", front["optimization_id"], "--front", "--limit", "3", "--data-dir", folder)
    assert "trials of the Pareto front" in said(shown)
    assert "Targets: 1 sharpe; 2 max_drawdown." in said(shown)
    trials = read("results", front["optimization_id"], "--front", "--data-dir", folder)["trials"]
    points = [(trial["metrics"]["sharpe"], -trial["metrics"]["max_drawdown"]) for trial in trials]
    assert not any(a != b and a[0] >= b[0] and a[1] >= b[1] for a in points for b in points)


def test_a_search_starts_from_the_best_of_an_earlier_one(front: dict[str, Any], folder: Path) -> None:
    again = read(
        *("optimize", "PLANTED/USDT", RULE, *SMALL, "--method", "genetic", "--iterations", "20", "--watch"),
        *("--warm-start", front["optimization_id"], "--data-dir", folder),
    )
    first = read("results", again["optimization_id"], "--sort", "index", "--limit", "1", "--data-dir", folder)
    earlier = read("results", front["optimization_id"], "--limit", "50", "--data-dir", folder)["trials"]
    assert first["trials"][0]["params"] in [trial["params"] for trial in earlier]


def test_several_markets_are_searched_for_one_set_of_parameters(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.csv"
    other.write_text(planted_market(n_bars=2000, seed=7))
    read(
        "data", "import", other, "--symbol", "OTHER/USDT", "--timeframe", "1d", "--venue", "demo", "--data-dir", folder
    )
    found = read(
        *("optimize", "PLANTED/USDT,OTHER/USDT", RULE, *SMALL, "--method", "random", "--iterations", "10"),
        *("--aggregate", "minimum", "--watch", "--data-dir", folder),
    )
    [trial] = read("results", found["optimization_id"], "--limit", "1", "--data-dir", folder)["trials"]
    each = [trial["by_symbol"][symbol]["sharpe"] for symbol in ("PLANTED/USDT", "OTHER/USDT")]
    assert trial["metrics"]["sharpe"] == min(each)


def test_a_cancelled_search_goes_on(folder: Path) -> None:
    task_id = read("optimize", "BTC/USDT", RULE, *LONG, "--data-dir", folder)["optimization_id"]
    assert run("cancel", task_id, "--data-dir", folder).returncode == 0
    assert f"tunesmith resume {task_id}" in run("status", task_id, "--data-dir", folder).stdout
    again = run("resume", task_id, "--data-dir", folder)
    assert (again.returncode, f"{task_id} goes on" in again.stdout) == (0, True)
    refused = run("resume", task_id, "--data-dir", folder)
    assert (refused.returncode, "only one that was cancelled or failed" in said(refused)) == (1, True)
    assert run("cancel", task_id, "--data-dir", folder).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("--target", "{sharpe: 1}"), 2, "is not JSON; weights look like"),
        (("--target", "sharp * 2"), 1, "did you mean 'sharpe'"),
        (("--constraint", "trades > 3"), 1, "--constraint"),
        (("--condition", "fast < slow"), 1, "--condition"),
        (("--method", "genetic", "--option", "populaton=50"), 2, "did you mean population?"),
        (("--method", "grid", "--option", "every=x"), 1, "--option every: it must be a whole number"),
        (("--stop", "time_budget=60"), 2, "did you mean time_budget_s?"),
        (("--method", "genetic", "--option", "population"), 2, "such as population=50"),
        (("--method", "genetic", "--option", "xi=1"), 1, "--option xi: genetic has no such option"),
        (("--stop", "patience=0"), 1, "--stop patience: it must be at least 1"),
        (("--stop", "batch=5"), 1, "give at least one of patience, target and time_budget_s"),
        (("--warm-start", "opt-0"), 1, "tunesmith status"),
        (("--stages", "absent.toml"), 1, "cannot read absent.toml"),
    ],
)
def test_what_is_wrong_is_said_in_the_options_words(
    folder: Path, arguments: tuple[str, ...], code: int, says: str
) -> None:
    refused = run("optimize", "PLANTED/USDT", RULE, *arguments, "--data-dir", folder)
    assert (refused.returncode, says in said(refused)) == (code, True), said(refused)
    assert refused.stdout == ""


@pytest.mark.parametrize(
    ("task_id", "says"), [("bt-0", "is a backtest"), ("session_0", "session execute session_0 --resume")]
)
def test_only_searches_are_resumed(folder: Path, task_id: str, says: str) -> None:
    refused = run("resume", task_id, "--data-dir", folder)
    assert (refused.returncode, says in said(refused)) == (1, True)
