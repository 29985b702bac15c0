"""436,800 combinations as one session through a daemon: planned, generated, executed, stored, asked for.

    python tests/benchmarks/mass_session.py [--workers N] [--file configs/session_436800.toml]

On the real sample of BTC/USDT hours, with a worker for each core. Prints the time of each phase and the most memory
that the daemon and its processes had together; the exit code is 1 above 30 s from generating to the first page of
results, or above 1.5 GB.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import threading
import time
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import zmq

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from journeys.conftest import import_markets  # noqa: E402
from journeys.daemon import DaemonProcess, Dealer, children  # noqa: E402

MUST_S, WISHED_S, MUST_MB = 30.0, 15.0, 1500.0
FILE = ROOT / "configs" / "session_436800.toml"
KEYS = ("min", "max", "step")


def session_of(file: Path) -> dict[str, Any]:
    """The `session.generate` that a file of the command line means."""
    request = tomllib.loads(file.read_text())
    for ranges in request["param_ranges"].values():
        for name, text in ranges.items():
            if isinstance(text, str) and ":" in text:
                ranges[name] = {key: float(part) for key, part in zip(KEYS, text.split(":"), strict=False)}
    return request


class Memory:
    """The most that a process and all below it had in memory together, in MB (proportional: shared pages once)."""

    def __init__(self, pid: int) -> None:
        self.pid, self.peak_mb, self._ended = pid, 0.0, threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def stop(self) -> float:
        self._ended.set()
        self._thread.join()
        return self.peak_mb

    def _watch(self) -> None:
        while not self._ended.wait(0.25):
            self.peak_mb = max(self.peak_mb, sum(map(_proportional_mb, _family(self.pid))))


def _family(pid: int) -> list[int]:
    try:
        return [pid, *(member for child in children(pid) for member in _family(child))]
    except OSError:
        return []


def _proportional_mb(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return sum(float(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def _worked_s(pid: int) -> float:
    """Processor time of a process and all below it, and of those of its children that have ended, seconds."""
    ticks = 0
    for member in _family(pid):
        fields = Path(f"/proc/{member}/stat").read_text().rpartition(")")[2].split()
        ticks += sum(map(int, fields[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


class Phases:
    """Runs steps and prints what each took."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def run(self, name: str, step: Callable[[], Any]) -> Any:
        began = time.perf_counter()
        found = step()
        self.seconds[name] = time.perf_counter() - began
        print(f"{name:44} {self.seconds[name]:8.2f} s", flush=True)
        return found


def measure(dealer: Dealer, request: dict[str, Any], phases: Phases, worked_s: Callable[[], float]) -> dict[str, Any]:
    """Every phase of one session; its last status."""
    plan = phases.run("plan", lambda: dealer.data("session.plan", request))
    print(f"  planned: {plan['n_trials']:,} trials in {plan['seconds']:.1f} s, {plan['disk_mb']:.0f} MB on disk")
    session = phases.run("generate", lambda: dealer.data("session.generate", request))
    asked = {"session_id": session["session_id"]}

    def execute() -> dict[str, Any]:
        dealer.data("session.execute", asked)
        return dealer.until_done("session.status", asked, 1800.0)

    before_s = worked_s()
    status: dict[str, Any] = phases.run("execute and store", execute)
    print(f"  {worked_s() - before_s:.2f} s of the processors, all processes together")
    page = phases.run("first page of results, by score", lambda: dealer.data("session.results", asked))
    phases.run("by another metric", lambda: dealer.data("session.results", {**asked, "sort": "max_drawdown"}))
    phases.run("page 1,000 of all", lambda: dealer.data("session.results", {**asked, "all": True, "offset": 50_000}))
    detailed = dealer.data("session.status", {**asked, "detailed": True})
    print(f"  {status['status']}, {status['n_done']:,} trials, {page['total']:,} keep the constraints")
    print(f"  best {page['trials'][0]['score']:.4f} at {page['trials'][0]['params']}")
    print(f"  {detailed['items'][0]['seconds']:.2f} s in the search itself")
    return status


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--file", type=Path, default=FILE)
    options = parser.parse_args()
    request, phases = session_of(options.file), Phases()
    with tempfile.TemporaryDirectory() as name, zmq.Context() as context:
        folder = Path(name)
        import_markets(folder)
        daemon = DaemonProcess(folder, {"TUNESMITH_WORKERS__COUNT": str(options.workers)})
        phases.run("start of the daemon", daemon.start)
        assert daemon.process is not None
        pid = daemon.process.pid
        memory = Memory(pid)
        try:
            with Dealer(context, daemon.doors["requests"]) as dealer:
                status = measure(dealer, request, phases, lambda: _worked_s(pid))
        finally:
            peak_mb = memory.stop()
            daemon.stop()
        disk_mb = sum(file.stat().st_size for file in folder.glob("tunesmith.db*")) / 2**20
    counted = ("generate", "execute and store", "first page of results, by score")
    total = sum(phases.seconds[name] for name in counted)
    print(f"{'generated, executed, stored and queried':44} {total:8.2f} s   (must {MUST_S:g}, wished {WISHED_S:g})")
    print(f"{'most memory of all processes':44} {peak_mb:8.0f} MB  (must {MUST_MB:g})")
    print(f"{'database':44} {disk_mb:8.0f} MB")
    good = status["status"] == "completed" and status["n_done"] == 436_800
    return 0 if good and total <= MUST_S and peak_mb <= MUST_MB else 1


if __name__ == "__main__":
    sys.exit(main())
