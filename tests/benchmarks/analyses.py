"""How long it takes to look at a search of 436,800 trials as a whole, through a real daemon.

PYTHONPATH=tests python -m benchmarks.analyses [TRIALS]

The search is that of configs/session_436800.toml on the sample candles; with TRIALS it has so many of them. Each
request is timed from its sending to its reply: the first time it is worked out, the second time it comes from the
cache. An export is timed until the last of its pieces is there.
"""

from __future__ import annotations

import base64
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import zmq

from journeys.conftest import import_markets
from journeys.daemon import DaemonProcess, Dealer

N = 436_800
SEARCH: dict[str, Any] = {
    "symbol": "BTC/USDT",
    "strategy_id": "rsi_reversion",
    "param_ranges": {
        "period": {"min": 5, "max": 44},
        "oversold": {"min": 16, "max": 44, "step": 2},
        "exit_level": {"min": 50, "max": 86, "step": 3},
        "stop": {"min": 0.02, "max": 0.16, "step": 0.02},
        "longest": {"min": 24, "max": 168, "step": 24},
    },
}
PARTS = ("ranking", "importance", "correlations", "marginals", "convergence", "recommendation")


def exported(dealer: Dealer, search: dict[str, Any], kind: str) -> int:
    """The size of an export, all of which was fetched."""
    piece = dealer.data("optimization.export", {**search, "format": kind}, deadline_ms=60_000)
    size = len(base64.b64decode(piece["content"]))
    while piece["next_offset"] is not None:
        asked = {"format": kind, "version": piece["version"], "offset": piece["next_offset"]}
        piece = dealer.data("optimization.export", {**search, **asked})
        size += len(base64.b64decode(piece["content"]))
    return size


def timed(dealer: Dealer, name: str, message: str, data: dict[str, Any]) -> None:
    seconds = []
    for _ in range(2):
        began = time.perf_counter()
        reply = dealer.data(message, data, deadline_ms=60_000)
        seconds.append(time.perf_counter() - began)
    size = len(json.dumps(reply)) / 1024
    print(f"{name:36}{seconds[0]:10.2f} s {1000 * seconds[1]:10.1f} ms {size:10.0f} KiB", flush=True)


def main(n: int = N) -> None:
    how: dict[str, Any] = {"method": "grid"} if n == N else {"method": "random", "max_iterations": n}
    with tempfile.TemporaryDirectory() as folder, zmq.Context() as context:
        import_markets(Path(folder))
        daemon = DaemonProcess(Path(folder))
        daemon.start()
        with Dealer(context, daemon.doors["requests"]) as dealer:
            began = time.perf_counter()
            search = {"optimization_id": dealer.data("optimization.start", {**SEARCH, **how})["optimization_id"]}
            done = dealer.until_done("optimization.status", search, timeout_s=600.0)
            print(f"the search, {done['n_done']:,} trials: {time.perf_counter() - began:.1f} s")
            print(f"{'':36}{'first':>12} {'again':>13} {'reply':>14}")
            timed(dealer, "ranking", "optimization.analyze", {**search, "what": ["ranking"]})
            timed(dealer, "all that needs no choice", "optimization.analyze", search)
            for part in PARTS:
                timed(dealer, f"{part}, n 11", "optimization.analyze", {**search, "what": [part], "n": 11})
            heat = {"what": ["heat_map"], "x": "period", "y": "oversold"}
            timed(dealer, "heat_map", "optimization.analyze", {**search, **heat})
            timed(dealer, "compared with itself", "optimization.compare", dict.fromkeys("ab", done["optimization_id"]))
            for kind in ("parquet", "csv", "json"):
                began = time.perf_counter()
                size = exported(dealer, search, kind)
                print(f"export as {kind}: {size / 2**20:.1f} MiB in {time.perf_counter() - began:.2f} s", flush=True)
        daemon.stop()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
