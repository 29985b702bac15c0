"""From process start to the first result: as a library and as a daemon, with kernels in the cache and for a new rule.

    python tests/benchmarks/cold_start.py [--repeat 3] [--empty-cache]

The kernels are compiled first where they are not in the cache; `--empty-cache` also shows what that takes. The least of
the repeats counts, as other work on the machine only adds; the processor's time is shown beside it. The exit code is 1
when the library takes more than 4 s to its first result, or a rule that was never seen more than 3 s to its own.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import zmq

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from journeys.conftest import SAMPLE, import_markets  # noqa: E402
from journeys.daemon import DaemonProcess, Dealer  # noqa: E402

FIRST_RESULT_S = 4.0
NEW_RULE_S = 3.0

LIBRARY = f"""
import json, time
import tunesmith as ts
bars = ts.Bars.read({str(SAMPLE)!r}, symbol="BTC/USDT", timeframe="1h")
table = ts.evaluate(ts.strategy("ma_cross_v1.0"), bars, {{"fast_period": [5, 10], "slow_period": [50, 60]}})
assert len(table) == 2
first, worked = time.perf_counter(), time.process_time()
rule = ts.Strategy.parse(CODE)
ts.evaluate(rule, bars, {{"fast": [5, 10], "slow": [50, 60]}})
told = {{"new rule": time.perf_counter() - first, "new rule, processor": time.process_time() - worked}}
print(json.dumps({{**told, "processor": worked}}))
"""
CODE = """fast = Int(5, 2, 60)
slow = Int(20, 5, 240)
upper, middle, lower = bbands(close, slow, 2)
enter_long(crossed_above(ema(close, fast), ema(close, slow)) and rsi(close, 14) < 70 and close > {tiny})
exit_long(crossed_below(close, lower) or adx(14) < 10)
stop_loss(close - 2 * atr(14))
"""
RANGES = {"fast": {"min": 2, "max": 20}, "slow": {"min": 21, "max": 60}}


def new_code() -> str:
    """A rule that this machine has not compiled: a constant in its condition is drawn anew."""
    return CODE.format(tiny=secrets.randbelow(2**40) / 2**60)


def run_library(cache: str | None = None) -> dict[str, float]:
    """Seconds of one process: until it had its first result, and for a new rule after that."""
    environ = os.environ | ({"TUNESMITH_KERNEL_CACHE": cache} if cache else {})
    program = LIBRARY.replace("CODE", repr(new_code()))
    began = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environ)
    whole = time.perf_counter() - began
    told: dict[str, float] = json.loads(done.stdout)
    return {**told, "first result": whole - told["new rule"]}


def run_daemon() -> dict[str, Any]:
    """Seconds of one daemon: until its doors are open, until a search has trials, and for a new rule's first trials."""
    with tempfile.TemporaryDirectory() as folder, zmq.Context() as context:
        import_markets(Path(folder))
        daemon = DaemonProcess(Path(folder))
        began = time.perf_counter()
        daemon.start()
        found: dict[str, Any] = {"doors open": time.perf_counter() - began}
        try:
            with Dealer(context, daemon.doors["requests"]) as dealer:
                ranges = {"fast_period": [5, 10], "slow_period": [50, 60], "signal_threshold": 0.0}
                first_trials(dealer, "ma_cross_v1.0", ranges)
                found["first trials"] = time.perf_counter() - began
                began = time.perf_counter()
                dealer.data("strategy.create", {"id": "new_rule", "code": new_code()})
                task_id = first_trials(dealer, "new_rule", RANGES)
                found["new rule"] = time.perf_counter() - began
                dealer.until_done("optimization.status", {"optimization_id": task_id})
                lines = dealer.data("task.logs", {"task_id": task_id})["lines"]
                found["said"] = next((x["message"] for x in lines if "compiling" in x["message"]), "nothing")
        finally:
            daemon.stop()
    return found


def first_trials(dealer: Dealer, strategy_id: str, ranges: dict[str, Any]) -> str:
    """Start a search and return its id when it has evaluated something."""
    request = {"symbol": "BTC/USDT", "strategy_id": strategy_id, "optimization_target": "sharpe", "method": "grid"}
    task_id: str = dealer.data("optimization.start", {**request, "param_ranges": ranges})["optimization_id"]
    while True:
        status = dealer.data("optimization.status", {"optimization_id": task_id})
        if status["n_done"] or status["status"] == "failed":
            return task_id
        time.sleep(0.01)


def least(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """The least of each figure."""
    return {name: min(run[name] for run in runs) for name in runs[0]}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeat", type=int, default=3, help="processes of each kind")
    parser.add_argument("--empty-cache", action="store_true", help="also start with nothing compiled")
    options = parser.parse_args()
    if options.empty_cache:
        with tempfile.TemporaryDirectory() as cache:
            print(
                f"library, nothing compiled: first result after {run_library(cache)['first result']:.1f} s", flush=True
            )
    run_library()
    library = least([run_library() for _ in range(options.repeat)])
    print(
        f"library: first result {library['first result']:.2f} s after the process start"
        f" (processor {library['processor']:.2f} s); a rule never seen {library['new rule']:.2f} s"
        f" (processor {library['new rule, processor']:.2f} s)",
        flush=True,
    )
    daemon = least([run_daemon() for _ in range(options.repeat)])
    print(
        f"daemon: doors open {daemon['doors open']:.2f} s after the process start, first trials of a search"
        f" {daemon['first trials']:.2f} s; first trials of a rule never seen {daemon['new rule']:.2f} s after its code"
    )
    print(f'daemon, in the log of that task: "{daemon["said"]}"')
    kept = library["first result"] < FIRST_RESULT_S and library["new rule"] < NEW_RULE_S
    return 0 if kept and "compiling" in daemon["said"] else 1


if __name__ == "__main__":
    sys.exit(main())
