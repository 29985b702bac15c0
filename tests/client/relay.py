"""A network between client and daemon: a relay whose far end can move, fall silent, or break its connections."""

from __future__ import annotations

import contextlib
import socket
import threading

_PIECE = 65_536


class Relay:
    """Forwards connections to `target` (tcp://host:port), which may be exchanged at any time."""

    def __init__(self, target: str) -> None:
        self.target = target
        self.silent = False
        self.n_dropped = 0
        """Connections that it took while nobody listened at the far end."""
        self._ends: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"tcp://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Relay:
        return self

    def __exit__(self, *exception: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    def cut(self) -> None:
        """Break every connection that stands."""
        ends, self._ends = self._ends, []
        for end in ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            host, _, port = self.target.removeprefix("tcp://").rpartition(":")
            try:
                far = socket.create_connection((host, int(port)), timeout=5)
            except OSError:
                near.close()
                self.n_dropped += 1
                continue
            far.settimeout(None)
            self._ends += [near, far]
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=self._forward, args=(one, other), daemon=True).start()

    def _forward(self, one: socket.socket, other: socket.socket) -> None:
        swallows = False
        with contextlib.suppress(OSError):
            while piece := one.recv(_PIECE):
                swallows = swallows or self.silent
                if not swallows:
                    other.sendall(piece)
        for end in (one, other):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
