"""The commands that talk to a daemon, each right and wrong, as a new user would type them."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from cli.command import COMMAND, environment, listen_to_ctrl_c, read, run, said
from journeys.daemon import wait_until
from journeys.edges import plant

RULE = "ma_cross_v1.0"
EDGE = ("-r", "fast_period=2:20", "-r", "slow_period=10:60:5", "-r", "signal_threshold=0.0", "--method", "grid")
APPROVED = ("--watch", "--approve", "--accept-old-data")
LONG = ("--method", "random", "--iterations", "900000", "-r", "signal_threshold=0:0.1")


@pytest.fixture(scope="module")
def search(folder: Path) -> dict[str, Any]:
    """A finished search of the planted market that went on to an approval: --watch --approve --json."""
    found: dict[str, Any] = read("optimize", "PLANTED/USDT", RULE, *EDGE, *APPROVED, "--data-dir", folder)
    return found


def test_a_watched_search_ends_with_its_result_and_its_verdict(search: dict[str, Any], folder: Path) -> None:
    assert (search["status"], search["n_done"], search["verdict"]["approved"]) == ("completed", 191, True)
    shown = run("status", search["optimization_id"], "--watch", "--data-dir", folder)
    assert shown.returncode == 0
    assert "191 of 191, grid" in shown.stdout
    assert "approved" in shown.stdout
    assert f"tunesmith results {search['optimization_id']}" in shown.stdout


def test_a_search_that_is_not_watched_says_how_to_follow_it(folder: Path) -> None:
    started = run("optimize", "PLANTED/USDT", RULE, *EDGE, "--data-dir", folder)
    assert started.returncode == 0
    [task_id] = re.findall(r"tunesmith status (opt-\w+) --watch", started.stdout)
    assert "grid search, 191 trials" in started.stdout
    assert "hold-out" in started.stdout
    followed = run("status", task_id, "--watch", "--data-dir", folder)
    assert (followed.returncode, "completed" in followed.stdout) == (0, True)


def test_results_are_a_table_sorted_by_the_metric_that_was_asked_for(search: dict[str, Any], folder: Path) -> None:
    task_id = search["optimization_id"]
    shown = run("results", task_id, "--limit", "3", "--data-dir", folder)
    assert "1 to 3 of 191 trials, by sharpe" in shown.stdout
    assert f" {search['best_score']:.2f} " in shown.stdout
    trials = read("results", task_id, "--sort", "max_drawdown", "--limit", "5", "--data-dir", folder)["trials"]
    drawdowns = [trial["metrics"]["max_drawdown"] for trial in trials]
    assert drawdowns == sorted(drawdowns)
    refused = run("results", task_id, "--sort", "sharp", "--data-dir", folder)
    assert (refused.returncode, "'sharp' is no metric; there are total_return" in said(refused)) == (1, True)


def test_tasks_are_listed_and_their_logs_shown(search: dict[str, Any], folder: Path) -> None:
    listed = run("status", "--data-dir", folder)
    assert search["optimization_id"] in listed.stdout
    assert search["verdict_id"] in listed.stdout
    lines = run("logs", search["optimization_id"], "--data-dir", folder).stdout
    assert "grid: 191 trials" in lines
    followed = run("logs", search["optimization_id"], "--follow", "--json", "--data-dir", folder).stdout
    numbers = [json.loads(line)["n"] for line in followed.splitlines()]
    assert numbers == sorted(set(numbers))
    assert len(numbers) == len(lines.splitlines())


def test_a_backtest_shows_its_report(folder: Path) -> None:
    shown = run("backtest", "BTC/USDT", RULE, "-p", "fast_period=10", "--data-dir", folder)
    assert shown.returncode == 0, shown.stderr
    for part in ("fast_period 10, slow_period 20", "2024-01-01", "sharpe", "max drawdown", "tunesmith approve bt-"):
        assert part in shown.stdout
    report = read("backtest", "BTC/USDT", RULE, "--start", "2024-02-01", "--end", "2024-02-29", "--data-dir", folder)
    assert (report["start_date"][:10], report["end_date"][:10]) == ("2024-02-01", "2024-03-01")
    again = run("results", report["task_id"], "--data-dir", folder)
    assert report["report_id"] in again.stdout
    looked = read("backtest", "BTC/USDT", RULE, "--holdout", "--data-dir", folder)
    assert looked["used_holdout"] is True


def test_a_verdict_that_is_no_approval_has_an_exit_code_of_its_own(search: dict[str, Any], folder: Path) -> None:
    refused = run("approve", search["optimization_id"], "--min-sharpe", "50", "--accept-old-data", "--data-dir", folder)
    assert refused.returncode == 4
    assert "rejected" in refused.stdout
    assert "not met" in refused.stdout
    [verdict_id] = re.findall(r"\((vd-\w+)\)", refused.stdout)
    assert run("status", verdict_id, "--data-dir", folder).returncode == 4
    approved = run("approve", search["optimization_id"], "--accept-old-data", "--data-dir", folder)
    assert (approved.returncode, "verdict  approved" in approved.stdout) == (0, True)
    assert "grade    tested" in approved.stdout
    assert "p at most 0.05" in said(approved)
    assert "hidden" not in approved.stdout


def test_a_search_that_is_no_better_than_the_package_in_force_is_refused_without_the_holdouts_numbers(
    search: dict[str, Any], folder: Path
) -> None:
    again = run("optimize", "PLANTED/USDT", RULE, *EDGE, *APPROVED, "--data-dir", folder)
    assert again.returncode == 4
    assert "each look answers one bit" in said(again)
    holdout = [line.split() for line in again.stdout.splitlines() if " holdout  " in line]
    assert len(holdout) == 1
    assert "hidden" in holdout[0]


def test_packages_are_listed_shown_by_their_first_characters_heard_and_revoked(folder: Path) -> None:
    symbol = plant(folder)
    made = read("optimize", symbol, RULE, *EDGE, *APPROVED, "--data-dir", folder)
    assert made["verdict"]["grade"] == "tested"
    package_id = made["verdict"]["parameter_package"]["package_id"]
    listed = run("packages", "list", "--symbol", symbol, "--in-force", "--data-dir", folder)
    assert package_id[:12] in listed.stdout
    shown = run("packages", "show", package_id[:12], "--data-dir", folder)
    for words in (
        package_id,
        "in force",
        "held out from",
        "long ago and accepted",
        "no funding",
        "1 search counted as",
    ):
        assert words in said(shown), shown.stdout
    heard = run("listen", symbol, "--count", "1", "--timeout", "20", "--data-dir", folder)
    assert (heard.returncode, package_id[:12] in heard.stdout) == (0, True)
    assert "for the grades criteria, tested, proven" in said(heard)
    revoked = run("packages", "revoke", package_id[:12], "--reason", "a trial", "--data-dir", folder)
    assert (revoked.returncode, "is revoked" in revoked.stdout) == (0, True)
    assert run("packages", "revoke", package_id, "--data-dir", folder).returncode == 1
    assert "revoked: a trial" in run("packages", "show", package_id, "--data-dir", folder).stdout
    [event] = run(
        "listen", symbol, "--count", "1", "--timeout", "20", "--json", "--data-dir", folder
    ).stdout.splitlines()
    assert (json.loads(event)["kind"], json.loads(event)["reason"]) == ("revoked", "a trial")
    silent = run("listen", "PLANTD/USDT", "--timeout", "0.3", "--data-dir", folder)
    assert (silent.returncode, "did you mean PLANTED/USDT" in said(silent)) == (1, True)


def test_strategies_are_listed_shown_and_added(folder: Path, tmp_path: Path) -> None:
    listed = run("strategies", "list", "--data-dir", folder)
    assert RULE in listed.stdout
    shown = run("strategies", "show", RULE, "--data-dir", folder)
    for part in ("fast_period", "2 to 100", "--code"):
        assert part in shown.stdout
    mine = tmp_path / "mine.rule"
    mine.write_text(run("strategies", "show", RULE, "--code", "--data-dir", folder).stdout)
    added = run("strategies", "add", mine, "--data-dir", folder)
    assert (added.returncode, added.stdout.startswith("mine 1.0: fast_period")) == (0, True)
    again = run("strategies", "add", mine, "--data-dir", folder)
    assert (again.returncode, "--update --version" in again.stderr) == (1, True)
    updated = run("strategies", "add", mine, "--update", "--version", "1.1", "--data-dir", folder)
    assert updated.stdout.startswith("mine 1.1")
    mine.write_text("enter_long(crossd_above(close, sma(close, 5)))")
    wrong = run("strategies", "add", mine, "--id", "other", "--data-dir", folder)
    assert wrong.returncode == 1
    assert "line 1, column 12" in said(wrong)
    assert "did you mean 'crossed_above'?" in said(wrong)


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("backtest", "BTC/USD", RULE), 1, "did you mean BTC/USDT"),
        (("backtest", "BTC/USD", RULE), 1, "tunesmith data list"),
        (("backtest", "BTC/USDT", "ma_cros"), 1, "did you mean 'ma_cross_v1.0'? `tunesmith strategies list`"),
        (("backtest", "BTC/USDT", RULE, "-p", "fast_perod=3"), 1, "did you mean 'fast_period'"),
        (("backtest", "BTC/USDT", RULE, "-p", "fast_period"), 2, "is not NAME=VALUE, such as fast_period=5"),
        (("backtest", "BTC/USDT", RULE, "-p", "fast_period=x"), 1, "tunesmith: --param fast_period: 'x' is not a"),
        (("backtest", "BTC/USDT", RULE, "--start", "2031-01-01"), 1, "outside the data"),
        (
            ("backtest", "BTC/USDT", RULE, "--timeframe", "7x"),
            1,
            "timeframe: it must look like 5m, 1h or 1d",
        ),
        (("backtest", "BTC/USDT", RULE, "--fee", "2"), 1, "tunesmith: --fee: it must be below 0.5"),
        (("backtest", "BTC/USDT", RULE, "--fixed-fee", "-1"), 1, "tunesmith: --fixed-fee: it must be at least 0"),
        (("optimize", "BTC/USDT", RULE, "-r", "fast_period=60:5"), 1, "min 60 is above max 5"),
        (("optimize", "BTC/USDT", RULE, "-r", "fast_period=a:5"), 2, "MIN:MAX"),
        (("optimize", "BTC/USDT", RULE, "-r", "fast_period=5-60"), 1, "is not a number A range is MIN:MAX"),
        (("optimize", "BTC/USDT", RULE, "-r", "fast_period"), 2, "is not NAME=RANGE, such as fast_period=5:60"),
        (("optimize", "BTC/USDT", RULE, "-r", "fast_period=5:9:0"), 1, "--range fast_period step: it must be above 0"),
        (("optimize", "BTC/USDT", RULE, "--iterations", "0"), 1, "--iterations: it must be at least 1"),
        (("optimize", "BTC/USDT", RULE, "--target", "sharp"), 1, "did you mean 'sharpe'"),
        (("optimize", "BTC/USDT", RULE, "--min-sharpe", "1"), 2, "need --approve"),
        (("optimize", "BTC/USDT", RULE, "--method", "gird"), 2, "gird"),
        (("optimize", "BTC/USDT"), 2, "Missing argument"),
        (("status", "opt-0"), 1, "there is no optimization 'opt-0' `tunesmith status` shows"),
        (("status", "nonsense"), 1, "is no task's id"),
        (("results", "vd-0"), 1, "tunesmith status vd-0"),
        (("logs", "bt-0"), 1, "tunesmith status"),
        (("cancel", "bt-0"), 1, "tunesmith status"),
        (("cancel", "vd-0"), 1, "cannot be cancelled"),
        (("approve", "opt-0"), 1, "there is no optimization"),
        (("packages", "show", "abcd"), 1, "tunesmith packages list"),
        (("packages", "show", "Not hex"), 1, "64 of 0-9 a-f"),
        (("strategies", "show", "ma_cross"), 1, "did you mean"),
        (("strategies", "add", "absent.rule"), 1, "cannot read absent.rule"),
        (("listen", "BTC/USDT", "--strategy", RULE), 2, "needs --timeframe"),
    ],
)
def test_what_is_wrong_is_said_with_the_way_out(folder: Path, arguments: tuple[str, ...], code: int, says: str) -> None:
    refused = run(*arguments, "--data-dir", folder)
    assert refused.returncode == code, said(refused)
    assert says in said(refused)
    assert refused.stdout == ""


@pytest.mark.parametrize(
    "arguments",
    [
        ("status",),
        ("strategies", "list"),
        ("packages", "list"),
        ("backtest", "BTC/USDT", RULE),
        ("optimize", "BTC/USDT", RULE),
        ("results", "opt-0"),
        ("approve", "opt-0"),
        ("cancel", "opt-0"),
        ("logs", "opt-0"),
        ("listen", "BTC/USDT"),
    ],
)
def test_without_a_daemon_every_command_says_how_to_start_one(arguments: tuple[str, ...], tmp_path: Path) -> None:
    away = run(*arguments, "--data-dir", tmp_path, "--requests", "tcp://127.0.0.1:1")
    assert away.returncode == 3
    assert "tunesmith serve" in said(away)
    assert "tcp://127.0.0.1:1" in said(away)


def test_ctrl_c_leaves_a_watched_task_running_and_says_how_to_come_back(folder: Path) -> None:
    terminal, stderr = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, "optimize", "BTC/USDT", RULE, *LONG, "--watch", "--data-dir", str(folder)],
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        env=environment(TERM="xterm"),
        preexec_fn=listen_to_ctrl_c,
    )
    os.close(stderr)
    shown = b""

    def bar_is_there() -> bool:
        nonlocal shown
        shown += os.read(terminal, 4096)
        return b"optimization" in shown and b"%" in shown

    wait_until(bar_is_there, 90.0, lambda: f"no progress bar: {shown!r}")
    process.send_signal(signal.SIGINT)
    assert process.stdout is not None
    stdout = process.stdout.read()
    wait_until(lambda: b"Come back" in shown or not bar_is_there(), 90.0, lambda: repr(shown))
    assert process.wait(90) == 130
    process.stdout.close()
    os.close(terminal)
    [task_id] = re.findall(r"opt-\w+", stdout)
    assert f"tunesmith status {task_id} --watch".encode() in shown
    assert read("status", task_id, "--data-dir", folder)["status"] in ("pending", "running")
    cancelled = run("cancel", task_id, "--data-dir", folder)
    assert (cancelled.returncode, "is cancelled" in cancelled.stdout) == (0, True)
    assert run("status", task_id, "--data-dir", folder).returncode == 1
    early = run("approve", task_id, "--data-dir", folder)
    assert (early.returncode, "is cancelled" in early.stderr) == (1, True)


@pytest.mark.parametrize("words", [("listen", "BTC/USDT"), ("logs", "--follow")])
def test_ctrl_c_ends_what_only_looks_on(words: tuple[str, ...], folder: Path) -> None:
    started: dict[str, Any] = {}
    if words[0] == "logs":
        started = read("optimize", "BTC/USDT", RULE, *LONG, "--data-dir", folder)
        words = (*words, started["optimization_id"])
    process = subprocess.Popen(
        [*COMMAND, *words, "--data-dir", str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment(PYTHONUNBUFFERED="1"),
        preexec_fn=listen_to_ctrl_c,
    )
    assert process.stdout is not None
    assert process.stdout.readline()
    process.send_signal(signal.SIGINT)
    rest = process.stdout.read()
    process.stdout.close()
    assert process.wait(90) == 130
    assert "Traceback" not in rest
    if started:
        assert run("cancel", started["optimization_id"], "--data-dir", folder).returncode == 0
