"""The daemon's side of the fork server and of each worker: sockets that the event loop watches, and never waits for.

A worker leads a process group of its own, which its children belong to unless they leave it: they are killed with it,
and their memory is counted with its own.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Collection
from enum import Enum, auto
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import structlog

from tunesmith.workers import frames
from tunesmith.workers.executor import Limits
from tunesmith.workers.worker import IGNORED_SIGNALS, Program, kill_group

logger = structlog.get_logger(__name__)

ONE_THREAD = dict.fromkeys(
    (
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "MKL_NUM_THREADS",
        "BLIS_NUM_THREADS",
        "VECLIB_MAXIMUM_THREADS",
        "NUMEXPR_NUM_THREADS",
        "NUMBA_NUM_THREADS",
    ),
    "1",
)
"""Workers are the parallelism; libraries that add threads of their own only get in each other's way."""

FORKABLE = {"JE_ARROW_MALLOC_CONF": "background_thread:false"}
"""pyarrow's allocator would begin a thread in the process that workers are forked from."""

_EXIT_WAIT_S = 5.0
_LOADING, _SILENT = 10.0, 2 / 3
_PAGE_MB = os.sysconf("SC_PAGE_SIZE") / 2**20


class Exit(NamedTuple):
    """How a process ended: its exit code, negative for a signal, and the most memory it had; None: nobody saw it."""

    code: int | None = None
    peak_mb: int | None = None

    def __str__(self) -> str:
        if self.code is None:
            return "ended unseen"
        how = f"exit code {self.code}" if self.code >= 0 else f"killed by {_signal_name(-self.code)}"
        return how if self.peak_mb is None else f"{how}, peak memory {self.peak_mb} MB"


def begin(control: socket.socket, program: str) -> subprocess.Popen[bytes]:
    """Begin the process of fork_server.py, which leads a session; `program` is a `Program` as JSON."""
    return subprocess.Popen(  # noqa: S603 - our own interpreter and module
        [sys.executable, "-P", "-m", "tunesmith.workers.fork_server", str(control.fileno()), program],
        stdin=subprocess.DEVNULL,
        pass_fds=(control.fileno(),),
        start_new_session=True,
        env=environment(),
    )


def environment() -> dict[str, str]:
    """What a fork server has for its environment: this process's, its modules to be found where this one finds them."""
    search_path = os.pathsep.join(str(Path(path).absolute()) for path in sys.path)
    return os.environ | ONE_THREAD | FORKABLE | {"PYTHONPATH": search_path}


class ForkServer:
    """Starts the process of fork_server.py when a worker is asked for and none is there.

    One that does not answer for `answer_s` is killed, and so replaced with the next worker; before its first answer it
    has `_LOADING` times as long, for what it loads.
    """

    def __init__(self, program: Program, answer_s: float = 30.0) -> None:
        self._program = program
        self._answer_s = answer_s
        self._answered = False
        self._timers: dict[int, asyncio.TimerHandle] = {}
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._workers: dict[int, WorkerProcess] = {}
        self._numbers = itertools.count(1)

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None and self._control is not None else None

    @property
    def is_silent(self) -> bool:
        """Whether it has not answered for a third of the time after which it is killed."""
        late = asyncio.get_running_loop().time() + _SILENT * self._answer_s
        return self._answered and any(timer.when() < late for timer in self._timers.values())

    def start(self) -> None:
        """Launch the process, without waiting until it is up. Does nothing when there is one."""
        if self._control is None:
            self._launch()

    def fork(self, worker: WorkerProcess, sock: socket.socket, warm_up: str) -> None:
        """Ask for a process for `worker`, whose end of the socket is `sock`. `OSError` when that cannot be asked."""
        control = self._control or self._launch()
        number = next(self._numbers)
        socket.send_fds(control, [f"{number} {warm_up}".encode()], [sock.fileno()])
        self._workers[number] = worker
        wait_s = self._answer_s if self._answered else _LOADING * self._answer_s
        self._timers[number] = asyncio.get_running_loop().call_later(wait_s, self._give_up)

    async def close(self) -> None:
        """End the process and with it all of its workers, and wait until they are gone."""
        self._lose()
        if self._process is not None:
            await asyncio.to_thread(_wait, self._process)

    def _launch(self) -> socket.socket:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        before = signal.pthread_sigmask(signal.SIG_BLOCK, IGNORED_SIGNALS)  # until the child can ignore them
        try:
            process = begin(theirs, msgspec.json.encode(self._program).decode())
        except OSError:
            ours.close()
            raise
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            theirs.close()
        ours.setblocking(False)
        asyncio.get_running_loop().add_reader(ours.fileno(), self._read, ours, process)
        self._control, self._process, self._answered = ours, process, False
        return ours

    def _give_up(self) -> None:
        logger.error("the process that workers are forked from does not answer; it is killed", pid=self.pid)
        if self._process is not None:
            self._process.kill()

    def _read(self, control: socket.socket, process: subprocess.Popen[bytes]) -> None:
        try:
            packet = control.recv(256)
        except BlockingIOError:
            return
        except ConnectionError:
            packet = b""
        match packet.decode().split():
            case []:
                self._lose()
                asyncio.get_running_loop().run_in_executor(None, process.wait)
            case ["started", number, pid]:
                self._answered = True
                self._timers.pop(int(number)).cancel()
                self._workers[int(number)].started(int(pid))
            case ["exited", number, code, peak_kb]:
                self._workers.pop(int(number)).exited(Exit(int(code), int(peak_kb) // 1024))

    def _lose(self) -> None:
        if self._control is not None:
            asyncio.get_running_loop().remove_reader(self._control.fileno())
            self._control.close()
            self._control = None
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        for worker in self._workers.values():
            worker.exited(Exit())
        self._workers.clear()


class State(Enum):
    """A worker's life. Only an idle one is given chunks."""

    STARTING = auto()
    IDLE = auto()
    BUSY = auto()
    STOPPING = auto()


class WorkerProcess(frames.MessageProtocol):
    """One worker: its socket, its process, its state.

    `doomed`: it was killed and may be given no chunk; `was_cancelled`: for a cancelled chunk, which is no fault of its.
    `on_message` gets each message, as the exception that unpickling raised where there is none; `on_lost` is called
    once, when the socket has been read to its end.
    """

    def __init__(
        self,
        on_message: Callable[[WorkerProcess, Any], None],
        on_lost: Callable[[WorkerProcess], None],
    ) -> None:
        self.state = State.STARTING
        self.pid: int | None = None
        self.n_rules = 0
        self.failure: str | None = None
        self._start_mb = 0.0
        self.exit: asyncio.Future[Exit] = asyncio.get_running_loop().create_future()
        super().__init__(on_message)
        self._on_lost = on_lost
        self._timer: asyncio.TimerHandle | None = None
        self.doomed = False
        self.was_cancelled = False

    async def connect(self, server: ForkServer, warm_up: str) -> None:
        """Have the process made, to begin with `warm_up`. When that fails, `on_lost` is called as for one that died."""
        try:
            ours, theirs = socket.socketpair()
            with theirs:
                await asyncio.get_running_loop().create_connection(lambda: self, sock=ours)
                server.fork(self, theirs, warm_up)
        except OSError as error:
            self.failure = f"cannot start a process: {error}"
            self.exited(Exit())
            if self.transport is None:
                self._on_lost(self)

    def kill(self) -> None:
        """End the process and its children at once, whatever they do."""
        self.doomed = True
        if self.pid is not None:
            kill_group(self.pid)

    def kill_after(self, seconds: float, before: Callable[[], object] | None = None) -> None:
        """Call `before` and kill the process in so many seconds, unless it is spared or given other seconds by then."""
        self.spare()

        def kill() -> None:
            if before is not None:
                before()
            self.kill()

        self._timer = asyncio.get_running_loop().call_later(seconds, kill)

    def forgive(self) -> None:
        """Take its end, which comes now, for that of a chunk that was cancelled."""
        self.was_cancelled = True

    def spare(self) -> None:
        """Do not kill it after a time that was set."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def abandon(self) -> None:
        """Kill, and do not wait for the socket's end."""
        self.kill()
        if self.transport is not None:
            self.transport.abort()

    async def ended(self) -> None:
        """Wait until a killed process is gone that no fork server waits for any more."""
        if self.pid is not None:
            await asyncio.to_thread(_await_end, self.pid)

    def remember_size(self) -> None:
        """Take the memory that the process has now as what it has at its start."""
        self._start_mb = self._size_mb() or 0.0

    def grown_mb(self) -> float | None:
        """Memory that the process has for itself beyond its start, in MB, without children; None when it is gone."""
        size_mb = self._size_mb()
        return None if size_mb is None else size_mb - self._start_mb

    def is_worn(self, limits: Limits) -> bool:
        """Whether it has grown, or has loaded as many compiled rules, that it is to be replaced."""
        if limits.recycle_rules is not None and self.n_rules >= limits.recycle_rules:
            return True
        return limits.recycle_mb is not None and (self.grown_mb() or 0.0) > limits.recycle_mb

    def _size_mb(self) -> float | None:
        return None if self.pid is None else private_mb(self.pid)

    def started(self, pid: int) -> None:
        self.pid = pid
        if self.doomed:
            kill_group(pid)

    def exited(self, exit: Exit) -> None:
        if exit.code is not None:
            self.pid = None  # it may be another process's now
        if not self.exit.done():
            self.exit.set_result(exit)

    def connection_lost(self, exc: Exception | None) -> None:
        self._on_lost(self)


def private_mb(pid: int) -> float | None:
    """Memory that a process has in use for itself, resident less shared pages, in MB; None when it is gone."""
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:  # noqa: PTH123 - five times a second for each worker
            _, resident, shared, *_ = file.read().split()
    except OSError:
        return None
    return (int(resident) - int(shared)) * _PAGE_MB


class GroupMemory:
    """Measures the memory of groups' members other than their leaders, by looking through /proc.

    Looks in short intervals read processes that are new since the last one, and of those that stay only the members:
    reading all of 500 processes would keep the daemon's loop busy for 10 ms, five times a second. A child that was
    forked without exec counts pages that it shares with its worker too, as the kernel tells them apart only slowly.
    """

    def __init__(self) -> None:
        self._group_of: dict[str, int] = {}

    def look(self, leaders: Collection[int]) -> dict[int, float]:
        """Private MB of each group's members beside its leader, by the leader's pid; groups of one are left out."""
        names = [name for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208 - as above
        self._group_of = {name: self._group_of.get(name) or _group_of(name) for name in names}
        found: dict[int, float] = {}
        for name, leader in self._group_of.items():
            if leader in leaders and leader != int(name):
                found[leader] = found.get(leader, 0.0) + (private_mb(int(name)) or 0.0)
        return found


def _group_of(name: str) -> int:
    """The group of a process; 0 when it is gone."""
    try:
        with open(f"/proc/{name}/stat", "rb") as file:  # noqa: PTH123 - as above
            return int(file.read().rpartition(b")")[2].split()[2])
    except OSError:
        return 0


def _wait(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(_EXIT_WAIT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _await_end(pid: int) -> None:
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        poll.poll(_EXIT_WAIT_S * 1000)
    finally:
        os.close(fd)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
