"""Talk with a daemon by its sockets and over HTTP, and keep what was said."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import zmq

from journeys.daemon import DaemonProcess
from old_candles import accepting

_TIMEOUT_MS = 60_000
_FINAL = ("completed", "failed", "cancelled")


class Curve(NamedTuple):
    """What a client needs to come in where the daemon asks for keys."""

    public: bytes
    secret: bytes
    server: bytes

    @classmethod
    def read(cls, file: Path) -> Curve:
        """The keys of a client's key file."""
        key = json.loads(file.read_text())
        return cls(*(key[name].encode() for name in ("public", "secret", "server")))

    def guard(self, socket: zmq.Socket[bytes]) -> None:
        """Have `socket` use these keys."""
        socket.curve_publickey, socket.curve_secretkey, socket.curve_serverkey = self


class Said:
    """What was said in one conversation: requests and replies by the name of the step, in order."""

    def __init__(self) -> None:
        self.steps: dict[str, Any] = {}

    def keep(self, name: str, step: Any) -> None:
        """Keep one step; a name may not be used twice."""
        assert name not in self.steps, f"two steps are called {name!r}"
        self.steps[name] = step


class Talk:
    """A DEALER that keeps what is said, under the name of each step, which is also the request's id."""

    def __init__(
        self, context: zmq.Context[Any], daemon: DaemonProcess, said: Said, curve: Curve | None = None
    ) -> None:
        self.said = said
        self.quiet = "quiet"
        self._socket = context.socket(zmq.DEALER)
        self._socket.setsockopt(zmq.LINGER, 0)
        if curve is not None:
            curve.guard(self._socket)
        self._socket.connect(daemon.doors["requests"])
        self._n_polls, self._n_quiet = 0, 0

    def __enter__(self) -> Talk:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._socket.close()

    def send(self, body: bytes) -> None:
        """Send a request without waiting for its reply."""
        self._socket.send(body)

    def receive(self) -> bytes:
        """The next reply."""
        assert self._socket.poll(_TIMEOUT_MS), "no reply"
        return bytes(self._socket.recv_multipart()[-1])

    def raw(self, name: str, *frames: bytes) -> Any:
        """The reply to these frames; the text of a refusal is kept character by character."""
        self._socket.send_multipart(frames)
        text = self.receive().decode()
        reply = json.loads(text)
        self.said.keep(name, {"frames": [shown(frame) for frame in frames], "reply": reply if reply["ok"] else text})
        return reply

    def say(self, name: str, message: str, data: Any, loose: tuple[str, ...] = (), **more: Any) -> Any:
        """The reply's `data`; fields of it that are `loose` depend on how quick the machine is."""
        reply = self._ask(name, message, data, more)
        assert reply["ok"], f"{name}: {reply['error']}"
        told = {key: "<loose>" if key in loose else value for key, value in reply["data"].items()}
        self.said.keep(name, {"type": message, "data": data, **more, "reply": {**reply, "data": told}})
        return reply["data"]

    def refused(self, name: str, message: str, data: Any, **more: Any) -> Any:
        """The reply's `error`."""
        reply = self._ask(name, message, data, more)
        assert not reply["ok"], f"{name}: {reply}"
        self.said.keep(name, {"type": message, "data": data, **more, "reply": reply})
        return reply["error"]

    def ended(self, message: str, data: dict[str, Any], until: tuple[str, ...] = _FINAL) -> Any:
        """Ask for a status, without keeping it, until it is final; the reply's data."""
        deadline = time.monotonic() + 120
        while True:
            self._n_polls += 1
            reply = self._ask(f"poll-{self._n_polls}", message, data, {})
            assert reply["ok"], reply
            if reply["data"]["status"] in until:
                return reply["data"]
            assert time.monotonic() < deadline, f"{message} {data} is still {reply['data']}"
            time.sleep(0.01)

    def quietly(self, message: str, data: Any) -> Any:
        """The reply's data; nothing is kept."""
        self._n_quiet += 1
        reply = self._ask(f"{self.quiet}-{self._n_quiet}", message, data, {})
        assert reply["ok"], reply
        return reply["data"]

    def _ask(self, id: str, message: str, data: Any, more: dict[str, Any]) -> Any:
        data = accepting(message, data)  # which is not recorded: the release knew no such word
        self.send(json.dumps({"v": 1, "type": message, "id": id, "data": data, "deadline_ms": 60_000, **more}).encode())
        return json.loads(self.receive())


class Listener:
    """A subscriber that keeps every message of some topics, frame by frame."""

    def __init__(
        self, context: zmq.Context[Any], daemon: DaemonProcess, topic: str, curve: Curve | None = None
    ) -> None:
        self._socket = context.socket(zmq.SUB)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.RCVHWM, 0)
        if curve is not None:
            curve.guard(self._socket)
        self._socket.subscribe(topic)
        self._socket.connect(daemon.doors["events"])
        self.heard: list[list[bytes]] = []

    def until(self, condition: Callable[[list[list[bytes]]], bool], timeout_s: float = 90.0) -> list[list[bytes]]:
        """All that was heard, as soon as `condition` holds of it."""
        deadline = time.monotonic() + timeout_s
        while True:
            while self._socket.poll(0):
                self.heard.append(self._socket.recv_multipart())
            if condition(self.heard):
                return self.heard
            assert time.monotonic() < deadline, f"heard only {[each[0] for each in self.heard]}"
            self._socket.poll(50)

    def close(self) -> None:
        self._socket.close()


def shown(frame: bytes) -> str:
    """A frame as text; long ones by their beginning and length, bytes that are no text as escapes."""
    text = frame.decode("utf-8", "backslashreplace")
    return text if len(text) <= 300 else f"{text[:60]}… ({len(frame)} bytes)"
