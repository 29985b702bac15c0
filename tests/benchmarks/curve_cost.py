"""What keys cost: the daemon's CPU a request with CURVE on, beside the same load without, in one run.

    python tests/benchmarks/curve_cost.py [--seconds 40] [--rate 2000] [--clients 16] [--window 8]

Two daemons, one with keys and one without, get the same requests in turns of half a second each. Their CPU (every
thread, from /proc) is read around each turn; the ratio is the median over the pairs of turns. Paced: `rate` requests a
second over `clients` DEALER connections, the same on both sides. Full: every connection keeps `window` requests on the
way, as fast as the daemon answers; then the numbers of requests differ, and what the sides share of each wake-up with
them. A blocking ROUTER that answers each request with the daemon's own reply takes its turns too, with and without
keys: what libzmq's encryption alone costs. The exit code is 1 when a load's ratio is above 1.20.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import zmq

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.loads import GUARDED, Triple, body, make_keys, serving, settle
from journeys.daemon import DaemonProcess

MUST_RATIO = 1.20
TURN_S = 0.5
LOADS: dict[str, dict[str, Any]] = {"ping": {}, "strategy.get": {"id": "ma_cross_v1.0"}, "data.list": {}}
SETTINGS = {"TUNESMITH_WORKERS__COUNT": "1", "TUNESMITH_LOG__LEVEL": "warning"}

BARE = (
    GUARDED
    + """
socket, reply = listen(zmq.ROUTER, sys.argv[1]), b""
tell(socket)
while True:
    client, body = socket.recv_multipart()
    if body[:1] == b"=":
        reply = body[1:]
    socket.send_multipart([client, reply])
"""
)
"""The peer: answers everything with what stood last behind a `=`."""


class Cost(NamedTuple):
    """CPU a request, microseconds, in the turns of one load: the daemon's and the bare peer's."""

    plain_us: list[float]
    keyed_us: list[float]
    bare_us: list[float]
    bare_keyed_us: list[float]

    @property
    def ratio(self) -> float:
        """The daemon's keyed over plain, the median of the turns beside each other."""
        return median(keyed / plain for plain, keyed in zip(self.plain_us, self.keyed_us, strict=True))


def cpu_s(pid: int) -> float:
    """Time on a core of a process, all its threads, without its children; ticks would be too coarse."""
    return sum(int((task / "schedstat").read_text().split()[0]) for task in Path(f"/proc/{pid}/task").iterdir()) / 1e9


class Load:
    """Connections that keep a number of requests on the way each to the process `pid`."""

    def __init__(
        self, context: zmq.Context[zmq.Socket[bytes]], address: str, pid: int, keys: list[Triple], n: int, window: int
    ) -> None:
        self.pid = pid
        self._window = window
        self._dealers = []
        self._poller = zmq.Poller()
        for i in range(n):
            dealer = context.socket(zmq.DEALER)
            dealer.linger = 0
            for triple in keys[i : i + 1]:
                dealer.curve_publickey, dealer.curve_secretkey, dealer.curve_serverkey = map(str.encode, triple)
            dealer.connect(address)
            self._dealers.append(dealer)
            self._poller.register(dealer, zmq.POLLIN)

    def ask(self, request: bytes) -> bytes:
        """The reply to one request."""
        self._dealers[0].send(request)
        if not self._dealers[0].poll(30_000):
            raise SystemExit("no reply")
        return self._dealers[0].recv()

    def run(self, request: bytes, seconds: float, rate: float | None) -> int:
        """Send for so many seconds, at a rate or as fast as answers come; how many were answered, which is all."""
        began = time.monotonic()
        n_sent = n_answered = 0
        if rate is None:
            for dealer in self._dealers * self._window:
                dealer.send(request)
                n_sent += 1
        while (running := time.monotonic() < began + seconds) or n_answered < n_sent:
            if rate is not None and running:
                due = int((time.monotonic() - began) * rate)
                for i in range(n_sent, due):
                    self._dealers[i % len(self._dealers)].send(request)
                n_sent = max(n_sent, due)
            for dealer, _ in self._poller.poll(1 if running else 10_000):
                while dealer.getsockopt(zmq.EVENTS) & zmq.POLLIN:
                    reply = dealer.recv()
                    if b'"ok":true' not in reply[:200]:
                        raise SystemExit(f"the request was refused: {reply[:300]!r}")
                    n_answered += 1
                    if rate is None and time.monotonic() < began + seconds:
                        dealer.send(request)
                        n_sent += 1
        return n_answered

    def cost_us(self, request: bytes, seconds: float, rate: float | None) -> float:
        """The CPU a request that the process took, microseconds."""
        before = cpu_s(self.pid)
        n = self.run(request, seconds, rate)
        return (cpu_s(self.pid) - before) / max(1, n) * 1e6


def measure(
    plain: DaemonProcess,
    keyed: DaemonProcess,
    keys: tuple[list[Triple], str],
    *,
    rounds: int,
    turn_s: float,
    rate: float,
    window: int,
    types: list[str],
) -> dict[str, Cost]:
    """The cost of each load, in so many rounds of a turn for each side; one connection for each of the keys."""
    clients, secret = keys
    costs: dict[str, Cost] = {}
    with ExitStack() as stack:
        context = stack.enter_context(zmq.Context())
        sides = []
        for daemon, triples in ((plain, []), (keyed, clients)):
            assert daemon.process is not None
            sides.append((daemon.doors["requests"], daemon.process.pid, triples))
        for server_secret, triples in (("", []), (secret, clients)):
            sides.append((*stack.enter_context(serving(BARE, server_secret)), triples))
        loads = [Load(context, address, pid, triples, len(clients), window) for address, pid, triples in sides]
        stack.callback(context.destroy, linger=0)
        for type in types:
            request = body(type, LOADS[type], "load")
            reply = loads[0].ask(request)
            for bare in loads[2:]:
                bare.ask(b"=" + reply)
            for load in loads:
                load.run(request, turn_s / 2, None)
            for pace, asked in (("paced", rate), ("full", None)):
                cost = costs[f"{type} {pace}"] = Cost([], [], [], [])
                for number in range(rounds):
                    order = list(zip(loads, cost, strict=True))
                    for load, times in order if number % 2 else reversed(order):
                        times.append(load.cost_us(request, turn_s, asked))
    return costs


def judged(costs: dict[str, Cost]) -> bool:
    """Print each load with its ratio; whether all are kept."""
    for name, cost in costs.items():
        plain, keyed, bare, bare_keyed = (median(times) for times in cost)
        print(
            f"{name:<18} {plain:6.1f} us plain  {keyed:6.1f} us with keys  ratio {cost.ratio:.3f}"
            f"   bare {bare:6.1f} us and {bare_keyed:6.1f} us   {'yes' if cost.ratio <= MUST_RATIO else 'NO'}"
        )
    return all(cost.ratio <= MUST_RATIO for cost in costs.values())


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=40.0, help="for each load, all four sides together")
    parser.add_argument("--rate", type=float, default=2000.0, help="requests a second of the paced load")
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--window", type=int, default=8)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="curve-cost-") as name, ExitStack() as stack:
        daemons = []
        for folder in (Path(name, "plain"), Path(name, "keyed")):
            folder.mkdir()
            daemons.append(DaemonProcess(folder, SETTINGS))
        keys = make_keys(daemons[1].folder, options.clients)
        for daemon in daemons:
            daemon.start()
            stack.callback(daemon.stop)
        for daemon in daemons:
            assert daemon.process is not None
            settle(daemon.process.pid)
        costs = measure(
            daemons[0],
            daemons[1],
            keys,
            rounds=max(1, round(options.seconds / TURN_S / 4)),
            turn_s=TURN_S,
            rate=options.rate,
            window=options.window,
            types=list(LOADS),
        )
    return 0 if judged(costs) else 1


if __name__ == "__main__":
    sys.exit(main())
