"""Candles on their way in: what is wrong with them, where they have gaps, and how they join what is stored."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tunesmith.domain.array_types import Floats, Ints
from tunesmith.domain.market.bars import COLUMNS, Bars, find_problems
from tunesmith.domain.market.calendars import Calendar
from tunesmith.domain.market.layouts.reading import unread
from tunesmith.domain.market.missing_bars import gaps_between
from tunesmith.domain.market.timeframes import UNIT_MS, timeframe_ms
from tunesmith.errors import Conflict, Internal, Invalid
from tunesmith.storage.timestamps import iso

LISTED_GAPS = 100
_FIRST_MS = -5_364_662_400_000
_LAST_MS = 9_223_372_036_000
_NO_RATIO = "bars have a price of zero or below"
_SHOWN = 3
_MOVED = (
    "; they move with daylight saving: name the zone where times are local ones, or import shorter bars, of which "
    "longer ones are made"
)


@dataclass(frozen=True, slots=True, eq=False)
class Candles:
    """Columns that were not checked yet: `timestamp` int64[n] UTC milliseconds, `ohlcv` name → float64[n]."""

    timestamp: Ints
    ohlcv: dict[str, Floats]

    def rows(self, index: NDArray[Any]) -> Candles:
        """The rows at `index` (int or bool)."""
        return Candles(self.timestamp[index], {name: column[index] for name, column in self.ohlcv.items()})


def of_bars(bars: Bars) -> Candles:
    """The columns of checked bars."""
    return Candles(bars.timestamp, {name: getattr(bars, name) for name in COLUMNS})


def problems_of(candles: Candles, timeframe: str) -> list[str]:
    """Everything that makes candles unusable, a sentence each; empty when sound. Gaps are no problem."""
    stamps = candles.timestamp
    outside = (stamps < _FIRST_MS) | (stamps > _LAST_MS)
    if outside.any():
        return [f"{int(outside.sum())} bars have a time before 1800 or after 2262, first at row {outside.argmax()}"]
    problems = [
        f"{each}; returns are ratios of prices, and have no meaning there" if _NO_RATIO in each else each
        for each in find_problems(stamps, candles.ohlcv)
    ]
    if not len(stamps):
        return problems
    problems.extend(_repetitions(candles))
    problems.extend(_spacing(stamps, timeframe))
    return problems


def final_candles(candles: Candles, timeframe: str, now_ms: int | None, *, drop: bool) -> tuple[Candles, list[str]]:
    """The candles that have closed at `now_ms` (None: nobody asks), and a sentence for the one that was left out.

    Raises `Unread` for a bar that is still open, unless `drop` leaves it out, and `Invalid` for bars in the future.
    """
    if now_ms is None or not len(candles.timestamp):
        return candles, []
    length = timeframe_ms(timeframe)
    ahead = candles.timestamp + length > now_ms
    if not ahead.any():
        return candles, []
    first = int(candles.timestamp[ahead].min())
    until = f"{iso(first)} closes at {iso(first + length)}, after now ({iso(now_ms)})"
    if int(ahead.sum()) > 1 or first > now_ms:
        raise Invalid(
            f"{int(ahead.sum())} bars lie in the future: that of {until}; are times, zone and timeframe right?",
            path="/data/bars",
        )
    if not drop:
        raise unread(
            f"the bar of {until}: it is not final; leave it out (--drop-open does)", "--drop-open", path="/data/bars"
        )
    return candles.rows(~ahead), [f"the bar of {until}: it was left out"]


def gaps_of(timestamp: Ints, timeframe: str, calendar: Calendar) -> list[dict[str, Any]]:
    """Bars that the calendar expects and that are missing, as {from, to, missing}: ISO times of the first and last
    missing bar's open, and their number."""
    return [
        {"from": iso(gap.first_ms), "to": iso(gap.last_ms), "missing": gap.n_missing}
        for gap in gaps_between(calendar, timestamp, timeframe)
    ]


def merge(stored: Candles, new: Candles, *, replace: bool) -> tuple[Candles, int]:
    """Both together by time, and how many bars of it are new or changed.

    Raises `Conflict` where a stored bar has other values, unless `replace` lets the new one win.
    """
    at_stored, at_new, differs = _common(stored, new)
    if differs.any() and not replace:
        raise Conflict(_difference(stored, new, at_stored[differs], at_new[differs]))
    kept = np.ones(len(stored.timestamp), bool)
    kept[at_stored] = False
    old = stored.rows(kept)
    stamps = np.concatenate([old.timestamp, new.timestamp])
    order = np.argsort(stamps, kind="stable")
    columns = {name: np.concatenate([old.ohlcv[name], new.ohlcv[name]])[order] for name in COLUMNS}
    n_new = len(new.timestamp) - len(at_new) + int(differs.sum())
    return Candles(stamps[order], columns), n_new


def first_change(stored: Candles, new: Candles) -> int | None:
    """When the first stored bar opens that has other values in `new`, UTC milliseconds; None where none has."""
    at_stored, _, differs = _common(stored, new)
    return int(stored.timestamp[at_stored[differs]].min()) if differs.any() else None


def _common(stored: Candles, new: Candles) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.bool_]]:
    """The rows of the same times in both, and where their values differ."""
    _, at_stored, at_new = np.intersect1d(stored.timestamp, new.timestamp, assume_unique=True, return_indices=True)
    differs = np.zeros(len(at_new), np.bool_)
    for name in COLUMNS:
        differs |= stored.ohlcv[name][at_stored] != new.ohlcv[name][at_new]
    return at_stored, at_new, differs


def write_parquet(path: Path, bars: Bars) -> None:
    """Stores bars as the columns timestamp (milliseconds, UTC), open, high, low, close, volume."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    times = pa.array(bars.timestamp, pa.int64()).cast(pa.timestamp("ms", "UTC"))
    columns = {"timestamp": times, **{name: pa.array(getattr(bars, name)) for name in COLUMNS}}
    pq.write_table(pa.table(columns), path, compression="zstd")


def read_parquet(path: Path) -> Candles:
    """What `write_parquet` stored; raises `FileNotFoundError`, and `Internal` when the file is damaged."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path, use_threads=False)
        stamps = table["timestamp"].cast(pa.int64()).to_numpy()
        return Candles(stamps, {name: table[name].to_numpy() for name in COLUMNS})
    except FileNotFoundError:
        raise
    except (pa.ArrowException, OSError, KeyError) as error:
        raise Internal(f"{path} is damaged ({error}); import the data again with replace") from error


def _repetitions(candles: Candles) -> list[str]:
    """Rows that repeat a time, wherever they stand: the same bar again, or another one."""
    order = np.argsort(candles.timestamp, kind="stable")
    by_time = candles.rows(order)
    repeats = np.diff(by_time.timestamp) == 0
    if not repeats.any():
        return []
    same = repeats.copy()
    for column in by_time.ohlcv.values():
        same &= column[1:] == column[:-1]
    n_same, n_other = int(same.sum()), int(repeats.sum() - same.sum())
    return [f"of the times that occur again {n_same} have the same bar again and {n_other} another one"]


def _spacing(stamps: Ints, timeframe: str) -> list[str]:
    length = timeframe_ms(timeframe)
    steps = np.diff(stamps)
    steps = steps[steps > 0]
    if len(steps) >= 2:
        lengths, counts = np.unique(steps, return_counts=True)
        usual = int(lengths[counts.argmax()])
        if usual != length:
            return [f"the bars are {_length(usual)} apart, not {timeframe}"]
    odd = (stamps - stamps[0]) % length != 0
    if odd.any():
        row = int(odd.argmax())
        away = (stamps[odd] - stamps[0]) % length
        hour = UNIT_MS["h"]
        moved = bool(np.isin(away, (hour, length - hour)).all()) and bool((away == away[0]).all()) and length > hour
        why = _MOVED if moved else ""
        return [
            f"{int(odd.sum())} bars are not a whole number of {timeframe} after the first, "
            f"first at row {row} ({iso(int(stamps[row]))}){why}"
        ]
    return []


def _length(milliseconds: int) -> str:
    unit, size = next((u, s) for u, s in reversed(UNIT_MS.items()) if milliseconds % s == 0 or s == UNIT_MS["s"])
    return f"{milliseconds / size:g}{unit}"


def _difference(stored: Candles, new: Candles, at_stored: Ints, at_new: Ints) -> str:
    shown = []
    for old_row, new_row in list(zip(at_stored, at_new, strict=True))[:_SHOWN]:
        name = next(n for n in COLUMNS if stored.ohlcv[n][old_row] != new.ohlcv[n][new_row])
        old, fresh = float(stored.ohlcv[name][old_row]), float(new.ohlcv[name][new_row])
        short = f"{old:g}" != f"{fresh:g}"
        values = (f"{old:g}", f"{fresh:g}") if short else (repr(old), repr(fresh))
        shown.append(f"{iso(int(new.timestamp[new_row]))} {name} {values[0]} stored, {values[1]} new")
    more = ", …" if len(at_new) > _SHOWN else ""
    places = f"{'; '.join(shown)}{more}"
    return f"{len(at_new)} bars differ from what is stored ({places}); import with replace to take the new ones"
