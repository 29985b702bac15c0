"""A session whose daemon is killed again and again ends as one that was left alone, for any number of workers.

    python tests/benchmarks/session_kills.py [--kills 20] [--workers 1 2 3] [--seed N]

Two symbols, two strategies. The table that is compared holds every trial of every search with all that is told of it,
as JSON. Each kill −9 comes at a random moment of the time that the undisturbed session took. The exit code is 1 when a
table differs or a session does not complete.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import secrets
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import zmq

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from journeys.daemon import DaemonProcess, Dealer  # noqa: E402
from journeys.session_scenes import SMALL_CHUNKS, generate, import_two_markets, table_of  # noqa: E402

SESSION: dict[str, Any] = {
    "symbols": ["BTC/USDT", "ETH/USDT"],
    "strategies": ["ma_cross_v1.0", "rsi_reversion"],
    "mode": "exhaustive",
    "param_ranges": {
        "ma_cross_v1.0": {
            "fast_period": {"min": 2, "max": 60},
            "slow_period": {"min": 61, "max": 160},
            "signal_threshold": 0.0,
        },
        "rsi_reversion": {"period": {"min": 5, "max": 44}, "oversold": {"min": 16, "max": 44, "step": 2}, "stop": 0.05},
    },
}


class Run(NamedTuple):
    """A session that has ended: its table as text, how it ended, and what it took."""

    table: str
    status: str
    n_done: int
    n_kills: int
    seconds: float


def run(folder: Path, n_workers: int, moments: list[float], request: dict[str, Any] = SESSION) -> Run:
    """Execute a session with a kill −9 after each of `moments`, seconds from one start of the daemon to the next."""
    import_two_markets(folder)
    daemon = DaemonProcess(folder, {**SMALL_CHUNKS, "TUNESMITH_WORKERS__COUNT": str(n_workers)})
    daemon.start()
    try:
        with zmq.Context() as context:
            with Dealer(context, daemon.doors["requests"]) as dealer:
                session_id = generate(dealer, request)
                began = time.perf_counter()
                dealer.data("session.execute", {"session_id": session_id})
            n_kills = 0
            for moment in moments:
                time.sleep(moment)
                with Dealer(context, daemon.doors["requests"]) as dealer:
                    status = dealer.data("session.status", {"session_id": session_id})["status"]
                if status not in ("pending", "running"):
                    break
                daemon.kill()
                n_kills += 1
                daemon.start()
            with Dealer(context, daemon.doors["requests"]) as dealer:
                done = dealer.until_done("session.status", {"session_id": session_id}, 600.0)
                seconds = time.perf_counter() - began
                table = json.dumps(table_of(dealer, session_id), sort_keys=True)
        return Run(table, done["status"], done["n_done"], n_kills, seconds)
    finally:
        daemon.stop()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--seed", type=int, default=secrets.randbelow(2**31))
    options = parser.parse_args()
    draw = random.Random(options.seed)
    print(f"seed {options.seed}, {options.kills} kills at random moments, beside a session that is left alone\n")
    print(f"{'workers':>7} {'kills':>6} {'trials':>8} {'seconds':>8}  {'table (sha256)':18} bit-equal")
    first, good = "", True
    for n_workers in options.workers:
        whole = _in_new_folder(n_workers, [])
        first = first or whole.table
        longest = max(0.05, 2.0 * whole.seconds / (options.kills + 1))
        killed = _in_new_folder(n_workers, [draw.uniform(0.0, longest) for _ in range(options.kills)])
        for found in (whole, killed):
            equal = found.table == first and found.status == "completed"
            good = good and equal
            digest = hashlib.sha256(found.table.encode()).hexdigest()[:16]
            told = f"{n_workers:7} {found.n_kills:6} {found.n_done:8,} {found.seconds:8.1f}  {digest:18}"
            print(f"{told} {'yes' if equal else 'NO'}", flush=True)
        good = good and killed.n_kills == options.kills
    return 0 if good else 1


def _in_new_folder(n_workers: int, moments: list[float]) -> Run:
    with tempfile.TemporaryDirectory() as folder:
        return run(Path(folder), n_workers, moments)


if __name__ == "__main__":
    sys.exit(main())
