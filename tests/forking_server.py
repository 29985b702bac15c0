"""A process that has loaded what others import, and forks for each: `python forking_server.py FD KIND`.

KIND is command, daemon or workers: what the last forks becomes the process that a daemon's workers are forked from.
A packet on the socket FD is JSON with `arguments`, `environment` and `folder`. With it come three descriptors: standard
output, standard error, and one that the new process's pid is written to, and then its exit code and a point. More
descriptors are the new process's from 3 on.
"""

from __future__ import annotations

import array
import contextlib
import gc
import importlib
import io
import json
import os
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from forking import FORK_SERVERS, WORKERS_FD, Forked

PACKET_BYTES = 200_000
KERNEL_CACHE = "TUNESMITH_KERNEL_CACHE"


def command() -> Callable[[], object]:
    """`tunesmith`, with the modules of all commands but those that load numpy and more."""
    from tunesmith import cli
    from tunesmith.cli.commands import ROWS
    from tunesmith.cli.lazy_commands import commands

    for name, row in commands(ROWS):
        if name[0] not in ("data", "demo"):
            importlib.import_module(row.module)
    sys.argv = ["tunesmith", "status", "--help"]  # for what is imported when a command's options are read
    with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
        cli.main()
    return cli.main


def daemon() -> Callable[[], object]:
    """`python -m tunesmith.app`, whose workers come from the server on `WORKERS_FD`."""
    from tunesmith import app
    from tunesmith.workers import processes

    new, cache = processes.begin, os.environ.get(KERNEL_CACHE)

    def begin(control: socket.socket, program: str) -> Any:
        loads = json.loads(program).get("prepare")  # other lanes load little
        return forked(control, program) if loads and os.environ.get(KERNEL_CACHE) == cache else new(control, program)

    def forked(control: socket.socket, program: str) -> Forked:
        of = socket.socket(fileno=WORKERS_FD)
        made = Forked(of, [program], processes.environment(), sys.stdout, sys.stderr, control)
        of.detach()
        folder = Path(sys.argv[sys.argv.index("--data-dir") + 1])
        with (folder / FORK_SERVERS).open("a") as file:
            print(made.pid, file=file)
        return made

    processes.begin = begin
    return lambda: sys.exit(app.main())


def workers() -> Callable[[], object]:
    """`python -m tunesmith.workers.fork_server`, as it is for workers that search."""
    from tunesmith.workers import processes

    os.environ.update(processes.ONE_THREAD | processes.FORKABLE)
    from tunesmith.workers import fork_server, worker
    from tunesmith.workers.chunks import warm_ups
    from tunesmith.workers.chunks.chunk_table import modules_of

    for module in modules_of("search", "holdout"):
        importlib.import_module(module)
    warm_ups.load_vectorbt()

    def main() -> None:
        os.setsid()
        fork_server.main(3, msgspec.json.decode(sys.argv[1], type=worker.Program))

    return main


def receive(control: socket.socket) -> tuple[bytes, list[int]]:
    """A packet and its descriptors; an empty one when the other side is gone."""
    packet, ancillary, *_ = control.recvmsg(PACKET_BYTES, socket.CMSG_SPACE(4 * array.array("i").itemsize))
    fds = array.array("i")
    for _, _, data in ancillary:
        fds.frombytes(data)
    return packet, list(fds)


def become(asked: dict[str, Any], out: int, err: int, *more: int) -> None:
    """Make this process what was asked for, up to the call of its function; it reads nothing from its input."""
    for target, fd in enumerate((os.open(os.devnull, os.O_RDONLY), out, err, *more)):
        os.dup2(fd, target)
    os.closerange(3 + len(more), 256)
    os.environ.clear()
    os.environ.update(asked["environment"])
    os.chdir(asked["folder"])
    sys.argv = ["tunesmith", *asked["arguments"]]


def supervise(asked: dict[str, Any], out: int, err: int, status: int, *more: int) -> None:
    """Return in the process that was asked for; its parent tells how it ended, and ends too."""
    pid = os.fork()
    if pid == 0:
        become(asked, out, err, *more)
        return
    for fd in more:
        os.close(fd)
    os.write(status, b"%d " % pid)
    os.write(status, b"%d." % os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    os._exit(0)


def is_asked_for(control: socket.socket) -> bool:
    """Serve until the other side is gone; True in a process that was asked for."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those that supervise
    while True:
        packet, fds = receive(control)
        if not packet:
            return False
        if os.fork() == 0:
            control.detach()  # its number may be another file's soon
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            supervise(json.loads(packet), *fds)
            return True
        for fd in fds:
            os.close(fd)


if __name__ == "__main__":
    control = socket.socket(fileno=int(sys.argv[1]))
    main = {"command": command, "daemon": daemon, "workers": workers}[sys.argv[2]]()
    gc.collect()
    gc.freeze()
    if is_asked_for(control):
        main()
