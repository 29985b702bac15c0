"""One approval to many bots: how long until each has it, and what a thousand bots that join at once get.

    python tests/benchmarks/fanout.py [--bots 1 100 1000] [--approvals 100] [--joins 5] [--keys 1000]

Bots are bare SUB sockets in a process of their own. The time is from the approval's request to its event at each bot,
commit and all; the figures for one bot are what the others stand beside. Bots that join connect, subscribe and wait for
the newest package: the time is from the first connect until the last of them has it, duplicates are what they got
beyond one each. They do so without keys, and with KEYS different ones of a daemon that asks for them; each time a bare
XPUB that sends its one package again once nobody has subscribed for 20 ms, and lets any key in, takes turns with it:
what libzmq, its handshakes and the bots themselves take. The exit code is 1 when a join without keys (the median of
them) takes 0.5 s or more, or any 5 duplicates or more.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import zmq

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from benchmarks.approvals import approval, approved, plant  # noqa: E402
from benchmarks.loads import GUARDED, Triple, at, dealers, make_keys, serving, settle  # noqa: E402
from journeys.daemon import DaemonProcess  # noqa: E402

MUST_JOIN_S, MUST_DUPLICATES = 0.5, 5
QUIET_MS = 700
SETTINGS = {"TUNESMITH_WORKERS__COUNT": "1", "TUNESMITH_LIMITS__TASKS_PER_USER": "1000000"}

BOTS = """
import json, sys, time, zmq
address, topic, n, quiet_ms = sys.argv[1], sys.argv[2].encode(), int(sys.argv[3]), int(sys.argv[4])
keys = json.loads(sys.stdin.readline())
context = zmq.Context()
context.set(zmq.MAX_SOCKETS, n + 10)
poller, sockets = zmq.Poller(), []
began = time.monotonic()
for i in range(n):
    socket = context.socket(zmq.SUB)
    if keys:
        socket.curve_publickey, socket.curve_secretkey, socket.curve_serverkey = map(str.encode, keys[i % len(keys)])
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

BARE = (
    GUARDED
    + """
socket, frames = listen(zmq.XPUB, sys.argv[1]), [sys.argv[2].encode(), b"x" * int(sys.argv[3])]
socket.xpub_verbose = 1
tell(socket)
while True:
    socket.recv()
    while socket.poll(20):
        socket.recv()
    socket.send_multipart(frames)
"""
)
"""The peer: sends the same package to all when nobody has subscribed for a while."""
PACKAGE_BYTES = 2_000


class Join(NamedTuple):
    """Seconds until every bot had the newest package, and the packages beyond one each."""

    seconds: float
    duplicates: int


class Planted(NamedTuple):
    """A daemon, its market and the package in force there; the clients' keys where it asks for them, and its secret."""

    daemon: DaemonProcess
    package: tuple[str, str]
    keys: list[Triple]
    secret: str


@contextmanager
def bots(
    address: str, symbol: str, n: int, keys: Sequence[Triple] = ()
) -> Iterator[tuple[Join, subprocess.Popen[str]]]:
    """`n` bots that have joined; they share out the keys."""
    command = [sys.executable, "-c", BOTS, address, f"pkg/{symbol}/", str(n), str(QUIET_MS)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(keys) + "\n")
        process.stdin.flush()
        joined = json.loads(process.stdout.readline())
        yield Join(joined["seconds"], joined["duplicates"]), process
    finally:
        process.kill()
        process.communicate()


def fan_out(daemon: DaemonProcess, package: tuple[str, str], n: int, n_approvals: int) -> tuple[list[float], str]:
    """Seconds of every approval to every one of `n` bots, and the package that stands then."""
    symbol, standing = package
    times: list[float] = []
    with zmq.Context() as context, bots(daemon.doors["events"], symbol, n) as (_, process):
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


def joins(house: Planted, n: int, times: int) -> tuple[list[Join], list[Join]]:
    """`n` bots that join the daemon at once, and the bare peer, in turn, so many times each."""
    symbol, keys = house.package[0], house.keys
    with serving(BARE, house.secret, f"pkg/{symbol}/", str(PACKAGE_BYTES)) as (bare, _):
        ours: list[Join] = []
        plain: list[Join] = []
        for _ in range(times):
            for address, found in ((bare, plain), (house.daemon.doors["events"], ours)):
                with bots(address, symbol, n, keys) as (joined, _):
                    found.append(joined)
    return ours, plain


@contextmanager
def planted(n_keys: int = 0) -> Iterator[Planted]:
    """A daemon with a market whose package is in force; with keys it lets in nobody else."""
    with tempfile.TemporaryDirectory() as name:
        [package] = plant(Path(name), 1).items()
        keys, secret = make_keys(Path(name), n_keys) if n_keys else ([], "")
        daemon = DaemonProcess(Path(name), SETTINGS)
        daemon.start()
        try:
            yield Planted(daemon, package, keys, secret)
        finally:
            daemon.stop()


def show(n: int, whose: str, found: list[Join]) -> Join:
    """Print the joins of one kind; their medians."""
    middle = Join(*(statistics.median(column) for column in zip(*found, strict=True)))
    each = " ".join(f"{joined.seconds:.3f}" for joined in found)
    print(
        f"{n:5} bots join {whose:21} in {middle.seconds:.3f} s, {middle.duplicates:g} duplicates; s: {each}", flush=True
    )
    return middle


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--bots", type=int, nargs="+", default=[1, 100, 1000])
    parser.add_argument("--approvals", type=int, default=100)
    parser.add_argument("--joins", type=int, default=5)
    parser.add_argument("--keys", type=int, default=1000, help="how many different ones the bots with keys share out")
    options = parser.parse_args()
    most, medians = max(options.bots), []
    with planted() as house:
        assert house.daemon.process is not None
        settle(house.daemon.process.pid)
        package = house.package
        for n in options.bots if options.approvals else ():
            times, standing = fan_out(house.daemon, package, n, options.approvals)
            package = package[0], standing
            figures = "  ".join(
                f"{name} {1000 * at(times, share):8.2f} ms" for name, share in (("p50", 0.5), ("p99", 0.99))
            )
            print(f"{n:5} bots  {figures}  from the request of an approval", flush=True)
        ours, bare = joins(house, most, options.joins)
        medians.append(show(most, "without keys", ours))
        show(most, "a bare XPUB", bare)
    with planted(options.keys) as house:
        assert house.daemon.process is not None
        settle(house.daemon.process.pid)
        ours, bare = joins(house, most, options.joins)
        medians.append(show(most, "with keys", ours))
        show(most, "a bare XPUB with keys", bare)
    return 0 if medians[0].seconds < MUST_JOIN_S and all(m.duplicates < MUST_DUPLICATES for m in medians) else 1


if __name__ == "__main__":
    sys.exit(main())
