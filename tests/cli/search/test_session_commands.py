"""`tunesmith session`: generated, planned, executed, watched, ranked, stopped, gone on with and deleted."""

from __future__ import annotations

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

EXAMPLE = Path(__file__).resolve().parents[3] / "configs" / "session_436800.toml"
TWO = ("--symbol", "PLANTED/USDT", "--strategy", "ma_cross_v1.0,macd", "--mode", "sobol", "--size", "40")
ID = re.compile(r"session_\d{8}_\d{6}_\d{4}")


@pytest.fixture(scope="module")
def session(folder: Path) -> dict[str, Any]:
    """A session of two searches that has been executed."""
    session_id = read("session", "generate", *TWO, "--data-dir", folder)["session_id"]
    found: dict[str, Any] = read("session", "execute", session_id, "--yes", "--watch", "--data-dir", folder)
    return found


def generate(folder: Path, *arguments: str | Path) -> str:
    session_id: str = read("session", "generate", *arguments, "--data-dir", folder)["session_id"]
    return session_id


def test_a_session_ends_with_all_its_trials(session: dict[str, Any], folder: Path) -> None:
    assert (session["status"], session["n_done"], session["n_items"]) == ("completed", 80, 2)
    assert ID.fullmatch(session["session_id"])
    shown = run("session", "status", session["session_id"], "--detailed", "--data-dir", folder)
    assert shown.returncode == 0
    for part in ("80 of 80 (100%)", "sobol, 2 searches (2 completed)", "ma_cross_v1.0", "macd", "ms a trial"):
        assert part in shown.stdout
    assert run("session", "status", session["session_id"], "--watch", "--data-dir", folder).returncode == 0
    assert "80 of 80" in run("status", session["session_id"], "--data-dir", folder).stdout


def test_its_trials_are_ranked_together(session: dict[str, Any], folder: Path) -> None:
    session_id = session["session_id"]
    shown = run("session", "results", session_id, "--all", "--top", "80", "--data-dir", folder)
    assert "strategy" in shown.stdout
    assert "trials by sharpe" in said(shown)
    ranked = read("session", "results", session_id, "--sort", "max_drawdown", "--data-dir", folder)["trials"]
    drawdowns = [trial["metrics"]["max_drawdown"] for trial in ranked]
    assert drawdowns == sorted(drawdowns)
    worst = ("--sort", "max_drawdown", "--worst", "--all", "--top", "1")
    [deepest] = read("session", "results", session_id, *worst, "--data-dir", folder)["trials"]
    assert deepest["metrics"]["max_drawdown"] >= max(drawdowns)
    everything = read("session", "results", session_id, "--all", "--data-dir", folder)
    assert everything["total"] == 80


def test_what_belongs_elsewhere_is_said(session: dict[str, Any], folder: Path) -> None:
    session_id = session["session_id"]
    results = run("results", session_id, "--data-dir", folder)
    assert (results.returncode, f"tunesmith session results {session_id}" in said(results)) == (1, True)
    approve = run("approve", session_id, "--data-dir", folder)
    best = session["best"]["optimization_id"]
    assert (approve.returncode, f"tunesmith approve {best}" in said(approve)) == (1, True)
    again = run("session", "execute", session_id, "--data-dir", folder)
    assert (again.returncode, "the session is complete" in said(again)) == (1, True)


def test_a_plan_counts_without_storing_anything(folder: Path) -> None:
    before = read("session", "list", "--data-dir", folder)["total"]
    shown = run("session", "plan", *TWO, "--data-dir", folder)
    assert shown.returncode == 0, shown.stderr
    for part in ("trials", "80", "trials a second", "memory", "disk", "market", "tunesmith session generate"):
        assert part in shown.stdout
    assert read("session", "list", "--data-dir", folder)["total"] == before


def test_the_example_is_generated_from_its_file(folder: Path) -> None:
    made = run("session", "generate", "--file", EXAMPLE, "--data-dir", folder)
    assert made.returncode == 0, made.stderr
    assert "1 search, 436,800 trials, exhaustive" in made.stdout
    [session_id] = set(ID.findall(made.stdout))
    newest = run("session", "status", "--data-dir", folder)
    assert f"session  {session_id}, created" in newest.stdout
    assert f"tunesmith session execute {session_id}" in newest.stdout
    assert session_id in run("session", "list", "--data-dir", folder).stdout
    cleaned = run("session", "clean", session_id, "--data-dir", folder)
    assert (cleaned.returncode, "Deleted 1 session with 0 trials" in cleaned.stdout) == (0, True)
    assert run("session", "status", session_id, "--data-dir", folder).returncode == 1


def test_executing_says_what_it_needs_stops_and_goes_on(folder: Path) -> None:
    session_id = generate(folder, "--file", EXAMPLE, "--mode", "random", "--size", "400000")
    started = run("session", "execute", session_id, "--parallel", "1", "--data-dir", folder)
    assert started.returncode == 0, started.stderr
    assert re.search(r"400,000 trials, about .* at 2 workers", started.stdout)
    cancelled = run("session", "cancel", session_id, "--data-dir", folder)
    assert (cancelled.returncode, "--resume" in cancelled.stdout) == (0, True)
    assert run("session", "status", session_id, "--data-dir", folder).returncode == 1
    refused = run("session", "execute", session_id, "--yes", "--data-dir", folder)
    assert (refused.returncode, f"execute {session_id} --resume" in said(refused)) == (1, True)
    again = run("session", "execute", session_id, "--yes", "--resume", "--data-dir", folder)
    assert again.returncode == 0, again.stderr
    busy = run("session", "clean", session_id, "--data-dir", folder)
    assert (busy.returncode, "cancel it first" in said(busy)) == (1, True)
    assert run("session", "cancel", session_id, "--data-dir", folder).returncode == 0
    assert run("session", "clean", session_id, "--data-dir", folder).returncode == 0


def test_ctrl_c_leaves_a_watched_session_running_and_says_how_to_come_back(folder: Path) -> None:
    session_id = generate(folder, "--file", EXAMPLE, "--mode", "random", "--size", "400000")
    terminal, stderr = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, "session", "execute", session_id, "--yes", "--watch", "--data-dir", str(folder)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=stderr,
        env=environment(TERM="xterm"),
        preexec_fn=listen_to_ctrl_c,
    )
    os.close(stderr)
    shown = b""

    def bar_is_there() -> bool:
        nonlocal shown
        shown += os.read(terminal, 4096)
        return b"session" in shown and b"%" in shown

    wait_until(bar_is_there, 90.0, lambda: f"no progress bar: {shown!r}")
    process.send_signal(signal.SIGINT)
    wait_until(lambda: b"Come back" in shown or not bar_is_there(), 90.0, lambda: repr(shown))
    assert process.wait(90) == 130
    os.close(terminal)
    assert f"tunesmith session status {session_id} --watch".encode() in shown
    assert read("session", "status", session_id, "--data-dir", folder)["status"] in ("pending", "running")
    assert run("session", "cancel", session_id, "--data-dir", folder).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("plan",), 2, "a session needs --symbol"),
        (("generate", "--symbol", "BTC/USDT"), 2, "a session needs --strategy"),
        (("generate", "--symbol", "BTC/USDT", "--strategy", "macd"), 1, "the mode random needs a size"),
        (("generate", "--symbol", "BTC/USD", "--strategy", "macd", "--size", "9"), 1, "did you mean BTC/USDT"),
        (("generate", "--symbol", "BTC/USDT", "--strategy", "macdd", "--size", "9"), 1, "strategies list"),
        (("generate", *TWO, "-r", "fast=3:5"), 2, "name the strategy"),
        (("generate", *TWO, "-r", "macd.fats=3:5"), 1, "did you mean 'fast'"),
        (("generate", *TWO, "--mode", "sobbol"), 2, "sobbol"),
        (("generate", "--file", "absent.toml"), 1, "cannot read absent.toml"),
        (("status", "session_0"), 1, "tunesmith session list"),
        (("execute", "session_0"), 1, "tunesmith session list"),
        (("results", "session_0"), 1, "tunesmith session list"),
        (("clean",), 2, "a session's id, or --days N"),
    ],
)
def test_what_is_wrong_is_said_with_the_way_out(folder: Path, arguments: tuple[str, ...], code: int, says: str) -> None:
    refused = run("session", *arguments, "--data-dir", folder)
    assert (refused.returncode, says in said(refused)) == (code, True), said(refused)
    assert refused.stdout == ""
