"""From bytes to a handler and back, the same for every socket.

    size limits → envelope → draining → version, type → role → in-flight limits → data → deadline → handler

Whatever happens, every request is answered once: a refusal says why, an unexpected exception becomes `internal` and
its traceback goes to the log. A request that runs into its deadline is answered then; one that changes something goes
on to its end (its stored reply answers the retry), a mere read is cancelled. Who has as many requests in flight as one
may have is refused only after the time that the refusal says to wait, so that who does not wait takes little of the
loop from others.
"""

from __future__ import annotations

import asyncio
import errno
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import CoroutineType
from typing import Any, NamedTuple, TypeVar

import msgspec
import structlog
from structlog.contextvars import bind_contextvars

from tunesmith.config import Limits
from tunesmith.errors import (
    Busy,
    DeadlineExceeded,
    Draining,
    Forbidden,
    Internal,
    Invalid,
    TooLarge,
    TunesmithError,
)
from tunesmith.protocol.catalog import Call, Handler, MessageType, Written
from tunesmith.protocol.codec import (
    decode_data,
    decode_envelope,
    encode,
    encode_error,
    encode_reply,
    message_type,
    salvage,
)
from tunesmith.protocol.envelope import Role

BUSY_RETRY_MS = 50
DRAINING_RETRY_MS = 1_000
START_DEADLINE_MS = 60_000
"""How long a request that names no deadline waits at least while the workers start: loading them takes seconds."""
UNKNOWN = "unknown"
"""Requests whose type does not exist are counted under this: names from the network are no metric labels."""

Refused = Callable[[Call, TunesmithError], None]
"""Called with a request that its sender's role does not allow."""

Observer = Callable[[str, str, float], None]
"""Called once a request with its type, its code (`ok` or an error's) and the seconds until its answer."""

Lane = tuple[str, str, str | bytes]

T = TypeVar("T")

log = structlog.get_logger(__name__)


class Peer(NamedTuple):
    """Who asks. `lane` tells apart those who share a user, so that a limit bites the one who floods."""

    user: str = "local"
    role: Role = "operator"
    door: str = "requests"
    lane: str | bytes = ""


class Outcome(NamedTuple):
    """What became of a request: the reply's `data` as JSON, or the error."""

    data: bytes = b"null"
    error: TunesmithError | None = None

    @property
    def code(self) -> str:
        """`ok`, or the error's code."""
        return "ok" if self.error is None else self.error.code


Seal = Callable[[Outcome], None]


@dataclass(slots=True, eq=False)
class _Flight:
    """An admitted request on its way to its one answer."""

    call: Call
    work: CoroutineType[Any, Any, Any]
    changes: bool
    lane: Lane
    started: float
    seal: Seal | None
    task: asyncio.Task[None] | None = None


class Router:
    """The handlers behind the sockets. While `draining` is set, new requests are refused.

    `is_starting` says whether the workers are still being started: who names no deadline is given the time for that.
    A handler is `async (request, call) -> reply`, or a plain function where the reply is at hand: that one is answered
    on the spot, without a task, and is never in flight.
    """

    def __init__(self, handlers: Mapping[str, Handler], limits: Limits, observe: Observer | None = None) -> None:
        self.draining = False
        self._handlers = dict(handlers)
        self._types = {name: message_type(name) for name in handlers}
        self._limits = limits
        self._observe = observe
        self._flights: set[_Flight] = set()
        self._per_lane: dict[Lane, int] = {}
        self._held: dict[Callable[[], None], asyncio.TimerHandle] = {}  # refusals that wait
        self._idle = asyncio.Event()
        self._idle.set()
        self.refused: Refused = _nobody_listens
        self.is_starting: Callable[[], bool] = lambda: False

    @property
    def in_flight(self) -> int:
        """The number of requests that handlers are at work on."""
        return len(self._flights)

    async def handle(self, body: bytes, peer: Peer) -> bytes:
        """The reply to a request in its envelope."""
        answered: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self.submit(body, peer, _once(answered))
        return await answered

    def submit(self, body: bytes, peer: Peer, answer: Callable[[bytes], None], n_frames: int = 1) -> None:
        """Take a request in its envelope; `answer` is called with the reply, at once or later, but always."""
        started = time.perf_counter()
        try:
            self._measure(len(body), n_frames)
            envelope = decode_envelope(body)
            if peer.door == "inbox" and envelope.client is None:
                raise Invalid("/client: a request on the inbox must name its client", path="/client")
        except TunesmithError as error:
            self.refuse(body, error, answer)
            return
        type, id = envelope.type, envelope.id

        def seal(outcome: Outcome) -> None:
            if outcome.error is None:
                answer(encode_reply(type, id, msgspec.Raw(outcome.data)))
            else:
                answer(encode_error(outcome.error, f"{type}.reply", id))

        call = self._call(type, id, peer, envelope.deadline_ms, envelope.client)
        self._begin(call, envelope.data, _lane(peer), started, seal)

    def refuse(self, body: bytes, error: TunesmithError, answer: Callable[[bytes], None]) -> None:
        """Answer a request with `error`, its type and id repeated where they can be read."""
        started = time.perf_counter()
        reply_type, id = salvage(body)
        self._seen(reply_type.removesuffix(".reply"), error.code, started)
        answer(encode_error(error, reply_type, id))

    async def dispatch(
        self, type: str, id: str, data: bytes, peer: Peer, *, deadline_ms: int | None = None, client: str | None = None
    ) -> Outcome:
        """What became of a request that comes without an envelope, as HTTP sends it: `data` is the JSON of its data."""
        started = time.perf_counter()
        try:
            self._measure(len(data), 1)
        except TooLarge as error:
            self._seen(type, error.code, started)
            return Outcome(error=error)
        answered: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        call = self._call(type, id, peer, deadline_ms, client)
        self._begin(call, data, _lane(peer), started, _once(answered))
        return await answered

    async def drained(self, timeout_s: float) -> bool:
        """Wait until nothing is in flight; what is left after `timeout_s` is cancelled and answered `draining`."""
        for refuse, timer in list(self._held.items()):
            timer.cancel()
            refuse()
        try:
            async with asyncio.timeout(timeout_s):
                await self._idle.wait()
        except TimeoutError:
            tasks = [flight.task for flight in self._flights if flight.task is not None]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            return False
        return True

    def _measure(self, n_bytes: int, n_frames: int) -> None:
        if n_frames > self._limits.max_frames:
            raise TooLarge(f"{n_frames} frames are more than the limit of {self._limits.max_frames}")
        if n_bytes > self._limits.max_body_bytes:
            raise TooLarge(f"{n_bytes} bytes are more than the limit of {self._limits.max_body_bytes}")

    def _call(self, type: str, id: str, peer: Peer, deadline_ms: int | None, client: str | None) -> Call:
        wait_ms = self._limits.default_deadline_ms if deadline_ms is None else deadline_ms
        if deadline_ms is None and self.is_starting():
            wait_ms = max(wait_ms, START_DEADLINE_MS)
        deadline = time.monotonic() + wait_ms / 1000  # the clock of asyncio's loops
        return Call(type, id, peer.user, peer.role, peer.door, deadline, client)

    def _begin(self, call: Call, data: bytes | msgspec.Raw, lane: Lane, started: float, seal: Seal) -> None:
        try:
            message = self._admit(call, lane)
            request = decode_data(message.request, data)
            answer = self._handlers[call.type](request, call)
            if isinstance(answer, CoroutineType):
                self._launch(_Flight(call, answer, message.changes, lane, started, seal))
                return
            outcome = Outcome(answer.text if isinstance(answer, Written) else encode(answer))
        except TunesmithError as error:
            outcome = Outcome(error=error)
            if isinstance(error, Forbidden):
                self.refused(call, error)
            if isinstance(error, Busy) and self._is_full(lane):
                self._hold(call, outcome, started, seal)
                return
        except Exception as error:
            outcome = _failed(call, error)
        seal(outcome)
        self._seen(call.type, outcome.code, started)

    def _admit(self, call: Call, lane: Lane) -> MessageType:
        if self.draining:
            raise Draining("the daemon is stopping", retry_after_ms=DRAINING_RETRY_MS)
        message = self._types.get(call.type) or message_type(call.type, self._types)
        if message.role == "operator" and call.role != "operator":
            raise Forbidden(f"{call.type} needs the role operator; {call.user} is a {call.role}")
        if self._is_full(lane):
            limit = self._limits.in_flight_per_user
            raise Busy(f"{limit} of your requests are being worked on already", retry_after_ms=BUSY_RETRY_MS)
        if len(self._flights) >= self._limits.in_flight_total:
            raise Busy("too many requests are being worked on", retry_after_ms=2 * BUSY_RETRY_MS)
        return message

    def _is_full(self, lane: Lane) -> bool:
        return self._per_lane.get(lane, 0) >= self._limits.in_flight_per_user

    def _hold(self, call: Call, outcome: Outcome, started: float, seal: Seal) -> None:
        def refuse() -> None:
            del self._held[refuse]
            seal(outcome)
            self._seen(call.type, outcome.code, started)

        self._held[refuse] = asyncio.get_running_loop().call_later(BUSY_RETRY_MS / 1000, refuse)

    def _launch(self, flight: _Flight) -> None:
        self._flights.add(flight)
        self._per_lane[flight.lane] = self._per_lane.get(flight.lane, 0) + 1
        self._idle.clear()
        flight.task = asyncio.get_running_loop().create_task(self._run(flight))

    async def _run(self, flight: _Flight) -> None:
        timer = asyncio.get_running_loop().call_at(flight.call.deadline, self._expire, flight)
        bind_contextvars(request_id=flight.call.id)
        outcome = None
        try:
            outcome = Outcome(encode(await flight.work))
        except TunesmithError as error:
            outcome = Outcome(error=error)
        except Exception as error:
            outcome = _failed(flight.call, error)
        finally:
            timer.cancel()
            self._land(flight)
            self._answer(flight, outcome or _stopped())

    def _expire(self, flight: _Flight) -> None:
        waited_ms = round((time.perf_counter() - flight.started) * 1000)
        self._answer(flight, Outcome(error=DeadlineExceeded(f"no answer before the deadline, {waited_ms} ms waited")))
        if not flight.changes and flight.task is not None:
            flight.task.cancel()

    def _land(self, flight: _Flight) -> None:
        self._flights.discard(flight)
        count = self._per_lane[flight.lane] - 1
        if count:
            self._per_lane[flight.lane] = count
        else:
            del self._per_lane[flight.lane]
        if not self._flights:
            self._idle.set()

    def _answer(self, flight: _Flight, outcome: Outcome) -> None:
        seal, flight.seal = flight.seal, None
        if seal is not None:
            seal(outcome)
            self._seen(flight.call.type, outcome.code, flight.started)

    def _seen(self, type: str, code: str, started: float) -> None:
        if self._observe is not None:
            self._observe(type if type in self._types else UNKNOWN, code, time.perf_counter() - started)


def _stopped() -> Outcome:
    return Outcome(error=Draining("the daemon stopped before the answer", retry_after_ms=DRAINING_RETRY_MS))


def _nobody_listens(call: Call, error: TunesmithError) -> None:
    """Nobody wants to know what was refused."""


def _once(answered: asyncio.Future[T]) -> Callable[[T], None]:
    """Sets the future's result, unless who waited for it is gone."""

    def answer(value: T) -> None:
        if not answered.done():
            answered.set_result(value)

    return answer


def _lane(peer: Peer) -> Lane:
    return peer.door, peer.user, peer.lane


def _failed(call: Call, error: Exception) -> Outcome:
    """To be called while the exception is handled: its traceback goes to the log, and no word of it to the client.

    Where the process may open no more files or connections, which others close in time, the client may try again.
    """
    if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
        log.warning("request refused", type=call.type, request_id=call.id, user=call.user, reason=str(error))
        return Outcome(error=Busy("the daemon has too many files open", retry_after_ms=DRAINING_RETRY_MS))
    log.exception("request failed", type=call.type, request_id=call.id, user=call.user, door=call.door)
    return Outcome(error=Internal("something went wrong here; the log has the details"))
