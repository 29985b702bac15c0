"""Long measurements that may be stopped and gone on with: independent cases on every core, one line each in a file.

A case is a row of plain values; the seed of a run is drawn when its file is begun and is written there, so that whoever
goes on with it, or checks it, draws the same cases.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import secrets
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Row = dict[str, Any]


def stream(seed: int, *key: int) -> np.random.Generator:
    """The random numbers of one case."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))


def run(name: str, one: Callable[[int, int], Row], n: int, state: Path | None, seed: int | None) -> list[Row]:
    """`one(seed, i)` for every i below n, those in `state`'s file of that name apart; the rows in order.

    `one` must be a function of a module, as other processes call it. Raises `SystemExit` where the file was begun with
    another seed than the one that is asked for.
    """
    folder = state or Path(tempfile.mkdtemp(prefix="tunesmith-"))
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{name}.jsonl"
    begun = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    if begun and seed not in (None, begun[0]["seed"]):
        sys.exit(f"{file} was begun with the seed {begun[0]['seed']}, not with {seed}")
    if not begun:
        begun = [{"seed": secrets.randbits(32) if seed is None else seed}]
        file.write_text(json.dumps(begun[0]) + "\n")
    chosen = begun[0]["seed"]
    rows: dict[int, Row] = {row["i"]: row for row in begun[1:] if row["i"] < n}
    missing = [(one, chosen, i) for i in range(n) if i not in rows]
    print(f"{name}: {n} cases, seed {chosen}, {len(rows)} of them in {file} already", flush=True)
    cores = len(os.sched_getaffinity(0))
    began = time.monotonic()
    with file.open("a") as out, multiprocessing.get_context("spawn").Pool(cores) as pool:
        for done, row in enumerate(pool.imap_unordered(_call, missing), 1):
            rows[row["i"]] = row
            out.write(json.dumps(row) + "\n")
            out.flush()
            if done % 50 == 0:
                print(f"  {done} of {len(missing)} after {time.monotonic() - began:.0f} s", flush=True)
    return [rows[i] for i in sorted(rows)]


def _call(case: tuple[Callable[[int, int], Row], int, int]) -> Row:
    one, seed, i = case
    began = time.process_time()
    row = one(seed, i)
    return {"i": i, **row, "seconds": time.process_time() - began}
