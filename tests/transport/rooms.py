"""A transport room in a thread of its own, with a handful of handlers, to be reached over real sockets."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
import zmq

from tunesmith.config import Events, Limits
from tunesmith.errors import NotFound
from tunesmith.protocol.catalog import Call
from tunesmith.protocol.envelope import TaskStatus
from tunesmith.protocol.key_files import ClientKey
from tunesmith.protocol.messages.backtests import BacktestStarted, StartBacktest
from tunesmith.protocol.messages.optimizations import OptimizationStarted, StartOptimization
from tunesmith.protocol.messages.packages import ListPackages, PackageList
from tunesmith.protocol.messages.server import EventsSnapshot, Ping, Pong
from tunesmith.protocol.messages.strategies import CreateStrategy, DeleteStrategy, StrategyDeleted, UpdateStrategy
from tunesmith.protocol.messages.tasks import ListTasks, LogLine, TaskList, TaskLogs, TaskLogsReply
from tunesmith.protocol.messages.verdicts import VerdictById, VerdictReply
from tunesmith.transport.access.access_control import AccessControl
from tunesmith.transport.access.client_keys import KeyStore
from tunesmith.transport.http import Health, HttpSidecar, Probes
from tunesmith.transport.http.bearer import Tokens
from tunesmith.transport.router import Router
from tunesmith.transport.zmq.endpoints import BindPolicy
from tunesmith.transport.zmq.event_socket import EventSocket, Origin
from tunesmith.transport.zmq.request_sockets import InboxSocket, RequestSocket
from tunesmith.transport.zmq.zap import ZapHandler

T = TypeVar("T")


class Handlers:
    """Handlers that answer at once, wait for `gate`, refuse, or break."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.seen: list[Call] = []
        self.finished: list[str] = []
        self.status: TaskStatus = "running"
        self.lines: list[LogLine] = []

    def ping(self, request: Ping, call: Call) -> Pong:
        self.seen.append(call)
        return Pong(version="1", protocol=1, time="now", uptime_s=float("nan"))

    async def start(self, request: StartBacktest, call: Call) -> BacktestStarted:
        await self.gate.wait()
        self.finished.append(call.id)
        return BacktestStarted(task_id=call.id, status="pending", estimated_time=1)

    async def optimize(self, request: StartOptimization, call: Call) -> OptimizationStarted:
        return OptimizationStarted(
            optimization_id="o", status="pending", progress=0.0, method="grid", n_trials=len(request.param_ranges)
        )

    async def snapshot(self, request: EventsSnapshot, call: Call) -> Any:
        raise RuntimeError("secret: the password is 123")

    async def log_lines(self, request: TaskLogs, call: Call) -> TaskLogsReply:
        if request.task_id == "none":
            raise NotFound("no such task", path="/data/task_id")
        lines = [line for line in self.lines if line.n > request.after][: request.limit]
        return TaskLogsReply(task_id=request.task_id, status=self.status, lines=lines)

    async def packages(self, request: ListPackages, call: Call) -> PackageList:
        return PackageList(packages=[], total=request.limit * 1000 + request.in_force)

    async def update(self, request: UpdateStrategy, call: Call) -> StrategyDeleted:
        return StrategyDeleted(id=f"{request.id}@{request.version}", deleted=False)

    async def delete(self, request: DeleteStrategy, call: Call) -> StrategyDeleted:
        self.seen.append(call)
        return StrategyDeleted(id=request.id, deleted=True)

    async def create(self, request: CreateStrategy, call: Call) -> StrategyDeleted:
        return StrategyDeleted(id=request.id, deleted=False)

    async def tasks(self, request: ListTasks, call: Call) -> TaskList:
        try:
            await self.gate.wait()
        finally:
            self.finished.append(call.id)
        return TaskList(tasks=[], total=0)

    async def verdict(self, request: VerdictById, call: Call) -> VerdictReply:
        raise NotFound(f"no verdict {request.verdict_id}", path="/data/verdict_id")

    def table(self) -> dict[str, Callable[..., Any]]:
        return {
            "ping": self.ping,
            "backtest.start": self.start,
            "optimization.start": self.optimize,
            "events.snapshot": self.snapshot,
            "strategy.create": self.create,
            "strategy.update": self.update,
            "strategy.delete": self.delete,
            "package.list": self.packages,
            "task.logs": self.log_lines,
            "task.list": self.tasks,
            "verdict.get": self.verdict,
        }


class Room:
    """Requests, inbox and events doors on free ports; `call` runs a function on their loop."""

    def __init__(
        self,
        limits: Limits | None = None,
        events: Events | None = None,
        *,
        with_http: bool = False,
        keys: KeyStore | None = None,
        tokens: Tokens | None = None,
    ) -> None:
        self.with_http = with_http
        self.tokens = tokens
        self.keys = keys
        self.limits = limits or Limits()
        self.settings = events or Events()
        self.dropped: Counter[str] = Counter()
        self.observed: Counter[tuple[str, str]] = Counter()
        self.head = 0
        self.health = Health()
        self.broken: Exception | None = None
        self._ready = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main()), daemon=True)

    def __enter__(self) -> Room:
        self._thread.start()
        assert self._ready.wait(30)
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop every part; once is enough."""
        if not self._thread.is_alive():
            return
        self.call(self._done.set)
        self._thread.join(30)
        assert not self._thread.is_alive()

    def call(self, function: Callable[..., T], *args: Any) -> T:
        """`function(*args)` on the loop, its result waited for."""

        async def run() -> T:
            return function(*args)

        return asyncio.run_coroutine_threadsafe(run(), self.loop).result(30)

    def _observe(self, type: str, code: str, seconds: float) -> None:
        assert seconds >= 0
        self.observed[type, code] += 1

    def _drop(self, door: str) -> None:
        self.dropped[door] += 1

    async def _health(self) -> Health:
        if self.broken is not None:
            raise self.broken
        return self.health

    async def _main(self) -> None:
        self.loop = asyncio.get_running_loop()
        self._done = asyncio.Event()
        self.handlers = Handlers()
        self.router = Router(self.handlers.table(), self.limits, self._observe)
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.gate = None if self.keys is None else AccessControl(self.keys)
        entry = BindPolicy(gate=self.gate)
        if self.gate is not None:
            self.zap = ZapHandler(context, self.gate)
            self.zap.start()
        self.events = EventSocket(
            context,
            "tcp://127.0.0.1:0",
            self.settings,
            self.limits,
            origin=Origin("test", "epoch-1"),
            head=lambda: self.head,
            entry=entry,
        )
        self.requests = RequestSocket(
            context, "tcp://127.0.0.1:*", self.router, self.limits, entry=entry, dropped=self._drop
        )
        self.inbox = InboxSocket(
            context, "tcp://127.0.0.1:0", self.router, self.events.publish, self.limits, entry=entry, dropped=self._drop
        )
        doors = (self.events, self.requests, self.inbox)
        for door in doors:
            door.start()
        if self.with_http:
            self.http = HttpSidecar("127.0.0.1:0", self.router, self.limits, Probes(self._health), tokens=self.tokens)
            await self.http.start()
        self._ready.set()
        await self._done.wait()
        await self.router.drained(0.1)
        if self.with_http:
            await self.http.stop()
        for door in doors:
            door.stop()
        if self.gate is not None:
            self.zap.stop()
        context.destroy(linger=0)


class Bot:
    """Plain blocking pyzmq sockets, closed with the test."""

    def __init__(self) -> None:
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._kept: list[zmq.Socket[bytes]] = []

    def socket(
        self, kind: int, endpoint: str, timeout_ms: int = 30_000, key: ClientKey | None = None
    ) -> zmq.Socket[bytes]:
        socket = self.context.socket(kind)
        if key is not None:
            socket.curve_publickey, socket.curve_secretkey = key.public.encode(), key.secret.encode()
            socket.curve_serverkey = key.server.encode()
        self._kept.append(socket)
        socket.linger = 0
        socket.rcvtimeo = timeout_ms
        if kind == zmq.SUB:
            socket.rcvhwm = 0
        socket.connect(endpoint)
        return socket


def body(type: str = "ping", id: Any = "r1", data: Any = None, **more: Any) -> bytes:
    return msgspec.json.encode({"v": 1, "type": type, "id": id, "data": {} if data is None else data, **more})
