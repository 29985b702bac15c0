"""The daemon's chunks, with trials that misbehave: which ones and how says a file in the data directory."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from tunesmith.workers.chunks.chunk_table import CHUNKS as CHUNKS_OF_DAEMON
from tunesmith.workers.chunks.payloads import Search

FAULTS = "faults.json"
TRIED = "tried.txt"


def misbehave(folder: Path, **faults: list[int]) -> None:
    """From now on these trials fault: `raising`, `dying`, `hanging` or `eating` memory; none heals all."""
    draft = folder / "faults.draft"
    draft.write_bytes(msgspec.json.encode(faults))
    draft.rename(folder / FAULTS)


def tried(folder: Path) -> list[tuple[str, int, int]]:
    """(fault, start, stop) of the ranges that faulted, in order."""
    file = folder / TRIED
    lines = file.read_text().split("\n")[:-1] if file.exists() else []
    return [(fault, int(start), int(stop)) for fault, start, stop in (line.split() for line in lines)]


def search(payload: Search) -> Any:
    folder = Path(payload.spec.works[0].data_dir)
    faults = msgspec.json.decode((folder / FAULTS).read_bytes()) if (folder / FAULTS).exists() else {}
    for fault, numbers in faults.items():
        if any(payload.start <= number < payload.stop for number in numbers):
            with (folder / TRIED).open("a") as file:
                file.write(f"{fault} {payload.start} {payload.stop}\n")
            _do(fault)
    return CHUNKS_OF_DAEMON["search"](payload)


def _do(fault: str) -> None:
    if fault == "raising":
        raise ZeroDivisionError("where it broke")
    if fault == "dying":
        os._exit(9)
    if fault == "hanging":
        time.sleep(600)
    held = []
    while True:  # until the worker is killed for it
        held.append(np.ones(8_000_000))
        time.sleep(0.01)


CHUNKS = {**CHUNKS_OF_DAEMON, "search": search}
