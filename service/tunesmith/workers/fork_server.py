"""The process that workers are forked from: `python -P -m tunesmith.workers.fork_server FD PROGRAM`.

It is a fresh interpreter with one thread, none of the daemon's sockets, and what all workers need.

    daemon → server    "<number> <warm-up>", with a socket for the new worker
                       the end of the stream: kill all and exit
    server → daemon    "started <number> <pid>"      "exited <number> <exit code> <peak memory in kB>"

Each is one packet of a SEQPACKET socket. Since workers are its children, it kills them at once when the daemon is gone,
even where a kernel holds the worker's interpreter; when it is killed itself, its workers go on. It leads a session,
whose processes give way to others on this machine, the daemon and the bots among them. Each worker begins a process
group of its own; whatever ends a worker, the rest of its group is killed.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import selectors
import signal
import socket
import sys
import traceback
from pathlib import Path

import msgspec

from tunesmith.workers import worker


def main(fd: int, program: worker.Program) -> None:
    """Serve until the daemon is gone. In a forked child this becomes the worker, and never returns."""
    _give_way(program.niceness)
    worker.ignore_signals()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, worker.IGNORED_SIGNALS)
    for module in program.preload:
        importlib.import_module(module)
    if program.prepare:
        _prepare(program)
    gc.freeze()
    with socket.socket(fileno=fd) as control:
        forked = _Server(control).serve()
    if forked is not None:
        worker.main(*forked, program)


def _prepare(program: worker.Program) -> None:
    """What fails here fails again, and is told, in the worker that needs it."""
    try:
        worker.resolve(program.prepare)()
    except Exception:
        traceback.print_exc()


def _give_way(niceness: int) -> None:
    """Let other processes go before this one, which leads a session, and before those that it forks.

    Linux may share the processor among sessions first and heed niceness only within each: the session gives way too.
    """
    os.nice(niceness)
    with contextlib.suppress(OSError):  # a kernel without groups by session heeds niceness everywhere
        Path("/proc/self/autogroup").write_text(str(niceness))


class _Server:
    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._children: dict[int, str] = {}
        self._woken, self._waker = socket.socketpair()

    def serve(self) -> tuple[socket.socket, str] | None:
        """None when the daemon is gone; in a forked child, the worker's socket and the name of its warm-up."""
        self._woken.setblocking(False)
        self._waker.setblocking(False)
        signal.set_wakeup_fd(self._waker.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        with selectors.DefaultSelector() as selector:
            selector.register(self._control, selectors.EVENT_READ)
            selector.register(self._woken, selectors.EVENT_READ)
            while True:
                ready = {key.fileobj for key, _ in selector.select()}
                if self._woken in ready:
                    self._reap()
                if self._control in ready:
                    order, fds = self._next_order()
                    if not fds:
                        break
                    number, _, warm_up = order.partition(" ")
                    sock = self._fork(number, fds[0])
                    if sock is not None:
                        return sock, warm_up
        self._end_children()
        return None

    def _next_order(self) -> tuple[str, list[int]]:
        try:
            data, fds, _, _ = socket.recv_fds(self._control, 256, 1)
        except ConnectionError:
            return "", []
        return data.decode(), fds

    def _fork(self, number: str, fd: int) -> socket.socket | None:
        pid = os.fork()
        if pid == 0:
            os.setpgid(0, 0)
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for sock in (self._control, self._woken, self._waker):
                sock.close()
            return socket.socket(fileno=fd)
        os.close(fd)
        self._children[pid] = number
        self._tell(f"started {number} {pid}")
        return None

    def _reap(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._woken.recv(4096)
        while self._children:
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if ended is None:
                break
            number = self._children.pop(ended.si_pid, None)  # None: not a worker, but what a preloaded module started
            if number is not None:
                worker.kill_group(ended.si_pid)  # before its number is free for another process
            _, status, usage = os.wait4(ended.si_pid, 0)
            if number is not None:
                self._tell(f"exited {number} {os.waitstatus_to_exitcode(status)} {usage.ru_maxrss}")

    def _tell(self, text: str) -> None:
        with contextlib.suppress(ConnectionError):  # the daemon is gone, which the next read says
            self._control.send(text.encode())

    def _end_children(self) -> None:
        for pid in self._children:
            worker.kill_group(pid)
        for pid in self._children:
            os.waitpid(pid, 0)


if __name__ == "__main__":
    main(int(sys.argv[1]), msgspec.json.decode(sys.argv[2], type=worker.Program))
