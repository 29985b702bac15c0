"""What is odd about sound candles, for a person to judge: jumps as a split makes them, and stretches without trade."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tunesmith.domain.array_types import Floats, Ints

SILENT = "the volume is 0 in every bar"
_JUMP = 1.9
"""A bar that opens at 1.9 times the last close, or at 1/1.9 of it, is said. Without a split that is a crash."""
_SPIKE = 3.0
"""A high at three times open and close, or a low at a third, is said: crashes within a bar are smaller."""
_SPLITS = (2.0, 3.0, 4.0, 5.0, 7.0, 8.0, 10.0, 15.0, 20.0, 25.0, 50.0, 100.0)
_NEAR_SPLIT = 0.08
_SHOWN = 3
_MINUTE_MS = 60_000
_QUIET_BARS = 20
_QUIET_SHARE = 0.02


def warnings_of(timestamp: Ints, ohlcv: dict[str, Floats]) -> list[str]:
    """A sentence for each thing that is odd; none for candles without any."""
    if len(timestamp) < 2:
        return []
    found = [*_jumps(timestamp, ohlcv), *_spikes(timestamp, ohlcv), *_silence(timestamp, ohlcv["volume"])]
    if bool((ohlcv["high"] == ohlcv["low"]).all()) and len(timestamp) > _QUIET_BARS:
        found.append("in every bar open, high, low and close are one price")
    return found


def _jumps(timestamp: Ints, ohlcv: dict[str, Floats]) -> list[str]:
    ratio = ohlcv["open"][1:] / ohlcv["close"][:-1]
    rows = np.flatnonzero((ratio >= _JUMP) | (ratio <= 1.0 / _JUMP))
    said = []
    for row in rows[:_SHOWN]:
        factor = max(ratio[row], 1.0 / ratio[row])
        split = next((each for each in _SPLITS if abs(factor / each - 1.0) <= _NEAR_SPLIT), None)
        way = "falls to 1/" if ratio[row] < 1.0 else "rises to "
        why = f"a split of {split:g} that is not adjusted?" if split else "two markets in one, or a wrong price?"
        what = f"{way}{factor:.3g}{' of' if ratio[row] < 1.0 else ' times'} the close before"
        said.append(f"at {_day(timestamp[row + 1])} the price {what}: {why}")
    if len(rows) > _SHOWN:
        said.append(f"and {len(rows) - _SHOWN} more such jumps")
    return said


def _spikes(timestamp: Ints, ohlcv: dict[str, Floats]) -> list[str]:
    """Bars whose high or low is far from the open and the close: often a price in another unit, or without its mark."""
    top, bottom = (side(ohlcv["open"], ohlcv["close"]) for side in (np.maximum, np.minimum))
    said = []
    for name, factor in (("high", ohlcv["high"] / top), ("low", bottom / ohlcv["low"])):
        rows = np.flatnonzero(factor >= _SPIKE)
        if len(rows):
            times = "times" if name == "high" else "times below"
            more = f", and so in {len(rows) - 1} more" if len(rows) > 1 else ""
            said.append(
                f"at {_day(timestamp[rows[0]])} the {name} is {factor[rows[0]]:.3g} {times} open and close{more}: a "
                "wrong price?"
            )
    return said


def _silence(timestamp: Ints, volume: Floats) -> list[str]:
    quiet = volume == 0
    if quiet.all():
        return [SILENT]
    start, length = _longest(quiet)
    if length < max(_QUIET_BARS, _QUIET_SHARE * len(quiet)):
        return []
    return [
        f"{length} bars in a row have no volume, from {_day(timestamp[start])} to {_day(timestamp[start + length - 1])}"
        + (f"; {int(quiet.sum())} in all" if int(quiet.sum()) > length else "")
    ]


def _longest(mask: NDArray[np.bool_]) -> tuple[int, int]:
    """Where the longest run of True begins, and its length."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    starts, lengths = edges[::2], edges[1::2] - edges[::2]
    if not len(starts):
        return 0, 0
    at = int(lengths.argmax())
    return int(starts[at]), int(lengths[at])


def _day(time_ms: int) -> str:
    return str(np.datetime64(int(time_ms) // _MINUTE_MS, "m")).replace("T", " ")
