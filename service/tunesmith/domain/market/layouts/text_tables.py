"""Tables in texts: their encoding, what separates the fields, lines before the table, and the header."""

from __future__ import annotations

import csv
import io
import re
import warnings
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunesmith.domain.market.layouts.sheet import Sheet

_SAMPLE_BYTES = 1 << 18
_SAMPLE_LINES = 60
_LEADING_LINES = 12
_SEPARATORS = (";", "\t", "|", ",")
_FEWEST = 3
_NUMBER = re.compile(r"[+-]?[$€£¥]?\d[\d.,'\s]*([eE][+-]?\d+)?[KMBkmb%]?|[+-]?\.\d+")
_DATE = re.compile(r"\d{1,4}[-/.年]\d{1,2}[-/.月]\d{1,4}.*|\d{8}[ T]\d{4,6}|.*\d{1,2}:\d\d.*")
_EMPTY = frozenset({"", "null", "none", "nan", "n/a", "-"})


@dataclass(frozen=True, slots=True)
class _Form:
    """How a text is to be read: `skip` physical lines before the data, whose columns are `width` many."""

    separator: str
    skip: int
    width: int
    names: list[str] | None


def encoding_of(head: bytes) -> str:
    """The encoding of a text that begins with `head`. Raises `ValueError` where it is none that we know."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    if head[1:200:2].count(0) > len(head[1:200:2]) * 0.9 and len(head) > 3:
        return "utf-16-le"
    if head[0:200:2].count(0) > len(head[0:200:2]) * 0.9 and len(head) > 3:
        return "utf-16-be"
    whole = head[: head.rfind(b"\n") + 1] or head
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            text = whole.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return encoding
    raise ValueError("the text has an encoding that is not known; save it as UTF-8")


def read_text(where: Path | bytes) -> Sheet:
    """The table in a text. Raises `ValueError` where there is none."""
    import pandas as pd

    head = where[:_SAMPLE_BYTES] if isinstance(where, bytes) else _head(where)
    encoding = encoding_of(head)
    text = head.decode(encoding, errors="ignore")
    lines = text.splitlines()
    form = _form_of(lines[:-1] if len(head) == _SAMPLE_BYTES else lines)
    european = form.separator != ","
    source: Any = io.BytesIO(where) if isinstance(where, bytes) else where
    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)  # a first row that is too long would be cut
        frame = pd.read_csv(
            source,
            sep=form.separator,
            header=None,
            names=[str(i) for i in range(form.width)],
            skiprows=form.skip,
            index_col=False,
            encoding=encoding,
            low_memory=False,
            skipinitialspace=True,
            dtype=str if european else None,
            compression=None,
        )
    return _without_empty_end(Sheet(form.names, [frame[name] for name in frame.columns], european))


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_SAMPLE_BYTES)


def _form_of(lines: list[str]) -> _Form:
    rows = [(i, line) for i, line in enumerate(lines) if line.strip()][:_SAMPLE_LINES]
    if not rows:
        raise ValueError("there are no lines")
    for separator in _SEPARATORS:
        split = [(i, _fields(line, separator)) for i, line in rows]
        counts = Counter(len(fields) for _, fields in split[1:] or split)
        width = max(counts, key=lambda count: (counts[count], count))
        if width >= _FEWEST and counts[width] * 2 > len(split[1:] or split):
            return _from_rows(split, separator, width)
    raise ValueError(f"the lines have no {_FEWEST} fields that , ; | or tabs separate")


def _fields(line: str, separator: str) -> list[str]:
    return [field.strip() for field in next(csv.reader([line], delimiter=separator, skipinitialspace=True), [])]


def _from_rows(split: list[tuple[int, list[str]]], separator: str, width: int) -> _Form:
    """Lines before the first row of the usual width are no part of the table, nor are a header's further lines."""
    start = next(k for k, (_, fields) in enumerate(split) if len(fields) in (width, width - 1))
    if start > _LEADING_LINES:
        raise ValueError(f"the table does not begin within {_LEADING_LINES} lines")
    line, first = split[start]
    before = [fields for _, fields in split[:start] if len(fields) > _FEWEST]
    if before:
        raise ValueError(
            f"a line of {len(before[0])} fields is followed by rows of {width}; are the names those of all?"
        )
    if is_data(first):
        return _Form(separator, line, width, None)
    names, data = first, start + 1
    if len(first) == width - 1:
        if not all(fields[-1] == "" for _, fields in split[data:] if len(fields) == width):
            raise ValueError(f"the header has {width - 1} fields, the rows have {width}")
        names = [*first, ""]
    two = [fields for _, fields in split[data : data + 2]]
    if len(two) == 2 and _is_of_tickers(first, two[0], two[1]):
        names, data = _with_tickers(first, two[0], two[1]), data + 2
    skip = split[data][0] if data < len(split) else split[-1][0] + 1
    return _Form(separator, skip, width, names)


def is_data(fields: list[str]) -> bool:
    """Whether a row's fields are values and no names: most of them numbers, dates or empty, and at least two."""
    values = [bool(_NUMBER.fullmatch(field) or _DATE.fullmatch(field)) for field in fields]
    filled = sum(field.casefold() not in _EMPTY for field in fields)
    return sum(values) >= 2 and sum(values) * 2 > filled


def _is_of_tickers(first: list[str], second: list[str], third: list[str]) -> bool:
    """Whether three lines are the header that yfinance writes: prices, tickers, and the name of the dates."""
    return bool(second) and second[0] == "Ticker" and bool(third) and third[0] != "" and not any(third[1:])


def _with_tickers(first: list[str], second: list[str], third: list[str]) -> list[str]:
    tickers = {name for name in second[1:] if name}
    names = first[1:] if len(tickers) < 2 else [f"{name} {of}" for name, of in zip(first[1:], second[1:], strict=True)]
    if len(tickers) > 1:
        raise ValueError(f"it has several markets ({', '.join(sorted(tickers)[:4])}); make a file of each")
    return [third[0], *names]


def _without_empty_end(sheet: Sheet) -> Sheet:
    """Without a last column that has neither a name nor a value: the rows end with a separator."""
    last = sheet.columns[-1]
    named = sheet.names is not None and sheet.names[-1] != ""
    if named or len(sheet.columns) < 2 or not len(last) or (sheet.names is None and not last.isna().all()):
        return sheet
    if not last.isna().all():
        row = int(last.notna().to_numpy().argmax())
        raise ValueError(f"row {row} has a field more than there are names: {str(last.iloc[row])[:40]!r}")
    return Sheet(None if sheet.names is None else sheet.names[:-1], sheet.columns[:-1], sheet.european)
