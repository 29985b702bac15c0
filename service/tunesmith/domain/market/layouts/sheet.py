"""Sheets: tables as files hold them, before anybody says what their columns mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tunesmith.errors import Invalid

if TYPE_CHECKING:
    import pandas as pd

_MANGLED = "Unnamed: "


@dataclass(frozen=True, slots=True, eq=False)
class Sheet:
    """Columns of one length in the file's order. `names` is None where there was no header.

    `european`: fields are separated as where the comma is the decimal mark, so that numbers are text still.
    """

    names: list[str] | None
    columns: list[pd.Series]
    european: bool = False

    @property
    def n_rows(self) -> int:
        return len(self.columns[0]) if self.columns else 0

    @property
    def labels(self) -> list[str]:
        """What the columns are called in messages."""
        return self.names if self.names is not None else [f"column {i}" for i in range(1, len(self.columns) + 1)]


def sheet_of_frame(frame: pd.DataFrame) -> Sheet:
    """A DataFrame's columns, and its index before them where that is more than the numbers of the rows."""
    import pandas as pd

    names = [" ".join(str(part) for part in name if str(part)) if isinstance(name, tuple) else str(name).strip()
             for name in frame.columns]  # fmt: skip
    columns = [frame.iloc[:, i].reset_index(drop=True) for i in range(len(names))]
    if not isinstance(frame.index, pd.RangeIndex) and not isinstance(frame.index, pd.MultiIndex):
        index = frame.index.to_series().reset_index(drop=True)
        if frame.index.name is not None or not pd.api.types.is_numeric_dtype(index.dtype):
            names.insert(0, str(frame.index.name or ""))
            columns.insert(0, index)
    return Sheet(["" if name.startswith(_MANGLED) else name for name in names], columns)


def sheet_of_rows(rows: Sequence[Sequence[Any]], names: list[str] | None = None) -> Sheet:
    """Rows of equal length. Raises `Invalid` where one has another length."""
    import pandas as pd

    width = len(names) if names is not None else len(rows[0]) if rows else 0
    for i, row in enumerate(rows):
        if len(row) != width:
            raise Invalid(f"row {i} has {len(row)} values, not {width}", path=f"/data/rows/{i}")
    frame = pd.DataFrame([list(row) for row in rows], columns=range(width))
    return Sheet(names, [frame[i] for i in range(width)])
