"""The client's sockets on an asyncio loop: read without ever cancelling a receive, aware of each new connection."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import NamedTuple

import zmq
from zmq.utils.monitor import parse_monitor_message

from tunesmith.errors import TunesmithError, Unauthorized
from tunesmith.protocol.key_files import ClientKey, read_client_key

ENVIRONMENT = "TUNESMITH_KEY"
"""Names the key file where the program does not."""

HEARTBEAT_MS = 2_000
HEARTBEAT_TIMEOUT_MS = 6_000
RECONNECT_MS = 100
RECONNECT_MAX_MS = 5_000
MESSAGES_PER_TURN = 256
BREAKS = 3
"""So often a daemon that is there and takes keys breaks a handshake off before it counts as its answer."""

AT_ONCE_S = 1.0
"""A daemon breaks off at once what it cannot decrypt; what takes longer is trouble of its own, and may pass."""

_NOW = int(zmq.NOBLOCK)
_EVENTS, _CAN_SEND = int(zmq.EVENTS), int(zmq.POLLOUT)
_REACHED = int(zmq.EVENT_CONNECTED)
_CONNECTED = int(zmq.EVENT_HANDSHAKE_SUCCEEDED)
_REFUSED = int(zmq.EVENT_HANDSHAKE_FAILED_AUTH)
_NOT_UNDERSTOOD = int(zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL)
_BROKEN_OFF = int(zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL)
_MISMATCH = int(zmq.PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH)
_FOR_GOOD = 400

Context = zmq.Context[zmq.Socket[bytes]]


class DaemonAddress(NamedTuple):
    """The address of one of the daemon's sockets, and the client key where the daemon asks for one."""

    address: str
    key: ClientKey | None = None


def key_in(file: str | os.PathLike[str] | None) -> ClientKey | None:
    """The key in a file; None means the file that TUNESMITH_KEY names, if it does, and "" none. Raises `Invalid`."""
    where = os.environ.get(ENVIRONMENT, "") if file is None else os.fspath(file)
    return read_client_key(where) if where else None


class ClientSocket:
    """Connects one socket to the daemon: `heard` gets each message's frames, `connected` is called at each connection.

    Nothing is queued while there is no connection: whoever still waits for an answer sends its request again. It is
    opened, used and closed on one event loop.

    When the daemon refuses the key for good, `refused` is called with the reason and nothing more is tried: open a new
    socket. A daemon with another key breaks a handshake off without a reason, and so does one that is starting or
    stopping. To tell them apart, a second socket without a key asks whether a daemon that takes keys is there.
    """

    def __init__(
        self,
        context: Context,
        kind: int,
        place: DaemonAddress,
        heard: Callable[[list[bytes]], None],
        connected: Callable[[], None],
        refused: Callable[[TunesmithError], None],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._heard = heard
        self._connected = connected
        self._refused = refused
        self._context = context
        self._place = place
        self._hint = ""
        self._probe: ClientSocket | None = None
        self._reached_at = 0.0
        self._is_there = False
        self._n_breaks = 0
        self._closed = False
        self._woken = False
        self._socket = socket = context.socket(kind)
        socket.setsockopt(zmq.LINGER, 0)
        socket.setsockopt(zmq.IPV6, 1)
        socket.setsockopt(zmq.RECONNECT_IVL, RECONNECT_MS)
        socket.setsockopt(zmq.RECONNECT_IVL_MAX, RECONNECT_MAX_MS)
        socket.setsockopt(zmq.HEARTBEAT_IVL, HEARTBEAT_MS)
        socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, HEARTBEAT_TIMEOUT_MS)
        socket.setsockopt(zmq.HEARTBEAT_TTL, HEARTBEAT_TIMEOUT_MS)
        socket.setsockopt(zmq.RCVHWM, 0)  # input that waits for room and then breaks off makes libzmq abort
        if kind == zmq.DEALER:
            socket.setsockopt(zmq.IMMEDIATE, 1)
            socket.setsockopt(zmq.SNDHWM, 0)  # each request waits for its reply, which bounds them
        if place.key is not None:
            socket.setsockopt(zmq.CURVE_PUBLICKEY, place.key.public.encode())
            socket.setsockopt(zmq.CURVE_SECRETKEY, place.key.secret.encode())
            socket.setsockopt(zmq.CURVE_SERVERKEY, place.key.server.encode())
        self._monitor = socket.get_monitor_socket(_REACHED | _CONNECTED | _REFUSED | _NOT_UNDERSTOOD | _BROKEN_OFF)
        self._loop.add_reader(self._monitor.fileno(), self._look)
        self._loop.add_reader(socket.fileno(), self._drain)
        socket.connect(place.address)
        self._loop.call_soon(self._look)  # only a descriptor whose events were looked at once tells of more
        self._wake()

    @property
    def hint(self) -> str:
        """What may be wrong where no connection comes to stand, as far as the last attempt tells; else empty."""
        return self._hint

    def subscribe(self, prefix: str) -> None:
        """For SUB: also hear topics that begin with `prefix`."""
        self._socket.setsockopt(zmq.SUBSCRIBE, prefix.encode())
        self._wake()

    def send(self, frames: list[bytes]) -> bool:
        """Send without waiting; False when no connection stands or it is full."""
        try:
            # asking for the events makes libzmq notice a new connection; a send alone may not, for a millisecond
            if not int(self._socket.getsockopt(_EVENTS)) & _CAN_SEND:
                return False
            self._socket.send_multipart(frames, _NOW)
        except zmq.Again:
            return False
        finally:
            self._wake()
        return True

    def close(self) -> None:
        """Close at once; what was not sent is dropped."""
        if self._closed:
            return
        self._closed = True
        self._forget()
        if not self._loop.is_closed():
            self._loop.remove_reader(self._socket.fileno())
            self._loop.remove_reader(self._monitor.fileno())
        self._socket.disable_monitor()
        self._monitor.close(0)
        self._socket.close(0)

    def _wake(self) -> None:
        """libzmq's file descriptor is edge-triggered: look again after every call that may have eaten the edge."""
        if not self._woken and not self._closed:
            self._woken = True
            self._loop.call_soon(self._drain)

    def _drain(self) -> None:
        self._woken = False
        for _ in range(MESSAGES_PER_TURN):
            if self._closed:
                return
            try:
                frames = self._socket.recv_multipart(_NOW)
            except zmq.Again:
                return
            self._heard(frames)
        self._wake()

    def _look(self) -> None:
        while not self._closed:
            try:
                event = parse_monitor_message(self._monitor.recv_multipart(_NOW))
            except zmq.Again:
                return
            kind = int(event["event"])
            if kind == _REACHED:
                self._reached_at = self._loop.time()
            elif kind == _CONNECTED:
                self._hint = ""
                self._forget()
                self._connected()
            else:
                self._fail(kind, int(event["value"]))

    def _fail(self, kind: int, value: int) -> None:
        """A handshake failed: for good, or perhaps because the daemon is on its way up or down."""
        address, key = self._place
        if kind == _REFUSED and value == _FOR_GOOD and key is not None:
            why = "it was revoked, or is none of the keys there"
            self._give_up(f"the daemon at {address} does not let the key {key.name!r} in: {why}")
        elif kind == _NOT_UNDERSTOOD and value == _MISMATCH:
            self._give_up(_mismatch(address, key))
        elif key is not None:
            self._hint = (
                f"; what answers at {address} breaks off the handshake: is the key {key.name!r} of another daemon?"
            )
            if self._loop.time() - self._reached_at < AT_ONCE_S:
                self._count(address, key)

    def _count(self, address: str, key: ClientKey) -> None:
        """A handshake was broken off at once; where a daemon that takes keys does so again and again, say why."""
        if self._probe is None:
            place = DaemonAddress(address)
            self._probe = ClientSocket(self._context, zmq.DEALER, place, _ignore, _do_nothing, self._find)
        self._n_breaks += self._is_there
        if self._n_breaks >= BREAKS:
            self._give_up(
                f"the daemon at {address} takes keys and breaks off the handshake with {key.name!r}: most likely the "
                "key's file is of another daemon, or the daemon's own key was made anew; `tunesmith keys new NAME` on "
                "its machine makes a file for it"
            )

    def _find(self, _: TunesmithError) -> None:
        self._is_there = True

    def _forget(self) -> None:
        """What was counted no longer counts."""
        self._is_there, self._n_breaks = False, 0
        if self._probe is not None:
            self._probe.close()
            self._probe = None

    def _give_up(self, why: str) -> None:
        self.close()
        self._refused(Unauthorized(why))


def _ignore(_: list[bytes]) -> None:
    """No message comes before a handshake."""


def _do_nothing() -> None:
    """Where no key is needed, the handshake with one says so itself."""


def _mismatch(address: str, key: ClientKey | None) -> str:
    if key is not None:
        return f"the daemon at {address} takes no keys; connect without {key.name!r}, or switch keys on there"
    return (
        f"the daemon at {address} asks for a key: `tunesmith keys new NAME` there makes one; name its file by "
        f"{ENVIRONMENT} or key="
    )
