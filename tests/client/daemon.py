"""A daemon in a thread: real doors and router, an event log in memory, handlers that a test can bend."""

from __future__ import annotations

import asyncio
import base64
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
import zmq

from tunesmith.config import Events, Limits
from tunesmith.errors import Busy, TunesmithError
from tunesmith.protocol.catalog import Call
from tunesmith.protocol.envelope import TaskStatus
from tunesmith.protocol.messages.backtests import BacktestStarted, StartBacktest
from tunesmith.protocol.messages.optimizations import OptimizationStarted, StartOptimization
from tunesmith.protocol.messages.packages import AcknowledgePackage, LatestPackage, Package, PackageAck, PackageReply
from tunesmith.protocol.messages.server import EventRecord, EventsReplay, EventsReply, EventsSnapshot, Ping, Pong
from tunesmith.protocol.messages.tasks import TaskLogs, TaskLogsReply
from tunesmith.protocol.messages.verdicts import ApproveStrategy, VerdictById, VerdictReply
from tunesmith.storage.sqlite.connections import SigningKey
from tunesmith.transport.access.access_control import AccessControl
from tunesmith.transport.access.client_keys import KeyStore
from tunesmith.transport.router import Router
from tunesmith.transport.zmq.endpoints import BindPolicy
from tunesmith.transport.zmq.event_socket import EventSocket, Origin
from tunesmith.transport.zmq.request_sockets import RequestSocket
from tunesmith.transport.zmq.zap import ZapHandler

T = TypeVar("T")
SYMBOL = "BTC/USDT"
TOPIC = "pkg/BTC/USDT/1h/grid/"
TESTED = ("tested",)
"""The grades that bots of these tests take where these do not matter: that of `package` and better."""


class FakeDaemon:
    """`start` and `stop` it as often as you like: it comes back on the same ports, with the same log."""

    def __init__(self, *, heartbeat_s: float = 0.05, page: int = 1000) -> None:
        self.settings = Events(heartbeat_s=heartbeat_s)
        self.page = page
        self.epoch = "epoch-1"
        self.log: list[tuple[str, dict[str, Any]]] = []
        self.requests = self.events = "tcp://127.0.0.1:0"
        self.asked: Counter[str] = Counter()
        self.ids: list[str] = []
        self.refusals: list[TunesmithError] = []
        self.old_heartbeats = False
        self.key: SigningKey | None = None
        self.keys: KeyStore | None = None
        self.resumed: set[str] = set()
        self.signatures: dict[int, bytes] = {}
        self._thread: threading.Thread | None = None

    def __enter__(self) -> FakeDaemon:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def start(self) -> None:
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main()), daemon=True)
        self._thread.start()
        assert self._ready.wait(30)

    def stop(self) -> None:
        if self._thread is not None:
            self.call(self._done.set)
            self._thread.join(30)
            assert not self._thread.is_alive()
            self._thread = None

    def replace_database(self) -> None:
        """Another epoch, an empty log; to be called while it is stopped."""
        self.epoch, self.log = f"{self.epoch}'", []

    def append(self, topic: str, type: str, data: dict[str, Any], *, lost: bool = False) -> int:
        """A durable event; a `lost` one is in the log but is never published."""
        seq = len(self.log) + 1
        prev = max((e["seq"] for t, e in self.log if t == topic), default=0)
        event = {
            "specversion": "1.0",
            "v": 1,
            "id": f"{self.epoch}-{seq}",
            "source": "urn:tunesmith:fake",
            "type": type,
            "time": "2024-01-01T00:00:00Z",
            "epoch": self.epoch,
            "seq": seq,
            "prev": prev,
            "data": data,
        }
        if self.key is not None:
            event["keyid"] = self.key.keyid
            self.signatures[seq] = self.key.sign(msgspec.json.encode(event))
        self.log.append((topic, event))
        if self._thread is not None and not lost:
            self.publish(seq)
        return seq

    def publish(self, seq: int) -> None:
        """Send a logged event, again if it was sent before."""
        topic, event = self.log[seq - 1]
        self.send(topic, msgspec.json.encode(event), self.signatures.get(seq))

    def send(self, topic: str, frame: bytes, signature: bytes | None) -> None:
        """Any frames on the events door, as somebody between daemon and bot could send them."""
        self.call(self._events_door.publish, topic, frame, signature)

    def call(self, function: Callable[..., T], *args: Any) -> T:
        async def run() -> T:
            return function(*args)

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result(30)

    def ping(self, request: Ping, call: Call) -> Pong:
        self.asked["ping"] += 1
        self.ids.append(call.id)
        if self.refusals:
            raise self.refusals.pop(0)
        return Pong(version="1", protocol=1, time="t", uptime_s=1.0)

    async def backtest(self, request: StartBacktest, call: Call) -> BacktestStarted:
        self.asked["backtest.start"] += 1
        self.ids.append(call.id)
        await self._gate.wait()
        return BacktestStarted(task_id=f"bt-{call.client}", status="pending", estimated_time=1)

    async def optimize(self, request: StartOptimization, call: Call) -> OptimizationStarted:
        return OptimizationStarted(
            optimization_id="opt-1", status="pending", progress=0.0, method="grid", n_trials=len(request.param_ranges)
        )

    async def acknowledge(self, request: AcknowledgePackage, call: Call) -> PackageAck:
        self.asked["package.ack"] += 1
        return PackageAck(
            package_id=request.package_id,
            user=call.user,
            client=call.client or "",
            outcome=request.outcome,
            reason=request.reason,
            time="t",
            runs=request.outcome == "applied",
        )

    async def latest(self, request: LatestPackage, call: Call) -> PackageReply:
        """The package that the newest approval brought, as if it were in force."""
        [*_, event] = [event for _, event in self.log if event["type"] == "package.approved"]
        about = msgspec.convert(event["data"], Package)
        return PackageReply(package=about, state="in_force", seq=event["seq"], verdict_id=None)

    async def approve(self, request: ApproveStrategy, call: Call) -> VerdictReply:
        return VerdictReply(verdict_id="vd-1", status="running", progress=0.5)

    async def verdict(self, request: VerdictById, call: Call) -> VerdictReply:
        return VerdictReply(
            verdict_id=request.verdict_id, status="completed", progress=1.0, approved=True, verdict="approved"
        )

    async def logs(self, request: TaskLogs, call: Call) -> TaskLogsReply:
        status: TaskStatus = "running" if request.task_id in self.resumed else "completed"
        self.asked["task.logs"] += 1
        return TaskLogsReply(task_id=request.task_id, status=status, lines=[])

    async def snapshot(self, request: EventsSnapshot, call: Call) -> EventsReply:
        self.asked["events.snapshot"] += 1
        newest: dict[str, dict[str, Any]] = {}
        for topic, event in self._below(request.topics):
            newest[topic] = event
        records = sorted(newest.items(), key=lambda item: item[1]["seq"])
        return self._reply(records[-self.page :], more=len(records) > self.page)

    async def replay(self, request: EventsReplay, call: Call) -> EventsReply:
        self.asked["events.replay"] += 1
        records = [(t, e) for t, e in self._below(request.topics) if e["seq"] > request.after]
        limit = min(self.page, request.limit)
        return self._reply(records[:limit], more=len(records) > limit)

    def _below(self, prefixes: list[str]) -> list[tuple[str, dict[str, Any]]]:
        return [(topic, event) for topic, event in self.log if topic.startswith(tuple(prefixes))]

    def _reply(self, records: list[tuple[str, dict[str, Any]]], *, more: bool) -> EventsReply:
        events = list(map(self._record, records))
        return EventsReply(epoch=self.epoch, head=len(self.log), events=events, more=more)

    def _record(self, logged: tuple[str, dict[str, Any]]) -> EventRecord:
        topic, event = logged
        signature = self.signatures.get(event["seq"])
        if signature is None:
            return EventRecord(topic=topic, event=event)
        text = msgspec.json.encode(event).decode()
        return EventRecord(topic=topic, event=event, text=text, signature=base64.b64encode(signature).decode())

    def open_access_control(self) -> None:
        self.call(self._gate.set)

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._done, self._gate = asyncio.Event(), asyncio.Event()
        limits = Limits()
        table = {
            "ping": self.ping,
            "backtest.start": self.backtest,
            "optimization.start": self.optimize,
            "strategy.approve": self.approve,
            "verdict.get": self.verdict,
            "package.latest": self.latest,
            "package.ack": self.acknowledge,
            "task.logs": self.logs,
            "events.snapshot": self.snapshot,
            "events.replay": self.replay,
        }
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        router = self.router = Router(table, limits)
        gate = None if self.keys is None else AccessControl(self.keys)
        entry, zap = BindPolicy(gate=gate), None if gate is None else ZapHandler(context, gate)
        if zap is not None:
            zap.start()
        requests = RequestSocket(context, self.requests, router, limits, entry=entry)
        events = self._events_door = EventSocket(
            context,
            self.events,
            self.settings,
            limits,
            origin=Origin("fake", self.epoch, lambda: self.key),
            head=lambda: len(self.log),
            entry=entry,
        )
        self.requests, self.events = requests.endpoint, events.endpoint
        for topic, event in self.log:
            if topic.startswith("pkg/"):
                events.prime(topic, msgspec.json.encode(event), self.signatures.get(event["seq"]))
        requests.start()
        events.start()
        self._ready.set()
        await self._done.wait()
        requests.stop()
        events.stop()
        if zap is not None:
            zap.stop()
        await router.drained(0.0)
        context.destroy(linger=0)


def busy() -> Busy:
    return Busy("later", retry_after_ms=10)


def package(package_id: str = "a" * 64, **fields: Any) -> dict[str, Any]:
    return {
        "package_id": package_id,
        "grade": "tested",
        "venue": "demo",
        "symbol": SYMBOL,
        "timeframe": "1h",
        "strategy_id": "grid",
        "strategy_version": "1.0",
        "code_hash": "c",
        "params": {"n": 1},
        "metrics": {"in_sample": {"sharpe": 1.0}},
        "checks": [],
        "data_hash": "d",
        "costs": {"fee_rate": 0.001},
        "fill": "next_open",
        "direction": "long",
        "valid_from": "2024-01-01T00:00:00Z",
        "valid_until": "2999-01-01T00:00:00Z",
        "supersedes": None,
        "apply": "new_trades",
        "created_at": "2024-01-01T00:00:00Z",
        **fields,
    }
