"""What is said of a table that cannot be read: its first rows, what each column looks like, and what would read it."""

from __future__ import annotations

import itertools
import re
import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from tunesmith.domain.array_types import Floats, Ints
from tunesmith.domain.market.layouts.column_names import plain_name, role_columns
from tunesmith.domain.market.layouts.number_columns import number_columns
from tunesmith.domain.market.layouts.reading import SKIP, UNSAID
from tunesmith.domain.market.layouts.sheet import Sheet
from tunesmith.domain.market.layouts.time_columns import is_clock, read_times
from tunesmith.errors import Invalid

if TYPE_CHECKING:
    import pandas as pd

_PRICES = ("open", "high", "low", "close")
_TRIED = 10
_ROWS = 3
_CELL = 24
_WIDTH = 74
_LABEL = 18
_COLUMNS = 14


def look_of(sheet: Sheet) -> str:
    """The first rows of a sheet and what each column looks like, a line each."""
    n = min(_ROWS, sheet.n_rows)
    lines = ["Its first rows:"]
    if sheet.names is not None:
        lines.append(_line(sheet.names))
    lines += [_line([column.iloc[row] for column in sheet.columns]) for row in range(n)]
    lines.append("What the columns look like:")
    for label, column in list(zip(sheet.labels, sheet.columns, strict=True))[:_COLUMNS]:
        lines.append(f"  {label[:_LABEL] or '(no name)':<{_LABEL}}  {_look(column, european=sheet.european)}")
    if len(sheet.columns) > _COLUMNS:
        lines.append(f"  and {len(sheet.columns) - _COLUMNS} more")
    return "\n".join(lines)


def guessed_columns(sheet: Sheet, symbol: str) -> str | None:
    """The value of --columns that would read the sheet as far as its values tell; None where they tell nothing.

    A guess for a person to look at: nothing is read by it unless they say so.
    """
    try:
        return _guessed(sheet, symbol)
    except Invalid:
        return None


def _guessed(sheet: Sheet, symbol: str) -> str | None:
    looks = [_look(column, european=sheet.european) for column in sheet.columns]
    times = [i for i, look in enumerate(looks) if look.startswith("times,")]
    clocks = [i for i, look in enumerate(looks) if look.startswith("times of day")]
    numbers = [i for i, look in enumerate(looks) if look.startswith("numbers")]
    if not times or len(numbers) < len(_PRICES):
        return None
    roles = {times[0]: "date", clocks[0]: "time"} if clocks else {times[0]: "time"}
    if sheet.names is not None:
        known = role_columns([plain_name(name) for name in sheet.names], symbol)
        roles |= {place: role for role, place in known.items()}
    free = [i for i in numbers if i not in roles]
    missing = [role for role in _PRICES if role not in roles.values()]
    if len(missing) == len(_PRICES):
        roles |= _bounded(sheet, free, times[0])
        missing = [role for role in _PRICES if role not in roles.values()]
    elif len(missing) == 1 and free:
        roles[free[0]] = missing.pop()
    if missing:
        return None
    if "volume" not in roles.values():
        roles |= _of_another_size(sheet, [i for i in free if i not in roles], roles)
    text = ",".join(roles.get(i, SKIP) for i in range(len(sheet.columns)))
    return re.sub(rf"(,{re.escape(SKIP)})+$", "", text)


def command_of(path: str, symbol: str, timeframe: str, venue: str, options: str) -> str:
    """The command that imports a file so, in lines that a shell joins."""
    where = "" if venue == "local" else f" --venue {venue}"
    lines = [
        f"tunesmith data import {shlex.quote(path)}",
        f"--symbol {shlex.quote(symbol)} --timeframe {timeframe}{where}",
        options,
    ]
    return " \\\n      ".join(lines)


def _bounded(sheet: Sheet, places: list[int], time: int) -> dict[int, str]:
    """The first four columns of one size of which one bounds the others from above and one from below, as prices."""
    order = np.argsort(read_times(sheet.columns[time], "", UNSAID).stamps, kind="stable")
    values = {i: column[order] for i, column in _values(sheet, places[:_TRIED]).items()}
    for four in itertools.combinations(values, len(_PRICES)):
        table = np.stack([values[i] for i in four])
        top, bottom = np.nanmax(table, axis=0), np.nanmin(table, axis=0)
        high = [i for i in four if (values[i] >= top).all()]
        low = [i for i in four if (values[i] <= bottom).all()]
        if len(high) == 1 and len(low) == 1 and high != low and (bottom > 0).all() and (top < 2 * bottom).all():
            first, second = (i for i in four if i not in (high[0], low[0]))
            if _is_next(values[second], values[first]) < _is_next(values[first], values[second]):
                first, second = second, first
            return {high[0]: "high", low[0]: "low", first: "open", second: "close"}
    return {}


def _is_next(opened: Floats, close: Floats) -> float:
    """How far bars open from the close of the one before."""
    return float(np.median(np.abs(opened[1:] - close[:-1]))) if len(opened) > 1 else 0.0


def _of_another_size(sheet: Sheet, places: list[int], roles: dict[int, str]) -> dict[int, str]:
    """The first other column that is no price by its size, as the volume."""
    close = next(i for i, role in roles.items() if role == "close")
    usual = np.nanmedian(_values(sheet, [close])[close])
    for place, values in _values(sheet, places).items():
        size = np.nanmedian(values) / usual
        if not 0.5 < size < 2.0:
            return {place: "volume"}
    return {}


def _values(sheet: Sheet, places: list[int]) -> dict[int, Floats]:
    found = number_columns({str(i): sheet.columns[i] for i in places}, None, european=sheet.european)
    return {i: found[str(i)] for i in places}


def _line(cells: Sequence[object]) -> str:
    line = " | ".join(_cell(cell) for cell in cells)
    return f"  {line}" if len(line) <= _WIDTH else f"  {line[:_WIDTH].rstrip()} …"


def _cell(cell: object) -> str:
    text = "" if cell is None or cell != cell else str(cell)
    return text if len(text) <= _CELL else f"{text[: _CELL - 1]}…"


def _look(column: pd.Series, *, european: bool) -> str:
    kept = column.dropna().reset_index(drop=True)
    gone = len(column) - len(kept)
    empty = f", {gone} empty" if gone else ""
    if not len(kept):
        return "empty"
    try:
        numbers = number_columns({"volume": kept}, None, european=european)["volume"]
    except Invalid:
        numbers = None
    if not is_clock(kept) or numbers is not None:
        try:
            times = read_times(kept, "", UNSAID)
            begin, end = (str(np.datetime64(int(each), "m")) for each in _ends(times.stamps // 60_000))
            if numbers is None or ("1980" < begin < "2200" and "1980" < end < "2200" and np.abs(numbers).min() > 1e7):
                return f"times, {begin} to {end}{empty}"
        except (Invalid, OverflowError):
            pass
    if numbers is not None:
        finite = numbers[np.isfinite(numbers)]
        whole = "whole " if len(finite) and (finite % 1 == 0).all() else ""
        return f"numbers, {whole}{finite.min():g} to {finite.max():g}{empty}" if len(finite) else "empty"
    if is_clock(kept):
        return f"times of day{empty}"
    return f"text, {kept.nunique()} different{empty}"


def _ends(values: Ints) -> tuple[int, int]:
    return int(values.min()), int(values.max())
