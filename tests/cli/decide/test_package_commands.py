"""`tunesmith packages`: who runs what, and the way back to the package before."""

from __future__ import annotations

from pathlib import Path

from cli.command import read, run, said
from journeys.edges import plant
from tunesmith.cli.daemon_connection import running_doors
from tunesmith.client import Client

PARAMS = ("--param", "fast_period=4", "--param", "slow_period=20", "--param", "signal_threshold=0")


def test_bots_are_shown_and_a_package_is_gone_back_from(folder: Path) -> None:
    symbol, where = plant(folder), ("--data-dir", folder)
    packages = []
    for fee in ("0.001", "0.0009"):
        backtest = read("backtest", symbol, "ma_cross_v1.0", *PARAMS, "--fee", fee, *where)
        verdict = read("approve", backtest["task_id"], "--accept-old-data", *where)
        assert verdict["approved"], verdict["reason"]
        packages.append(verdict["parameter_package"]["package_id"])
    doors = running_doors(folder)
    with Client(doors["requests"], doors["events"], name="night-bot") as client:
        client.acknowledge(packages[0])
    with Client(doors["requests"], doors["events"], name="day-bot") as client:
        client.acknowledge(packages[1], "refused", reason="a position is open")
    listed = said(run("packages", "list", "--symbol", symbol, *where))
    assert f"{packages[0][:12]} is run by night-bot" in listed
    assert f"{packages[1][:12]} is refused by day-bot (a position is open)" in listed
    assert "is run by night-bot" in said(run("packages", "show", packages[0][:12], *where))
    back = run("packages", "rollback", packages[1][:12], *where)
    assert back.returncode == 0, back.stderr
    assert f"for {symbol} 1d is in force: fast_period 4" in said(back)
    [newest, *_] = read("packages", "list", "--symbol", symbol, *where)["packages"]
    assert (newest["state"], newest["package"]["supersedes"]) == ("in_force", packages[1])
    assert newest["package"]["costs"]["fee_rate"] == 0.001
