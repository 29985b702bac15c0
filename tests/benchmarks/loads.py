"""Load for the benchmarks of the wire: bare clients that cost little themselves, and what a process takes meanwhile."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
import zmq

from journeys.daemon import children
from tunesmith.protocol.key_files import read_client_key
from tunesmith.transport.access.client_keys import KeyStore

ECHO = """
import sys, zmq
socket = zmq.Context().socket(zmq.ROUTER)
socket.bind("tcp://127.0.0.1:0")
print(socket.get_string(zmq.LAST_ENDPOINT), flush=True)
while True:
    socket.send_multipart(socket.recv_multipart())
"""
"""The peer that a daemon's rate is held against: pyzmq at its plainest, which reads nothing of what it repeats."""

GUARDED = """
import sys, threading, zmq

context = zmq.Context()
context.set(zmq.MAX_SOCKETS, 10_000)

def let_in(zap):
    while True:
        version, number = zap.recv_multipart()[:2]
        zap.send_multipart([version, number, b"200", b"OK", b"", b""])

def listen(kind, secret):
    socket = context.socket(kind)
    if secret:
        zap = context.socket(zmq.REP)
        zap.bind("inproc://zeromq.zap.01")
        threading.Thread(target=let_in, args=[zap], daemon=True).start()
        socket.curve_server, socket.curve_secretkey, socket.zap_domain = 1, secret.encode(), b"bare"
    socket.backlog = 4_096
    socket.bind("tcp://127.0.0.1:0")
    return socket

def tell(socket):
    print(socket.get_string(zmq.LAST_ENDPOINT), flush=True)
"""
"""How a plain peer begins: with a secret key it is a CURVE server that lets in whoever holds any key."""

REPLY_TIMEOUT_MS = 60_000
Make = Callable[[str], bytes]
"""From a request's id to its body."""

Triple = tuple[str, str, str]
"""What a client comes in with: its public and secret key, and the server's public one."""

_numbers = itertools.count(1)


@contextmanager
def serving(code: str, *arguments: str, environ: Mapping[str, str] | None = None) -> Iterator[tuple[str, int]]:
    """Python code in a process of its own that prints where it listens: its address and process id."""
    command = [sys.executable, "-c", code, *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, **(environ or {})})
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip(), process.pid
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def echo() -> AbstractContextManager[tuple[str, int]]:
    """A blocking ROUTER in a process of its own that sends back what it gets: its address and process id."""
    return serving(ECHO)


def make_keys(folder: Path, n: int) -> tuple[list[Triple], str]:
    """Let a daemon's folder ask for keys: those of `n` clients, and the server's secret."""
    store = KeyStore(folder / "keys")
    store.make_server()
    made = [read_client_key(store.add(f"load-{i}", "bot")) for i in range(n)]
    return [(key.public, key.secret, key.server) for key in made], store.server().secret


def body(message_type: str, data: Any = None, id: str | None = None, **more: Any) -> bytes:
    """A request in its envelope, with a new id where none is named."""
    id = id or f"l{os.getpid()}-{next(_numbers)}"
    return msgspec.json.encode({"v": 1, "type": message_type, "id": id, "data": data or {}, **more})


def dealers(context: zmq.Context[Any], address: str, n: int) -> list[zmq.Socket[bytes]]:
    """`n` clients of one address."""
    made = []
    for _ in range(n):
        socket = context.socket(zmq.DEALER)
        socket.linger = 0
        socket.rcvtimeo = REPLY_TIMEOUT_MS
        socket.connect(address)
        made.append(socket)
    return made


def rate(sockets: Sequence[zmq.Socket[bytes]], make: Make, expected: bytes, seconds: float) -> float:
    """Requests answered in a second, one in flight for each socket; every reply must contain `expected`."""
    ids = (f"r{os.getpid()}-{number}" for number in _numbers)
    n, began = 0, time.perf_counter()
    while time.perf_counter() - began < seconds:
        for socket in sockets:
            socket.send(make(next(ids)))
        for socket in sockets:
            reply = socket.recv()
            assert expected in reply, reply[:500]
        n += len(sockets)
    return n / (time.perf_counter() - began)


def read(message_type: str, data: Any = None) -> Make:
    """Makes requests of one type that differ in their ids alone, at the price of a concatenation."""
    before, after = body(message_type, data, id="@").split(b"@", 1)
    return lambda id: before + id.encode() + after


def cpu_s(pid: int) -> float:
    """Processor time that a process has taken, seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def settle(pid: int, timeout_s: float = 60.0) -> None:
    """Wait until a process and all that it started have next to nothing to do: a daemon's workers have warmed up."""
    end, before = time.monotonic() + timeout_s, -1.0
    while time.monotonic() < end:
        spent, left = 0.0, [pid]
        while left:
            one = left.pop()
            with suppress(OSError):  # it may have ended
                spent += cpu_s(one)
                left += children(one)
        if 0 <= spent - before < 0.03:
            return
        before = spent
        time.sleep(0.5)


def memory_mb(pid: int) -> float:
    """What a process has in memory, MB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def n_descriptors(pid: int) -> int:
    """How many files and sockets a process has open."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def at(times: Sequence[float], share: float) -> float:
    """The quantile of some times, by the nearest rank."""
    ordered = sorted(times)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def fsync_ms(folder: Path, n: int = 50) -> float:
    """One fsync of some new bytes: the median, milliseconds."""
    times = []
    file = os.open(folder / "fsync.bin", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    for _ in range(n):
        os.write(file, b"x" * 4096)
        began = time.perf_counter()
        os.fsync(file)
        times.append(time.perf_counter() - began)
    os.close(file)
    return 1000 * at(times, 0.5)
