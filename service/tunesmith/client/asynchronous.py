"""The asynchronous client."""

from __future__ import annotations

import asyncio
import logging
import os
import uuid
from collections.abc import Collection, Mapping
from types import TracebackType
from typing import Any, Literal, TypeVar

import msgspec
import zmq

from tunesmith.client.asking import RequestClient
from tunesmith.client.following import PAGE
from tunesmith.client.package_shelf import PackageFilter
from tunesmith.client.sockets import Context, DaemonAddress, key_in
from tunesmith.client.streams import EventStream, PackageEvents, Packages
from tunesmith.client.trust import Trust, Trusted, trust_in
from tunesmith.errors import BadJson, DeadlineExceeded, Forbidden, TunesmithError
from tunesmith.protocol.grades import GRADES, accepted_grades
from tunesmith.protocol.messages.backtests import BacktestStarted
from tunesmith.protocol.messages.events import TaskDone
from tunesmith.protocol.messages.optimizations import OptimizationStarted
from tunesmith.protocol.messages.packages import Package, PackageAck, PackageList, PackageReply
from tunesmith.protocol.messages.server import EventsReplay, EventsReply, Pong
from tunesmith.protocol.messages.verdicts import VerdictReply
from tunesmith.protocol.topics import done_topic, package_topic

REQUESTS = "tcp://127.0.0.1:5555"
EVENTS = "tcp://127.0.0.1:5556"
DEADLINE_S = 10.0
_UNFINISHED = ("pending", "running")

log = logging.getLogger("tunesmith.client")

T = TypeVar("T")


class AsyncClient:
    """A bot's line to the daemon. Connects on first use; belongs to one event loop; close it, or use `async with`.

    Requests are sent again with the same id when the connection was lost, when the daemon is busy or restarts, and
    when no reply comes, until the deadline. What the daemon refuses is raised as the `TunesmithError` that it is.
    `name` is the bot's name in tasks and logs.

    `trusted` is a file of public keys, or its lines (default: the file named by TUNESMITH_TRUSTED_KEYS): packages that
    none of them signed are refused then, however they come.

    `key` is the file of a key (default: the file named by TUNESMITH_KEY; "" for none), for a daemon that asks for one.
    Where it lets nobody in with it, requests and streams raise `Unauthorized`; the next one tries again.
    """

    def __init__(
        self,
        requests: str = REQUESTS,
        events: str = EVENTS,
        *,
        name: str | None = None,
        deadline_s: float = DEADLINE_S,
        trusted: Trusted | None = None,
        key: str | os.PathLike[str] | None = None,
    ) -> None:
        self._trust = trust_in(trusted)
        identity = key_in(key)
        self._requests = DaemonAddress(requests, identity)
        self._events = DaemonAddress(events, identity)
        self._name = identity.name if name is None and identity is not None else name
        self._deadline_s = deadline_s
        self._context: Context | None = None
        self._asking: RequestClient | None = None
        self._streams: list[EventStream] = []

    async def request(
        self,
        type: str,
        data: Any = None,
        *,
        deadline_s: float | None = None,
        id: str | None = None,
    ) -> dict[str, Any]:
        """Any message: its reply's data. The same `id` again, also after a crash of the bot, changes nothing twice."""
        wait_s = self._deadline_s if deadline_s is None else deadline_s
        reply: dict[str, Any] = await self._open().ask(type, {} if data is None else data, id or new_id(), wait_s)
        return reply

    async def ping(self) -> Pong:
        """Whether the daemon is there, and its version."""
        return _typed(Pong, await self.request("ping"))

    async def backtest(
        self,
        symbol: str,
        strategy_id: str,
        params: Mapping[str, Any] | None = None,
        *,
        options: Mapping[str, Any] | None = None,
        id: str | None = None,
    ) -> BacktestStarted:
        """Start a backtest; `options` are further fields of `backtest.start`."""
        data = {"symbol": symbol, "strategy_id": strategy_id, "params": params or {}, **(options or {})}
        return _typed(BacktestStarted, await self.request("backtest.start", data, id=id))

    async def optimize(
        self,
        symbol: str,
        strategy_id: str,
        param_ranges: Mapping[str, Any] | None = None,
        *,
        options: Mapping[str, Any] | None = None,
        id: str | None = None,
    ) -> OptimizationStarted:
        """Start a search; without ranges the strategy's own. `options` are further fields of `optimization.start`."""
        data = {"symbol": symbol, "strategy_id": strategy_id, "param_ranges": param_ranges or {}, **(options or {})}
        return _typed(OptimizationStarted, await self.request("optimization.start", data, id=id))

    async def wait(self, task_id: str, timeout_s: float | None = None) -> TaskDone:
        """The end of a task, of any kind; raises `DeadlineExceeded` when it has none within `timeout_s` seconds.

        The end that a task had before it was resumed is none.
        """
        loop = asyncio.get_running_loop()
        deadline = None if timeout_s is None else loop.time() + timeout_s
        stream = self._stream([done_topic(task_id)])
        try:
            while found := await stream.next(None if deadline is None else deadline - loop.time()):
                if not await self._goes_on(task_id):
                    return _typed(TaskDone, found[-1].event.data)
        finally:
            self._drop(stream)
        raise DeadlineExceeded(f"the task {task_id} did not end within {timeout_s} s")

    async def _goes_on(self, task_id: str) -> bool:
        try:
            return (await self.request("task.logs", {"task_id": task_id, "limit": 1}))["status"] in _UNFINISHED
        except TunesmithError:  # it was deleted, or nobody says: it had ended when it was announced
            return False

    async def approve(
        self,
        strategy_id: str,
        *,
        optimization_id: str | None = None,
        backtest_id: str | None = None,
        criteria: Mapping[str, Any] | None = None,
        accept_old_data: bool = False,
        deadline_s: float = 60.0,
        id: str | None = None,
    ) -> VerdictReply:
        """Ask for a verdict on a search or a backtest and wait for it; it may still be running at the deadline.

        Candles that ended long ago are not approved without `accept_old_data`.
        """
        deadline = asyncio.get_running_loop().time() + deadline_s
        asked: dict[str, Any] = {"optimization_id": optimization_id, "backtest_id": backtest_id}
        asked |= {"approval_criteria": criteria, "accept_old_data": accept_old_data or None}
        data = {"strategy_id": strategy_id} | {name: value for name, value in asked.items() if value is not None}
        first_s = min(deadline_s, self._deadline_s)
        verdict = _typed(VerdictReply, await self.request("strategy.approve", data, id=id, deadline_s=first_s))
        left_s = deadline - asyncio.get_running_loop().time()
        if verdict.status not in ("pending", "running") or left_s <= 0:
            return verdict
        try:
            await self.wait(verdict.verdict_id, left_s)
        except DeadlineExceeded:
            return verdict
        return _typed(VerdictReply, await self.request("verdict.get", {"verdict_id": verdict.verdict_id}))

    async def latest_package(
        self, symbol: str, timeframe: str | None = None, strategy_id: str | None = None
    ) -> PackageReply:
        """The newest package in force, of any grade; raises `NotFound` when there is none.

        Its `grade_today` is its grade as grades are called today: what an older daemon calls proven is tested.
        With `trusted` keys it is the package that was signed, and `Forbidden` is raised where none was.
        """
        data = {"symbol": symbol, "timeframe": timeframe, "strategy_id": strategy_id}
        reply = _typed(PackageReply, await self.request("package.latest", data))
        wanted = PackageFilter(symbol, timeframe, strategy_id, tuple(GRADES))
        return reply if self._trust is None else await self._signed(reply, wanted, self._trust)

    async def packages_in_force(
        self, symbol: str, timeframe: str, strategy_id: str, *, grades: Collection[str] = ()
    ) -> list[dict[str, Any]]:
        """The packages that are in force now, at most one of each venue, the newest first.

        `grades` are chosen as for `packages`.
        With `trusted` keys those that none of them signed are left out.
        """
        wanted = PackageFilter(symbol, timeframe, strategy_id, accepted_grades(grades))
        data = {"symbol": symbol, "timeframe": timeframe, "strategy_id": strategy_id, "in_force": True}
        replies = _typed(PackageList, await self.request("package.list", data)).packages
        found = []
        for reply in replies:
            if reply.package.grade_today not in wanted.grades:
                continue
            try:
                signed = reply if self._trust is None else await self._signed(reply, wanted, self._trust)
            except Forbidden as refused:
                log.warning("%s", refused.message)
            else:
                found.append(msgspec.to_builtins(signed.package))
        return found

    async def acknowledge(
        self,
        package_id: str,
        outcome: Literal["applied", "refused"] = "applied",
        *,
        reason: str = "",
        id: str | None = None,
    ) -> PackageAck:
        """Say what became of a package here, so that its operators see who runs what; `name` tells the bots apart."""
        data = {"package_id": package_id, "outcome": outcome, "reason": reason}
        return _typed(PackageAck, await self.request("package.ack", data, id=id))

    def packages(
        self,
        symbol: str,
        timeframe: str | None = None,
        strategy_id: str | None = None,
        *,
        grades: Collection[str] = (),
        timeout_s: float | None = None,
    ) -> Packages:
        """Follow packages: those in force now, then each new one, as dictionaries (`Package` lists the members).

        `grades` must be given, such as ("tested",): the lowest of those named and all above it are taken, in the order
        criteria, tested, proven. Raises `Invalid`, which says what each means, where none is named.

        Refused are those that are revoked, expired, superseded, on a wrong topic, or of a lower grade, and with
        `trusted` keys those that none of them signed. What an older daemon called proven is tested. Ends when nothing
        came for `timeout_s` seconds. What waits to be taken is held back while events are known to be missing, or
        nothing is heard of the daemon: it may have been revoked.
        """
        wanted = PackageFilter(symbol, timeframe, strategy_id, accepted_grades(grades))
        return Packages(self._stream([wanted.prefix], self._trust), wanted, timeout_s)

    def package_events(
        self,
        symbol: str,
        timeframe: str | None = None,
        strategy_id: str | None = None,
        *,
        grades: Collection[str] = (),
        timeout_s: float | None = None,
        refusals: bool = False,
    ) -> PackageEvents:
        """Follow everything that happens to packages, also what takes them out of force. Bots that hold positions
        by a package should follow this. `grades` are chosen as for `packages`. With `refusals` also what was refused
        comes, and why."""
        wanted = PackageFilter(symbol, timeframe, strategy_id, accepted_grades(grades), refusals)
        return PackageEvents(self._stream([wanted.prefix], self._trust), wanted, timeout_s)

    async def close(self) -> None:
        """Close every connection and stream."""
        for stream in self._streams:
            stream.close()
        self._streams.clear()
        if self._asking is not None:
            self._asking.close()
            self._asking = None
        if self._context is not None:
            self._context.destroy(linger=0)
            self._context = None

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    def _wires(self) -> Context:
        if self._context is None:
            self._context = zmq.Context()
        return self._context

    def _open(self) -> RequestClient:
        if self._asking is None:
            self._asking = RequestClient(self._wires(), self._requests, self._name)
        return self._asking

    async def _signed(self, reply: PackageReply, wanted: PackageFilter, trust: Trust) -> PackageReply:
        """The reply with the package as it was signed. Raises `Forbidden` with the reason when it must not be taken."""
        about = reply.package
        topic = package_topic(about.symbol, about.timeframe, about.strategy_id)
        asked = EventsReplay(topics=[topic], after=max(0, reply.seq - 1), limit=PAGE)
        records = _typed(EventsReply, await self.request("events.replay", asked)).events
        found: Package | None = None
        refusal: str | None = "its approval is not among the events"
        for told in map(trust.read, records):
            data = told.event.data if isinstance(told.event.data, dict) else {}
            if data.get("package_id") != about.package_id:
                continue
            if told.event.type == "package.approved":
                refusal = told.refusal or wanted.refusal(data, topic)
                found = _typed(Package, data) if refusal is None else found
            elif told.refusal is None:
                found, refusal = None, str(data.get("reason") or told.event.type)
        if found is not None and not await self._is_vouched(topic, trust):
            found, refusal = None, f"no heartbeat at {self._events.address} is signed by a trusted key and of now"
        if found is None:
            raise Forbidden(f"the package {about.package_id[:64]} is refused: {refusal}")
        return msgspec.structs.replace(reply, package=found)

    async def _is_vouched(self, topic: str, trust: Trust) -> bool:
        """Whether who holds a trusted key is there now: an approval says nothing of that, and may be revoked since."""
        stream = self._stream([topic], trust)
        try:
            return await stream.settled(self._deadline_s)
        finally:
            self._drop(stream)

    def _stream(self, prefixes: list[str], trust: Trust | None = None) -> EventStream:
        async def ask(type: str, data: Any, deadline_s: float) -> Any:
            return await self.request(type, data, deadline_s=deadline_s)

        stream = EventStream(self._wires(), self._events, prefixes, ask, trust)
        self._streams = [*(s for s in self._streams if not s.closed), stream]
        return stream

    def _drop(self, stream: EventStream) -> None:
        stream.close()
        self._streams = [s for s in self._streams if s is not stream]


def new_id() -> str:
    """A new request id."""
    return uuid.uuid4().hex


def _typed(kind: type[T], data: Any) -> T:
    """The reply's data. Raises `BadJson` for what this version cannot read, such as a grade of a newer daemon."""
    try:
        return msgspec.convert(data, kind)
    except msgspec.ValidationError as error:
        raise BadJson(f"the daemon's answer cannot be read by this version: {error}") from None
