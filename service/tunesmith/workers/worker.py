"""Inside a worker process: what chunk functions may call, and the loop that runs them.

A chunk function may `log`, report `progress`, say what it is `doing` and how many compiled rules it has `loaded`, and
ask whether it was `cancelled`; outside of an executor these do nothing. The request and task ids of the caller are
bound to structlog's context while it runs.

    daemon → worker    ("run", id, function, pickled payload, log context)   ("cancel", id)   ("stop",)
    worker → daemon    ("ready", pid)   ("broken", traceback)   ("said", kind, payload)
                       ("result", value)   ("failed", error)

The main thread runs chunks; another listens, so that a cancel or the daemon's end is noticed in the middle of one.
"""

from __future__ import annotations

import faulthandler
import importlib
import os
import pickle
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from pathlib import Path
from queue import SimpleQueue
from typing import Any, NamedTuple, NoReturn

import msgspec
import structlog

from tunesmith import telemetry
from tunesmith.config import Log
from tunesmith.errors import Internal, TunesmithError
from tunesmith.storage.faults import DiskRefused, file_fault
from tunesmith.workers import frames
from tunesmith.workers.executor import ChunkFailed, LogLine, MemoryExceeded

PROGRESS_INTERVAL_S = 0.05

Table = Mapping[str, Callable[[Any], Any]]


class Program(msgspec.Struct, frozen=True, kw_only=True):
    """What worker processes run.

    `table` names a module whose `CHUNKS` maps names to chunk functions. The process that workers are forked from
    imports the `preload` modules, then calls `prepare`, a function of the table's module, so that workers share what
    that loads; neither may leave a thread behind. `log` is how workers write log lines of libraries to standard error.
    `nice` lets workers give way: with three busy ones on two cores the daemon's loop woke up to 3.8 ms late (99th
    percentile), beside workers of nice 10 0.2 ms; but on a machine that others keep busy, such workers get next to
    nothing.
    """

    table: str
    preload: tuple[str, ...] = ()
    prepare: str = ""
    log: Log = Log()
    nice: int = 0


class Running:
    """The chunk at work, as its function may see it."""

    def __init__(self, say: Callable[[str, Any], None]) -> None:
        self.say = say
        self.cancelled = threading.Event()
        self.progress_due = 0.0


_running: ContextVar[Running | None] = ContextVar("running", default=None)


def log(level: str, message: str) -> None:
    """Add a line to the log of the task that the chunk belongs to; `level` as in the settings."""
    running = _running.get()
    if running is not None:
        running.say("log", LogLine(level, message))


def progress(fraction: float) -> None:
    """Report how much of the chunk is done, 0 to 1. Reports that come too fast are dropped, but for the last."""
    running = _running.get()
    if running is not None and (fraction >= 1.0 or time.monotonic() >= running.progress_due):
        running.progress_due = time.monotonic() + PROGRESS_INTERVAL_S
        running.say("progress", min(max(float(fraction), 0.0), 1.0))


def doing(what: str) -> None:
    """Say what keeps the chunk from its work for a while, in words for the task's log and its progress."""
    running = _running.get()
    if running is not None:
        running.say("doing", what)


def loaded(n_rules: int) -> None:
    """Say how many compiled rules this process holds; they cannot be unloaded, so a pool replaces it in time."""
    running = _running.get()
    if running is not None:
        running.say("loaded", n_rules)


def cancelled() -> bool:
    """Whether nobody waits for the chunk any more; its function should return, whatever it returns."""
    running = _running.get()
    return running is not None and running.cancelled.is_set()


def load_table(module: str) -> Table:
    """The chunk functions of a module by its dotted name."""
    table: Table = importlib.import_module(module).CHUNKS
    return table


def perform(table: Table, function: str, payload: Callable[[], Any], running: Running) -> Any:
    """Call a chunk function on what `payload` returns. Raises errors of our tree only; foreign ones are translated."""
    token = _running.set(running)
    try:
        if function not in table:
            raise Internal(f"there is no chunk function {function!r}")
        return table[function](payload())
    except TunesmithError:
        raise
    except MemoryError as error:
        raise MemoryExceeded(f"{function}: the memory was used up") from error
    except OSError as error:
        refused = file_fault(error, f"{function}: a file")
        if isinstance(refused, DiskRefused):
            raise refused from error
        raise foreign(f"{function} failed: {type(error).__name__}") from error
    except (Exception, SystemExit) as error:  # the outer guard of a chunk, as the router is of a request
        raise foreign(f"{function} failed: {type(error).__name__}") from error
    finally:
        _running.reset(token)


def foreign(message: str) -> ChunkFailed:
    """The exception that is being handled, as an error of ours."""
    failed = ChunkFailed(message)
    failed.traceback = traceback.format_exc()
    return failed


def main(sock: socket.socket, warm_up: str, program: Program) -> NoReturn:
    """Serve chunks that come over `sock` until told to stop or the other end is gone. Ends the process.

    `warm_up` names a function of the table's module to call first, if any. When the machine's memory runs out, the
    kernel is told to take workers before the daemon.
    """
    faulthandler.enable()
    os.nice(program.nice)
    Path("/proc/self/oom_score_adj").write_text("500")
    telemetry.configure_logging(program.log)
    worker = _Worker(sock)
    threading.Thread(target=worker.listen, name="listen", daemon=True).start()
    try:
        module = importlib.import_module(program.table)
        if warm_up:
            getattr(module, warm_up)()
        table = load_table(program.table)
    except (Exception, SystemExit):
        worker.send("broken", traceback.format_exc())
        _exit(1)
    worker.send("ready", os.getpid())
    while (order := worker.orders.get()) is not None:
        worker.carry_out(table, order)
    _exit(0)


class _Order(NamedTuple):
    id: int
    function: str
    payload: bytes
    context: Mapping[str, Any]
    running: Running


class _Worker:
    def __init__(self, sock: socket.socket) -> None:
        self.orders: SimpleQueue[_Order | None] = SimpleQueue()
        self._sock = sock
        self._sending = threading.Lock()

    def send(self, *message: Any) -> None:
        self._send(frames.pack(message))

    def listen(self) -> None:
        newest: _Order | None = None
        while True:
            try:
                frame = frames.read(self._sock)
            except ConnectionError:
                frame = None
            if frame is None:
                os._exit(0)
            match frames.unpack(frame):
                case ("run", id, function, payload, context):
                    newest = _Order(id, function, payload, context, Running(self._say))
                    self.orders.put(newest)
                case ("cancel", id) if newest is not None and newest.id == id:
                    newest.running.cancelled.set()
                case ("stop",):
                    self.orders.put(None)

    def carry_out(self, table: Table, order: _Order) -> None:
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(**order.context)
        try:
            result = perform(table, order.function, lambda: pickle.loads(order.payload), order.running)  # noqa: S301
            try:
                pieces = frames.pack(("result", result))
            except Exception as error:  # whatever pickling a foreign object raises
                raise foreign(f"{order.function}: its result cannot be sent: {type(error).__name__}") from error
        except TunesmithError as error:
            pieces = self._failure(error)
        self._send(pieces)

    def _failure(self, error: TunesmithError) -> list[bytes | memoryview]:
        text = error.traceback if isinstance(error, ChunkFailed) else ""
        try:
            return frames.pack(("failed", error, text))
        except Exception:  # a subclass of a chunk function's own that does not pickle
            return frames.pack(("failed", Internal(error.message), traceback.format_exc()))

    def _say(self, kind: str, payload: Any) -> None:
        self.send("said", kind, payload)

    def _send(self, pieces: list[bytes | memoryview]) -> None:
        try:
            with self._sending:
                for piece in pieces:
                    self._sock.sendall(piece)
        except (BrokenPipeError, ConnectionError):
            os._exit(0)


def _exit(code: int) -> NoReturn:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
