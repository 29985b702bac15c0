"""A process that has the command line's modules loaded, which takes a third of a second, and forks for each command.

`python command_server.py FD`: a packet on the socket FD is JSON with `arguments`, `environment` and `folder`. With it
come three descriptors: standard output, standard error, and one to write the command's pid and its exit code to.
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
from typing import Any

from tunesmith.cli import main
from tunesmith.cli.commands import ROWS
from tunesmith.cli.lazy_commands import commands

PACKET_BYTES = 200_000
LIGHT = "data", "demo"
"""Commands whose modules load numpy and more; a process that has loaded those is no good to fork from."""


def preload() -> None:
    """Import what almost every command needs, as the bots' install has it."""
    for name, row in commands(ROWS):
        if name[0] not in LIGHT:
            importlib.import_module(row.module)
    sys.argv = ["tunesmith", "status", "--help"]  # for what is imported when the first command is understood
    with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
        main()
    gc.collect()
    gc.freeze()


def receive(control: socket.socket) -> tuple[bytes, list[int]]:
    """A packet and its descriptors; an empty one when the other side is gone."""
    room = socket.CMSG_SPACE(3 * array.array("i").itemsize)
    packet, ancillary, *_ = control.recvmsg(PACKET_BYTES, room)
    found = array.array("i")
    for _, _, data in ancillary:
        found.frombytes(data)
    return packet, list(found)


def become_the_command(asked: dict[str, Any], out: int, err: int) -> None:
    """Make this process what a shell would have started, up to the call of `main`."""
    for fd, target in ((os.open(os.devnull, os.O_RDONLY), 0), (out, 1), (err, 2)):
        os.dup2(fd, target)
    os.closerange(3, 256)
    os.environ.clear()
    os.environ.update(asked["environment"])
    os.chdir(asked["folder"])
    sys.argv = ["tunesmith", *asked["arguments"]]


def supervise(asked: dict[str, Any], out: int, err: int, status: int) -> bool:
    """Whether this process is the command; its parent tells how it ended, and is not heard of again."""
    pid = os.fork()
    if pid == 0:
        become_the_command(asked, out, err)
        return True
    os.write(status, b"%d " % pid)
    os.write(status, b"%d." % os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    os._exit(0)


def is_the_command(control: socket.socket) -> bool:
    """Serve until the other side is gone. True in a process that is to run a command."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those that supervise
    while True:
        packet, fds = receive(control)
        if not packet:
            return False
        if os.fork() == 0:
            control.detach()  # its number may be another file's soon
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            return supervise(json.loads(packet), *fds)
        for fd in fds:
            os.close(fd)


if __name__ == "__main__":
    preload()
    if is_the_command(socket.socket(fileno=int(sys.argv[1]))):
        main()
