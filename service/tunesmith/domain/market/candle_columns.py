"""Frames: from files and DataFrames to columns of numbers. pandas is imported when it is needed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tunesmith.domain.array_types import Floats, Ints
from tunesmith.domain.market.layouts.file_formats import read_sheet
from tunesmith.domain.market.layouts.reading import Reading
from tunesmith.domain.market.layouts.sheet import sheet_of_frame
from tunesmith.domain.market.layouts.sheet_candles import candles_of_sheet

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("open", "high", "low", "close", "volume")


def columns_of_frame(frame: pd.DataFrame, symbol: str, timeframe: str) -> tuple[Ints, dict[str, Floats]]:
    """Bar times int64[n] in UTC milliseconds, and float64[n] for each of `COLUMNS`; n may be 0.

    Columns are recognised by their names (see `layouts.column_names`); naive times are UTC. Raises `Invalid` for a
    column that is missing, there twice or no numbers, and for times that are missing, none, or in doubt.
    """
    found = candles_of_sheet(sheet_of_frame(frame), Reading(), symbol, timeframe)
    return found.timestamp, found.ohlcv


def columns_of_file(path: Path, symbol: str, timeframe: str) -> tuple[Ints, dict[str, Floats]]:
    """The same of the table in a file."""
    found = candles_of_sheet(read_sheet(path), Reading(), symbol, timeframe)
    return found.timestamp, found.ohlcv
