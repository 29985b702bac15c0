"""A market's budget through a daemon: it stays when candles come under another name, or others take their place."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from cli.command import read, run, said
from journeys.edges import RULE, plant
from tunesmith.domain.market.bars import Bars
from tunesmith.storage.market.market_folder import MarketFolder

OLD = "--accept-old-data"
RANGES = ("--range", "fast_period=3,4,5", "--range", "slow_period=18,20", "--range", "signal_threshold=0")
KEPT = ("--param", "fast_period=4", "--param", "slow_period=20", "--param", "signal_threshold=0")


def written(file: Path, bars: Bars, close: Any, days: int = 0) -> Path:
    """A file with these closes and nothing else of the bars, some days later."""
    stamps = np.datetime_as_string((bars.timestamp + days * 86_400_000).astype("datetime64[ms]"), "s").tolist()
    rows = [f"{stamp}Z,{price},{price},{price},{price},1" for stamp, price in zip(stamps, close.tolist(), strict=True)]
    file.write_text("\n".join(["timestamp,open,high,low,close,volume", *rows]) + "\n")
    return file


def judged(where: tuple[str, Path], symbol: str) -> dict[str, Any]:
    """The verdict on a small search of the market, which is not approved."""
    search = read("optimize", symbol, RULE, *RANGES, "--watch", *where)["optimization_id"]
    done = run("approve", search, OLD, *where, "--json")
    verdict: dict[str, Any] = json.loads(done.stdout)
    return verdict


def backtested(where: tuple[str, Path], symbol: str, fee: str) -> str:
    return str(read("backtest", symbol, RULE, *KEPT, "--fee", fee, *where)["task_id"])


def test_looks_stay_with_a_market_and_replaced_bars_are_no_evidence_any_more(folder: Path, tmp_path: Path) -> None:
    where, symbol = ("--data-dir", folder), plant(folder)
    used = read("approve", backtested(where, symbol, "0.001"), OLD, *where)
    assert used["approved"], used["reason"]
    before = backtested(where, symbol, "0.0011")
    seen = read("data", "show", symbol, *where)
    assert (len(seen["uses"]["packages"]), seen["uses"]["looks"]) == (1, 2)
    kept = run("data", "remove", symbol, "--yes", *where)
    assert (kept.returncode, "a package in force" in said(kept)) == (1, True)
    bars = MarketFolder(folder / "market").load("demo", symbol, "1d")

    other = ("--symbol", "INVERSE/USDT", "--timeframe", "1d", "--venue", "elsewhere")
    inverted = written(tmp_path / "inverted.csv", bars, 1e4 / bars.close, days=1)
    read("data", "import", inverted, *other, *where)
    asked = judged(where, "INVERSE/USDT")
    assert asked["verdict"] == "insufficient_data"
    assert f"an approval by criteria used it under the name {symbol}" in asked["reason"]

    same = ("--symbol", symbol, "--timeframe", "1d", "--venue", "demo", "--replace")
    changed = written(tmp_path / "changed.csv", bars, bars.close * np.exp(0.02 * np.sin(np.arange(len(bars)))))
    refused = run("data", "import", changed, *same, *where)
    assert refused.returncode == 1
    assert "that a search or a verdict used" in said(refused)
    assert "--replace --new-evidence" in said(refused)
    np.testing.assert_array_equal(MarketFolder(folder / "market").load("demo", symbol, "1d").close, bars.close)

    read("data", "import", changed, *same, "--new-evidence", *where)
    [renewed] = entered(where, "data.new_evidence")
    assert renewed["target"] == f"demo {symbol}"
    assert any("replacing what differs: 2000 new bars" in each["detail"] for each in entered(where, "data.import"))
    late = run("approve", before, OLD, *where)
    assert late.returncode == 1
    assert f"bars of {symbol} that it used were replaced on" in said(late)
    assert "search again on those of now" in said(late)
    again = judged(where, symbol)
    assert again["verdict"] == "insufficient_data"
    assert "an approval by criteria used it" in again["reason"]


def entered(where: tuple[str, Path], kind: str) -> list[dict[str, Any]]:
    """The entries of the audit log of this type, once there are some."""
    until = time.monotonic() + 10.0
    while time.monotonic() < until:
        found: list[dict[str, Any]] = read("audit", "--type", kind, *where)["entries"]
        if found:
            return found
        time.sleep(0.2)
    raise AssertionError(f"{kind} does not stand in the audit log")
