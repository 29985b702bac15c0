"""Who knocks: libzmq asks here about every key (ZAP, RFC 27) before it lets a connection in.

    in   [from] [] [1.0] [request id] [domain] [address] [routing id] [CURVE] [32 bytes of public key]
    out  [from] [] [1.0] [request id] [status] [text] [User-Id] [metadata]

200 lets in, 400 refuses for good, 300 asks to come again: a client that got 400 does not connect again by itself, so
whatever goes wrong here must not be said with it.
"""

from __future__ import annotations

import structlog
import zmq
from zmq.utils import z85

from tunesmith.transport.access.access_control import DOMAIN, AccessControl
from tunesmith.transport.zmq.endpoints import Endpoint

ADDRESS = "inproc://zeromq.zap.01"

_VERSION, _MECHANISM, _KEY_BYTES = b"1.0", b"CURVE", 32
_WHOLE = 9

log = structlog.get_logger(__name__)


class ZapHandler(Endpoint):
    """Answers libzmq from access control's keys. It opens before the other sockets of its context and closes after."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], gate: AccessControl) -> None:
        socket = context.socket(zmq.ROUTER)
        socket.setsockopt(zmq.LINGER, 0)
        socket.bind(ADDRESS)
        super().__init__(socket, ADDRESS)
        self._keys = gate

    def start(self) -> None:
        """Begin to answer, and to look for changes of the keys."""
        super().start()
        self._keys.start()

    def stop(self) -> None:
        """Stop answering."""
        self._keys.stop()
        super().stop()

    def _take(self, frames: list[bytes], n_frames: int) -> None:
        if n_frames < _WHOLE or frames[2] != _VERSION:
            return
        try:
            status, text, user = self._judge(frames)
        except Exception:  # one bad question must not end the answers to all others
            log.exception("a key could not be checked")
            status, text, user = b"300", b"try again", b""
        self._send([frames[0], b"", _VERSION, frames[3], status, text, user, b""])

    def _judge(self, frames: list[bytes]) -> tuple[bytes, bytes, bytes]:
        domain, mechanism, credentials = frames[4], frames[7], frames[8]
        if domain != DOMAIN or mechanism != _MECHANISM or len(credentials) != _KEY_BYTES:
            return b"400", b"a CURVE key is needed", b""
        key = z85.encode(credentials)
        who = self._keys.admit(key.decode())
        if who is None:
            address = frames[5].decode(errors="replace")
            self._keys.refuse(key.decode(), "connection", f"unknown or revoked, from {address}")
            return b"400", b"the key is unknown or revoked", b""
        return b"200", b"OK", key
