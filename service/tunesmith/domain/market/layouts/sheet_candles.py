"""Candles of a sheet: its columns in the order of time, what was left out, and what there is to say of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from tunesmith.domain.array_types import Floats, Ints
from tunesmith.domain.market.layouts.column_names import (
    CLOCKS,
    CLOSING,
    DAYS,
    FINAL,
    MARKETS,
    OPENING,
    base_of,
    plain_name,
)
from tunesmith.domain.market.layouts.column_plan import Plan, plan_of
from tunesmith.domain.market.layouts.number_columns import number_columns
from tunesmith.domain.market.layouts.reading import Reading, unread
from tunesmith.domain.market.layouts.sheet import Sheet
from tunesmith.domain.market.layouts.time_columns import Times, is_clock, joined_clock, read_times
from tunesmith.domain.market.timeframes import timeframe_ms
from tunesmith.errors import Invalid

if TYPE_CHECKING:
    import pandas as pd

TAKEN_AS_UTC = "the times name no zone and are taken as UTC"

_DAY_MS = 86_400_000
_MINUTE_MS = 60_000
_HOUR_MS = 60 * _MINUTE_MS
_SHOWN = 4
_LOCAL = frozenset({"localtime"})
_THURSDAY = 3
"""The epoch's day, where Monday is 0."""
_SATURDAY = 5
_A_WEEK_OF_DAYS = 5
_NO = frozenset({"false", "0", "0.0", "no", "n"})
_YES = frozenset({"true", "1", "1.0", "yes", "y"})
_PRICES = ("open", "high", "low", "close")


@dataclass(frozen=True, slots=True, eq=False)
class SheetCandles:
    """Times int64[n] in UTC milliseconds, float64[n] of each column, rows without any value, and what is to be said."""

    timestamp: Ints
    ohlcv: dict[str, Floats]
    n_dropped: int
    notes: list[str]


def candles_of_sheet(sheet: Sheet, reading: Reading, symbol: str, timeframe: str) -> SheetCandles:
    """The sheet's candles, oldest first where they were newest first; rows whose prices are all missing are left out.

    Raises `Invalid` for what cannot be candles, `Unread` for what could be several.
    """
    length = timeframe_ms(timeframe)
    plan = plan_of(sheet, reading, symbol, length)
    notes = [*_one_market(sheet, symbol), *plan.notes]
    n_all = sheet.n_rows
    sheet, still_open = _final_rows(sheet, reading)
    notes += still_open
    picked = {role: sheet.columns[place] for role, place in plan.roles.items() if role not in ("time", "date")}
    numbers = number_columns(picked, reading.decimal, european=sheet.european)
    n = sheet.n_rows
    empty = np.all([np.isnan(numbers[name]) for name in _PRICES], axis=0) if n else np.zeros(0, bool)
    kept = np.flatnonzero(~empty)
    if n and not len(kept):
        raise Invalid("no row has prices", path="/data/columns")
    times = _times(sheet, plan, reading, kept, length)
    stamps = times.stamps
    if times.naive and not times.date_only and n:
        _refuse_clock_changes(times.stamps, length)
        notes.append(TAKEN_AS_UTC)
    elif reading.timezone is not None and not times.own_zone and not times.date_only:
        _refuse_other_changes(times, reading.timezone, length)
    if times.own_zone and reading.timezone is not None and n:
        raise Invalid("the times name their zone themselves, or are epochs: leave timezone out", path="/data/timezone")
    zone = _zone_of_days(times) if length % _DAY_MS == 0 else None
    if zone is not None:
        stamps = times.wall
        notes.append(f"the days begin at midnight of {zone}: each is stored as 00:00 UTC of its date")
    stamps = _opening(stamps, sheet, plan, reading, length)
    columns = {name: numbers[name][kept] for name in numbers}
    ordered = {name: columns.get(name, np.zeros(len(kept))) for name in (*_PRICES, "volume")}
    if len(stamps) > 1 and bool((np.diff(stamps) < 0).all()):
        stamps, ordered = stamps[::-1].copy(), {name: column[::-1].copy() for name, column in ordered.items()}
    if empty.any():
        notes.append(f"{int(empty.sum())} rows without prices were left out, first at row {int(empty.argmax())}")
    return SheetCandles(stamps, ordered, n_all - len(kept), notes)


def _times(sheet: Sheet, plan: Plan, reading: Reading, kept: Ints, length: int) -> Times:
    """The chosen column's times; those of the others must be the same, or those at which the same bars close."""
    labels = [plain_name(label) for label in sheet.labels]
    zoned = _with_zone(reading, plan.timezone)
    place = plan.times[0]
    if "date" in plan.roles and "time" in plan.roles:
        return read_times(_clocked(sheet, plan.roles["date"], plan.roles["time"], kept), "date", zoned)
    days = [each for each in plan.times if labels[each] in DAYS]
    clocks = [each for each in plan.times if labels[each] in CLOCKS and is_clock(_rows(sheet, each, kept))]
    if len(days) == 1 and len(clocks) == 1 and len(plan.times) == 2:
        if all(sheet.labels[each].strip().startswith("<") for each in plan.times) and zoned.timezone is None:
            raise _needs_zone("MetaTrader writes the server's times")
        return read_times(_clocked(sheet, days[0], clocks[0], kept), sheet.labels[days[0]], zoned)
    if labels[place] in CLOSING and reading.times != "closing":
        raise unread(
            f"the times ({sheet.labels[place]}) are those at which bars close", "--times closing", path="/data/times"
        )
    if labels[place] in CLOCKS and sheet.n_rows and is_clock(_rows(sheet, place, kept)):
        raise unread(
            f"{sheet.labels[place]} is a time of day or a count, and no other column is known to have the date"
        )
    times = read_times(_rows(sheet, place, kept), sheet.labels[place], zoned)
    if labels[place] in _LOCAL and times.naive and reading.timezone is None:
        raise _needs_zone(f"the column {sheet.labels[place]} has local times")
    for other in plan.times[1:]:
        if labels[other] not in CLOSING and not (labels[other] in OPENING and labels[place] in OPENING):
            _agree(sheet, (place, other), times, _times_beside(sheet, place, other, zoned, kept), length)
    return times


def _times_beside(sheet: Sheet, chosen: int, place: int, reading: Reading, kept: Ints) -> Times:
    """The times of another column than the chosen one. Raises `Unread` where they cannot be told."""
    label = sheet.labels[place]
    try:
        return read_times(_rows(sheet, place, kept), label, reading)
    except Invalid as error:
        raise unread(
            f"there are several columns of times, and {label} cannot be read: {error.message}",
            f"--columns 'time={sheet.labels[chosen]}'",
        ) from error


def _agree(sheet: Sheet, places: tuple[int, int], times: Times, others: Times, length: int) -> None:
    """Refuse columns of times that contradict each other."""
    one, other = (sheet.labels[place] for place in places)
    away = others.stamps - times.stamps
    of_opening = plain_name(one) in OPENING
    closing = of_opening and len(away) > 0 and bool((away == away[0]).all()) and length - 1000 <= away[0] <= length
    same = np.abs(away) < 1000
    if others.date_only:
        same |= (times.stamps // _DAY_MS * _DAY_MS == others.stamps) | (times.wall // _DAY_MS * _DAY_MS == others.wall)
    if times.date_only:
        same |= others.stamps // _DAY_MS * _DAY_MS == times.stamps
    if closing or same.all():
        if times.date_only and not others.date_only and not closing and (others.stamps != times.stamps).any():
            raise unread(f"the columns {one} and {other} have days and times of day", f"--columns 'time={other}'")
        return
    row = int((~same).argmax())
    shown = " and ".join(str(np.datetime64(int(each.stamps[row]), "ms")) for each in (times, others))
    raise unread(
        f"the columns {one} and {other} contradict each other, first at row {row}: {shown}",
        f"--columns 'time={one}'",
        f"--columns 'time={other}'",
    )


def _opening(stamps: Ints, sheet: Sheet, plan: Plan, reading: Reading, length: int) -> Ints:
    """The times at which the bars open. Raises `Unread` for times just before a boundary: they are closings."""
    if not len(stamps):
        return stamps
    inside = stamps % min(_MINUTE_MS, length)
    last = min(_MINUTE_MS, length) - inside[0]
    just_before = bool((inside == inside[0]).all()) and last in ((1, 1000) if length > 1000 else (1,))
    if reading.times == "closing":
        return stamps - length + (last if just_before else 0)
    if just_before:
        raise unread(
            f"the times lie {last} ms before a boundary: they are those at which bars close",
            "--times closing",
            path="/data/times",
        )
    return stamps


def _zone_of_days(times: Times) -> str | None:
    """Of which zone days are that are to be stored as their dates; None where they are instants.

    A zone with daylight saving may show one offset alone in a short file: days of an exchange, which has no weekends,
    are taken as those of a longer file would be.
    """
    offsets = times.wall - times.stamps
    if not len(offsets) or not bool((times.wall % _DAY_MS == 0).all()):
        return None
    if bool((offsets != offsets[0]).any()):
        return "a zone with daylight saving"
    weekday = (times.wall // _DAY_MS + _THURSDAY) % 7
    if offsets[0] != 0 and len(offsets) >= _A_WEEK_OF_DAYS and bool((weekday < _SATURDAY).all()):
        return "an exchange's zone"
    return None


def _refuse_clock_changes(stamps: Ints, length: int) -> None:
    """Refuse times without a zone that leave out an hour where clocks are put forward, or have one twice in autumn."""
    if length >= _DAY_MS or len(stamps) < 2:
        return
    once, counts = np.unique(stamps, return_counts=True)
    skipped = once[1:][np.diff(once) == length + _HOUR_MS]
    for when, name in ((skipped, "left out"), (once[counts > 1], "there twice")):
        changes = [each for each in when.tolist() if _clocks_change(each, autumn=name != "left out")]
        if len(changes) == len(when) > 0:
            raise unread(
                f"an hour is {name} at {np.datetime64(changes[0], 'ms')}, when clocks change, and no zone is named",
                "--timezone Europe/Berlin",
                "--timezone America/New_York",
                "--timezone UTC",
                path="/data/timezone",
            )


def _refuse_other_changes(times: Times, timezone: str, length: int) -> None:
    """Refuse times that leave out an hour when clocks change, where those of the named zone do not change then."""
    if length >= _DAY_MS or timezone == "UTC" or timezone[:1] in "+-":
        return
    away = length + _HOUR_MS
    skipped = times.wall[1:][(np.diff(times.wall) == away) & (np.diff(times.stamps) == away)].tolist()
    if skipped and all(_clocks_change(each, autumn=False) for each in skipped):
        raise unread(
            f"an hour is left out at {np.datetime64(skipped[0], 'ms')}, when clocks change elsewhere and not in "
            f"{timezone}",
            *(f"--timezone {each}" for each in ("Europe/Berlin", "America/New_York", "UTC") if each != timezone),
            path="/data/timezone",
        )


def _clocks_change(time_ms: int, *, autumn: bool) -> bool:
    """Whether clocks of Europe or America change in the night of a time: Sundays of March, October and November."""
    moment = datetime(1970, 1, 1) + timedelta(milliseconds=time_ms)
    days = {10: range(25, 32), 11: range(1, 8)} if autumn else {3: (*range(8, 15), *range(25, 32))}
    return moment.weekday() == 6 and moment.hour <= 3 and moment.day in days.get(moment.month, ())


def _clocked(sheet: Sheet, date: int, clock: int, kept: Ints) -> pd.Series:
    return joined_clock(_rows(sheet, date, kept), _rows(sheet, clock, kept))


def _rows(sheet: Sheet, place: int, kept: Ints) -> pd.Series:
    column = sheet.columns[place]
    return column if len(kept) == len(column) else column.iloc[kept].reset_index(drop=True)


def _with_zone(reading: Reading, timezone: str | None) -> Reading:
    return reading if timezone == reading.timezone else msgspec.structs.replace(reading, timezone=timezone)


def _needs_zone(why: str) -> Exception:
    return unread(
        f"{why}, and no zone is named",
        "--timezone UTC",
        "--timezone Europe/Athens",
        path="/data/timezone",
    )


def _final_rows(sheet: Sheet, reading: Reading) -> tuple[Sheet, list[str]]:
    """The sheet without bars that a column says have not closed, and a sentence for them.

    Raises `Unread` where nobody said that they are to be left out.
    """
    for label, column in zip(sheet.names or [], sheet.columns, strict=False):
        if plain_name(label) not in FINAL:
            continue
        texts = column.astype(object).map(str).str.strip().str.lower()
        still_open = texts.isin(_NO).to_numpy()
        if not still_open.any() or not texts.isin(_NO | _YES).all():
            continue
        what = f"the column {label} says that {int(still_open.sum())} bars had not closed, first at row "
        what += str(int(still_open.argmax()))
        if not reading.drop_open:
            raise unread(f"{what}: they are not final", "--drop-open", path="/data/drop_open")
        kept = [each[~still_open].reset_index(drop=True) for each in sheet.columns]
        return Sheet(sheet.names, kept, sheet.european), [f"{what}: they were left out"]
    return sheet, []


def _one_market(sheet: Sheet, symbol: str) -> list[str]:
    """What to say of a column that names the market. Raises `Unread` where it names several."""
    notes = []
    for label, column in zip(sheet.names or [], sheet.columns, strict=False):
        if plain_name(label) not in MARKETS:
            continue
        names = [str(name) for name in column.dropna().unique()[: _SHOWN + 1]]
        if len(names) > 1:
            shown = ", ".join(names[:_SHOWN]) + (", …" if len(names) > _SHOWN else "")
            raise unread(f"the column {label} names several markets ({shown}); make a file of each and import them")
        bare = "".join(each for each in names[0].casefold() if each.isalnum()) if names else ""
        base = "".join(each for each in base_of(symbol) if each.isalnum())
        if bare and base not in bare and not names[0].replace(".", "").isdigit():
            notes.append(f"the column {label} says {names[0]}, the candles are stored as {symbol}")
    return notes
