"""Times that are numbers: epochs, dates such as 20240131, and days as spreadsheets count them, told apart by size."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tunesmith.domain.array_types import Ints
from tunesmith.errors import Invalid

_EPOCH_UNITS = ((1e11, 1_000, 1), (1e14, 1, 1), (1e17, 1, 1_000), (np.inf, 1, 1_000_000))
"""An epoch number below the first entry is number * second // third milliseconds: s, ms, us, ns."""

_DIGITS = {8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}
_SHEET_DAYS = (10_000.0, 80_000.0)
"""Days since 1899-12-30 of the years 1927 to 2119; as epoch seconds they would all lie in the first day of 1970."""
_SHEET_EPOCH = 25_569
_DAY_MS = 86_400_000
_FIRST_SECONDS = 1e8
"""Numbers below are epoch seconds only where they do not count rows: until March 1973."""


class NumberedTimes(NamedTuple):
    """UTC milliseconds of epochs; of dates and spreadsheet days milliseconds as a clock on the wall shows them."""

    stamps: Ints
    naive: bool
    date_only: bool
    what: str


def numbered_times(numbers: NDArray[Any]) -> NumberedTimes:
    """Times of numbers without NaN. Raises `Invalid` for infinite ones, mixed units, and numbers that count rows."""
    if not len(numbers):
        return NumberedTimes(np.empty(0, np.int64), False, False, "epoch numbers")
    if not np.isfinite(numbers).all():
        raise Invalid("a time is infinite", path="/data/columns")
    dates = _calendar(numbers)
    if dates is not None:
        return dates
    sizes = np.abs(numbers)
    if sizes.min() >= _SHEET_DAYS[0] and sizes.max() < _SHEET_DAYS[1] and numbers.min() > 0:
        seconds = np.round((numbers.astype(np.float64) - _SHEET_EPOCH) * 86_400.0).astype(np.int64)
        whole = bool((seconds % 86_400 == 0).all())
        return NumberedTimes(seconds * 1000, True, whole, "days as spreadsheets count them")
    if sizes.max() < _FIRST_SECONDS and (len(numbers) < 2 or bool((np.abs(np.diff(numbers)) <= 1).all())):
        raise Invalid("the times count rows: they are no times", path="/data/columns")
    return NumberedTimes(_epoch(numbers, sizes), False, False, "epoch numbers")


def _calendar(numbers: NDArray[Any]) -> NumberedTimes | None:
    """Dates as numbers, such as 20240131; None where one of them is none."""
    import pandas as pd

    if numbers.dtype.kind == "f" and (numbers % 1 != 0).any():
        return None
    whole = numbers.astype(np.int64)
    if whole.min() <= 0:
        return None
    n_digits = len(str(int(whole.max())))
    form = _DIGITS.get(n_digits)
    if form is None or len(str(int(whole.min()))) != n_digits:
        return None
    years = whole // 10 ** (n_digits - 4)
    if years.min() < 1800 or years.max() > 2200:
        return None
    times = pd.to_datetime(pd.Series(whole).astype(str), format=form, errors="coerce")
    if times.isna().any():
        return None
    stamps: Ints = times.to_numpy().astype("datetime64[ms]").astype(np.int64)
    return NumberedTimes(stamps, True, n_digits == 8, f"dates such as {int(whole[0])}")


def _epoch(numbers: NDArray[Any], sizes: NDArray[Any]) -> Ints:
    smallest, largest = float(sizes.min()), float(sizes.max())
    times, per = _unit(largest)
    if _unit(smallest) != (times, per):
        steps = np.diff(np.sort(numbers.astype(np.float64)))
        if steps.max() > 0.5 * largest:
            raise Invalid(
                "the times are epoch numbers of different units; seconds and milliseconds mixed?", path="/data/columns"
            )
    if numbers.dtype.kind == "f":
        return np.round(numbers * times / per).astype(np.int64)
    return numbers.astype(np.int64) * times // per


def _unit(size: float) -> tuple[int, int]:
    return next((times, per) for bound, times, per in _EPOCH_UNITS if size < bound)
