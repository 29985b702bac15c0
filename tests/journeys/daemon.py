"""A real daemon process for journeys: started on free ports, killed or stopped, started again on the same data."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import zmq

from forking import FORK_SERVERS, Forked, server
from old_candles import accepting

START_TIMEOUT_S = 90.0
REPLY_TIMEOUT_S = 200.0
FEW_DRAWS = {"TUNESMITH_STATISTICS__N_PERMUTATIONS": "199", "TUNESMITH_STATISTICS__MAX_PERMUTATIONS": "399"}
"""Settings under which verdicts take as few shuffled markets as can still approve."""


class DaemonProcess:
    """The daemon, `python -m tunesmith.app`, on a folder. `doors` holds its addresses once it is ready.

    With `keeps_doors` it listens where it did before when it is started again.
    """

    def __init__(
        self,
        folder: Path,
        environ: dict[str, str] | None = None,
        *,
        keeps_doors: bool = False,
    ) -> None:
        self.folder = folder
        self.keeps_doors = keeps_doors
        self.environ = {"TUNESMITH_WORKERS__COUNT": "2", **(environ or {})}
        self.process: subprocess.Popen[bytes] | Forked | None = None
        self.doors: dict[str, str] = {}
        self.log_file = folder / "daemon.log"
        self._n_starts = 0

    def start(self, host: str = "127.0.0.1") -> None:
        (self.folder / FORK_SERVERS).unlink(missing_ok=True)
        before = self.doors if self.keeps_doors else {}
        self.doors = {}
        arguments = ["--data-dir", str(self.folder), "--http", "127.0.0.1:0"]
        for door in ("requests", "events", "inbox"):
            arguments += [f"--{door}", before.get(door, f"tcp://{host}:0")]
        environ = {**os.environ, **self.environ}
        with self.log_file.open("a") as log:
            if self._may_be_forked():
                generation = self._n_starts % 2
                of, workers = server("daemon", generation), server("workers", generation)
                self.process = Forked(of, arguments, environ, log, log, workers)
            else:
                command = [sys.executable, "-m", "tunesmith.app", *arguments]
                self.process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environ)
        self._n_starts += 1
        wait_until(self._is_ready, START_TIMEOUT_S, lambda: f"the daemon did not start:\n{self.log()[-3000:]}")

    def _may_be_forked(self) -> bool:
        """In a test, where it does not matter how Python itself is started.

        One that is started again has another hash seed, so that nothing can depend on it.
        """
        return "PYTEST_CURRENT_TEST" in os.environ and all(name.startswith("TUNESMITH_") for name in self.environ)

    def _is_ready(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, f"the daemon ended with {self.process.returncode}:\n{self.log()[-3000:]}"
        file = self.folder / "doors.json"
        if not file.exists():
            return False
        found = json.loads(file.read_text())
        if found["pid"] != self.process.pid:
            return False
        self.doors = found
        return True

    def kill(self) -> None:
        """kill −9."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to stop; the exit code."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(how)
        return self.process.wait(timeout=90)

    def workers(self) -> list[int]:
        """The process ids of its workers."""
        assert self.process is not None
        file = self.folder / FORK_SERVERS
        forked = [int(line) for line in file.read_text().split()] if file.exists() else []
        servers = [*children(self.process.pid), *(pid for pid in forked if Path(f"/proc/{pid}").exists())]
        return [pid for server in servers for pid in children(server)]

    def kill_workers(self) -> int:
        """kill −9 of every worker process; how many there were."""
        workers = self.workers()
        for pid in workers:
            os.kill(pid, signal.SIGKILL)
        return len(workers)

    def log(self) -> str:
        return self.log_file.read_text()


class Dealer:
    """A bot in plain pyzmq: DEALER, one request at a time."""

    _ids = itertools.count()

    def __init__(self, context: zmq.Context[Any], address: str) -> None:
        self.socket = context.socket(zmq.DEALER)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.connect(address)

    def __enter__(self) -> Dealer:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def ask(self, message_type: str, data: dict[str, Any], **more: Any) -> dict[str, Any]:
        """The whole reply envelope."""
        self.send(message_type, data, **more)
        return self.reply()

    def send(self, message_type: str, data: dict[str, Any], **more: Any) -> None:
        """Send a request without waiting for its `reply`."""
        asked = accepting(message_type, data)
        request = {"v": 1, "type": message_type, "id": f"t{os.getpid()}-{next(self._ids)}", "data": asked}
        request |= {"deadline_ms": 180_000, **more}
        self.socket.send_multipart([json.dumps(request).encode()])

    def data(self, message_type: str, data: dict[str, Any], **more: Any) -> dict[str, Any]:
        """The reply's data; fails the test when the reply is an error."""
        reply = self.ask(message_type, data, **more)
        assert reply["ok"], reply["error"]
        found: dict[str, Any] = reply["data"]
        return found

    def send_frames(self, frames: list[bytes]) -> dict[str, Any]:
        self.socket.send_multipart(frames)
        return self.reply()

    def reply(self) -> dict[str, Any]:
        """The next reply's envelope."""
        assert self.socket.poll(REPLY_TIMEOUT_S * 1000), "no reply came"
        reply: dict[str, Any] = json.loads(self.socket.recv_multipart()[-1])
        return reply

    def until_done(self, message_type: str, data: dict[str, Any], timeout_s: float = 150.0) -> dict[str, Any]:
        """Ask for a status until it is final."""
        found: dict[str, Any] = {}

        def final() -> bool:
            found.update(self.data(message_type, data))
            return found["status"] not in ("pending", "running")

        wait_until(final, timeout_s, lambda: f"{message_type} {data} is still {found}")
        return found

    def verdict(self, data: dict[str, Any], **more: Any) -> dict[str, Any]:
        """Ask for approval and wait for the verdict, however long vectorbt takes to compile the first time."""
        verdict = self.data("strategy.approve", data, deadline_ms=5_000, **more)
        if verdict["status"] in ("pending", "running"):
            verdict = self.until_done("verdict.status", {"verdict_id": verdict["verdict_id"]})
        assert verdict["status"] == "completed", verdict
        return verdict

    def close(self) -> None:
        self.socket.close()


def wait_until(condition: Callable[[], bool], timeout_s: float, says: Callable[[], str]) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, says()
        time.sleep(0.02)


def children(pid: int) -> list[int]:
    """The processes that `pid` started and that are still there."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return [int(child) for task in tasks for child in (task / "children").read_text().split()]
