"""Frames: from files and DataFrames to columns of numbers. pandas is imported when it is needed."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tunesmith.domain.array_types import Floats, Ints
from tunesmith.errors import Invalid

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("open", "high", "low", "close", "volume")
TIME_NAMES = ("timestamp", "date", "datetime", "time")

_EPOCH_UNITS = ((1e11, 1_000, 1), (1e14, 1, 1), (1e17, 1, 1_000), (np.inf, 1, 1_000_000))
"""An epoch number below the first entry is number * second // third milliseconds: s, ms, us, ns."""


def columns_of_frame(frame: pd.DataFrame) -> tuple[Ints, dict[str, Floats]]:
    """Bar times int64[n] in UTC milliseconds, and float64[n] for each of `COLUMNS`; n may be 0.

    Names are matched without regard to case. The time is a column (see `TIME_NAMES`) or a DatetimeIndex: dates (naive
    ones are UTC), ISO 8601 text, or epoch seconds, milliseconds, microseconds or nanoseconds, told apart by their size.
    Raises `Invalid` for a column that is missing, there twice or no numbers, and for times that are missing or none.
    """
    import pandas as pd

    by_name = _by_name(frame)
    time_names = [name for name in TIME_NAMES if name in by_name]
    if time_names:
        times = by_name[time_names[0]]
    elif isinstance(frame.index, pd.DatetimeIndex):
        times = frame.index.to_series()
    else:
        raise Invalid(f"there is no column of times ({', '.join(TIME_NAMES)}); there are {_listed(list(by_name))}")
    missing = [name for name in COLUMNS if name not in by_name]
    if missing:
        near = difflib.get_close_matches(missing[0], by_name, 1)
        hint = f" (is it {near[0]!r}?)" if near else ""
        raise Invalid(f"columns are missing: {', '.join(missing)}{hint}; there are {_listed(list(by_name))}")
    return _milliseconds(times), {name: _numbers(by_name[name], name) for name in COLUMNS}


def read_frame(path: Path) -> pd.DataFrame:
    """The table in a .csv, .csv.gz, .parquet or .feather file; raises `Invalid` when it cannot be read as one."""
    name = path.name.lower()
    if name.endswith((".csv", ".csv.gz")):
        kind = "CSV"
    elif name.endswith((".parquet", ".pq")):
        kind = "Parquet"
    elif name.endswith((".feather", ".arrow")):
        kind = "Feather"
    else:
        raise Invalid(f"{path.name}: expected a .csv, .csv.gz, .parquet or .feather file")
    try:
        if path.stat().st_size == 0:
            raise Invalid(f"{path.name}: the file is empty")
        frame = _read(path, kind)
    except OSError as error:
        raise Invalid(f"{path.name}: cannot be read as {kind}: {error.strerror or error}") from error
    except (ValueError, EOFError, ArithmeticError, LookupError) as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise Invalid(f"{path.name}: is no {kind} file with a table: {reason[0][:200]}") from error
    if not len(frame.columns):
        raise Invalid(f"{path.name}: there are no columns")
    return frame


def _read(path: Path, kind: str) -> pd.DataFrame:
    """ArrowInvalid and pandas' parser errors are ValueErrors, zlib's end of file an EOFError."""
    import pandas as pd

    if kind == "CSV":
        import zlib

        try:
            return pd.read_csv(path, low_memory=False, skipinitialspace=True)
        except zlib.error as error:
            raise ValueError(f"the compression is damaged: {error}") from error
    import pyarrow as pa

    try:
        return pd.read_parquet(path) if kind == "Parquet" else pd.read_feather(path)
    except pa.ArrowException as error:
        raise ValueError(str(error)) from error


def _by_name(frame: pd.DataFrame) -> dict[str, pd.Series]:
    by_name: dict[str, Any] = {}
    for position, column in enumerate(frame.columns):
        name = str(column).strip().lower()
        if name in by_name and name in (*COLUMNS, *TIME_NAMES):
            raise Invalid(f"the column {name} is there twice")
        by_name[name] = frame.iloc[:, position]
    return by_name


def _milliseconds(times: pd.Series) -> Ints:
    import pandas as pd

    missing = times.isna().to_numpy()
    if missing.any():
        raise Invalid(f"{int(missing.sum())} bars have no time, first at row {int(missing.argmax())}")
    if pd.api.types.is_numeric_dtype(times.dtype) and not pd.api.types.is_bool_dtype(times.dtype):
        return _from_epoch(times.to_numpy(np.float64) if times.dtype.kind == "f" else times.to_numpy())
    if not pd.api.types.is_datetime64_any_dtype(times.dtype):
        texts = times.astype(str)
        times = pd.to_datetime(texts, utc=True, errors="coerce", format="ISO8601")
        wrong = times.isna().to_numpy()
        if wrong.any():
            row = int(wrong.argmax())
            found = texts.iloc[row][:40]
            raise Invalid(f"row {row}: {found!r} is no time (expected ISO 8601, such as 2024-01-31T12:00:00Z)")
    index = pd.DatetimeIndex(times)
    naive = index.tz_convert("UTC").tz_localize(None) if index.tz is not None else index
    stamps: Ints = naive.to_numpy().astype("datetime64[ms]").astype(np.int64)
    return stamps


def _from_epoch(numbers: NDArray[Any]) -> Ints:
    if not len(numbers):
        return np.empty(0, np.int64)
    if not np.isfinite(numbers).all():
        raise Invalid("a time is infinite")
    units = {_unit(float(size)) for size in (np.abs(numbers).min(), np.abs(numbers).max())}
    if len(units) > 1:
        raise Invalid("the times are epoch numbers of different units; seconds and milliseconds mixed?")
    times, per = units.pop()
    if numbers.dtype.kind == "f":
        return np.round(numbers * times / per).astype(np.int64)
    return numbers.astype(np.int64) * times // per


def _unit(size: float) -> tuple[int, int]:
    return next((times, per) for bound, times, per in _EPOCH_UNITS if size < bound)


def _numbers(column: pd.Series, name: str) -> Floats:
    import pandas as pd

    if pd.api.types.is_bool_dtype(column.dtype) or pd.api.types.is_datetime64_any_dtype(column.dtype):
        raise Invalid(f"the column {name} holds no numbers")
    numbers = pd.to_numeric(column, errors="coerce")
    wrong = (numbers.isna() & column.notna()).to_numpy()
    if wrong.any():
        row = int(wrong.argmax())
        raise Invalid(f"row {row}: {str(column.iloc[row])[:40]!r} is no number ({name})")
    column64: Floats = numbers.to_numpy(np.float64, na_value=np.nan)
    return column64


def _listed(names: list[str]) -> str:
    shown = ", ".join(names[:12])
    return f"{shown}, …" if len(names) > 12 else shown or "none"
