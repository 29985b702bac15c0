"""The connections behind a socket with keys, by the key that they came in with, so that one's can be ended.

libzmq closes no single peer of a socket. It does say from which file descriptor a message came; what is shut down here
is the TCP connection below it, as if the peer had gone. Nobody else's connection is touched.
"""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Collection
from typing import NamedTuple

import zmq


class _Connection(NamedTuple):
    key: str | None
    inode: int
    n_bytes: int = 0


class Origin(NamedTuple):
    """The connection that a message came from."""

    descriptor: int
    inode: int

    @property
    def stands(self) -> bool:
        """Whether that connection is still there."""
        try:
            return os.fstat(self.descriptor).st_ino == self.inode
        except OSError:
            return False


def origin_of(frame: zmq.Frame) -> Origin:
    """Where a frame came from; one that does not stand where that cannot be told."""
    try:
        descriptor = int(frame.get(zmq.SRCFD))
        return Origin(descriptor, os.fstat(descriptor).st_ino)
    except (zmq.ZMQError, OSError):
        return Origin(-1, 0)


class Connections:
    """Which descriptor is whose. A number is used again after its connection has ended; the inode tells them apart."""

    def __init__(self) -> None:
        self._by_descriptor: dict[int, _Connection] = {}

    def note(self, frame: zmq.Frame, key: str | None) -> int:
        """A message with this key arrived; its connection's descriptor, -1 where it has none."""
        try:
            descriptor = int(frame.get(zmq.SRCFD))
        except zmq.ZMQError:  # libzmq's own message, or one from within this process
            return -1
        try:
            inode = os.fstat(descriptor).st_ino
        except OSError:  # it has ended meanwhile
            self._by_descriptor.pop(descriptor, None)
            return descriptor
        known = self._by_descriptor.get(descriptor)
        if known is None or (known.key, known.inode) != (key, inode):
            self._by_descriptor[descriptor] = _Connection(key, inode)
        return descriptor

    def count(self, descriptor: int, n_bytes: int) -> int:
        """Count bytes to the connection that a message came from; how many there are by now."""
        known = self._by_descriptor.get(descriptor)
        if known is None:
            return 0
        self._by_descriptor[descriptor] = known = known._replace(n_bytes=known.n_bytes + n_bytes)
        return known.n_bytes

    def end_one(self, descriptor: int) -> None:
        """End the connection that a message came from."""
        connection = self._by_descriptor.pop(descriptor, None)
        if connection is not None:
            _shut_down(descriptor, connection.inode)

    def end(self, keys: Collection[str]) -> int:
        """End every connection of these keys; how many there were."""
        n_ended = 0
        for descriptor, connection in list(self._by_descriptor.items()):
            if connection.key in keys:
                n_ended += _shut_down(descriptor, connection.inode)
                del self._by_descriptor[descriptor]
        return n_ended


def _shut_down(descriptor: int, inode: int) -> bool:
    try:
        held = os.dup(descriptor)  # libzmq's thread may close its own at any moment, and the number may be another's
    except OSError:
        return False
    found = os.fstat(held)
    if found.st_ino != inode or not stat.S_ISSOCK(found.st_mode):
        os.close(held)
        return False
    with socket.socket(fileno=held) as connection:
        try:
            connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            return False
    return True
