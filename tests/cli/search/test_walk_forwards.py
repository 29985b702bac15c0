"""A walk-forward at the command line: every command that takes a task's id knows it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli.command import read, run, said
from tunesmith.client import Client

REQUEST = {
    "symbol": "BTC/USDT",
    "strategy_id": "ma_cross_v1.0",
    "param_ranges": {"fast_period": [5, 9], "slow_period": [20, 40], "signal_threshold": 0.0},
    "train_bars": 1500,
    "test_bars": 700,
    "method": "grid",
    "label": "year by year",
}


@pytest.fixture(scope="module")
def walked(folder: Path) -> str:
    doors = json.loads((folder / "doors.json").read_text())
    with Client(doors["requests"], doors["events"], name="test") as client:
        return str(client.request("walkforward.start", REQUEST)["walkforward_id"])


def test_it_is_watched_shown_and_listed_with_its_label(folder: Path, walked: str) -> None:
    watched = run("status", walked, "--watch", "--data-dir", folder)
    assert watched.returncode == 0, watched.stderr
    for told in (f"{walked}, completed", "year by year", "efficiency", "searched from", "fast_period"):
        assert told in said(watched)
    assert "year by year" in said(run("status", "--data-dir", folder))


def test_its_results_and_its_log_are_shown(folder: Path, walked: str) -> None:
    run("status", walked, "--watch", "--data-dir", folder)
    found = read("results", walked, "--data-dir", folder)
    assert len(found["windows"]) == found["n_windows"] > 1
    shown = said(run("results", walked, "--data-dir", folder))
    assert found["windows"][0]["trade_from"][:10] in shown
    assert "walkforward started" in said(run("logs", walked, "--data-dir", folder))


def test_it_cannot_be_cancelled_once_it_has_ended_nor_approved(folder: Path, walked: str) -> None:
    run("status", walked, "--watch", "--data-dir", folder)
    late = run("cancel", walked, "--data-dir", folder)
    assert (late.returncode, "the task has completed already" in said(late)) == (1, True)
    refused = run("approve", walked, "--data-dir", folder)
    assert (refused.returncode, "is a walkforward" in said(refused)) == (1, True)
