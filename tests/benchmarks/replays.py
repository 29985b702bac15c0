"""Ten stored verdicts, made again from their evidence by daemons of one, two and three workers: equal to the bit?

PYTHONPATH=tests python -m benchmarks.replays [--workers 1 2 3] [--bars 2000] [--seed N]

A daemon of two workers decides on searches by several methods, with an edge and without, first and second looks,
several symbols together, a search that a rule ended early, and a lone backtest. Other daemons on the same folder replay
each and compare every value of the evidence. The markets are drawn from the seed, which is printed. The exit code is 1
where a value differs.
"""

from __future__ import annotations

import argparse
import secrets
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import zmq

from benchmarks.made_markets import AVERAGES, regimes, walk
from journeys.daemon import DaemonProcess, Dealer
from tunesmith.storage.market.market_folder import MarketFolder

RANGES = {"fast": {"min": 5, "max": 30, "step": 5}, "slow": {"min": 40, "max": 120, "step": 20}}
SEARCH: dict[str, Any] = {
    "strategy_id": "averages",
    "param_ranges": RANGES,
    "method": "grid",
    "direction": "both",
    "constraints": {"min_trades": 1},
}
LAX = {"min_sharpe": -10.0, "max_drawdown": 1.0, "min_return": -1.0, "min_trades": 1, "min_profit_factor": 0.0}
SEARCHES: tuple[dict[str, Any], ...] = (
    {"symbol": "EDGE1/USDT"},
    {"symbol": "EDGE2/USDT", "method": "genetic", "max_iterations": 120},
    {"symbol": "EDGE3/USDT", "method": "random", "max_iterations": 400, "stop": {"batch": 20, "patience": 3}},
    {"symbols": ["EDGE4/USDT", "EDGE5/USDT"]},
    {"symbols": ["EDGE6/USDT", "NOISE5/USDT"], "aggregate": "median"},
    {"symbol": "NOISE1/USDT"},
    {"symbol": "NOISE2/USDT", "method": "tpe", "max_iterations": 40},
    {"symbol": "NOISE3/USDT", "optimization_target": "total_return"},
    {"symbol": "EDGE1/USDT", "seed": 1, "method": "sobol", "max_iterations": 64},
)
"""Nine searches; the tenth verdict is on a lone backtest."""


class Made(NamedTuple):
    """A verdict that is stored: its id, what came of it and why."""

    verdict_id: str
    verdict: str
    reason: str


@contextmanager
def daemon(folder: Path, n_workers: int) -> Iterator[Dealer]:
    """A bot of a daemon of so many workers on the folder."""
    running = DaemonProcess(folder, {"TUNESMITH_WORKERS__COUNT": str(n_workers)})
    running.start()
    try:
        with zmq.Context() as context, Dealer(context, running.doors["requests"]) as dealer:
            yield dealer
    finally:
        running.stop()


def grow(folder: Path, n_bars: int, seed: int) -> None:
    """Store six markets with an edge and four without, each drawn on its own."""
    store = MarketFolder(folder / "market")
    for i in range(1, 7):
        edge = regimes(np.random.default_rng([seed, i]), n_bars, drift=0.4, length=60.0)
        noise = walk(np.random.default_rng([seed, 100 + i]), n_bars)
        for symbol, bars in ((f"EDGE{i}/USDT", edge), (f"NOISE{i}/USDT", noise)):
            columns = [getattr(bars, name).tolist() for name in ("timestamp", "open", "high", "low", "close", "volume")]
            store.import_rows(list(zip(*columns, strict=True)), symbol=symbol, timeframe="1d", venue="bench")


def decide(dealer: Dealer) -> list[Made]:
    """Ten verdicts."""
    dealer.data("strategy.create", {"id": "averages", "name": "Averages", "version": "1.0", "code": AVERAGES})
    made = []
    for search in SEARCHES:
        started = dealer.data("optimization.start", {**SEARCH, **search})
        about = {"optimization_id": started["optimization_id"]}
        dealer.until_done("optimization.status", about, 600.0)
        made.append(verdict(dealer, about))
    started = dealer.data("backtest.start", {"symbol": "EDGE2/USDT", "strategy_id": "averages", "direction": "both"})
    dealer.until_done("backtest.status", {"task_id": started["task_id"]}, 600.0)
    return [*made, verdict(dealer, {"backtest_id": started["task_id"]})]


def verdict(dealer: Dealer, about: dict[str, Any]) -> Made:
    asked = {"strategy_id": "averages", "approval_criteria": LAX, **about}
    given = dealer.data("strategy.approve", asked)
    given = dealer.until_done("verdict.status", {"verdict_id": given["verdict_id"]}, 600.0)
    assert given["status"] == "completed", given
    return Made(given["verdict_id"], given["verdict"], given["reason"])


def replay(dealer: Dealer, made: Made) -> dict[str, Any]:
    """What the replay of a verdict came to."""
    asked = dealer.data("verdict.replay", {"verdict_id": made.verdict_id})
    found = dealer.until_done("replay.status", {"task_id": asked["task_id"]}, 600.0)
    assert found["status"] == "completed", found
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--bars", type=int, default=2000)
    parser.add_argument("--seed", type=int)
    given = parser.parse_args()
    seed = secrets.randbelow(10**6) if given.seed is None else given.seed
    print(f"seed {seed}, {given.bars:,} bars")
    differing = 0
    with tempfile.TemporaryDirectory() as folder:
        grow(Path(folder), given.bars, seed)
        with daemon(Path(folder), 2) as dealer:
            made = decide(dealer)
        for each in made:
            print(f"{each.verdict_id}  {each.verdict:18s} {each.reason[:90]}")
        for n_workers in given.workers:
            with daemon(Path(folder), n_workers) as dealer:
                began, n_compared, n_equal = time.monotonic(), 0, 0
                for each in made:
                    found = replay(dealer, each)
                    n_compared += found["n_compared"]
                    n_equal += found["equal"]
                    for other in found["differences"][:5]:
                        print(f"  {each.verdict_id} {other['path']}: {other['was']} is {other['found']}")
            seconds = time.monotonic() - began
            print(
                f"{n_workers} workers: {n_equal} of {len(made)} equal, {n_compared:,} values compared, {seconds:.0f} s",
                flush=True,
            )
            differing += len(made) - n_equal
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
