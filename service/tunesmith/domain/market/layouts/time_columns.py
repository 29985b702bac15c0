"""Times however a table writes them: as texts of many forms, as numbers, as dates with a clock in another column."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tunesmith.domain.array_types import Ints
from tunesmith.domain.market.layouts.reading import Reading, checked_zone, unread
from tunesmith.domain.market.layouts.time_numbers import numbered_times
from tunesmith.errors import Invalid

if TYPE_CHECKING:
    import pandas as pd

_DATES = (
    "%Y/%m/%d", "%Y.%m.%d", "%Y-%m-%d", "%Y%m%d", "%Y年%m月%d日",
    "%d.%m.%Y", "%m.%d.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y",
    "%d %b %Y", "%d-%b-%Y", "%d %B %Y", "%b %d %Y", "%B %d %Y",
)  # fmt: skip
_CLOCKS = ("", " %H:%M", " %H:%M:%S", " %H:%M:%S.%f", " %H%M%S", " %I:%M %p", " %I:%M:%S %p", " %I-%p", " %I %p")
_SAMPLE = 200
_ZONE = r"^(.*\d:\d\d\S*)\s*(?:UTC|GMT)?([+-]\d\d):?(\d\d)?(?:\s*(?:UTC|GMT))?$"
_UTC = r"\s*(?:UTC|GMT|(?<=\d)Z)$"
_ABBREVIATION = re.compile(r".*:\d\d\S*\s+(?!AM|PM)([A-Z]{2,5})$")
_ISO_START = re.compile(r"\d{4}-\d\d-\d\d")
_TWO_DIGIT_YEAR = re.compile(r"\d{1,2}([-/.])(\d{1,2}|[A-Za-z]{3})\1\d{2}(\s.*)?")
_DAY_MS = 86_400_000


class Times(NamedTuple):
    """`wall` is what the table shows as UTC milliseconds, `stamps` the instants; equal where no zone is named.

    `naive`: neither the table nor anybody names a zone. `own_zone`: the table does, or has epochs, which are UTC.
    """

    stamps: Ints
    wall: Ints
    naive: bool
    date_only: bool
    own_zone: bool = False


def read_times(column: pd.Series, name: str, reading: Reading) -> Times:
    """The times of a column. Raises `Invalid` for what is no time, `Unread` where it could be one of several."""
    import pandas as pd

    missing = column.isna().to_numpy()
    if missing.any():
        raise Invalid(
            f"{int(missing.sum())} bars have no time, first at row {int(missing.argmax())}", path="/data/columns"
        )
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        return _of_datetimes(column, reading)
    if reading.time_format is None:
        numbers = _as_numbers(column)
        if numbers is not None:
            found = numbered_times(numbers)
            return _placed(found.stamps, reading, date_only=found.date_only) if found.naive else _certain(found.stamps)
    return _of_texts(column.astype(object).map(str).str.strip(), reading)


def is_clock(column: pd.Series) -> bool:
    """Whether a column holds times of day alone: 17:30, 17:30:00, 5:30 PM, 1730 or 173000."""
    texts = column.dropna().astype(object).map(str).str.strip()
    return len(texts) > 0 and bool(texts.str.fullmatch(r"\d{1,2}:\d\d(:\d\d(\.\d+)?)?(\s*[AaPp][Mm])?|\d{1,6}").all())


def joined_clock(days: pd.Series, clock: pd.Series) -> pd.Series:
    """The texts of two columns as one: the day and its time of day."""
    import pandas as pd

    date = days.dt.strftime("%Y-%m-%d") if pd.api.types.is_datetime64_any_dtype(days.dtype) else days.map(_whole)
    texts = clock.map(_whole).str.strip()
    if texts.str.fullmatch(r"\d{1,6}").all():
        width = 4 if int(texts.astype(int).max()) <= 2359 else 6
        texts = texts.str.zfill(width)
        texts = texts.str[:2] + ":" + texts.str[2:4] + (":" + texts.str[4:6] if width == 6 else "")
    return date.str.strip() + " " + texts


def _whole(cell: object) -> str:
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell)


def _as_numbers(column: pd.Series) -> NDArray[Any] | None:
    import pandas as pd

    if pd.api.types.is_bool_dtype(column.dtype):
        return None
    if pd.api.types.is_numeric_dtype(column.dtype):
        found: NDArray[Any] = column.to_numpy(np.float64) if column.dtype.kind == "f" else column.to_numpy()
        return found
    first = str(column.iloc[0]) if len(column) else ""
    if not re.fullmatch(r"\s*-?\d+([.,]\d+)?\s*", first) or isinstance(column.iloc[0], bool):
        return None
    texts = column.astype(object).map(str).str.strip().str.replace(",", ".", regex=False)
    numbers = pd.to_numeric(texts, errors="coerce")
    values: NDArray[Any] = numbers.to_numpy()
    return None if numbers.isna().any() else values


def _of_datetimes(column: pd.Series, reading: Reading) -> Times:
    import pandas as pd

    index = pd.DatetimeIndex(column)
    if index.tz is None:
        wall = _ms(index)
        return _placed(wall, reading, date_only=bool((wall % _DAY_MS == 0).all()))
    return Times(_ms(index.tz_convert("UTC").tz_localize(None)), _ms(index.tz_localize(None)), False, False, True)


def _of_texts(texts: pd.Series, reading: Reading) -> Times:
    import pandas as pd

    if not len(texts):
        return _certain(np.empty(0, np.int64))
    plain = _plain_iso(texts, reading) if reading.time_format is None else None
    if plain is not None:
        return plain
    texts = texts.str.replace(r"(?<=\d)[T,]\s*(?=\d)|\s+", " ", regex=True).str.replace(r",", "", regex=False)
    if reading.time_format is not None:
        return _by_format(texts, reading)
    if reading.timezone is not None and texts.str.fullmatch(_ABBREVIATION.pattern).all():
        texts = texts.str.replace(r"\s+[A-Z]{2,5}$", "", regex=True)
    zoned = texts.str.contains(_UTC, regex=True)
    bodies = texts.str.replace(_UTC, "", regex=True)
    parts = bodies.str.extract(_ZONE)
    has_offset = parts[1].notna()
    aware = (zoned | has_offset).to_numpy()
    bodies = parts[0].where(has_offset, bodies).str.strip()
    wall, date_only = _walls(bodies, texts)
    if not aware.any():
        return _placed(wall, reading, date_only=date_only)
    if not aware.all():
        raise Invalid(f"row {int((~aware).argmax())}: the time names no zone, others do", path="/data/timezone")
    minutes = pd.to_numeric(parts[1]).fillna(0) * 60
    rest = pd.to_numeric(parts[2]).fillna(0) * np.where(parts[1].str.startswith("-", na=False), -1, 1)
    offset = ((minutes + rest) * 60_000).to_numpy().astype(np.int64)
    return Times(wall - offset, wall, False, False, True)


def _plain_iso(texts: pd.Series, reading: Reading) -> Times | None:
    """The times of texts that are ISO 8601 with one offset or none, at once; None for all others."""
    import pandas as pd

    if not _ISO_START.match(texts.iloc[0]):
        return None
    try:
        found = pd.DatetimeIndex(pd.to_datetime(texts, format="ISO8601", errors="coerce"))
    except (ValueError, TypeError):
        return None
    if found.isna().any():
        return None
    if found.tz is None:
        return _placed(_ms(found), reading, date_only=bool(texts.str.len().max() <= 10))
    return Times(_ms(found.tz_convert("UTC").tz_localize(None)), _ms(found.tz_localize(None)), False, False, True)


def _by_format(texts: pd.Series, reading: Reading) -> Times:
    import pandas as pd

    form = str(reading.time_format).replace(",", "").replace("T", " ")
    try:
        found = pd.to_datetime(texts, format=form, errors="coerce")
    except ValueError as error:
        raise Invalid(f"{reading.time_format!r} is no format of times: {error}", path="/data/time_format") from None
    _refuse_none(found, texts, f"in the form {reading.time_format}")
    index = pd.DatetimeIndex(found)
    if index.tz is not None:
        return Times(_ms(index.tz_convert("UTC").tz_localize(None)), _ms(index.tz_localize(None)), False, False, True)
    return _placed(_ms(index), reading, date_only="%H" not in form and "%I" not in form)


def _walls(bodies: pd.Series, texts: pd.Series) -> tuple[Ints, bool]:
    """What the texts show, and whether they are days alone; of several readings the one that reads every row."""
    import pandas as pd

    if _ISO_START.match(bodies.iloc[0]):
        found = pd.to_datetime(bodies, format="ISO8601", errors="coerce")
        if not found.isna().any():
            return _ms(pd.DatetimeIndex(found)), bool(bodies.str.len().max() <= 10)
    sample = pd.concat([bodies.head(_SAMPLE), bodies.tail(_SAMPLE)])
    able = []
    for date in _DATES:
        for clock in _CLOCKS:
            if pd.to_datetime(sample.head(1), format=date + clock, errors="coerce").isna().any():
                continue
            if not pd.to_datetime(sample, format=date + clock, errors="coerce").isna().any():
                able.append((date + clock, clock == ""))
    read = []
    for form, date_only in able:
        found = pd.to_datetime(bodies, format=form, errors="coerce")
        if not found.isna().any():
            read.append((form, _ms(pd.DatetimeIndex(found)), date_only))
    if not read:
        _refuse_none(pd.to_datetime(bodies, format="ISO8601", errors="coerce"), texts, "")
        raise Invalid(f"row 0: {texts.iloc[0][:40]!r} is no time", path="/data/columns")
    if any(not np.array_equal(each[1], read[0][1]) for each in read):
        forms = [each[0] for each in read]
        raise unread(
            f"{texts.iloc[0]!r} can be read in several ways, and no row decides: {' or '.join(forms)}",
            *(f"--time-format '{form}'" for form in forms),
            path="/data/time_format",
        )
    return read[0][1], read[0][2]


def _refuse_none(found: pd.Series, texts: pd.Series, how: str) -> None:
    wrong = found.isna().to_numpy()
    if not wrong.any():
        return
    row = int(wrong.argmax())
    text = texts.iloc[row]
    named = _ABBREVIATION.fullmatch(text)
    if named:
        raise unread(
            f"row {row}: {text[:40]!r}: {named[1]} is no zone that means one thing everywhere",
            "--timezone America/New_York",
            "--timezone Europe/Berlin",
            path="/data/timezone",
        )
    if not how and _TWO_DIGIT_YEAR.fullmatch(text):
        raise unread(
            f"row {row}: {text[:40]!r} can be read in several ways: the year has two digits",
            *(f"--time-format '{form}'" for form in ("%d/%m/%y", "%m/%d/%y")),
            path="/data/time_format",
        )
    expected = how or "expected ISO 8601, such as 2024-01-31T12:00:00Z"
    raise Invalid(f"row {row}: {text[:40]!r} is no time ({expected})", path="/data/time_format")


def _placed(wall: Ints, reading: Reading, *, date_only: bool) -> Times:
    """Times without a zone as those of the named zone, else as UTC; days alone stay what they are."""
    import pandas as pd

    if reading.timezone is None or date_only:
        return Times(wall, wall, reading.timezone is None, date_only)
    zone = checked_zone(reading.timezone)
    down = len(wall) > 1 and bool((np.diff(wall) <= 0).all())
    index = pd.DatetimeIndex((wall[::-1] if down else wall).astype("datetime64[ms]"))
    try:
        instants = _instants(index, zone)
    except ValueError as error:
        raise Invalid(
            f"the times do not fit the zone {zone}: {str(error).splitlines()[0]}", path="/data/timezone"
        ) from None
    return Times(instants[::-1].copy() if down else instants, wall, False, date_only)


def _instants(index: pd.DatetimeIndex, zone: str) -> Ints:
    """UTC milliseconds of times in a zone. Of an hour that is there twice in autumn, while the table has it once, that
    one is taken which keeps the bars' distance. Raises `ValueError` where neither does."""

    def read(how: Any) -> Ints:
        return _ms(index.tz_localize(_zone(zone), ambiguous=how).tz_convert("UTC").tz_localize(None))

    try:
        return read("infer")
    except ValueError:
        summer, winter = (read(np.full(len(index), is_summer)) for is_summer in (True, False))
        steps = [int(np.gcd.reduce(np.diff(each))) for each in (summer, winter)]
        if steps[0] == steps[1]:
            raise
        return summer if steps[0] > steps[1] else winter


def _zone(name: str) -> object:
    from datetime import timedelta, timezone

    if not name.startswith("UTC") or len(name) == 3:
        return name
    sign = -1 if name[3] == "-" else 1
    hours, minutes = name[4:].split(":")
    return timezone(sign * timedelta(hours=int(hours), minutes=int(minutes)))


def _certain(stamps: Ints) -> Times:
    return Times(stamps, stamps, False, False, True)


def _ms(index: pd.DatetimeIndex) -> Ints:
    stamps: Ints = index.to_numpy().astype("datetime64[ms]").astype(np.int64)
    return stamps
