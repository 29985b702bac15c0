"""Durable submissions: requests answered in a second, beside a server that commits each of them by itself.

    python tests/benchmarks/group_commit.py [--seconds 2] [--rounds 5] [--fsync-ms 0 2 5]

64 clients with one request in flight each. The peer is a blocking pyzmq ROUTER that stores every request with its reply
in SQLite (WAL, synchronous=FULL) and answers after the COMMIT; the two take turns on the same disk, and the figure is
the median of the rounds' ratios. How much shared commits help is the disk's to say, so both are also run with every
fsync held up by so many milliseconds, which takes a C compiler. `backtest.start` is measured with the workers paused:
the submissions, not the work. The exit code is 1 when `package.ack` is below its bound on a disk held up by 2 ms or
more.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import zmq

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from benchmarks.approvals import plant  # noqa: E402
from benchmarks.loads import Make, dealers, fsync_ms, rate, read, serving  # noqa: E402
from journeys.conftest import import_markets  # noqa: E402
from journeys.daemon import START_TIMEOUT_S, DaemonProcess, wait_until  # noqa: E402

MUST, FROM_MS = 10.0, 2.0
CLIENTS = 64
BACKTEST = {"symbol": "BTC/USDT", "strategy_id": "ma_cross_v1.0"}
SETTINGS = {"TUNESMITH_LIMITS__TASKS_PER_USER": "10000000", "TUNESMITH_EVENTS__HEARTBEAT_S": "5"}

ONE_BY_ONE = """
import json, sqlite3, sys, zmq
socket = zmq.Context().socket(zmq.ROUTER)
socket.bind("tcp://127.0.0.1:0")
conn = sqlite3.connect(sys.argv[1], isolation_level=None)
conn.execute("PRAGMA journal_mode = WAL")
conn.execute("PRAGMA synchronous = FULL")
conn.execute("CREATE TABLE IF NOT EXISTS requests (id TEXT PRIMARY KEY, request TEXT, reply TEXT)")
print(socket.get_string(zmq.LAST_ENDPOINT), flush=True)
while True:
    identity, body = socket.recv_multipart()
    id = json.loads(body)["id"]
    reply = json.dumps({"v": 1, "type": "reply", "id": id, "ok": True, "data": {}}).replace(" ", "")
    conn.execute("INSERT INTO requests VALUES (?, ?, ?)", (id, body, reply))
    socket.send_multipart([identity, reply.encode()])
"""
"""The peer. Without a BEGIN every INSERT is a transaction of its own."""


SLOWER = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>
static int late(const char *name, int fd) {
    struct timespec wait = {0, atol(getenv("FSYNC_LATE_NS"))};
    nanosleep(&wait, 0);
    return ((int (*)(int))dlsym(RTLD_NEXT, name))(fd);
}
int fsync(int fd) { return late("fsync", fd); }
int fdatasync(int fd) { return late("fdatasync", fd); }
"""
"""Stands between a process and the C library, and holds up every fsync."""


def held_up(fsync_ms: float, folder: Path) -> dict[str, str]:
    """The environment of a process each of whose fsyncs takes so much longer."""
    if not fsync_ms:
        return {}
    library = folder / "slower.so"
    command = ["cc", "-shared", "-fPIC", "-x", "c", "-", "-o", str(library), "-ldl"]
    subprocess.run(command, input=SLOWER, text=True, check=True)
    return {"LD_PRELOAD": str(library), "FSYNC_LATE_NS": str(round(1e6 * fsync_ms))}


@contextmanager
def paused(daemon: DaemonProcess) -> Iterator[None]:
    """The daemon's workers, those that search and the one that reads hold-outs, do nothing meanwhile."""
    n = int(daemon.environ["TUNESMITH_WORKERS__COUNT"]) + 1
    wait_until(lambda: len(daemon.workers()) == n, START_TIMEOUT_S, lambda: "the workers did not start")
    workers = daemon.workers()
    for pid in workers:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in workers:
            os.kill(pid, signal.SIGCONT)


def ratio(
    peer: Sequence[zmq.Socket[bytes]], ours: Sequence[zmq.Socket[bytes]], make: Make, rounds: int, seconds: float
) -> tuple[float, float, float]:
    """Requests a second of the daemon and of the peer, and the first over the second: medians of the rounds."""
    found = []
    for _ in range(rounds):
        alone = rate(peer, make, b'"ok":true', seconds)
        together = rate(ours, make, b'"ok":true', seconds)
        found.append((together, alone, together / alone))
    together, alone, times = (statistics.median(column) for column in zip(*found, strict=True))
    return together, alone, times


def measure(slower_ms: float, rounds: int, seconds: float) -> dict[str, float]:
    """Message type → how many submissions are answered in the time of one that is committed by itself."""
    found = {}
    with tempfile.TemporaryDirectory() as name, zmq.Context() as context:
        folder = Path(name)
        import_markets(folder)
        (_, standing), *_ = plant(folder, 1).items()
        kinds: Mapping[str, Make] = {
            "package.ack": read("package.ack", {"package_id": standing, "outcome": "applied"}),
            "backtest.start": read("backtest.start", BACKTEST),
        }
        environ = held_up(slower_ms, folder)
        daemon = DaemonProcess(folder, SETTINGS | environ)
        daemon.start()
        try:
            with serving(ONE_BY_ONE, str(folder / "peer.db"), environ=environ) as (address, _), paused(daemon):
                peer, ours = dealers(context, address, CLIENTS), dealers(context, daemon.doors["requests"], CLIENTS)
                disk = f"{fsync_ms(folder) + slower_ms:5.2f} ms a commit's fsync"
                for kind, make in kinds.items():
                    together, alone, found[kind] = ratio(peer, ours, make, rounds, seconds)
                    print(
                        f"{disk}  {kind:16} {together:9,.0f}/s  one by one {alone:7,.0f}/s  ratio {found[kind]:6.2f}",
                        flush=True,
                    )
                for socket in (*peer, *ours):
                    socket.close()
        finally:
            daemon.kill()
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--fsync-ms", type=float, nargs="+", default=[0.0, 2.0, 5.0])
    options = parser.parse_args()
    good = True
    for slower_ms in options.fsync_ms:
        if slower_ms and shutil.which("cc") is None:
            print(f"{slower_ms:g} ms a commit's fsync: there is no C compiler here, so not measured")
            continue
        found = measure(slower_ms, options.rounds, options.seconds)
        good = good and (slower_ms < FROM_MS or found["package.ack"] >= MUST)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
