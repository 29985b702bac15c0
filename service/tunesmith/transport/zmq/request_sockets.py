"""The sockets that take requests: ROUTER for those who wait for the reply, SUB for those who listen elsewhere.

requests socket   in   [identity] [any frames …, REQ's empty delimiter] [body]
                out  [identity] [the same frames …]                   [reply]
inbox socket      in   [topic frames …] [body]
                out  on the events socket: [rep/<client>/<id>/] [reply]
"""

from __future__ import annotations

from collections.abc import Callable

import zmq

from tunesmith.config import Limits
from tunesmith.errors import Forbidden, Unauthorized
from tunesmith.protocol.codec import addressee
from tunesmith.protocol.topics import reply_topic
from tunesmith.transport.router import Peer, Router
from tunesmith.transport.zmq.endpoints import KEPT_FRAMES, OPEN, BindPolicy, Endpoint, bind, listen
from tunesmith.transport.zmq.keyed_connections import origin_of

NO_ID = "-"
"""Stands in the topic of a reply to a request whose id could not be read."""

UNREAD_REPLIES = 10_000
"""Replies that may wait for one client; a client may well send thousands of requests before it reads."""

_GIVEN = b"\0"
"""What routing ids begin with that libzmq gives, and that no client may choose."""

REVOKED = "the key of this connection was revoked or replaced"

Dropped = Callable[[str], None]
"""Called with the socket's name when a reply could not be delivered."""


def _ignore(door: str) -> None:
    """Nobody counts."""


class RequestSocket(Endpoint):
    """ROUTER: any number of REQ and DEALER clients, each reply to its own.

    A client may choose its routing id, and when it has gone, another may come with the same. Behind a gate that may be
    another user, so what was asked under a chosen id is answered on the connection that it came by, or not at all.
    """

    _sure_of_more = True

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        address: str,
        router: Router,
        limits: Limits,
        *,
        entry: BindPolicy = OPEN,
        dropped: Dropped = _ignore,
    ) -> None:
        socket = listen(context, zmq.ROUTER, limits, entry)
        socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
        socket.setsockopt(zmq.SNDHWM, UNREAD_REPLIES)
        super().__init__(socket, bind(socket, address, "server.requests", entry), entry.gate)
        self._router = router
        self._dropped = dropped
        self._last_frame: zmq.Frame | None = None

    def _identify(self, frame: zmq.Frame) -> None:
        super()._identify(frame)
        self._last_frame = frame

    def _take(self, frames: list[bytes], n_frames: int) -> None:
        identity, frame = frames[0], self._last_frame
        origin = None if frame is None or identity[:1] == _GIVEN else origin_of(frame)
        if n_frames <= KEPT_FRAMES:
            route, body = frames[:-1], frames[-1]
        else:
            route, body = _to_delimiter(frames), b""

        def answer(reply: bytes) -> None:
            if (origin is not None and not origin.stands) or not self._send([*route, reply]):
                self._dropped("requests")

        who = self._who
        if who is None:
            self._tell_refused("requests", REVOKED)
            self._router.refuse(body, Unauthorized(REVOKED), answer)
            return
        peer = Peer(*who, "requests", identity if self._gate is None else b"")
        self._router.submit(body, peer, answer, n_frames=n_frames - 1)


class InboxSocket(Endpoint):
    """SUB: requests that bots publish; who sent one is known by its key, without keys by the `client` that it names."""

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        address: str,
        router: Router,
        publish: Callable[[str, bytes], None],
        limits: Limits,
        *,
        entry: BindPolicy = OPEN,
        dropped: Dropped = _ignore,
    ) -> None:
        socket = listen(context, zmq.SUB, limits, entry)
        socket.setsockopt(zmq.SUBSCRIBE, b"")
        super().__init__(socket, bind(socket, address, "server.inbox", entry), entry.gate)
        self._router = router
        self._publish = publish
        self._dropped = dropped

    def _take(self, frames: list[bytes], n_frames: int) -> None:
        body = frames[-1] if n_frames <= KEPT_FRAMES else b""
        client, id = addressee(body)
        who = self._who
        if who is None:
            self._tell_refused("inbox", REVOKED)
            self._dropped("inbox")
            return
        to = client if self._gate is None else who.user

        def answer(reply: bytes) -> None:
            if to is None:
                self._dropped("inbox")
            else:
                self._publish(reply_topic(to, id or NO_ID), reply)

        if client is not None and client != to:
            self._router.refuse(body, Forbidden(f"/client: your key is {to}'s", path="/client"), answer)
        else:
            self._router.submit(body, Peer(*who, "inbox", to or ""), answer, n_frames=n_frames)


def _to_delimiter(frames: list[bytes]) -> list[bytes]:
    """The route of a message with too many frames to repeat: up to REQ's delimiter, else the identity alone."""
    return frames[: frames.index(b"") + 1] if b"" in frames else frames[:1]
