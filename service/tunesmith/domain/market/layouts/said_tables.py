"""What is said of a table that cannot be read: its first rows, what each column looks like, and what would read it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from tunesmith.domain.array_types import Ints
from tunesmith.domain.market.layouts.column_names import plain_name, role_columns
from tunesmith.domain.market.layouts.number_columns import number_columns
from tunesmith.domain.market.layouts.reading import SKIP, Reading
from tunesmith.domain.market.layouts.sheet import Sheet
from tunesmith.domain.market.layouts.time_columns import is_clock, read_times
from tunesmith.errors import Invalid

if TYPE_CHECKING:
    import pandas as pd

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
    looks = [_look(column, european=sheet.european) for column in sheet.columns]
    times = [i for i, look in enumerate(looks) if look.startswith("times")]
    numbers = [i for i, look in enumerate(looks) if look.startswith("numbers")]
    if not times or len(numbers) < 4:
        return None
    roles = {times[0]: "time"}
    if sheet.names is not None:
        try:
            known = role_columns([plain_name(name) for name in sheet.names], symbol)
        except Invalid:
            return None
        roles |= {place: role for role, place in known.items()}
    free = [i for i in numbers if i not in roles]
    missing = [role for role in ("open", "high", "low", "close") if role not in roles.values()]
    if len(missing) == 4:
        roles |= dict(zip(free, _in_likely_order(sheet, free[:4]), strict=False))
        rest = [i for i in free if i not in roles]
        roles |= {rest[0]: "volume"} if rest else {}
    elif len(missing) == 1 and free:
        roles[free[0]] = missing[0]
    elif missing:
        return None
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


def _in_likely_order(sheet: Sheet, places: list[int]) -> list[str]:
    """open, high, low, close in the order in which the values bound each other, else as they usually stand."""
    columns = {str(i): sheet.columns[i] for i in places}
    values = np.stack(list(number_columns(columns, None, european=sheet.european).values()))
    order = ["open", "high", "low", "close"]
    high = [i for i in range(len(places)) if (values[i] >= values.max(axis=0)).all()]
    low = [i for i in range(len(places)) if (values[i] <= values.min(axis=0)).all()]
    if len(high) == 1 and len(low) == 1 and high != low and len(places) == 4:
        order = ["", "", "", ""]
        order[high[0]], order[low[0]] = "high", "low"
        first, second = (i for i in range(4) if not order[i])
        order[first], order[second] = "open", "close"
    return order


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
            times = read_times(kept, "", Reading())
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
