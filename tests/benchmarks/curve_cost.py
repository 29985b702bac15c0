"""What keys cost: the daemon's CPU a request with CURVE on, beside the same load without, in one run.

    python tests/benchmarks/curve_cost.py [--seconds 20] [--rate 2000] [--clients 16] [--window 8]

Two daemons, one with keys and one without, get the same requests in turns of half a second each. Their CPU (every
thread, from /proc) is read around each turn. Paced: `rate` requests a second over `clients` DEALER connections,
the same on both sides. Full: every connection keeps `window` requests on the way, as fast as the daemon answers; then
the numbers of requests differ, and what the sides share of each wake-up with them.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import msgspec
import zmq

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from journeys.daemon import DaemonProcess
from tunesmith.transport.keyfile import ClientKey, read_client_key
from tunesmith.transport.keys import KeyStore

TURN_S = 0.5
LOADS: dict[str, dict[str, Any]] = {"ping": {}, "strategy.get": {"id": "ma_cross_v1.0"}, "data.list": {}}


class Cost(NamedTuple):
    """The daemon's CPU a request, microseconds, in the turns of one load."""

    plain_us: list[float]
    keyed_us: list[float]

    @property
    def ratio(self) -> float:
        """Keyed over plain, each the median of its turns."""
        return median(self.keyed_us) / median(self.plain_us)


@contextmanager
def served(folder: Path, n_keys: int) -> Iterator[tuple[DaemonProcess, list[ClientKey]]]:
    """A daemon, and the keys to come in with, one a connection, where it asks for them."""
    folder.mkdir()
    store, keys = KeyStore(folder / "keys"), []
    if n_keys:
        store.make_server()
        keys = [read_client_key(store.add(f"load-{i}", "bot")) for i in range(n_keys)]
    daemon = DaemonProcess(folder, {"TUNESMITH_WORKERS__COUNT": "1", "TUNESMITH_LOG__LEVEL": "warning"})
    daemon.start()
    try:
        yield daemon, keys
    finally:
        daemon.stop()


def cpu_s(pid: int) -> float:
    """Time on a core of a process, all its threads, without its children; ticks would be too coarse."""
    return sum(int((task / "schedstat").read_text().split()[0]) for task in Path(f"/proc/{pid}/task").iterdir()) / 1e9


class Load:
    """Connections that keep a number of requests on the way each."""

    def __init__(
        self, context: zmq.Context[zmq.Socket[bytes]], address: str, keys: list[ClientKey], n: int, window: int
    ) -> None:
        self._window = window
        self._dealers = []
        self._poller = zmq.Poller()
        for i in range(n):
            dealer = context.socket(zmq.DEALER)
            dealer.linger = 0
            for key in keys[i : i + 1]:
                dealer.curve_publickey, dealer.curve_secretkey = key.public.encode(), key.secret.encode()
                dealer.curve_serverkey = key.server.encode()
            dealer.connect(address)
            self._dealers.append(dealer)
            self._poller.register(dealer, zmq.POLLIN)

    def run(self, type: str, seconds: float, rate: float | None) -> int:
        """Send for so many seconds, at a rate or as fast as answers come; how many were answered, which is all."""
        body = msgspec.json.encode({"v": 1, "type": type, "id": "load", "data": LOADS[type]})
        began = time.monotonic()
        n_sent = n_answered = 0
        if rate is None:
            for dealer in self._dealers * self._window:
                dealer.send(body)
                n_sent += 1
        while (running := time.monotonic() < began + seconds) or n_answered < n_sent:
            if rate is not None and running:
                due = int((time.monotonic() - began) * rate)
                for i in range(n_sent, due):
                    self._dealers[i % len(self._dealers)].send(body)
                n_sent = max(n_sent, due)
            for dealer, _ in self._poller.poll(1 if running else 10_000):
                while dealer.getsockopt(zmq.EVENTS) & zmq.POLLIN:
                    reply = dealer.recv()
                    if b'"ok":true' not in reply[:200]:
                        raise SystemExit(f"the daemon refused: {reply[:300]!r}")
                    n_answered += 1
                    if rate is None and time.monotonic() < began + seconds:
                        dealer.send(body)
                        n_sent += 1
        return n_answered


def measure(seconds: float, rate: float, clients: int, window: int, types: list[str]) -> dict[str, Cost]:
    """The cost of each load, in turns of plain and keyed; `seconds` each."""
    costs = {f"{type} {pace}": Cost([], []) for type in types for pace in ("paced", "full")}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="curve-cost-")))
        context = stack.enter_context(zmq.Context())
        sides = []
        for name, n_keys in (("plain", 0), ("keyed", clients)):
            daemon, keys = stack.enter_context(served(folder / name, n_keys))
            assert daemon.process is not None
            load = Load(context, daemon.doors["requests"], keys, clients, window)
            load.run("ping", 0.2, None)
            sides.append((daemon.process.pid, load))
        stack.callback(context.destroy, linger=0)
        for name, cost in costs.items():
            type, pace = name.split()
            for _ in range(max(1, round(seconds / TURN_S / 2))):
                for (pid, load), times in zip(sides, cost, strict=True):
                    before = cpu_s(pid)
                    n = load.run(type, TURN_S, rate if pace == "paced" else None)
                    times.append((cpu_s(pid) - before) / n * 1e6)
    return costs


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0, help="for each load, both sides together")
    parser.add_argument("--rate", type=float, default=2000.0, help="requests a second of the paced load")
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--window", type=int, default=8)
    options = parser.parse_args()
    costs = measure(options.seconds, options.rate, options.clients, options.window, list(LOADS))
    for type, cost in costs.items():
        plain, keyed = median(cost.plain_us), median(cost.keyed_us)
        print(f"{type:<18} {plain:7.1f} us plain   {keyed:7.1f} us with keys   ratio {cost.ratio:.3f}")


if __name__ == "__main__":
    main()
