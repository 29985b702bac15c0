"""How long a verdict takes through a daemon, and what the built-in strategies get on real candles.

PYTHONPATH=tests python -m benchmarks.verdicts [--behind | --session] [--candles] [--daily]

An edge (drift regimes) and markets without one, 2,000 bars each, searched with a grid of about 1,000 moving-average
pairs; two workers; the time is that from the request for the verdict to its answer, the search not counted. Approved
takes all permuted markets and must stay below 10 s; rejected is typically below 2 s. With --behind ten searches of
about 1,000 points, two by tpe and two genetic among them, stand behind the verdict on an edge: it must take at most
60 s, and the next one, after one search more, 10 s. With --session a session of 436,800 trials on real hourly candles
stands behind one: what its plan says before it is asked for, how far the verdict came in 15 s, and how soon it is
over when it is cancelled then: within 10 s. With --candles the table of every built-in strategy on the real
hourly candles beside the checkout, with --daily on 16 pairs of six years: verdict and reason. The exit code is 1 where
a verdict took longer, or an edge that was searched once was not approved.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import zmq

from benchmarks.made_markets import AVERAGES, FAMILIES, SHARED, regimes, walk
from benchmarks.mass_session import FILE as SESSION
from benchmarks.mass_session import session_of
from journeys.daemon import DaemonProcess, Dealer, children
from journeys.edges import disturbed
from tunesmith.compute.strategies import BUILTIN_IDS, builtin
from tunesmith.domain.market.bars import Bars
from tunesmith.storage.market.market_folder import MarketFolder

N_BARS = 2000
LIMIT_S = 10.0
N_NOISE = 10
CANDLES = {"BTC/USDT": "BTC_USDT-1h", "ETH/USDT": "ETH_USDT-1h", "SOL/USDT": "SOL_USDT-1h"}
N_TRIALS = 300
N_BEHIND = 1000
PAUSE_S = 15.0
QUOTA = {"TUNESMITH_LIMITS__VERDICTS_PER_MARKET": "1000", "TUNESMITH_STATISTICS__MAX_PERMUTATIONS": "1000000"}


@contextmanager
def daemon(folder: Path, bars: dict[str, Bars]) -> Iterator[tuple[Dealer, DaemonProcess]]:
    """A bot of a daemon of two workers with these markets."""
    store = MarketFolder(folder / "market")
    for symbol, each in bars.items():
        columns = [getattr(each, name).tolist() for name in ("timestamp", "open", "high", "low", "close", "volume")]
        store.import_rows(list(zip(*columns, strict=True)), symbol=symbol, timeframe=each.timeframe, venue="bench")
    running = DaemonProcess(folder, QUOTA)
    running.start()
    try:
        with zmq.Context() as context, Dealer(context, running.doors["requests"]) as dealer:
            yield dealer, running
    finally:
        running.stop()


def worked_s(running: DaemonProcess) -> float:
    """Seconds of a core that the daemon and its workers have used."""
    assert running.process is not None
    pids, ticks = [running.process.pid], 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
        pids += children(pid)
    return ticks / os.sysconf("SC_CLK_TCK")


def verdict_on(dealer: Dealer, strategy_id: str, search: dict[str, Any]) -> tuple[dict[str, Any], float]:
    """The verdict on a search, and the seconds that it took."""
    started = dealer.data("optimization.start", {"strategy_id": strategy_id, **search})
    found = dealer.until_done("optimization.status", {"optimization_id": started["optimization_id"]}, 600.0)
    if found["best_params"] is None:
        return {"verdict": "rejected", "reason": "no trial kept the constraints"}, 0.0
    began = time.perf_counter()
    asked = {"strategy_id": strategy_id, "optimization_id": started["optimization_id"]}
    verdict = dealer.data("strategy.approve", asked, deadline_ms=30_000)
    if verdict["status"] in ("pending", "running"):
        verdict = dealer.until_done("verdict.status", {"verdict_id": verdict["verdict_id"]}, 600.0)
    return verdict, time.perf_counter() - began


def times() -> bool:
    """Print how long verdicts take; whether the approved one was quick enough."""
    edge = regimes(np.random.default_rng(5), N_BARS, drift=0.4, length=60.0)
    noise = {f"NOISE{i}/USDT": walk(np.random.default_rng(100 + i), N_BARS) for i in range(N_NOISE)}
    other = disturbed(edge, 1)  # the same moves are one lineage
    again = replace(other, timestamp=other.timestamp + 86_400_000)
    markets = {"EDGE/USDT": edge, "AGAIN/USDT": again, **noise}
    grid = {"param_ranges": FAMILIES["moving averages"].ranges, "method": "grid", "direction": "both"}
    with tempfile.TemporaryDirectory() as folder, daemon(Path(folder), markets) as (dealer, running):
        strategy = {"id": "averages", "name": "Averages", "version": "1.0", "code": AVERAGES}
        dealer.data("strategy.create", strategy)
        approved, taken = [], []
        for symbol in ("EDGE/USDT", "AGAIN/USDT"):
            before = worked_s(running)
            verdict, seconds = verdict_on(dealer, "averages", {"symbol": symbol, **grid})
            print(f"{symbol}: search and verdict used {worked_s(running) - before:.2f} s of a core")
            approved.append(seconds if verdict["verdict"] == "approved" else np.inf)
            print(f"{symbol:12s}{verdict['verdict']:>10s}{seconds:8.2f} s   {verdict['reason'][:110]}")
        for symbol in noise:
            verdict, seconds = verdict_on(dealer, "averages", {"symbol": symbol, **grid})
            taken.append(seconds)
            print(f"{symbol:12s}{verdict['verdict']:>10s}{seconds:8.2f} s   {verdict['reason'][:110]}")
    print(f"approved: first {approved[0]:.2f} s, then {approved[1]:.2f} s (must be below {LIMIT_S:g})")
    print(f"rejected: median {np.median(taken):.2f} s, slowest {max(taken):.2f} s")
    return min(approved) < LIMIT_S


def behind() -> bool:
    """Print how long verdicts take with ten and eleven searches behind them; whether both were quick enough."""
    edge = regimes(np.random.default_rng(5), N_BARS, drift=0.4, length=60.0)
    whole, halves = FAMILIES["moving averages"].ranges, {"fast": {"min": 2, "max": 40}, "slow": {"min": 41, "max": 130}}
    common = {"symbol": "EDGE/USDT", "direction": "both", "max_iterations": N_BEHIND}
    methods = ["random", "sobol", "latin_hypercube", "random", "tpe", "genetic", "random", "tpe", "genetic"]
    with tempfile.TemporaryDirectory() as folder, daemon(Path(folder), {"EDGE/USDT": edge}) as (dealer, _):
        strategy = {"id": "averages", "name": "Averages", "version": "1.0", "code": AVERAGES}
        dealer.data("strategy.create", strategy)
        for i, method in enumerate(methods):
            asked = {"strategy_id": "averages", **common, "method": method, "seed": i}
            started = dealer.data("optimization.start", {**asked, "param_ranges": halves if i % 2 else whole})
            dealer.until_done("optimization.status", {"optimization_id": started["optimization_id"]}, 900.0)
        taken = []
        for ranges in (whole, halves):
            last = {**common, "param_ranges": ranges, "method": "grid"}
            verdict, seconds = verdict_on(dealer, "averages", last)
            asked = {"verdict_id": verdict["verdict_id"]}
            counted = dealer.data("verdict.get", asked)["evidence"]["counted"]
            tries = counted["ticks"] / 21
            print(f"{counted['n']:,} searches of {counted['n_trials']:,} trials count as {tries:.2f} tries:")
            print(f"    {verdict['verdict']} in {seconds:.2f} s   {verdict['reason'][:110]}", flush=True)
            taken.append(seconds)
    print(f"first {taken[0]:.2f} s (must be at most 60), next {taken[1]:.2f} s (at most 10)")
    return taken[0] <= 60.0 and taken[1] <= 10.0


def session_behind() -> bool:
    """Print what a verdict with a large session behind it says before it begins; whether it could be cancelled."""
    request = session_of(SESSION)
    (symbol,), (strategy_id,) = request["symbols"], request["strategies"]
    bars = Bars.read(SHARED / "spot" / f"{CANDLES[symbol]}.parquet", symbol=symbol, timeframe="1h")
    with tempfile.TemporaryDirectory() as folder, daemon(Path(folder), {symbol: bars}) as (dealer, _):
        asked = {"session_id": dealer.data("session.generate", request)["session_id"]}
        dealer.data("session.execute", asked)
        dealer.until_done("session.status", asked, 1800.0)
        search = dealer.data("session.results", asked)["trials"][0]["optimization_id"]
        plan = dealer.data("verdict.plan", {"optimization_id": search})
        print(f"{plan['n_trials']:,} trials behind the verdict. {plan['told']}", flush=True)
        wish = {"strategy_id": strategy_id, "optimization_id": search, "accept_old_data": True}
        verdict = dealer.data("strategy.approve", wish, deadline_ms=1_000)
        time.sleep(PAUSE_S)
        status = dealer.data("verdict.status", {"verdict_id": verdict["verdict_id"]})
        print(f"after {PAUSE_S:g} s: {status['status']}, progress {status['progress']:.1%}", flush=True)
        if status["status"] != "running":
            print(f"it is over already: {status['reason']}")
            return False
        began = time.perf_counter()
        dealer.data("task.cancel", {"task_id": verdict["verdict_id"]})
        ended = dealer.until_done("verdict.status", {"verdict_id": verdict["verdict_id"]}, 120.0)
        seconds = time.perf_counter() - began
        print(f"{ended['status']} {seconds:.2f} s after it was asked to end (must be at most 10)")
    return ended["status"] == "cancelled" and seconds <= 10.0


def candles(bars: dict[str, Bars]) -> None:
    """Print what every built-in strategy gets on real candles."""
    print(f"{'strategy':22s}{'market':10s}{'verdict':12s}{'seconds':>8s}  reason")
    for strategy_id in BUILTIN_IDS:  # a ledger each, as every strategy shall be the first that is asked about
        direction = "both" if builtin(strategy_id).has_short else "long"
        with tempfile.TemporaryDirectory() as folder, daemon(Path(folder), bars) as (dealer, _):
            for symbol in bars:
                search = {"symbol": symbol, "method": "random", "max_iterations": N_TRIALS, "direction": direction}
                verdict, seconds = verdict_on(dealer, strategy_id, search)
                print(
                    f"{strategy_id:22s}{symbol:10s}{verdict['verdict']:12s}{seconds:8.2f}  {verdict['reason'][:140]}",
                    flush=True,
                )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for flag in ("--behind", "--session", "--candles", "--daily"):
        parser.add_argument(flag, action="store_true")
    given = parser.parse_args()
    quick = behind() if given.behind else session_behind() if given.session else times()
    if given.candles:
        candles({s: Bars.read(SHARED / "spot" / f"{n}.parquet", symbol=s, timeframe="1h") for s, n in CANDLES.items()})
    if given.daily:
        files = sorted((SHARED / "spot16" / "spot_1d").glob("*.parquet"))
        symbols = {path: path.stem.partition("-")[0].replace("_", "/") for path in files}
        candles({s: Bars.read(path, symbol=s, timeframe="1d") for path, s in symbols.items()})
    return 0 if quick else 1


if __name__ == "__main__":
    sys.exit(main())
