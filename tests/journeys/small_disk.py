"""Disks that a test can fill or break, and files that it can lock: what needs root, and is skipped where it fails."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest


class SmallDisk:
    """A file system of its own in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"

    def fill(self) -> None:
        """Leave not a byte; call it again where something was freed meanwhile."""
        with self._ballast.open("ab", buffering=0) as file:
            for size in (2**20, 2**12, 1):
                with contextlib.suppress(OSError):
                    while file.write(b"x" * size) == size:
                        pass

    def free(self) -> None:
        self._ballast.unlink()


@contextlib.contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[SmallDisk]:
    """The disk, mounted until the end; the test is skipped where nothing may be mounted."""
    mount = shutil.which("mount")
    if mount is None or os.getuid() != 0:
        pytest.skip("only root may mount a small disk")
    done = subprocess.run([mount, "-t", "tmpfs", "-o", f"size={megabytes}m", "none", str(folder)], capture_output=True)
    if done.returncode:
        pytest.skip(f"nothing may be mounted here: {done.stderr.decode().strip()}")
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


class LoopDisk:
    """An ext4 of its own in `folder`, in the file `image`."""

    def __init__(self, folder: Path, image: Path) -> None:
        self.folder = folder
        self._image = image

    def mount(self) -> None:
        done = _command("mount", "-o", "loop", str(self._image), str(self.folder))
        if done:
            pytest.skip(f"no file may be mounted as a disk here: {done}")

    def fail(self) -> None:
        """What the kernel does when a disk fails: all is read-only at once, open files too, till it is mounted anew."""
        assert _command("mount", "-o", "remount,abort", str(self.folder)) == ""

    def leave(self) -> None:
        """Out of the tree; it ends with its last open file."""
        assert _command("umount", "--lazy", str(self.folder)) == ""


@contextlib.contextmanager
def loop_disk(folder: Path, image: Path, megabytes: int) -> Iterator[LoopDisk]:
    """The disk, mounted until the end."""
    if os.getuid() != 0 or not (shutil.which("mkfs.ext4") and shutil.which("mount")):
        pytest.skip("only root, with the tools of ext4, may mount a file as a disk")
    with image.open("wb") as file:
        file.truncate(megabytes * 2**20)
    subprocess.run(["mkfs.ext4", "-q", str(image)], check=True)
    made = LoopDisk(folder, image)
    made.mount()
    try:
        yield made
    finally:
        made.leave()


@contextlib.contextmanager
def locked(*paths: Path) -> Iterator[None]:
    """Nobody may write these files and folders, not even who has them open (the attribute i of chattr)."""
    probe = paths[0].with_name(".probe")
    with probe.open("wb", buffering=0) as file:
        try:
            _set_immutable(probe, on=True)
            file.write(b"x")
            pytest.skip("this file system lets those write a locked file who have it open")
        except PermissionError:
            if not _is_immutable(probe):
                pytest.skip("files cannot be locked here: it is for root")
        except OSError as error:
            pytest.skip(f"files cannot be locked here: {error.strerror}")
        finally:
            with contextlib.suppress(OSError):
                _set_immutable(probe, on=False)
            probe.unlink()
    try:
        for path in paths:
            _set_immutable(path, on=True)
        yield
    finally:
        for path in paths:
            with contextlib.suppress(FileNotFoundError):
                _set_immutable(path, on=False)


_GET_FLAGS, _SET_FLAGS, _IMMUTABLE = 0x80086601, 0x40086602, 0x10
"""FS_IOC_GETFLAGS, FS_IOC_SETFLAGS and FS_IMMUTABLE_FL of Linux, 64 bits."""


def _flags(fd: int) -> int:
    flags: int = struct.unpack("l", fcntl.ioctl(fd, _GET_FLAGS, struct.pack("l", 0)))[0]
    return flags


def _is_immutable(path: Path) -> bool:
    fd = os.open(path, os.O_RDONLY)
    try:
        return bool(_flags(fd) & _IMMUTABLE)
    finally:
        os.close(fd)


def _set_immutable(path: Path, *, on: bool) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        flags = _flags(fd)
        fcntl.ioctl(fd, _SET_FLAGS, struct.pack("l", flags | _IMMUTABLE if on else flags & ~_IMMUTABLE))
    finally:
        os.close(fd)


def _command(*command: str) -> str:
    """What it said when it failed; nothing where it did not."""
    done = subprocess.run(command, capture_output=True)
    return (done.stderr.decode().strip() or f"exit code {done.returncode}") if done.returncode else ""
