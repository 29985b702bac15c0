"""Frames between the daemon and a worker: one pickled message each, its large buffers beside it, uncopied.

    rest u64 | n u32 | length u64 × n | pickle (protocol 5) | buffer × n          rest: bytes after itself; big-endian

Arrays and `pickle.PickleBuffer` travel as buffers. Received, they are views of the frame's memory: a result of 50 MB
costs the receiver no copy, where the same 50 MB as `bytes` inside the pickle cost 20 ms.
"""

from __future__ import annotations

import asyncio
import pickle
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from typing import Any, cast

_REST = struct.Struct("!Q")
_COUNT = struct.Struct("!I")


def pack(message: Any) -> list[bytes | memoryview]:
    """A frame as the pieces to send, in order. Raises what pickling raises."""
    buffers: list[pickle.PickleBuffer] = []
    body = pickle.dumps(message, 5, buffer_callback=buffers.append)
    views = [buffer.raw() for buffer in buffers]
    lengths = struct.pack(f"!{len(views)}Q", *map(len, views))
    rest = _COUNT.size + len(lengths) + len(body) + sum(map(len, views))
    return [_REST.pack(rest) + _COUNT.pack(len(views)) + lengths + body, *views]


def unpack(frame: memoryview) -> Any:
    """The message of a frame without its leading size. Raises what unpickling raises."""
    (n,) = _COUNT.unpack_from(frame)
    lengths = struct.unpack_from(f"!{n}Q", frame, _COUNT.size)
    start = _COUNT.size + 8 * n
    at = len(frame) - sum(lengths)
    body, buffers = frame[start:at], []
    for length in lengths:
        buffers.append(frame[at : at + length])
        at += length
    return pickle.loads(body, buffers=buffers)  # noqa: S301 - written by our own process


class Channel:
    """A worker's end: a blocking socket, which several threads write to and one reads."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._sending = threading.Lock()

    def send(self, *message: Any) -> None:
        """Send a message. Raises what pickling raises, then having sent nothing, and `Gone`."""
        pieces = pack(message)
        try:
            with self._sending:
                for piece in pieces:
                    self._sock.sendall(piece)
        except ConnectionError as error:
            raise Gone from error

    def receive(self) -> Any:
        """Wait for the next message. Raises what unpickling raises, and `Gone`."""
        (rest,) = _REST.unpack(self._read_exactly(_REST.size))
        return unpack(self._read_exactly(rest))

    def _read_exactly(self, n: int) -> memoryview:
        view = memoryview(bytearray(n))
        done = 0
        while done < n:
            try:
                got = self._sock.recv_into(view[done:])
            except ConnectionError as error:
                raise Gone from error
            if got == 0:
                raise Gone
            done += got
        return view


class Gone(Exception):
    """The other end of the socket is closed."""


class Splitter:
    """Cuts a stream of bytes, arriving in any pieces, into frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[memoryview]:
        """The frames that `data` completes, each without its size."""
        self._buffer += data
        ends, at = [], 0
        while len(self._buffer) - at >= _REST.size:
            end = at + _REST.size + _REST.unpack_from(self._buffer, at)[0]
            if len(self._buffer) < end:
                break
            ends.append(end)
            at = end
        if not ends:
            return
        whole, self._buffer = memoryview(self._buffer), self._buffer[at:]  # views forbid to resize what they are of
        at = 0
        for end in ends:
            yield whole[at + _REST.size : end]
            at = end


class MessageProtocol(asyncio.Protocol):
    """The daemon's end: a socket of the event loop.

    Each message goes to `on_message`, with the protocol itself; one that cannot be read as ("unreadable", error).
    """

    def __init__(self, on_message: Callable[[Any, Any], None]) -> None:
        self._on_message = on_message
        self._splitter = Splitter()
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def send(self, *message: Any) -> None:
        """Queue a message; dropped when the other end is gone. Raises what pickling raises."""
        if self.transport is not None and not self.transport.is_closing():
            self.transport.writelines(pack(message))

    def data_received(self, data: bytes) -> None:
        for frame in self._splitter.feed(data):
            try:
                message = unpack(frame)
            except Exception as error:  # whatever unpickling a foreign object raises
                message = ("unreadable", error)
            self._on_message(self, message)
