"""What the ZeroMQ sockets share: a bound socket that the event loop reads without ever waiting on it.

libzmq's file descriptor is edge-triggered: it signals once, and a send may swallow the signal. So a socket reads until
nothing is left, and looks again after every send. It takes at most `FRAMES_PER_TURN` frames before it lets the loop
breathe: fewer requests than one user may have in flight, so that requests answered in one step never pile up to the
limit. A turn of requests that take their time, such as bodies of a megabyte, ends after `TURN_S`. What is sent while it
reads needs no second look: it goes on to read until nothing is left.

A turn that leaves something ends with a look for newcomers. libzmq itself, while it has something to hand out, looks
for others who sent something at every hundredth frame only; so nobody waits behind more than a turn of one who floods.
"""

from __future__ import annotations

import asyncio
import re
import time
from typing import NamedTuple

import zmq
import zmq.backend

from tunesmith.config import Limits
from tunesmith.errors import Invalid
from tunesmith.transport.access.access_control import AccessControl, Identity
from tunesmith.transport.access.bind_rules import check_bind

FRAMES_PER_TURN = 48
TURN_S = 0.002
KEPT_FRAMES = 16

LINGER_MS = 500
HANDSHAKE_MS = 5_000
HEARTBEAT_MS = 2_000
HEARTBEAT_TIMEOUT_MS = 6_000
KEEPALIVE_S, KEEPALIVE_PROBES = 2, 2
BACKLOG = 4_096

SUBSCRIPTION_BYTES = 1_024
"""Subscribers send subscriptions alone, of which libzmq keeps some 50 bytes for each byte; no topic is as long."""

_EVENTS, _NOW, _NOW_MORE = int(zmq.EVENTS), int(zmq.NOBLOCK), int(zmq.NOBLOCK | zmq.SNDMORE)
"""Plain ints: pyzmq's flags are enums, whose arithmetic costs more than the call that it is for."""

_USER_ID = b"User-Id"

_send_bare = zmq.backend.Socket.send
"""Without the checks of options that no socket uses; two of these go out for each reply."""


_MAPPED = re.compile(r"\[::ffff:([0-9.]+)\]")
"""How libzmq writes an IPv4 address of a socket that speaks IPv6 as well."""

LOCAL = Identity()


class BindPolicy(NamedTuple):
    """Who may connect: those whose keys access control knows, or anybody where there is none; and what may be bound."""

    insecure_bind: bool = False
    gate: AccessControl | None = None


OPEN = BindPolicy()


def listen(
    context: zmq.Context[zmq.Socket[bytes]], kind: int, limits: Limits, entry: BindPolicy = OPEN
) -> zmq.Socket[bytes]:
    """A socket of this kind with the options of every socket, not bound yet.

    libzmq 4.3.5 aborts the process when a heartbeat is due on a connection whose peer has gone while its input waits
    for room (libzmq issue 4364): a flood and a disconnect at the wrong moment. So sockets that take requests do not
    send no heartbeats: TCP finds who is gone, and so do the heartbeats of clients that send their TTL. Subscribers get
    heartbeats, for a dead one holds memory; there the input never waits.
    """
    socket = context.socket(kind)
    socket.setsockopt(zmq.LINGER, LINGER_MS)
    socket.setsockopt(zmq.IPV6, 1)
    socket.setsockopt(zmq.HANDSHAKE_IVL, HANDSHAKE_MS)
    if kind == zmq.XPUB:
        socket.setsockopt(zmq.HEARTBEAT_IVL, HEARTBEAT_MS)
        socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, HEARTBEAT_TIMEOUT_MS)
        socket.setsockopt(zmq.HEARTBEAT_TTL, HEARTBEAT_TIMEOUT_MS)
        socket.setsockopt(zmq.RCVHWM, 0)
        socket.setsockopt(zmq.RCVBUF, SUBSCRIPTION_BYTES)  # so that reading keeps up with one who never ends
    socket.setsockopt(zmq.TCP_KEEPALIVE, 1)
    socket.setsockopt(zmq.TCP_KEEPALIVE_IDLE, KEEPALIVE_S)
    socket.setsockopt(zmq.TCP_KEEPALIVE_INTVL, KEEPALIVE_S)
    socket.setsockopt(zmq.TCP_KEEPALIVE_CNT, KEEPALIVE_PROBES)
    socket.setsockopt(zmq.TCP_MAXRT, HEARTBEAT_TIMEOUT_MS)
    longest = SUBSCRIPTION_BYTES if kind == zmq.XPUB else limits.max_message_bytes
    socket.setsockopt(zmq.MAXMSGSIZE, min(longest, limits.max_message_bytes))
    socket.setsockopt(zmq.BACKLOG, BACKLOG)
    if entry.gate is not None:
        entry.gate.guard(socket)
    return socket


def bind(socket: zmq.Socket[bytes], address: str, setting: str, entry: BindPolicy = OPEN) -> str:
    """Bind and say where: the address with the port that a free one (`:0`, `:*`) became.

    Raises `Invalid` that names the setting when the address is refused, taken or wrong; the socket is closed then.
    """
    try:
        check_bind(address, setting, insecure_bind=entry.insecure_bind, keyed=entry.gate is not None)
        socket.bind(address)
    except Invalid:
        socket.close(0)
        raise
    except zmq.ZMQError as error:
        socket.close(0)
        raise Invalid(f"cannot listen on {setting} = {address!r}: {error.strerror}") from error
    return _MAPPED.sub(r"\1", socket.get_string(zmq.LAST_ENDPOINT))


class Endpoint:
    """A bound socket read by the event loop; subclasses say what a message means in `_take`.

    `_sure_of_more`: the first frame of a message is never its last, so that it need not be asked. `_whence`:
    `_identify` is called also where there is no gate.
    While `_take` runs, `_who` is who sent the message, None for one whose key is not in force any more.
    """

    _sure_of_more = False
    _frame_by_frame = False
    _whence = False

    def __init__(self, socket: zmq.Socket[bytes], endpoint: str, gate: AccessControl | None = None) -> None:
        self.endpoint = endpoint
        self._socket = socket
        self._gate = gate
        self._who: Identity | None = LOCAL
        self._key: str | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._woken = False
        self._frames: list[bytes] = []
        self._n_frames = 0

    @property
    def alive(self) -> bool:
        """Whether the loop reads its socket."""
        return self._loop is not None and not self._socket.closed

    def start(self) -> None:
        """Begin to read, on the running loop."""
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._socket.fileno(), self._drain)
        self._wake()

    def stop(self) -> None:
        """Stop reading and close; what was sent still lingers for half a second."""
        if self._loop is not None:
            self._loop.remove_reader(self._socket.fileno())
            self._loop = None
        self._socket.close()

    def _take(self, frames: list[bytes], n_frames: int) -> None:
        """One whole message; of more than `KEPT_FRAMES` frames only the first ones are in `frames`."""
        raise NotImplementedError

    def _wake(self) -> None:
        if self._loop is not None and not self._woken:
            self._woken = True
            self._loop.call_soon(self._drain)

    def _drain(self) -> None:
        if self._loop is None:
            return
        self._woken, emptied = True, False  # what is sent meanwhile wakes nobody
        try:
            self._read()
        except zmq.Again:
            emptied = True
            self._emptied()
        finally:
            self._woken = False
            if not emptied:
                self._wake()

    def _read(self) -> None:
        """Take in what is there, up to a turn of it; raises `zmq.Again` when nothing is left."""
        socket, sure_of_more = self._socket, self._sure_of_more
        noticed = self._gate is not None or self._whence
        end = time.monotonic() + TURN_S
        for _ in range(FRAMES_PER_TURN):
            if self._loop is None:
                return
            if sure_of_more and not self._n_frames:
                self._frames, self._n_frames = [socket.recv(_NOW)], 1
                continue
            frame = socket.recv(_NOW, copy=False)  # it knows whether it is the last, for less than the socket asks
            self._n_frames += 1
            if self._n_frames <= KEPT_FRAMES:
                self._frames.append(frame.bytes)
            if self._frame_by_frame or not frame.more:
                frames, n_frames = self._frames, self._n_frames
                self._frames, self._n_frames = [], 0
                if noticed:
                    self._identify(frame)
                self._take(frames, n_frames)
                if time.monotonic() > end:
                    break
        if self._loop is not None:
            socket.getsockopt(_EVENTS)

    def _emptied(self) -> None:
        """Nothing is left to read for now."""

    def _identify(self, frame: zmq.Frame) -> None:
        """Who sent the message that ends with this frame. libzmq's own messages have no sender."""
        try:
            self._key = frame.get(_USER_ID)
        except zmq.ZMQError:
            self._key = None
        if self._gate is not None:
            self._who = self._gate.who(self._key)

    def _tell_refused(self, door: str, why: str) -> None:
        if self._gate is not None:
            self._gate.refuse(self._key, door, why)

    def _send(self, frames: list[bytes]) -> bool:
        """Send without waiting; False when the peer is gone or does not read."""
        socket = self._socket
        if socket.closed:
            return False
        try:
            for frame in frames[:-1]:
                _send_bare(socket, frame, _NOW_MORE)
            _send_bare(socket, frames[-1], _NOW)
        except zmq.ZMQError as error:
            if error.errno not in (zmq.EAGAIN, zmq.EHOSTUNREACH):
                raise
            return False
        finally:
            self._wake()
        return True
