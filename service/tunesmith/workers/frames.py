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
from collections.abc import Callable, Iterator
from typing import Any

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


def read(sock: socket.socket) -> memoryview | None:
    """The next frame of a blocking socket, without its size; None when the other end is gone."""
    size = _read_exactly(sock, _REST.size)
    return None if size is None else _read_exactly(sock, _REST.unpack(size)[0])


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
    """Hands each message of a stream to `on_message`, with itself; one that cannot be read as ("unreadable", error)."""

    def __init__(self, on_message: Callable[[Any, Any], None]) -> None:
        self._on_message = on_message
        self._splitter = Splitter()

    def data_received(self, data: bytes) -> None:
        for frame in self._splitter.feed(data):
            try:
                message = unpack(frame)
            except Exception as error:  # whatever unpickling a foreign object raises
                message = ("unreadable", error)
            self._on_message(self, message)


def _read_exactly(sock: socket.socket, n: int) -> memoryview | None:
    view = memoryview(bytearray(n))
    done = 0
    while done < n:
        got = sock.recv_into(view[done:])
        if got == 0:
            return None
        done += got
    return view
