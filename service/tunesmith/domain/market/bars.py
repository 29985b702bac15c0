"""Bars: OHLCV candles of one market as arrays, and the checks they must pass."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tunesmith.domain.array_types import Floats, Ints
from tunesmith.domain.market.calendar_recognition import recognized
from tunesmith.domain.market.calendars import AROUND_THE_CLOCK, COUNTED, Calendar, calendar_named
from tunesmith.domain.market.candle_columns import COLUMNS as COLUMNS
from tunesmith.domain.market.candle_columns import columns_of_file, columns_of_frame
from tunesmith.domain.market.expected_bars import Presence, annual_bars, is_whole
from tunesmith.domain.market.timeframes import timeframe_ms
from tunesmith.errors import Invalid

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True, eq=False)
class Bars:
    """Candles of one market, oldest first.

    `timestamp` int64[n], UTC milliseconds at which a bar opens, strictly increasing; `open`, `high`, `low`, `close`,
    `volume` float64[n], C-contiguous, finite, prices > 0, low <= open, close <= high. `calendar` says when the market
    trades, and `bars_per_year` annualizes: as many as that has in 365 days, or what the caller chose; slices keep both.
    Build with `from_frame`, `from_arrays` or `read`, which check all of this and raise `Invalid`. They recognize the
    calendar from the times where it is not given (`calendars.calendar_named` says what may be).
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
    calendar: Calendar = AROUND_THE_CLOCK

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
        calendar: Calendar | str | None = None,
    ) -> Bars:
        """Checked bars from columns; `ohlcv` maps each name in `COLUMNS` to float64[n]."""
        stamps = np.ascontiguousarray(timestamp, np.int64)
        columns = {name: np.ascontiguousarray(ohlcv[name], np.float64) for name in COLUMNS}
        problems = find_problems(stamps, columns)
        if problems:
            raise Invalid("; ".join(problems))
        if calendar is None:
            calendar = recognized(stamps, timeframe)
        elif isinstance(calendar, str):
            calendar = calendar_named(calendar, "/calendar")
        per_year = bars_per_year or annual_bars(calendar, stamps, timeframe)
        return cls(symbol, timeframe, venue, stamps, **columns, bars_per_year=per_year, calendar=calendar)

    @classmethod
    def from_frame(
        cls,
        frame: pd.DataFrame,
        *,
        symbol: str,
        timeframe: str,
        venue: str = "local",
        bars_per_year: float | None = None,
        calendar: Calendar | str | None = None,
    ) -> Bars:
        """Checked bars from a DataFrame with timestamp (or a DatetimeIndex), open, high, low, close and volume.

        Column names are matched without regard to case; `date`, `datetime` and `time` mean timestamp. Naive times are
        UTC; numbers are epoch seconds, milliseconds, microseconds or nanoseconds, told apart by their size.
        """
        stamps, columns = columns_of_frame(frame, symbol, timeframe)
        return cls.from_arrays(
            stamps,
            columns,
            symbol=symbol,
            timeframe=timeframe,
            venue=venue,
            bars_per_year=bars_per_year,
            calendar=calendar,
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
        calendar: Calendar | str | None = None,
    ) -> Bars:
        """Checked bars from a file whose layout is recognized; see `layouts` for what can be."""
        stamps, columns = columns_of_file(Path(path), symbol, timeframe)
        return cls.from_arrays(
            stamps,
            columns,
            symbol=symbol,
            timeframe=timeframe,
            venue=venue,
            bars_per_year=bars_per_year,
            calendar=calendar,
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

    def by(self, calendar: Calendar | None) -> Bars:
        """The same candles by another calendar, None: the one that is recognized, with the bars a year that it has."""
        calendar = calendar or recognized(self.timestamp, self.timeframe)
        per_year = annual_bars(calendar, self.timestamp, self.timeframe)
        return replace(self, calendar=calendar, bars_per_year=per_year)

    @property
    def data_hash(self) -> str:
        """sha256 over the market's name, the timeframe, the year's bars and every value: the identity of the data.

        The calendar is a part of it where something depends on it: not around the clock without a gap, where longer
        bars are the same as they were before there were calendars.
        """
        name = f"{self._name}{self.bars_per_year!r}\0{len(self)}\0"
        if self.calendar != COUNTED and not (
            self.calendar == AROUND_THE_CLOCK and is_whole(self.timestamp, self.timeframe)
        ):
            name += f"{self.calendar.text}\0"
        return self._hash(name)

    @property
    def earliest_hash(self) -> str:
        """The hash that the earliest programs stored with these bars, without the year's."""
        return self._hash(f"{self._name}{len(self)}\0")

    @property
    def _name(self) -> str:
        return f"{self.venue}\0{self.symbol}\0{self.timeframe}\0"

    def _hash(self, name: str) -> str:
        digest = hashlib.sha256(name.encode())
        digest.update(self.timestamp.astype("<i8").tobytes())
        for name in COLUMNS:
            digest.update(getattr(self, name).astype("<f8").tobytes())
        return digest.hexdigest()


def too_many_missing(bars: Bars, timeframe: str, presence: Presence, most: float) -> str:
    """What is said of bars where more of those that the calendar expects are missing than the share `most`."""
    return (
        f"{presence.n_missing:,} of the {presence.n_expected:,} {timeframe} bars of {bars.symbol} that its calendar "
        f"({bars.calendar.text}) expects are missing: {presence.missing:.1%}, and {most:.0%} may be; import them, name "
        "the market's calendar (irregular, where bars are only there when somebody traded), or accept more with "
        "max_missing"
    )


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
