"""`tunesmith analyze`, `compare` and `export` against a real daemon, and the pictures and commands that they print."""

from __future__ import annotations

import csv
import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from cli.command import WIDTH, read, run, said
from tunesmith.cli.pictures import bar, curve, shades
from tunesmith.cli.range_text import parse_range
from tunesmith.cli.search.next_search import command_of, range_text
from tunesmith.domain.search.findings import COST_OF_SEARCHING_ON

RULE = "ma_cross_v1.0"
EDGE = ("-r", "fast_period=2:20", "-r", "slow_period=10:60:5", "-r", "signal_threshold=0.0", "--method", "grid")


@pytest.fixture(scope="module")
def search(folder: Path) -> str:
    """A finished search of the planted market."""
    found = read("optimize", "PLANTED/USDT", RULE, *EDGE, "--watch", "--data-dir", folder)
    optimization_id: str = found["optimization_id"]
    return optimization_id


@pytest.fixture(scope="module")
def lowest(folder: Path) -> str:
    """A finished search for the smallest drawdown."""
    how = (*EDGE, "--target", "drawdown", "--constraint", "n_trades >= 20")
    optimization_id: str = read("optimize", "PLANTED/USDT", RULE, *how, "--watch", "--data-dir", folder)[
        "optimization_id"
    ]
    return optimization_id


def commands_in(text: str) -> list[list[str]]:
    """The commands in what was printed, their lines joined."""
    joined = text.replace("\\\n", " ")
    return [shlex.split(line)[1:] for line in joined.splitlines() if line.startswith("tunesmith optimize")]


def test_an_analysis_shows_what_mattered_and_the_next_search_runs_as_it_stands(search: str, folder: Path) -> None:
    shown = run("analyze", search, "--map", "fast_period,slow_period", "--data-dir", folder)
    assert shown.returncode == 0, shown.stderr
    found = read("analyze", search, "--data-dir", folder)
    for part in (
        "191, of which",
        "sharpe, to be maximized",
        "What matters",
        "Mean score along each parameter",
        "slow_period down, fast_period across (2 to 20)",
        "best so far",
        f"{found['importance'][0]['share']:.0%}",
        f"{found['summary']['best_score']:.2f}",
    ):
        assert part in shown.stdout
    assert found["recommendation"]["cost"] == COST_OF_SEARCHING_ON
    assert COST_OF_SEARCHING_ON in " ".join(shown.stdout.split())
    [command] = commands_in(shown.stdout)
    again = read(*command, "--watch", "--data-dir", folder)
    narrow = found["recommendation"]["narrow"]
    assert (again["status"], again["best_score"]) == ("completed", found["summary"]["best_score"])
    assert 0 < again["n_done"] <= narrow["size"]


def test_the_command_of_a_search_with_everything_means_the_same_request(lowest: str, folder: Path) -> None:
    request = read("analyze", lowest, "--data-dir", folder)["recommendation"]["request"]
    [command] = commands_in(run("analyze", lowest, "--data-dir", folder).stdout)
    again = read(*command, "--watch", "--data-dir", folder)["optimization_id"]
    other = read("analyze", again, "--data-dir", folder)["recommendation"]["request"]
    same = ("symbol", "strategy_id", "constraints", "start_date", "end_date", "costs", "fill", "timeframe", "venue")
    assert {name: other[name] for name in same} == {name: request[name] for name in same}
    assert other["optimization_target"] == "drawdown"
    assert "n_trades >= 20" in request["constraints"]


def test_two_searches_stand_side_by_side(search: str, lowest: str, folder: Path) -> None:
    refused = run("compare", search, lowest, "--data-dir", folder)
    assert (refused.returncode, "give a metric to compare them by" in said(refused)) == (1, True)
    shown = run("compare", search, lowest, "--by", "sharpe", "--data-dir", folder)
    assert shown.returncode == 0
    for part in (search, lowest, "191 points were tried in both: 0 are better in B, 0 are worse", "long only"):
        assert part in said(shown)
    compared = read("compare", search, lowest, "--by", "sharpe", "--data-dir", folder)
    assert compared["comparison"]["n_common"] == 191
    assert [(side["direction"], side["initial_cash"]) for side in (compared["a"], compared["b"])] == [("long", 1e4)] * 2


def test_an_export_is_a_file_in_the_form_of_its_name(search: str, folder: Path, tmp_path: Path) -> None:
    for name, form in (("a.csv", None), ("b.json", None), ("c.parquet", None), ("d", None), ("e.txt", "json")):
        options = ("--format", form) if form else ()
        done = run("export", search, "--output", tmp_path / name, *options, "--data-dir", folder)
        assert (done.returncode, name in said(done)) == (0, True)
    rows = list(csv.DictReader((tmp_path / "a.csv").read_text().splitlines()))
    assert len(rows) == 191
    assert (tmp_path / "d").read_bytes() == (tmp_path / "a.csv").read_bytes()
    assert json.loads((tmp_path / "b.json").read_text()) == json.loads((tmp_path / "e.txt").read_text())
    assert (tmp_path / "c.parquet").read_bytes()[:4] == b"PAR1"
    assert {file.name for file in tmp_path.iterdir()} == {"a.csv", "b.json", "c.parquet", "d", "e.txt"}
    told = read("export", search, "-o", tmp_path / "a.csv", "--data-dir", folder)
    assert (told["size"], told["format"]) == ((tmp_path / "a.csv").stat().st_size, "csv")


def test_a_search_in_which_nothing_is_eligible_is_told_so(folder: Path) -> None:
    how = (*EDGE, "--constraint", "n_trades >= 100000", "--watch")
    search = read("optimize", "PLANTED/USDT", RULE, *how, "--data-dir", folder)["optimization_id"]
    shown = run("analyze", search, "--data-dir", folder)
    assert shown.returncode == 0
    assert "No trial is eligible" in said(shown)
    assert commands_in(shown.stdout) == []
    assert "nothing to compare" in said(run("compare", search, search, "--data-dir", folder))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("analyze", "opt-nowhere"), "there is no optimization 'opt-nowhere'"),
        (("analyze", "bt-1"), "bt-1 is a backtest"),
        (("analyze", "{search}", "--map", "fast_period,fast"), "there is no parameter 'fast'"),
        (("analyze", "{search}", "--by", "sharp"), "did you mean 'sharpe'"),
        (("analyze", "{search}", "--target", "2"), "the search has 1 target"),
        (("compare", "{search}", "vd-1"), "vd-1 is a verdict"),
        (("export", "{search}", "-o", "/nowhere/x.csv"), "cannot write /nowhere/x.csv"),
    ],
)
def test_what_cannot_be_is_refused(arguments: tuple[str, ...], says: str, search: str, folder: Path) -> None:
    refused = run(*(each.format(search=search) for each in arguments), "--data-dir", folder)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert says in said(refused)


def test_pictures_show_the_least_the_most_and_nothing() -> None:
    assert [bar(share, 10) for share in (0.0, 0.001, 0.5, 1.0)] == ["", "█", "█" * 5, "█" * 10]
    assert curve([0.0, 7.0, None, 3.5, 7.0]) == "▁█·▅█"
    assert curve([2.0, 2.0]) == "▄▄"
    assert curve([None, None]) == "··"
    assert curve([]) == ""
    assert len(curve(list(range(100)), 24)) == 24
    assert curve(list(range(100)), 24)[0] + curve(list(range(100)), 24)[-1] == "▁█"
    assert shades([[1.0, 2.0], [None, 4.0]], minimized=False) == ["░▒", "·█"]
    assert shades([[1.0, 2.0], [None, 4.0]], minimized=True) == ["█▓", "·░"]
    assert shades([], minimized=False) == []


@pytest.mark.parametrize(
    "given",
    [
        {"min": 5.0, "max": 60.0, "step": 5.0},
        {"min": 5.0, "max": 60.0},
        {"min": 1e-4, "max": 0.1, "log": True},
        {"min": 0.1, "max": 0.30000000000000004, "step": 0.1},
        [1, 2.5],
        ["a", "b"],
        ["1", "true", "a,b", "a:b", "1e3", "it's", " x"],
        "1",
        [True, False],
        3,
        0.03439583184771313,
        "ema",
        True,
    ],
)
def test_a_range_as_text_is_read_as_the_same_range(given: Any) -> None:
    assert parse_range("x", range_text(given)) == given


def test_a_command_that_is_wider_than_the_terminal_is_broken_between_options(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(WIDTH))
    request: dict[str, Any] = {
        "symbol": None,
        "symbols": ["A/B", "C/D"],
        "strategy_id": "s",
        "param_ranges": {f"parameter_{i}": {"min": 1, "max": 9} for i in range(4)},
        "optimization_target": ["sharpe", {"sharpe": 0.5, "max_drawdown": -0.2}],
        "constraints": ["n_trades >= 30"],
        "conditions": ["parameter_0 < parameter_1"],
        "stop": {"patience": 3, "target": None, "time_budget_s": None, "batch": 500},
        "aggregate": "median",
        "max_iterations": 500,
        "seed": 3,
        "timeframe": "1h",
        "venue": "demo",
        "start_date": "2024-01-01T00:00:00.000Z",
        "end_date": "2024-03-01T00:00:00.000Z",
        "costs": {"fee_rate": 0.0, "slippage_rate": 0.0005, "fixed_fee": 1.5},
        "direction": "both",
        "fill": "close",
        "engine": "tunesmith",
        "initial_cash": 5000.0,
    }
    text = command_of(request)
    assert max(map(len, text.splitlines())) <= WIDTH
    words = shlex.split(text.replace("\\\n", " "))
    assert words[:4] == ["tunesmith", "optimize", "A/B,C/D", "s"]
    for option, value in (
        ("--target", '{"sharpe": 0.5, "max_drawdown": -0.2}'),
        ("--condition", "parameter_0 < parameter_1"),
        ("--stop", "patience=3"),
        ("--start", "2024-01-01"),
        ("--end", "2024-02-29"),
        ("--fee", "0.0"),
        ("--fixed-fee", "1.5"),
        ("--aggregate", "median"),
        ("--direction", "both"),
        ("--cash", "5000"),
    ):
        assert value in [words[i + 1] for i, word in enumerate(words) if word == option]
    assert not re.search(r"--engine|None", text)
