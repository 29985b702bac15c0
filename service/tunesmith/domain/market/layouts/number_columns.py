"""Numbers as people write them: with decimal points or commas, thousands separators, currency signs, and K, M, B."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tunesmith.domain.array_types import Floats
from tunesmith.domain.market.layouts.reading import unread
from tunesmith.errors import Invalid

if TYPE_CHECKING:
    import pandas as pd

_EMPTY = frozenset({"", "null", "none", "nan", "na", "n/a", "-", "--", "<na>"})
_POINT = r"[+-]?(?:\d+|[1-9]\d{0,2}(?:,\d{2,3})*,\d{3})?(?:\.\d*)?(?:[eE][+-]?\d+)?"
_COMMA = r"[+-]?(?:\d+|[1-9]\d{0,2}(?:\.\d{3})+)?(?:,\d*)?(?:[eE][+-]?\d+)?"
_MARKS = r"[$€£¥]\s*|(?<=\d)[\s'’\u00a0\u202f](?=\d{3}(?:\D|$))"
"""Signs of currencies, and what separates groups of three digits beside points and commas."""
_SUFFIXES = {"k": 1e3, "m": 1e6, "b": 1e9}


def number_columns(columns: dict[str, pd.Series], decimal: str | None, *, european: bool) -> dict[str, Floats]:
    """float64[n] of each column, NaN where there is none; `decimal` is the mark that somebody named.

    Raises `Invalid` for what is no number, and `Unread` where 1,234 or 1.234 could be read in two ways.
    """
    import pandas as pd

    found: dict[str, Floats] = {}
    texts: dict[str, pd.Series] = {}
    for name, column in columns.items():
        if pd.api.types.is_bool_dtype(column.dtype) or pd.api.types.is_datetime64_any_dtype(column.dtype):
            raise Invalid(f"the column {name} holds no numbers", path="/data/columns")
        if pd.api.types.is_numeric_dtype(column.dtype):
            found[name] = column.to_numpy(np.float64, na_value=np.nan)
        else:
            texts[name] = _plain(column)
    pointed = any((values[np.isfinite(values)] % 1 != 0).any() for values in found.values())
    if pointed and decimal == ",":
        raise Invalid("the numbers have decimal points, not commas", path="/data/decimal")
    if texts:
        mark = decimal or _mark_of(texts, european=european, pointed=pointed)
        for name, plain in texts.items():
            found[name] = _parsed(plain, columns[name], name, mark)
    return {name: found[name] for name in columns}


def _plain(column: pd.Series) -> pd.Series:
    """Texts without spaces, currency signs and apostrophes; None where there is no value."""
    import pandas as pd

    cells = [None if cell is None or cell is pd.NA or cell != cell else str(cell) for cell in column.tolist()]
    plain = pd.Series(cells, dtype="object").str.strip().str.replace(_MARKS, "", regex=True)
    return plain.where(~plain.str.lower().isin(_EMPTY), None)


def _mark_of(texts: dict[str, pd.Series], *, european: bool, pointed: bool) -> str:
    """The decimal mark of the texts. Raises `Unread` where both would do and mean different numbers."""
    some = [_without_suffix(plain.dropna(), name)[0] for name, plain in texts.items()]
    fits = {
        mark: all(plain.str.fullmatch(pattern).all() for plain in some)
        for mark, pattern in ((".", _POINT), (",", _COMMA))
    }
    if fits["."] != fits[","]:
        return "." if fits["."] else ","
    has_comma = any(plain.str.contains(",", regex=False).any() for plain in some)
    has_point = any(plain.str.contains(".", regex=False).any() for plain in some)
    if not fits["."] or pointed or not (has_comma or (has_point and european)):
        return "."
    shown = next(text for plain in some for text in plain if "," in text or "." in text)
    raise unread(
        f"{shown!r} can be read in two ways: with a decimal mark or a thousands separator",
        "--decimal .",
        "--decimal ,",
        path="/data/decimal",
    )


def _without_suffix(plain: pd.Series, name: str) -> tuple[pd.Series, Any]:
    """Volumes such as 12.3K without the letter, and what to multiply by."""
    if name != "volume":
        return plain, 1.0
    letter = plain.str.extract(r"([KkMmBb])$", expand=False)
    return plain.str.replace(r"[KkMmBb]$", "", regex=True), letter.str.lower().map(_SUFFIXES).fillna(1.0).to_numpy()


def _parsed(plain: pd.Series, column: pd.Series, name: str, mark: str) -> Floats:
    import pandas as pd

    bare, times = _without_suffix(plain, name)
    fits = bare.str.fullmatch(_POINT if mark == "." else _COMMA)
    thousands = "," if mark == "." else "."
    even = bare.str.replace(thousands, "", regex=False).str.replace(mark, ".", regex=False)
    numbers = pd.to_numeric(even.where(fits.eq(True), None), errors="coerce")
    wrong = (numbers.isna() & plain.notna()).to_numpy()
    if wrong.any():
        row = int(wrong.argmax())
        raise Invalid(f"row {row}: {str(column.iloc[row])[:40]!r} is no number ({name})", path="/data/columns")
    values: Floats = numbers.to_numpy(np.float64, na_value=np.nan)
    return values if np.isscalar(times) else values * times
