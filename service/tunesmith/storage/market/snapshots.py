"""Snapshots: the bars that a task works on, stored once and handed out by the hash of their content.

What a task may not see (the hold-out of a search) is not in its snapshot. `SnapshotStore` is what every store does,
`open_snapshots` the store of a data directory. In a `SnapshotFolder`, `<hash>.npy` holds float64[6, n]: the times' 64
bits, then open, high, low, close, volume; `<hash>.json` the rest, and is written last.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Collection
from pathlib import Path
from typing import Protocol

import msgspec
import numpy as np

from tunesmith.domain.array_types import Floats, Ints
from tunesmith.domain.market.bars import COLUMNS, Bars
from tunesmith.domain.market.calendars import AROUND_THE_CLOCK, COUNTED, Calendar, calendar_named
from tunesmith.domain.market.expected_bars import is_whole
from tunesmith.domain.records import build
from tunesmith.errors import Internal, NotFound
from tunesmith.storage.atomic_files import write_content, write_file
from tunesmith.storage.faults import file_fault

_NAME = re.compile(r"[0-9a-f]{64}")


class _Label(msgspec.Struct, frozen=True, kw_only=True):
    symbol: str
    timeframe: str
    venue: str
    bars_per_year: float
    n_bars: int
    calendar: str | None = None


class SnapshotStore(Protocol):
    """Stores bars and hands them out by their `data_hash`. Any number of processes may use one at a time."""

    def put(self, bars: Bars) -> str:
        """Store bars and answer their `data_hash`; what is stored already stays. Raises `Internal` (disk)."""
        ...

    def get(self, name: str) -> Bars:
        """The bars of a hash. Raises `NotFound` when they are not there and `Internal` when they are damaged."""
        ...

    def keep(self, name: str) -> bool:
        """Whether the bars of a hash are there; if so, `prune` takes them for young ones from now on."""
        ...

    def prune(self, keep: Collection[str], older_than_s: float = 3600.0) -> int:
        """Remove snapshots that are not in `keep` and older than `older_than_s`; how many.

        A younger one may belong to a task that is not stored yet. Who has the bars of one goes on with them.
        """
        ...


def open_snapshots(data_dir: Path) -> SnapshotStore:
    """The store of a data directory."""
    return SnapshotFolder(data_dir / "snapshots")


class SnapshotFolder:
    """A `SnapshotStore` in one folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def put(self, bars: Bars) -> str:
        """See `SnapshotStore.put`."""
        name = bars.data_hash
        label = self.root / f"{name}.json"
        if self.keep(name):
            return name
        table = np.empty((1 + len(COLUMNS), len(bars)))
        table[0] = bars.timestamp.view(np.float64)
        for row, column in enumerate(COLUMNS, 1):
            table[row] = getattr(bars, column)
        try:
            write_file(self.root / f"{name}.npy", lambda path: _save(path, table))
            calendar = None if bars.calendar == COUNTED else bars.calendar.text
            known = build(_Label, bars, n_bars=len(bars), calendar=calendar)
            write_content(label, msgspec.json.encode(known))
        except OSError as error:
            raise file_fault(error, f"the snapshot of {bars.symbol} {bars.timeframe}") from error
        return name

    def keep(self, name: str) -> bool:
        """See `SnapshotStore.keep`."""
        if not _NAME.fullmatch(name):
            return False
        label = self.root / f"{name}.json"
        for file in (label.with_suffix(".npy"), label):
            try:
                os.utime(file)
            except FileNotFoundError:
                return False
            except OSError:  # on a read-only disk it can be read all the same, and nothing is removed
                if not file.is_file():
                    return False
        return True

    def get(self, name: str) -> Bars:
        """See `SnapshotStore.get`; mapped from the file: read when touched, writable without changing it."""
        if not _NAME.fullmatch(name):
            raise NotFound(f"{name!r} is no snapshot")
        try:
            label = msgspec.json.decode((self.root / f"{name}.json").read_bytes(), type=_Label)
            table = np.asarray(np.load(self.root / f"{name}.npy", mmap_mode="c"))
        except FileNotFoundError:
            raise NotFound(f"there is no snapshot {name}") from None
        except (msgspec.DecodeError, ValueError, EOFError, OSError) as error:
            raise Internal(f"the snapshot {name} is damaged: {error}") from error
        if table.shape != (1 + len(COLUMNS), label.n_bars) or table.dtype != np.float64:
            raise Internal(f"the snapshot {name} is damaged: its table is {table.dtype}{table.shape}")
        columns = dict(zip(COLUMNS, table[1:], strict=True))
        stamps = table[0].view(np.int64)
        return Bars(
            label.symbol,
            label.timeframe,
            label.venue,
            stamps,
            **columns,
            bars_per_year=label.bars_per_year,
            calendar=_calendar_of(label, stamps),
        )

    def prune(self, keep: Collection[str], older_than_s: float = 3600.0) -> int:
        """See `SnapshotStore.prune`."""
        if not self.root.is_dir():
            return 0
        removed = 0
        before = time.time() - older_than_s
        for path in sorted(self.root.iterdir()):
            with contextlib.suppress(FileNotFoundError):
                if path.stem not in keep and path.stat().st_mtime < before:
                    path.unlink()
                    removed += path.suffix == ".json"
        return removed


def _calendar_of(label: _Label, stamps: Ints) -> Calendar:
    """The calendar of a snapshot. Bars without a gap have one snapshot, whether stored before there were calendars."""
    if label.calendar is not None:
        return calendar_named(label.calendar)
    return AROUND_THE_CLOCK if is_whole(stamps, label.timeframe) else COUNTED


def _save(path: Path, table: Floats) -> None:
    with path.open("wb") as file:  # np.save itself does not tell why a disk refuses
        np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(table))
        file.write(table.data)
