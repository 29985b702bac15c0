"""Tables in JSON: rows as lists or objects, also by their times, or columns, wherever in the document they are."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from tunesmith.domain.market.layouts.sheet import Sheet, sheet_of_frame, sheet_of_rows
from tunesmith.errors import Invalid

_FEWEST = 5


def read_json(content: bytes) -> Sheet:
    """The one table in a document, or in lines of JSON. Raises `ValueError` where there is none, or several."""
    text = content.decode("utf-8-sig")
    try:
        document = json.loads(text)
    except json.JSONDecodeError:
        lines = [line for line in text.splitlines() if line.strip()]
        if len(lines) < 2:
            raise
        document = [json.loads(line) for line in lines]
    tables = list(_tables_in(document))
    if len(tables) != 1:
        raise ValueError("there is no table in it" if not tables else f"there are {len(tables)} tables in it")
    return tables[0]


def _tables_in(value: Any) -> Iterator[Sheet]:
    import pandas as pd

    if isinstance(value, list):
        if value and all(isinstance(each, list) and len(each) >= _FEWEST for each in value):
            try:
                yield sheet_of_rows(value)
            except Invalid as error:
                raise ValueError(error.message) from error
        elif value and all(isinstance(each, dict) and len(each) >= _FEWEST for each in value):
            yield sheet_of_frame(pd.DataFrame.from_records(value))
    elif isinstance(value, dict):
        columns = {name: each for name, each in value.items() if _is_column(each)}
        if len(columns) >= _FEWEST and len({len(each) for each in columns.values()}) == 1:
            yield sheet_of_frame(pd.DataFrame(columns))
        elif len(value) > 1 and all(_is_row(each) for each in value.values()):
            yield sheet_of_frame(pd.DataFrame.from_dict(value, orient="index"))
        else:
            for each in value.values():
                yield from _tables_in(each)


def _is_row(value: Any) -> bool:
    """Whether an object has a bar's values, with its time as the key before it."""
    return isinstance(value, dict) and len(value) >= 4 and not any(isinstance(v, dict | list) for v in value.values())


def _is_column(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and not any(isinstance(each, list | dict) for each in value)
