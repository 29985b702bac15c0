"""Resampling: longer bars from shorter ones, by the calendar."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tunesmith.domain.array_types import Floats, Ints
from tunesmith.domain.market.bars import Bars
from tunesmith.domain.market.expected_bars import annual_bars
from tunesmith.domain.market.longer_groups import MONDAY_MS as MONDAY_MS
from tunesmith.domain.market.longer_groups import Groups, groups_of
from tunesmith.domain.market.longer_groups import can_resample as can_resample
from tunesmith.errors import Invalid


class Lengthened(NamedTuple):
    """Longer bars and when each closes by the calendar, int64[m], UTC milliseconds; `is_partial` bool[m]: the calendar
    expects more bars in it than are there; `due` int64[k]: when each closes that the calendar expects."""

    bars: Bars
    closes: Ints
    is_partial: NDArray[np.bool_]
    due: Ints


def resample(bars: Bars, timeframe: str) -> Bars:
    """Bars of the longer `timeframe`: first open, highest high, lowest low, last close, summed volume.

    Each is made of the bars that are there, where the bars' calendar has it begin and close (see `longer_groups`).
    Raises `Invalid` when the timeframe is no multiple of the source's, when the source does not begin on its own
    multiples, and when no longer bar would be whole from its beginning to its close.
    """
    if timeframe == bars.timeframe or not len(bars):
        return replace(bars, timeframe=timeframe)
    return lengthened(bars, timeframe).bars


def lengthened(bars: Bars, timeframe: str) -> Lengthened:
    """Bars of another, longer timeframe, and what is to be known of them. Raises as `resample` does.

    A year's number of bars that the caller chose stays as many times that of the calendar as it was.
    """
    if not can_resample(bars.timeframe, timeframe):
        raise Invalid(f"{timeframe} bars cannot be made of {bars.timeframe} bars")
    groups = groups_of(bars.calendar, bars.timestamp, bars.timeframe, timeframe)
    if not len(groups.start):
        raise Invalid(f"no {timeframe} bar would be full: {bars.symbol} {bars.timeframe} has too few bars in a row")
    columns = {
        "open": _used(bars.open, groups)[groups.start],
        "high": _over(np.maximum, bars.high, groups),
        "low": _over(np.minimum, bars.low, groups),
        "close": _used(bars.close, groups)[groups.start + groups.n_in - 1],
        "volume": _over(np.add, bars.volume, groups),
    }
    made = Bars.from_arrays(
        groups.begins, columns, symbol=bars.symbol, timeframe=timeframe, venue=bars.venue, calendar=bars.calendar
    )
    usual = annual_bars(bars.calendar, bars.timestamp, bars.timeframe)
    if bars.bars_per_year != usual:
        made = replace(made, bars_per_year=made.bars_per_year * bars.bars_per_year / usual)
    return Lengthened(made, groups.closes, groups.n_in < groups.n_expected, groups.due)


def _over(function: np.ufunc, column: Floats, groups: Groups) -> Floats:
    """A function over the bars of each group. Between groups there may be bars of none that is made."""
    values, ends = _used(column, groups), groups.start + groups.n_in
    if np.array_equal(ends[:-1], groups.start[1:]):
        together: Floats = function.reduceat(values[: ends[-1]], groups.start)
        return together
    edges = np.stack([groups.start, ends], axis=1).ravel()
    made: Floats = function.reduceat(np.append(values, 0.0), edges)[::2]
    return made


def _used(column: Floats, groups: Groups) -> Floats:
    return column if groups.used is None else column[groups.used]
