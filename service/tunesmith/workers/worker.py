"""A worker process: the loop that runs chunks, and what chunk functions may call while they run.

A chunk function may say what it is `doing` and how many compiled rules it has `loaded`, and end itself by `cancel_flag`
or `stop_if_cancelled`;
outside of an executor these do nothing. The request and task ids of the caller are bound to structlog's context while
it runs.

    daemon → worker    ("run", id, function, pickled payload, log context)   ("cancel", id)   ("stop",)
    worker → daemon    ("ready", pid)   ("broken", traceback)   ("said", kind, payload)
                       ("result", value, compiled rules)   ("failed", error, traceback, compiled rules)

The main thread runs chunks; another listens, so that a cancel or the daemon's end is noticed in the middle of one.

A worker leads a process group of its own, and ignores SIGINT and SIGTERM by a handler: an ignored signal would stay
ignored in every program that a chunk starts, a handled one has its default there.
"""

from __future__ import annotations

import contextlib
import faulthandler
import functools
import importlib
import os
import pickle
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from typing import Any, NamedTuple, NoReturn

import msgspec
import structlog

from tunesmith import telemetry
from tunesmith.config import Log
from tunesmith.errors import Busy, Draining, Internal, TunesmithError
from tunesmith.storage.faults import DiskRefused, file_fault
from tunesmith.workers import frames
from tunesmith.workers.executor import ChunkFailed, MemoryExceeded

IGNORED_SIGNALS = frozenset((signal.SIGINT, signal.SIGTERM))
"""Ctrl-C and a supervisor's SIGTERM may reach every process; the daemon alone decides what they mean."""

Table = Mapping[str, Callable[[Any], Any]]


class Program(msgspec.Struct, frozen=True, kw_only=True):
    """What worker processes run.

    `table` names a module whose `CHUNKS` maps names to chunk functions. The process that workers are forked from
    imports the `preload` modules, then calls `prepare`, a function named as "module:function", so that workers share
    what that loads; neither may leave a thread behind. `log` is how workers write log lines of libraries to standard
    error. `niceness` is how far they give way to other processes, the daemon among them: 0 (not at all) to 19.
    """

    table: str
    preload: tuple[str, ...] = ()
    prepare: str = ""
    log: Log = Log()
    niceness: int = 0


@dataclass(eq=False, slots=True)
class Running:
    """The chunk at work, as its function may see it; `n_rules` is what it said to have `loaded`."""

    say: Callable[[str, Any], None]
    cancelled: threading.Event = field(default_factory=threading.Event)
    n_rules: int = 0


_running: ContextVar[Running | None] = ContextVar("running", default=None)


def doing(what: str) -> None:
    """Say what keeps the chunk from its work for a while, in words for the task's log and its progress."""
    running = _running.get()
    if running is not None:
        running.say("doing", what)


def loaded(n_rules: int) -> None:
    """Say how many compiled rules this process holds; they cannot be unloaded, so a pool replaces it in time."""
    running = _running.get()
    if running is not None:
        running.n_rules = n_rules


def cancel_flag() -> Callable[[], bool]:
    """What tells whether nobody waits for the chunk any more.

    A function that takes longer than `Limits.cancel_grace_s` asks it between the steps of its work, and raises
    `Draining`. The worker then keeps what it has loaded; otherwise it is killed, and the one that replaces it loads
    everything again.
    """
    running = _running.get()
    return (lambda: False) if running is None else running.cancelled.is_set


def stop_if_cancelled() -> None:
    """Raise `Draining` when nobody waits for the chunk any more; see `cancel_flag`."""
    if cancel_flag()():
        raise Draining("the work was cancelled before it was done")


@functools.cache
def resolve(name: str) -> Callable[..., Any]:
    """The function that "module:function" names."""
    module, _, function = name.partition(":")
    found: Callable[..., Any] = getattr(importlib.import_module(module), function)
    return found


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
        if isinstance(refused, DiskRefused | Busy):
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

    `warm_up` names a function to call first, if any, as "module:function". When the machine's memory runs out, the
    kernel is told to take workers before the daemon.
    """
    faulthandler.enable()
    os.register_at_fork(after_in_child=_restore_signals)
    Path("/proc/self/oom_score_adj").write_text("500")
    telemetry.configure_logging(program.log)
    worker = _Worker(sock)
    threading.Thread(target=worker.listen, name="listen", daemon=True).start()
    try:
        if warm_up:
            resolve(warm_up)()
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
        self._channel = frames.Channel(sock)

    def send(self, *message: Any) -> None:
        try:
            self._channel.send(*message)
        except frames.Gone:
            _end_with_children()

    def listen(self) -> None:
        newest: _Order | None = None
        while True:
            try:
                message = self._channel.receive()
            except frames.Gone:
                _end_with_children()
            match message:
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
                self.send("result", result, order.running.n_rules)
            except Exception as error:  # whatever pickling a foreign object raises
                raise foreign(f"{order.function}: its result cannot be sent: {type(error).__name__}") from error
        except TunesmithError as error:
            self._fail(error, order.running.n_rules)

    def _fail(self, error: TunesmithError, n_rules: int) -> None:
        text = error.traceback if isinstance(error, ChunkFailed) else ""
        try:
            self.send("failed", error, text, n_rules)
        except Exception:  # a subclass of a chunk function's own that does not pickle
            self.send("failed", Internal(error.message), traceback.format_exc(), n_rules)

    def _say(self, kind: str, payload: Any) -> None:
        self.send("said", kind, payload)


def ignore_signals() -> None:
    """Ignore Ctrl-C and SIGTERM in this process, but not in the programs that it starts."""
    for number in IGNORED_SIGNALS:
        signal.signal(number, lambda *_: None)


def _restore_signals() -> None:
    """In a process that a chunk forks, let the signals end it again."""
    for number in IGNORED_SIGNALS:
        signal.signal(number, signal.SIG_DFL)


def kill_group(leader: int) -> None:
    """Kill a process and the group that it leads, or the process alone where it leads none yet."""
    try:
        os.killpg(leader, signal.SIGKILL)
    except ProcessLookupError:
        with contextlib.suppress(ProcessLookupError):
            os.kill(leader, signal.SIGKILL)
    except PermissionError:  # nobody in it is ours: the number belongs to another group by now
        return


def _end_with_children() -> NoReturn:
    """End this process and what it started: the daemon is gone, so nobody else does."""
    kill_group(os.getpid())
    os._exit(0)


def _exit(code: int) -> NoReturn:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
