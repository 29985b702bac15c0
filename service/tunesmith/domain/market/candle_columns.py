"""Frames: from files and DataFrames to columns of numbers. pandas is imported when it is needed."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from tunesmith.domain.array_types import Floats, Ints
from tunesmith.domain.market.layouts.file_formats import read_sheet
from tunesmith.domain.market.layouts.reading import UNSAID
from tunesmith.domain.market.layouts.sheet import sheet_of_frame
from tunesmith.domain.market.layouts.sheet_candles import TAKEN_AS_UTC, SheetCandles, candles_of_sheet

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("open", "high", "low", "close", "volume")


def columns_of_frame(frame: pd.DataFrame, symbol: str, timeframe: str) -> tuple[Ints, dict[str, Floats]]:
    """Bar times int64[n] in UTC milliseconds, and float64[n] for each of `COLUMNS`; n may be 0.

    Columns are recognized by their names (see `layouts.column_names`); naive times are UTC. Raises `Invalid` for a
    column that is missing, there twice or no numbers, and for times that are missing, none, or in doubt.
    """
    return _columns(candles_of_sheet(sheet_of_frame(frame), UNSAID, symbol, timeframe))


def columns_of_file(path: Path, symbol: str, timeframe: str) -> tuple[Ints, dict[str, Floats]]:
    """The same of the table in a file."""
    return _columns(candles_of_sheet(read_sheet(path), UNSAID, symbol, timeframe))


def _columns(found: SheetCandles) -> tuple[Ints, dict[str, Floats]]:
    """Times and columns; what is to be said of them is a warning of Python, but that naive times are UTC."""
    for note in found.notes:
        if note != TAKEN_AS_UTC:
            warnings.warn(note, stacklevel=4)
    return found.timestamp, found.ohlcv
