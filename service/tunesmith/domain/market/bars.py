"""Bars: OHLCV candles of one market as arrays, and the checks they must pass."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tunesmith.domain.array_types import Floats, Ints
from tunesmith.domain.market.candle_columns import COLUMNS as COLUMNS
from tunesmith.domain.market.candle_columns import columns_of_file, columns_of_frame
from tunesmith.domain.market.timeframes import YEAR_MS, timeframe_ms
from tunesmith.errors import Invalid

if TYPE_CHECKING:
    import pandas as pd

_DENSE = 0.9


@dataclass(frozen=True, slots=True, eq=False)
class Bars:
    """Candles of one market, oldest first.

    `timestamp` int64[n], UTC milliseconds at which a bar opens, strictly increasing; `open`, `high`, `low`, `close`,
    `volume` float64[n], C-contiguous, finite, prices > 0, low <= open, close <= high. `bars_per_year` annualizes:
    365 days over the bar's length where the market trades around the clock, else counted from the timestamps; slices
    keep it. Build with `from_frame`, `from_arrays` or `read`, which check all of this and raise `Invalid`.
    """

    symbol: str
    timeframe: str
    venue: str
    timestamp: Ints
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    bars_per_year: float

    def __len__(self) -> int:
        return len(self.timestamp)

    @classmethod
    def from_arrays(
        cls,
        timestamp: Ints,
        ohlcv: dict[str, Floats],
        *,
        symbol: str,
        timeframe: str,
        venue: str = "local",
        bars_per_year: float | None = None,
    ) -> Bars:
        """Checked bars from columns; `ohlcv` maps each name in `COLUMNS` to float64[n]."""
        stamps = np.ascontiguousarray(timestamp, np.int64)
        columns = {name: np.ascontiguousarray(ohlcv[name], np.float64) for name in COLUMNS}
        problems = find_problems(stamps, columns)
        if problems:
            raise Invalid("; ".join(problems))
        per_year = bars_per_year or annual_bars(stamps, timeframe)
        return cls(symbol, timeframe, venue, stamps, **columns, bars_per_year=per_year)

    @classmethod
    def from_frame(
        cls,
        frame: pd.DataFrame,
        *,
        symbol: str,
        timeframe: str,
        venue: str = "local",
        bars_per_year: float | None = None,
    ) -> Bars:
        """Checked bars from a DataFrame with timestamp (or a DatetimeIndex), open, high, low, close and volume.

        Column names are matched without regard to case; `date`, `datetime` and `time` mean timestamp. Naive times are
        UTC; numbers are epoch seconds, milliseconds, microseconds or nanoseconds, told apart by their size.
        """
        stamps, columns = columns_of_frame(frame, symbol, timeframe)
        return cls.from_arrays(
            stamps, columns, symbol=symbol, timeframe=timeframe, venue=venue, bars_per_year=bars_per_year
        )

    @classmethod
    def read(
        cls,
        path: str | Path,
        *,
        symbol: str,
        timeframe: str,
        venue: str = "local",
        bars_per_year: float | None = None,
    ) -> Bars:
        """Checked bars from a file whose layout is recognised; see `layouts` for what can be."""
        stamps, columns = columns_of_file(Path(path), symbol, timeframe)
        return cls.from_arrays(
            stamps, columns, symbol=symbol, timeframe=timeframe, venue=venue, bars_per_year=bars_per_year
        )

    def slice(self, start: int, stop: int) -> Bars:
        """Bars `start` to `stop` (exclusive), as copies, so that what is left out is not in memory behind them."""
        columns = {name: getattr(self, name)[start:stop].copy() for name in COLUMNS}
        return replace(self, timestamp=self.timestamp[start:stop].copy(), **columns)

    def index_at(self, time_ms: int) -> int:
        """Index of the first bar that opens at or after `time_ms`; `len(self)` when there is none."""
        return int(np.searchsorted(self.timestamp, time_ms, side="left"))

    @property
    def end_ms(self) -> int:
        """When the last bar closes, UTC milliseconds."""
        return int(self.timestamp[-1]) + timeframe_ms(self.timeframe)

    @property
    def data_hash(self) -> str:
        """sha256 over the market's name, the timeframe, the year's bars and every value: the identity of the data."""
        name = f"{self.venue}\0{self.symbol}\0{self.timeframe}\0{self.bars_per_year!r}\0{len(self)}\0"
        digest = hashlib.sha256(name.encode())
        digest.update(self.timestamp.astype("<i8").tobytes())
        for name in COLUMNS:
            digest.update(getattr(self, name).astype("<f8").tobytes())
        return digest.hexdigest()


def annual_bars(timestamp: Ints, timeframe: str) -> float:
    """Bars per 365 days: the timeframe's own where at least nine tenths of its bars are there, else as counted."""
    length = timeframe_ms(timeframe)
    if len(timestamp) < 2:
        return YEAR_MS / length
    span = int(timestamp[-1] - timestamp[0])
    counted = (len(timestamp) - 1) * YEAR_MS / span
    full = YEAR_MS / length
    return full if counted >= _DENSE * full else counted


def find_problems(timestamp: Ints, ohlcv: dict[str, Floats]) -> list[str]:
    """What makes these columns unusable, one sentence each with the count and the first place; empty when sound."""
    n = len(timestamp)
    if n == 0:
        return ["there are no bars"]
    if any(len(column) != n for column in ohlcv.values()):
        return ["the columns differ in length"]
    problems = []

    def report(mask: Any, what: str) -> None:
        if mask.any():
            row = int(np.argmax(mask))
            when = np.datetime64(int(timestamp[row]), "ms")
            problems.append(f"{int(mask.sum())} {what}, first at row {row} ({when}Z)")

    step = np.diff(timestamp, prepend=timestamp[0] - 1)
    report(step == 0, "bars repeat the time before them")
    report(step < 0, "bars are out of order")
    opened, high, low, close, volume = (ohlcv[name] for name in COLUMNS)
    prices = np.stack([opened, high, low, close])
    finite = np.isfinite(prices).all(axis=0)
    report(~finite, "bars have a missing or infinite price")
    report(finite & (prices <= 0).any(axis=0), "bars have a price of zero or below")
    report(finite & (high < np.maximum(opened, close)), "bars have a high below their open or close")
    report(finite & (low > np.minimum(opened, close)), "bars have a low above their open or close")
    report(~(np.isfinite(volume) & (volume >= 0)), "bars have a missing, infinite or negative volume")
    return problems
