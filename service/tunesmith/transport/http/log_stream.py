"""A task's log as a stream of lines that goes on until the task has ended."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from tunesmith.errors import Busy, Draining, Invalid, NotFound, Unauthorized
from tunesmith.protocol.codec import decode_at, encode
from tunesmith.protocol.messages.tasks import LogLine, TaskLogs, TaskLogsReply
from tunesmith.transport.http.problems import problem_response
from tunesmith.transport.router import Outcome, Peer, Router

POLL_S = 0.25
PAGE = 1000
UNFINISHED = ("pending", "running")
NDJSON = "application/x-ndjson"
TEXT = "text/plain"
FOLLOW = ("0", "1", "false", "true")
"""What the parameter may be."""
_RETRY_MS = 1_000


class Streams:
    """Who follows how many logs: each stream asks again and again for as long as its client likes."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._n: dict[str, int] = {}

    def enter(self, user: str) -> None:
        """One more; raises `Busy` where there are as many as one user may have."""
        n = self._n.get(user, 0)
        if n >= self._most:
            raise Busy(f"you follow {n} logs already", retry_after_ms=_RETRY_MS)
        self._n[user] = n + 1

    def leave(self, user: str) -> None:
        """One less."""
        self._n[user] -= 1
        if not self._n[user]:
            del self._n[user]


class _Counted(StreamingResponse):
    """A stream that says when it has ended, however it does."""

    def __init__(self, body: AsyncIterator[bytes], media_type: str, ended: Callable[[], None]) -> None:
        super().__init__(body, media_type=media_type)
        self._ended = ended

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._ended()


class Follow(NamedTuple):
    """Which log, from where on, and whether to wait for more."""

    task_id: str
    after: int
    on: bool


async def stream_logs(
    router: Router, streams: Streams, stopping: asyncio.Event, request: Request, admit: Callable[[], Peer], id: str
) -> Response:
    """The log as NDJSON, or as text where the client asks for that: `?after=` skips lines, `?follow=0` ends at once.

    `admit` says for each page who asks; the stream ends where it refuses. Raises `Busy` for one too many.
    """
    follow, peer = _follow(request), admit()
    first = await _ask(router, peer, id, follow.task_id, follow.after)
    if first.error is not None:
        return problem_response(first.error, id)
    streams.enter(peer.user)
    as_text = TEXT in request.headers.get("accept", "")
    write = _text_line if as_text else _json_line

    def page(after: int) -> asyncio.Future[Outcome]:
        return asyncio.ensure_future(_ask_again(router, admit, id, follow.task_id, after))

    lines = _lines(first, follow, page, stopping)
    body = (write(line) async for line in lines)
    return _Counted(body, TEXT if as_text else NDJSON, lambda: streams.leave(peer.user))


async def _lines(
    outcome: Outcome, follow: Follow, page: Callable[[int], asyncio.Future[Outcome]], stopping: asyncio.Event
) -> AsyncIterator[LogLine]:
    after, ended = follow.after, False
    while True:
        if isinstance(outcome.error, Draining | NotFound | Unauthorized):
            return
        if outcome.error is None:
            reply = decode_at(TaskLogsReply, outcome.data, "")
            for line in reply.lines:
                after = line.n
                yield line
            if not reply.lines and (ended or not follow.on):
                return
            ended = reply.status not in UNFINISHED
            wait_s = 0.0 if reply.lines else POLL_S
        else:
            wait_s = POLL_S
        if await _stops(stopping, wait_s):
            return
        outcome = await page(after)


async def _stops(stopping: asyncio.Event, within_s: float) -> bool:
    try:
        async with asyncio.timeout(within_s):
            return await stopping.wait()
    except TimeoutError:
        return False


async def _ask(router: Router, peer: Peer, id: str, task_id: str, after: int) -> Outcome:
    return await router.dispatch("task.logs", id, encode(TaskLogs(task_id=task_id, after=after, limit=PAGE)), peer)


async def _ask_again(router: Router, admit: Callable[[], Peer], id: str, task_id: str, after: int) -> Outcome:
    try:
        return await _ask(router, admit(), id, task_id, after)
    except Unauthorized as error:
        return Outcome(error=error)


def _follow(request: Request) -> Follow:
    values = dict(request.query_params)
    on = values.pop("follow", "1")
    after = values.pop("after", "0")
    if values:
        unknown = next(iter(values))
        raise Invalid(f"unknown parameter {unknown[:64]!r}; there are after and follow", path=f"/{unknown[:64]}")
    if on not in FOLLOW:
        raise Invalid(f"follow must be {' or '.join(FOLLOW)}", path="/follow")
    if not (after.isascii() and after.isdigit() and len(after) <= 12):
        raise Invalid("after must be a whole number", path="/after")
    return Follow(request.path_params["task_id"], int(after), on in ("1", "true"))


def _json_line(line: LogLine) -> bytes:
    return encode(line) + b"\n"


def _text_line(line: LogLine) -> bytes:
    return f"{line.time} {line.level} {line.message}\n".encode()
