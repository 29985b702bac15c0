"""One approval to many bots: how long until each has it, and what a thousand bots that join at once get.

    python tests/benchmarks/fanout.py [--bots 1 100 1000] [--approvals 100] [--joins 5]

Bots are bare SUB sockets in a process of their own. The time is from the approval's request to its event at each bot,
commit and all; the figures for one bot are what the others stand beside. Bots that join connect, subscribe and wait for
the newest package: the time is from the first connect until the last of them has it, duplicates are what they got
beyond one each. The exit code is 1 when a join (the median of them) takes 0.5 s or more, or 5 duplicates or more.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import zmq

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from benchmarks.approvals import approval, approved, plant  # noqa: E402
from benchmarks.loads import at, dealers  # noqa: E402
from journeys.daemon import DaemonProcess  # noqa: E402

MUST_JOIN_S, MUST_DUPLICATES = 0.5, 5
QUIET_MS = 700
SETTINGS = {"TUNESMITH_WORKERS__COUNT": "1", "TUNESMITH_LIMITS__TASKS_PER_USER": "1000000"}

BOTS = """
import json, sys, time, zmq
address, topic, n, quiet_ms = sys.argv[1], sys.argv[2].encode(), int(sys.argv[3]), int(sys.argv[4])
context = zmq.Context()
context.set(zmq.MAX_SOCKETS, n + 10)
poller, sockets = zmq.Poller(), []
began = time.monotonic()
for _ in range(n):
    socket = context.socket(zmq.SUB)
    socket.subscribe(topic)
    socket.connect(address)
    poller.register(socket, zmq.POLLIN)
    sockets.append(socket)
first, n_got = {}, 0
while True:
    ready = poller.poll(quiet_ms if len(first) == n else 60_000)
    now = time.monotonic()
    if not ready:
        break
    for socket, _ in ready:
        socket.recv_multipart()
        first.setdefault(socket, now)
        n_got += 1
assert len(first) == n, "some bots got nothing"
print(json.dumps({"seconds": max(first.values()) - began, "duplicates": n_got - n}), flush=True)
for line in sys.stdin:
    missing, times, sent = set(sockets), [], float(line)
    while missing:
        ready = poller.poll(60_000)
        assert ready, "some bots did not hear of it"
        for socket, _ in ready:
            socket.recv_multipart()
            times.append(time.monotonic() - sent)
            missing.discard(socket)
    print(json.dumps(times), flush=True)
"""
"""The bots' process: joins, says how it went, then says for each approval when each bot had it."""


class Join(NamedTuple):
    """Seconds until every bot had the newest package, and the packages beyond one each."""

    seconds: float
    duplicates: int


@contextmanager
def bots(daemon: DaemonProcess, symbol: str, n: int) -> Iterator[tuple[Join, subprocess.Popen[str]]]:
    """`n` bots that have joined."""
    command = [sys.executable, "-c", BOTS, daemon.doors["events"], f"pkg/{symbol}/", str(n), str(QUIET_MS)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        joined = json.loads(process.stdout.readline())
        yield Join(joined["seconds"], joined["duplicates"]), process
    finally:
        process.kill()
        process.communicate()


def fan_out(daemon: DaemonProcess, package: tuple[str, str], n: int, n_approvals: int) -> tuple[list[float], str]:
    """Seconds of every approval to every one of `n` bots, and the package that stands then."""
    symbol, standing = package
    times: list[float] = []
    with zmq.Context() as context, bots(daemon, symbol, n) as (_, process):
        assert process.stdin is not None
        assert process.stdout is not None
        [asker] = dealers(context, daemon.doors["requests"], 1)
        for _ in range(n_approvals):
            process.stdin.write(f"{time.monotonic()!r}\n")
            process.stdin.flush()
            asker.send(approval(standing))
            standing = approved(asker.recv())
            times += json.loads(process.stdout.readline())
        asker.close()
    return times, standing


def joins(daemon: DaemonProcess, symbol: str, n: int, times: int) -> list[Join]:
    """`n` bots that join at once, so many times."""
    found = []
    for _ in range(times):
        with bots(daemon, symbol, n) as (joined, _):
            found.append(joined)
    return found


@contextmanager
def planted() -> Iterator[tuple[DaemonProcess, tuple[str, str]]]:
    """A daemon with a market whose package is in force."""
    with tempfile.TemporaryDirectory() as name:
        [package] = plant(Path(name), 1).items()
        daemon = DaemonProcess(Path(name), SETTINGS)
        daemon.start()
        try:
            yield daemon, package
        finally:
            daemon.stop()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--bots", type=int, nargs="+", default=[1, 100, 1000])
    parser.add_argument("--approvals", type=int, default=100)
    parser.add_argument("--joins", type=int, default=5)
    options = parser.parse_args()
    with planted() as (daemon, (symbol, standing)):
        for n in options.bots:
            times, standing = fan_out(daemon, (symbol, standing), n, options.approvals)
            figures = "  ".join(
                f"{name} {1000 * at(times, share):8.2f} ms" for name, share in (("p50", 0.5), ("p99", 0.99))
            )
            print(f"{n:5} bots  {figures}  from the request of an approval", flush=True)
        found = joins(daemon, symbol, max(options.bots), options.joins)
    for joined in found:
        print(f"{max(options.bots):5} bots join in {joined.seconds:.3f} s, {joined.duplicates} duplicates")
    median = Join(*(statistics.median(column) for column in zip(*found, strict=True)))
    return 0 if median.seconds < MUST_JOIN_S and median.duplicates < MUST_DUPLICATES else 1


if __name__ == "__main__":
    sys.exit(main())
