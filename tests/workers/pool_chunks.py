"""Chunk functions for the tests of executors; imported in worker processes by name."""

from __future__ import annotations

import ctypes
import os
import pickle
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import structlog

from tunesmith.errors import Invalid
from tunesmith.workers import worker

BIG = 50_000_000


class Unsendable:
    """A result that does not pickle."""

    def __reduce__(self) -> Any:
        raise TypeError("no")


class Unreadable:
    """A result that pickles, but does not unpickle."""

    def __reduce__(self) -> Any:
        return int, ("not a number",)


def echo(payload: Any) -> Any:
    return payload


def pid(_: None) -> int:
    return os.getpid()


def hold(folder: str) -> str:
    """Say that it runs, then wait until it is let go or cancelled."""
    running, let_go = Path(folder, "running"), Path(folder, "let_go")
    running.write_text(str(os.getpid()))
    while not let_go.exists():
        worker.stop_if_cancelled()
        time.sleep(0.002)
    return "let go"


def stick(folder: str) -> None:
    """Say that it runs, then hold the interpreter for ever, as a kernel may."""
    Path(folder, "running").write_text(str(os.getpid()))
    re.match(r"(a+)+$", "a" * 60 + "b")


def segfault(_: None) -> None:
    ctypes.string_at(0)


def leave(_: None) -> None:
    sys.exit(3)


def fail(secret: str) -> None:
    raise KeyError(secret)


def refuse(_: None) -> None:
    raise Invalid("too small", path="/data/n")


def use_up_memory(_: None) -> None:
    raise MemoryError


def eat(megabytes: int) -> None:
    """Take memory until somebody ends it."""
    eaten = bytearray(os.urandom(2**20)) * megabytes
    while eaten:
        worker.stop_if_cancelled()
        time.sleep(0.002)


def keep(megabytes: int) -> None:
    """Take memory and keep it for good."""
    _kept.append(bytearray(os.urandom(2**20)) * megabytes)


def _start_child(*command: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command or ("sleep", "600"), stdout=subprocess.DEVNULL)


def start_child_and_wait(folder: str) -> None:
    """Start a process, leave its pid, and wait for its end without heeding a cancel."""
    Path(folder, "running").write_text(str(os.getpid()))
    child = _start_child()
    Path(folder, "child").write_text(str(child.pid))
    child.wait()


def leave_child(_: None) -> int:
    """Start a process and leave it behind; its pid."""
    return _start_child().pid


def end_child(how: tuple[str, int]) -> int:
    """Start a program or fork, send it a signal; its exit code."""
    if how[0] == "exec":
        child = _start_child()
        child.send_signal(how[1])
        return child.wait()
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(theirs, b".")
        time.sleep(600)
    os.read(ours, 1)  # it is past the hooks of a fork
    os.close(ours)
    os.close(theirs)
    os.kill(pid, how[1])
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def eat_in_child(megabytes: int) -> None:
    """Start a process that takes memory and keeps it."""
    code = f"import os, time; eaten = bytearray(os.urandom(2**20)) * {megabytes}; time.sleep(600)"
    _start_child(sys.executable, "-c", code).wait()


def importer(_: None) -> int:
    """Who imported this module."""
    return _imported_by


def big_buffer(_: None) -> pickle.PickleBuffer:
    return pickle.PickleBuffer(bytearray(b"tune" * (BIG // 4)))


def big_bytes(_: None) -> bytes:
    return b"tune" * (BIG // 4)


def unsendable(_: None) -> Unsendable:
    return Unsendable()


def unreadable(_: None) -> Unreadable:
    return Unreadable()


def talk(n: int) -> str:
    for k in range(n):
        worker.doing(f"step {k}")
    return "done"


def load(n_rules: int) -> None:
    worker.loaded(n_rules)


def load_and_refuse(n_rules: int) -> None:
    worker.loaded(n_rules)
    raise Invalid("load_and_refuse")


def context(_: None) -> dict[str, Any]:
    return structlog.contextvars.get_contextvars()


def environment(name: str) -> str | None:
    return os.environ.get(name)


def warm(_: None) -> bool:
    return _warmed


_warmed = False
_kept: list[bytearray] = []
_imported_by = os.getpid()


def warm_up() -> None:
    global _warmed
    _warmed = True


def broken_warm_up() -> None:
    raise RuntimeError("no such kernel")


def warm_up_when_allowed() -> None:
    """Die until a file is there; leave a mark for each try."""
    folder = Path(os.environ["POOL_TEST_FOLDER"])
    with (folder / "tried").open("a") as file:
        file.write(".")
    if not (folder / "allowed").exists():
        os._exit(7)


CHUNKS = {
    function.__name__: function
    for function in (
        echo,
        pid,
        hold,
        stick,
        segfault,
        leave,
        fail,
        refuse,
        use_up_memory,
        eat,
        keep,
        start_child_and_wait,
        leave_child,
        end_child,
        eat_in_child,
        importer,
        big_buffer,
        big_bytes,
        unsendable,
        unreadable,
        talk,
        load,
        load_and_refuse,
        context,
        environment,
        warm,
    )
}
