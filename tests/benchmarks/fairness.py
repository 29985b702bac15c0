"""How long one bot's single backtest waits while another bot's session of 436,800 trials has every worker.

    python tests/benchmarks/fairness.py [--backtests 40] [--searches 20] [--file configs/session_436800.toml]

Two measurements through a daemon with a worker for each core. A session: another bot asks for one backtest after the
other while it runs, each with parameters that no cache knows, and their times from request to result stand beside those
of the same backtests on the idle daemon. A crowd: one bot has SEARCHES searches in the queue, and a backtest of another
comes behind them all. The exit code is 1 when a backtest waited longer than 2 s at the median or 5 s at most, or when
the session had ended before they were measured.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import zmq

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from benchmarks.loads import at  # noqa: E402
from benchmarks.mass_session import FILE, session_of  # noqa: E402
from journeys.conftest import import_markets  # noqa: E402
from journeys.daemon import DaemonProcess, Dealer  # noqa: E402

MUST_MEDIAN_S, MUST_MOST_S = 2.0, 5.0
BACKTEST = {"symbol": "BTC/USDT", "strategy_id": "ma_cross_v1.0"}
SEARCH = {
    **BACKTEST,
    "param_ranges": {"fast_period": {"min": 2, "max": 60}, "slow_period": {"min": 61, "max": 160}},
    "method": "grid",
}


def one(dealer: Dealer, number: int) -> float:
    """Seconds from the request of a backtest to its result."""
    began = time.perf_counter()
    params = {"fast_period": 5, "slow_period": 20, "signal_threshold": number * 1e-8}
    task_id = dealer.data("backtest.start", {**BACKTEST, "params": params}, client="bot")["task_id"]
    found = dealer.until_done("backtest.status", {"task_id": task_id})
    assert found["status"] == "completed", found
    return time.perf_counter() - began


def waits(dealer: Dealer, numbers: range, goes_on: Callable[[], bool]) -> list[float]:
    """The seconds of each backtest, as long as what they wait beside goes on."""
    found = []
    for number in numbers:
        seconds = one(dealer, number)
        if not goes_on():
            break
        found.append(seconds)
    return found


def beside_session(daemon: DaemonProcess, dealer: Dealer, request: dict[str, Any], n: int) -> tuple[list[float], ...]:
    """Seconds of the backtests: on the idle daemon, beside the session."""
    alone = waits(dealer, range(n), lambda: True)
    with zmq.Context() as context, Dealer(context, daemon.doors["requests"]) as crowd:
        session = crowd.data("session.generate", request, client="crowd")["session_id"]
        asked = {"session_id": session}
        crowd.data("session.execute", asked, client="crowd")

        def runs() -> bool:
            return bool(crowd.data("session.status", asked)["status"] in ("pending", "running"))

        beside = waits(dealer, range(1_000, 1_000 + n), runs)
        if runs():
            crowd.data("session.cancel", asked, client="crowd")
    return alone, beside


def behind_crowd(daemon: DaemonProcess, dealer: Dealer, n_searches: int) -> float:
    """Seconds of a backtest that comes behind the searches of another bot."""
    with zmq.Context() as context, Dealer(context, daemon.doors["requests"]) as crowd:
        started = [
            crowd.data("optimization.start", {**SEARCH, "seed": number}, client="crowd")["optimization_id"]
            for number in range(n_searches)
        ]
        seconds = one(dealer, 9_999)
        for search in started:
            crowd.ask("optimization.cancel", {"optimization_id": search}, client="crowd")
    return seconds


def measure(n: int, n_searches: int, request: dict[str, Any], environ: dict[str, str]) -> tuple[list[float], ...]:
    """Seconds of the backtests alone, beside the session, and behind the crowd."""
    with tempfile.TemporaryDirectory() as name, zmq.Context() as context:
        folder = Path(name)
        import_markets(folder)
        daemon = DaemonProcess(folder, environ)
        daemon.start()
        try:
            with Dealer(context, daemon.doors["requests"]) as dealer:
                one(dealer, 500_000)  # loads and compiles
                alone, beside = beside_session(daemon, dealer, request, n)
                return alone, beside, [behind_crowd(daemon, dealer, n_searches)]
        finally:
            daemon.stop()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--backtests", type=int, default=40)
    parser.add_argument("--searches", type=int, default=20)
    parser.add_argument("--file", type=Path, default=FILE)
    options = parser.parse_args()
    cores = {"TUNESMITH_WORKERS__COUNT": "0"}
    alone, beside, behind = measure(options.backtests, options.searches, session_of(options.file), cores)
    for name, times in (("alone", alone), ("beside the session", beside), ("behind the crowd", behind)):
        if times:
            print(f"{name:20} {len(times):4} backtests  p50 {at(times, 0.5):6.3f} s  most {max(times):6.3f} s")
    good = bool(beside) and at(beside, 0.5) <= MUST_MEDIAN_S and max(beside + behind) <= MUST_MOST_S
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
