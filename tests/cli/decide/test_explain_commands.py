"""`tunesmith explain` and `replay` against a daemon."""

from __future__ import annotations

from pathlib import Path

from cli.command import read, run, said
from journeys.edges import plant

RANGES = ("--range", "fast_period=3,4", "--range", "slow_period=20,30", "--range", "signal_threshold=0")


def test_a_verdict_is_explained_and_made_again(folder: Path) -> None:
    symbol = plant(folder)
    where = ("--data-dir", folder)
    search = read("optimize", symbol, "ma_cross_v1.0", *RANGES, "--watch", *where)["optimization_id"]
    verdict = read("approve", search, "--accept-old-data", *where)
    assert verdict["grade"] == "tested", verdict["reason"]
    package = verdict["parameter_package"]["package_id"][:12]
    for named in (verdict["verdict_id"], search, package):
        told = run("explain", named, *where)
        assert told.returncode == 0, told.stderr
        assert told.stdout.startswith("Approved: ma_cross_v1.0")
        assert "The permutation test in plain words" in told.stdout
    again = run("replay", package, *where)
    assert (again.returncode, again.stdout[:10]) == (0, "Equal: all"), said(again)
    found = read("replay", verdict["verdict_id"], *where)
    assert found["equal"]
    shown = run("status", found["task_id"], *where)
    assert "came out the same" in said(shown)
    assert read("explain", package, *where)["verdict"]["evidence"]["p"]["search"] <= 0.05


def test_what_has_no_verdict_is_refused_with_what_to_do(folder: Path) -> None:
    where = ("--data-dir", folder)
    refused = run("explain", "bt-1", *where)
    assert refused.returncode == 1
    assert "name a verdict, a package or a search" in said(refused)
    for command in ("results", "approve", "resume"):
        refused = run(command, "re-1", *where)
        assert (refused.returncode, "re-1 is a replay" in said(refused)) == (1, True)
    nothing = run("replay", "vd-1", *where)
    assert (nothing.returncode, "there is no verdict" in said(nothing)) == (1, True)
