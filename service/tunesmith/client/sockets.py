"""The client's sockets on an asyncio loop: read without ever cancelling a receive, aware of each new connection."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import zmq
from zmq.utils.monitor import parse_monitor_message

HEARTBEAT_MS = 2_000
HEARTBEAT_TIMEOUT_MS = 6_000
RECONNECT_MS = 100
RECONNECT_MAX_MS = 5_000
MESSAGES_PER_TURN = 256

_NOW = int(zmq.NOBLOCK)
_EVENTS, _CAN_SEND = int(zmq.EVENTS), int(zmq.POLLOUT)
_CONNECTED = int(zmq.EVENT_HANDSHAKE_SUCCEEDED)

Context = zmq.Context[zmq.Socket[bytes]]


class Wire:
    """One connected socket. `heard` gets each message's frames, `connected` is called with each new connection.

    Nothing is queued for a connection that does not stand: what was sent into a lost one is sent again by whoever
    still waits for its answer. Opened and closed on one loop, and used there.
    """

    def __init__(
        self,
        context: Context,
        kind: int,
        address: str,
        heard: Callable[[list[bytes]], None],
        connected: Callable[[], None],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._heard = heard
        self._connected = connected
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
        if kind == zmq.DEALER:
            socket.setsockopt(zmq.IMMEDIATE, 1)
            socket.setsockopt(zmq.SNDHWM, 0)  # each request waits for its reply, which bounds them
        if kind == zmq.SUB:
            socket.setsockopt(zmq.RCVHWM, 100_000)
        self._monitor = socket.get_monitor_socket(_CONNECTED)
        self._loop.add_reader(self._monitor.fileno(), self._look)
        self._loop.add_reader(socket.fileno(), self._drain)
        socket.connect(address)
        self._loop.call_soon(self._look)  # only a descriptor whose events were looked at once tells of more
        self._wake()

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
            if event["event"] == _CONNECTED:
                self._connected()
