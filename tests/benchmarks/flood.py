"""What an honest client notices of one that floods: its pings' times while 5,000 requests of another are in flight.

    python tests/benchmarks/flood.py [--pings 5000] [--flood 5000] [--rounds 5]

The flooder keeps FLOOD requests on the wire at all times, of each kind in turn: pings, lookups, searches that are
refused, work that waits, strategy code that does not parse, bodies of a megabyte. The honest client asks one ping after
the other from a process of its own. Beside the daemon, a blocking ROUTER that sends back what it gets takes its turns
under the same flood: what two processes that never rest cost on this machine, and libzmq's queues. The exit code is 1
when the daemon's p99 is 10 ms or more under any kind.
"""

from __future__ import annotations

import argparse
import itertools
import json
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import zmq

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from benchmarks.loads import at, body, echo, settle  # noqa: E402
from journeys.conftest import import_markets  # noqa: E402
from journeys.daemon import DaemonProcess  # noqa: E402

MUST_MS = 10.0
HONEST = """
import sys, time, zmq
address, n = sys.argv[1], int(sys.argv[2])
socket = zmq.Context().socket(zmq.REQ)
socket.connect(address)
socket.setsockopt(zmq.RCVTIMEO, 60_000)
for number in range(n):
    began = time.perf_counter()
    socket.send(b'{"v":1,"type":"ping","id":"h%d"}' % number)
    assert b'"id":"h%d"' % number in socket.recv()
    print(time.perf_counter() - began)
"""
"""The honest client: plain pyzmq, in a process of its own, so that the flooder's work is not in its times."""

SEARCH = {
    "symbol": "BTC/USDT",
    "strategy_id": "ma_cross_v1.0",
    "method": "grid",
    "param_ranges": {"fast_period": {"min": 2, "max": 2000}, "slow_period": {"min": 2001, "max": 9000}},
}
STRATEGY = {"id": "s", "name": "S", "version": "1", "code": "enter_long(close > sma(close, 3) +\n" * 50}
KINDS: dict[str, tuple[str, Any]] = {
    "ping": ("ping", {}),
    "lookup": ("strategy.get", {"id": "ma_cross_v1.0"}),
    "refused search": ("optimization.start", SEARCH),
    "broken strategy": ("strategy.create", STRATEGY),
    "waiting": ("strategy.approve", {"strategy_id": "ma_cross_v1.0", "backtest_id": "none"}),
    "megabyte": ("strategy.create", {**STRATEGY, "code": "x" * 1_000_000}),
}
"""Kind of flood → message type and data."""


class Flooder:
    """Keeps so many requests of one kind on the wire, from a thread; `codes` counts what came of them."""

    def __init__(self, address: str, kind: str, n: int) -> None:
        self.codes: Counter[str] = Counter()
        self._address, self._n = address, n
        self._type, self._data = KINDS[kind]
        self._kind = kind.replace(" ", "_")
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._flood)

    def __enter__(self) -> Flooder:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._ended.set()
        self._thread.join()

    def _flood(self) -> None:
        with zmq.Context() as context:
            socket = context.socket(zmq.DEALER)
            socket.linger, socket.sndhwm, socket.rcvhwm = 0, 0, 0
            socket.connect(self._address)
            template, ids = body(self._type, self._data, f"{self._kind}-@").split(b"@", 1), itertools.count()
            on_the_wire = 0
            while not self._ended.is_set():
                while on_the_wire < self._n:
                    socket.send(template[0] + b"%d" % next(ids) + template[1])
                    on_the_wire += 1
                if not socket.poll(100):
                    continue
                self.codes[code_of(socket.recv())] += 1
                on_the_wire -= 1
            socket.close()


def code_of(reply: bytes) -> str:
    """What became of a request: `ok`, an error's code, or that it was merely sent back."""
    if b'"ok":' not in reply[:200]:
        return "echo"
    read = json.loads(reply)
    return "ok" if read["ok"] else str(read["error"]["code"])


def honest(address: str, n: int) -> list[float]:
    """Milliseconds of each of `n` pings, one after the other."""
    command = [sys.executable, "-c", HONEST, address, str(n)]
    return [1000 * float(line) for line in subprocess.check_output(command, text=True).splitlines()]


class Found(NamedTuple):
    """Milliseconds of the honest pings to the daemon and to the echo, and the daemon's answers to the flooder."""

    times: list[float]
    beside: list[float]
    codes: Counter[str]


def measure(daemon: DaemonProcess, n_pings: int, n_flood: int, rounds: int = 1) -> dict[str, Found]:
    """Kind of flood → what was found; each round has its share of the pings."""
    ours, share = daemon.doors["requests"], max(1, n_pings // rounds)
    found = {kind: Found([], [], Counter()) for kind in KINDS}
    with echo() as (plain, _):
        for kind, (times, beside, codes) in found.items():
            n = n_flood if kind != "megabyte" else max(1, n_flood // 50)
            for _ in range(rounds):
                with Flooder(plain, kind, n):
                    beside += honest(plain, share)
                with Flooder(ours, kind, n) as flooder:
                    times += honest(ours, share)
                codes.update(flooder.codes)
    return found


def judged(found: Mapping[str, Found]) -> bool:
    """Print each kind with its figures; whether the bound is kept under all of them."""
    print(f"{'flood of':16} {'p50':>7} {'p99':>7} {'most':>7}   {'p50':>7} {'p99':>7} {'most':>7}  of the bare echo")
    for kind, (times, beside, codes) in found.items():
        ours, plain = (
            " ".join(f"{value:7.2f}" for value in (at(side, 0.5), at(side, 0.99), max(side)))
            for side in (times, beside)
        )
        kept = "yes" if at(times, 0.99) < MUST_MS else "NO"
        print(f"{kind:16} {ours}   {plain}  ms of an honest ping  {kept:3}  {dict(codes)}")
    return all(at(each.times, 0.99) < MUST_MS for each in found.values())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pings", type=int, default=5_000)
    parser.add_argument("--flood", type=int, default=5_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        import_markets(Path(name))
        daemon = DaemonProcess(Path(name))
        daemon.start()
        assert daemon.process is not None
        settle(daemon.process.pid)
        try:
            found = measure(daemon, options.pings, options.flood, options.rounds)
        finally:
            daemon.stop()
    return 0 if judged(found) else 1


if __name__ == "__main__":
    sys.exit(main())
