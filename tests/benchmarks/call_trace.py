"""Records which functions of one package are called, in every thread of a process and of the processes it forks.

`hooked` gives the environment of a Python process to trace. Such a process calls `install` before it starts threads;
what its children fork is hooked at the fork. Each process writes its calls to a file of its own, and `read_calls` reads
them all. A coroutine or generator that is resumed is not called again: its first step counts. Modules, class bodies and
comprehensions are no functions.
"""

from __future__ import annotations

import asyncio
import dis
import functools
import inspect
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextvars import Context, ContextVar, copy_context
from itertools import pairwise
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, NamedTuple, TypeVarTuple

FOLDER, PACKAGE, WATCHED = "CALL_TRACE_FOLDER", "CALL_TRACE_PACKAGE", "CALL_TRACE_WATCHED"

_SITE = "import os\nfrom benchmarks import call_trace\nos.register_at_fork(after_in_child=call_trace.install)\n"
"""A module `sitecustomize`, which Python runs at its start; imports under a hook would take seconds, so it waits."""

_RESUMABLE = inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR

Arguments = TypeVarTuple("Arguments")

_background: ContextVar[bool] = ContextVar("background", default=False)


class Call(NamedTuple):
    """One call. `thread` names process and thread; `at_ns` is CLOCK_MONOTONIC, which all processes share.

    `watched`: one of its arguments begins with the watched text. `background`: see `TimedLoop` and `mark_background`.
    """

    at_ns: int
    thread: str
    file: str
    function: str
    watched: bool
    background: bool

    @property
    def room(self) -> str:
        """The first folder below the package, or the module that lies in none."""
        return self.file.partition("/")[0].removesuffix(".py")


class Way(NamedTuple):
    """What a series of calls comes to.

    A change is two consecutive calls of one thread in different files; `pairs` counts the different (from, to) of the
    changes.
    """

    files: int
    changes: int
    pairs: int
    calls: int


class TimedLoop(asyncio.SelectorEventLoop):
    """An event loop that marks what its timers call as background: how often they do depends on the machine's speed.

    A task that sleeps is woken by a timer, but is no timer's call.
    """

    def call_at(
        self, when: float, callback: Callable[[*Arguments], object], *args: *Arguments, context: Context | None = None
    ) -> asyncio.TimerHandle:
        marked = copy_context() if context is None else context.copy()
        marked.run(_background.set, True)
        return super().call_at(when, callback, *args, context=marked)


class Recorder:
    """The profile hook: it writes the calls of its process to a file in `folder`."""

    def __init__(self, folder: Path, package: Path, watched: str) -> None:
        self._folder = folder
        self._prefix = f"{package}/"
        self._watched = watched
        self._files: dict[str, str] = {}
        self._marking = False
        self._pid, self._out = 0, sys.stdout

    def mark_background(self, on: bool) -> None:
        """While on, mark every asyncio task that calls something as background, with all that it starts later."""
        self._marking = on

    def __call__(self, frame: FrameType, event: str, argument: Any) -> None:
        if event != "call":
            return
        name = frame.f_code.co_filename
        file = self._files.get(name)
        if file is None:
            file = self._files[name] = name.removeprefix(self._prefix) if name.startswith(self._prefix) else ""
        if file and _is_function(frame.f_code) and _is_first_step(frame):
            if self._marking and _in_task():
                _background.set(True)
            self._write(file, frame)

    def _write(self, file: str, frame: FrameType) -> None:
        pid = os.getpid()
        if pid != self._pid:
            self._pid, self._out = pid, (self._folder / f"{pid}.calls").open("a", buffering=1)
        watched = any(_begins(value, self._watched) for value in frame.f_locals.values())
        thread = f"{pid} {threading.get_ident()}"
        call = Call(time.monotonic_ns(), thread, file, frame.f_code.co_qualname, watched, _background.get())
        self._out.write(f"{json.dumps(call)}\n")


def hooked(folder: Path, package: Path, watched: str) -> dict[str, str]:
    """The environment of a Python process that is to be traced: `package` is importable, calls go to `folder`."""
    site = folder / "site"
    site.mkdir(parents=True)
    (site / "sitecustomize.py").write_text(_SITE)
    path = os.pathsep.join(map(str, (site, Path(__file__).resolve().parents[1], package.parent)))
    return {**os.environ, FOLDER: str(folder), PACKAGE: str(package), WATCHED: watched, "PYTHONPATH": path}


@functools.cache
def install() -> Recorder:
    """Hook this process as its environment says, with the threads that start from now on; once."""
    recorder = Recorder(Path(os.environ[FOLDER]), Path(os.environ[PACKAGE]), os.environ[WATCHED])
    threading.setprofile(recorder)
    sys.setprofile(recorder)
    return recorder


def read_calls(folder: Path) -> list[Call]:
    """The calls of all processes that wrote to `folder`, by time."""
    lines = (line for file in folder.glob("*.calls") for line in file.read_text().splitlines(keepends=True))
    return sorted(Call(*json.loads(line)) for line in lines if line.endswith("\n"))  # a killed process may write half


def changes(calls: Iterable[Call]) -> Iterator[tuple[str, str]]:
    """The changes of file (from, to), thread by thread."""
    threads: dict[str, list[str]] = {}
    for call in calls:
        threads.setdefault(call.thread, []).append(call.file)
    for files in threads.values():
        yield from (pair for pair in pairwise(files) if pair[0] != pair[1])


def way(calls: list[Call]) -> Way:
    """Count the files of a series of calls, its changes of file and their pairs."""
    found = list(changes(calls))
    return Way(len({call.file for call in calls}), len(found), len(set(found)), len(calls))


def _is_function(code: CodeType) -> bool:
    return bool(code.co_flags & inspect.CO_OPTIMIZED) and (code.co_name[0] != "<" or code.co_name == "<lambda>")


def _is_first_step(frame: FrameType) -> bool:
    return not frame.f_code.co_flags & _RESUMABLE or frame.f_lasti <= _first_step(frame.f_code)


@functools.cache
def _first_step(code: CodeType) -> int:
    return next(step.offset for step in dis.get_instructions(code) if step.opname == "RESUME")


def _in_task() -> bool:
    try:
        return asyncio.current_task() is not None
    except RuntimeError:  # a thread without a running loop
        return False


def _begins(value: Any, text: str) -> bool:
    """Whether a str, bytes, or a list's first item begins with `text`."""
    if isinstance(value, list | tuple) and value:
        value = value[0]
    if isinstance(value, bytes):
        value = value[: len(text)].decode("latin-1")
    return isinstance(value, str) and value.startswith(text)
