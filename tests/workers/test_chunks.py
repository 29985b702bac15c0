"""What chunk functions say while they run: that a rule is being compiled, and how many are loaded."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

import numpy as np

from tunesmith.domain.market.bars import Bars
from tunesmith.domain.trading import Costs
from tunesmith.storage.market.snapshots import SnapshotFolder
from tunesmith.workers import worker
from tunesmith.workers.chunks.chunk_table import CHUNKS
from tunesmith.workers.chunks.payloads import OnePoint, StrategyRef, Work


def work_on(folder: Path, code: str) -> Work:
    close = 100.0 + np.sin(np.arange(300) / 5.0)
    columns = dict.fromkeys(("open", "high", "low", "close"), close) | {"volume": np.ones(300)}
    stamps = np.arange(300, dtype=np.int64) * 3_600_000
    snapshot = SnapshotFolder(folder / "snapshots").put(
        Bars.from_arrays(stamps, columns, symbol="X/Y", timeframe="1h"),
    )
    ref = StrategyRef(id="mine", version="1.0", kind="rule", code=code, code_hash="")
    return Work(
        data_dir=str(folder),
        strategy=ref,
        snapshot=snapshot,
        first=0,
        costs=Costs(),
        fill="next_open",
        direction="long",
        initial_cash=1000.0,
    )


def test_a_rule_that_was_never_compiled_says_so_once(tmp_path: Path) -> None:
    code = f"enter_long(close > 100 + {secrets.randbelow(10**9)} / 1e12)\nexit_long(close < open)\n"
    payload = OnePoint(
        work=work_on(tmp_path, code), params={}, boundary_ms=10**12, in_sample_end_ms=10**12, ask="in_sample"
    )
    said: list[tuple[str, Any]] = []
    n_rules: list[int] = []
    for _ in range(2):
        running = worker.Running(lambda kind, payload: said.append((kind, payload)))
        worker.perform(CHUNKS, "judge", lambda: payload, running)
        n_rules.append(running.n_rules)
    assert said == [("doing", "compiling the rule mine 1.0: a few seconds, once on this machine")]
    assert n_rules[0] == n_rules[1] > 0
