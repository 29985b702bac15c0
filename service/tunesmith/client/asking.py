"""Requests and their replies: matched by id, sent again with the same id until the deadline."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass
from typing import Any

import zmq

from tunesmith.client.sockets import ClientSocket, Context, DaemonAddress
from tunesmith.errors import Busy, Conflict, DeadlineExceeded, Draining, TooLarge, TunesmithError, from_problem
from tunesmith.protocol.codec import decode_reply, encode_request
from tunesmith.protocol.envelope import ReplyEnvelope

RESEND_S = 5.0
PAUSE_S = 0.05
PAUSE_MAX_S = 1.0
MAX_DEADLINE_MS = 600_000
MAX_MESSAGE_BYTES = 4 * 1024 * 1024
"""A message over this makes the daemon cut the connection, so that no answer is possible."""


@dataclass(slots=True)
class _Waiting:
    type: str
    data: Any
    id: str
    deadline: float
    reply: asyncio.Future[ReplyEnvelope]
    sent: bool = False


class RequestClient:
    """One DEALER. Any number of requests at once; those that wait are sent again whenever a new connection stands."""

    def __init__(self, context: Context, place: DaemonAddress, client: str | None) -> None:
        self._context = context
        self._place = place
        self._client = client
        self._waiting: dict[str, _Waiting] = {}
        self._connected = False
        self._shut = False
        self._wire = self._open()

    async def ask(self, type: str, data: Any, id: str, deadline_s: float) -> Any:
        """The reply's data; raises what the daemon refuses with, and `DeadlineExceeded` when nothing came in time."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + deadline_s
        if id in self._waiting:
            raise Conflict(f"a request with the id {id!r} is waiting for its reply")
        waiting = self._waiting[id] = _Waiting(type, data, id, deadline, loop.create_future())
        pause_s = PAUSE_S
        try:
            while True:
                reply = await self._exchange(waiting)
                if reply.ok:
                    return reply.data
                error = from_problem(reply.error if isinstance(reply.error, dict) else {})
                pause_s = _pause_s(error, pause_s)
                if not isinstance(error, Busy | Draining) or loop.time() + pause_s >= deadline:
                    raise error
                await asyncio.sleep(pause_s)
        finally:
            del self._waiting[id]

    def close(self) -> None:
        """Close the socket; who still waits gets `Draining`."""
        self._wire.close()
        for waiting in self._waiting.values():
            if not waiting.reply.done():
                waiting.reply.set_exception(Draining("the client was closed"))

    def _open(self) -> ClientSocket:
        self._connected = self._shut = False
        return ClientSocket(self._context, zmq.DEALER, self._place, self._hear, self._connect, self._refuse)

    async def _exchange(self, waiting: _Waiting) -> ReplyEnvelope:
        loop = asyncio.get_running_loop()
        wait_s = RESEND_S
        while True:
            if self._shut:
                self._wire.close()
                self._wire = self._open()
            waiting.reply = loop.create_future()
            self._send(waiting)
            try:
                async with asyncio.timeout_at(min(waiting.deadline, loop.time() + wait_s)):
                    return await waiting.reply
            except TimeoutError:
                if loop.time() >= waiting.deadline:
                    raise DeadlineExceeded(f"no reply to {waiting.type} came in time{self._wire.hint}") from None
                wait_s *= 2

    def _send(self, waiting: _Waiting) -> None:
        left_ms = (waiting.deadline - asyncio.get_running_loop().time()) * 1000
        on_the_way_ms = min(250.0, 0.1 * left_ms)
        deadline_ms = min(MAX_DEADLINE_MS, max(1, round(left_ms - on_the_way_ms)))
        body = encode_request(waiting.type, waiting.data, waiting.id, deadline_ms=deadline_ms, client=self._client)
        if len(body) > MAX_MESSAGE_BYTES:
            raise TooLarge(f"a request of {len(body)} bytes cannot be sent")
        waiting.sent = self._wire.send([b"", body])

    def _connect(self) -> None:
        """A connection stands: what was sent into an earlier one may be lost, what was not sent can be."""
        for waiting in self._waiting.values():
            if not waiting.reply.done() and (self._connected or not waiting.sent):
                self._send(waiting)
        self._connected = True

    def _refuse(self, error: TunesmithError) -> None:
        """The daemon shut the socket: who waits learns why, and the next request tries again."""
        self._shut = True
        for waiting in self._waiting.values():
            if not waiting.reply.done():
                waiting.reply.set_exception(error)

    def _hear(self, frames: list[bytes]) -> None:
        try:
            reply = decode_reply(frames[-1])
        except TunesmithError:
            return
        waiting = self._waiting.get(reply.id or "")
        if waiting is not None and not waiting.reply.done():
            waiting.reply.set_result(reply)


def _pause_s(error: TunesmithError, last_s: float) -> float:
    asked_s = (error.retry_after_ms or 0) / 1000
    return max(asked_s, min(2 * last_s, PAUSE_MAX_S)) * random.uniform(0.75, 1.25)  # noqa: S311 - not for secrets
