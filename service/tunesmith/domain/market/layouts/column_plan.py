"""Which column of a sheet plays which role: by what somebody said, by names, or by what the values prove."""

from __future__ import annotations

import difflib
import re

import numpy as np

from tunesmith.domain.array_types import Floats
from tunesmith.domain.market.layouts.bare_tables import proven_layout
from tunesmith.domain.market.layouts.column_names import (
    CLOSING,
    OPENING,
    PLAIN_TIMES,
    UNNAMED,
    doubtful_volumes,
    plain_name,
    role_columns,
)
from tunesmith.domain.market.layouts.known_layouts import layout_named
from tunesmith.domain.market.layouts.number_columns import number_columns
from tunesmith.domain.market.layouts.reading import ROLES, SKIP, Reading, unread
from tunesmith.domain.market.layouts.sheet import Sheet
from tunesmith.domain.market.layouts.time_columns import is_clock
from tunesmith.errors import Invalid

NO_VOLUME = "there is no column of the volume: it is 0 in every bar"
_PRICES = ("open", "high", "low", "close")
_EXPECTED = "expected roles in the table's order, such as time,open,high,low,close,volume, or names: time=Gmt time"


class Plan:
    """The place of each role. `times` are the places of all columns of times, the chosen one first."""

    def __init__(self, roles: dict[str, int], times: list[int], timezone: str | None, notes: list[str]) -> None:
        self.roles = roles
        self.times = times
        self.timezone = timezone
        self.notes = notes


def plan_of(sheet: Sheet, reading: Reading, symbol: str, timeframe_ms: int) -> Plan:
    """Where everything is in the sheet. Raises `Unread` where that is in doubt, `Invalid` for roles that are wrong."""
    if reading.layout is not None:
        if reading.columns is not None:
            raise Invalid("a layout names the columns already; give one of layout and columns", path="/data/columns")
        layout = layout_named(reading.layout, len(sheet.columns))
        return _in_order(list(layout.columns), reading.timezone or layout.timezone)
    if reading.columns is not None and "=" not in reading.columns:
        given = [part.strip() for part in reading.columns.split(",")]
        if len(given) > len(sheet.columns):
            raise Invalid(f"{len(given)} columns are named, there are {len(sheet.columns)}", path="/data/columns")
        return _in_order(given, reading.timezone)
    named = _named(reading.columns) if reading.columns is not None else {}
    if sheet.names is None:
        if named:
            raise Invalid("the columns have no names; give the roles in the table's order", path="/data/columns")
        return _by_values(sheet, reading, timeframe_ms)
    return _by_names(sheet, reading, symbol, named)


def _in_order(given: list[str], timezone: str | None) -> Plan:
    known = [role for role in given if role != SKIP]
    wrong = [role for role in known if role not in ROLES]
    if wrong:
        near = difflib.get_close_matches(wrong[0], ROLES, 1)
        hint = f"did you mean {near[0]}?" if near else _EXPECTED
        raise Invalid(f"{wrong[0][:40]!r} is no role of a column; {hint}", path="/data/columns")
    again = [role for role in known if known.count(role) > 1]
    missing = [role for role in _PRICES if role not in known]
    if "time" not in known and "date" not in known:
        missing.insert(0, "time")
    if again or missing:
        what = f"{again[0]} is named twice" if again else f"no column is {', '.join(missing)}"
        raise Invalid(f"{what}; {_EXPECTED}", path="/data/columns")
    roles = {role: given.index(role) for role in known}
    times = [roles.pop("time")] if "time" in roles and "date" not in roles else [roles["date"]]
    if "date" in roles and "time" not in roles:
        del roles["date"]
    return Plan(roles, times, timezone, _volume_notes(roles))


def _named(columns: str) -> dict[str, str]:
    named = {}
    for part in columns.split(","):
        role, separator, name = part.partition("=")
        role, name = role.strip(), name.strip()
        if not separator or role not in ROLES or not name or role in named:
            raise Invalid(f"{part.strip()[:40]!r} is no role=NAME; {_EXPECTED}", path="/data/columns")
        named[role] = name
    return named


def _by_names(sheet: Sheet, reading: Reading, symbol: str, named: dict[str, str]) -> Plan:
    names = [plain_name(name) for name in sheet.names or []]
    chosen = {role: _place(sheet, names, name) for role, name in named.items()}
    hidden = ["" if i in chosen.values() else name for i, name in enumerate(names)]
    roles = {role: place for role, place in role_columns(hidden, symbol).items() if role not in chosen}
    roles |= {role: place for role, place in chosen.items() if role not in ("time", "date")}
    missing = [role for role in _PRICES if role not in roles]
    if missing:
        shown = [name.strip().casefold() for name in sheet.labels]
        near = difflib.get_close_matches(missing[0], shown, 1)
        hint = f" (is it {near[0]!r}?)" if near else ""
        raise unread(f"columns are missing: {', '.join(missing)}{hint}; there are {listed(shown)}")
    doubtful = [i for i in doubtful_volumes(names) if i not in roles.values()]
    ticks = [sheet.labels[i] for i in doubtful if "tick" in names[i] and "volume" in roles]
    notes = [f"the volume is {sheet.labels[roles['volume']]}; there is also {ticks[0]}"] if ticks else []
    if "volume" not in roles and doubtful:
        several = " or ".join(sheet.labels[i] for i in doubtful)
        raise unread(f"the volume could be {several}", *(f"--columns 'volume={sheet.labels[i]}'" for i in doubtful))
    if "date" in chosen and "time" in chosen:
        roles |= {"date": chosen["date"], "time": chosen["time"]}
        return Plan(roles, [chosen["date"]], reading.timezone, notes + _volume_notes(roles))
    if "time" in chosen or "date" in chosen:
        times = [chosen.get("time", chosen.get("date", 0))]
    else:
        times = _time_places(sheet, names, roles)
    return Plan(roles, times, reading.timezone, notes + _volume_notes(roles))


def _place(sheet: Sheet, names: list[str], name: str) -> int:
    exact = [i for i, label in enumerate(sheet.labels) if label == name]
    places = exact or [i for i, plain in enumerate(names) if plain == plain_name(name)]
    if len(places) != 1:
        what = f"no column is called {name[:40]!r}" if not places else f"{len(places)} columns are called {name[:40]!r}"
        raise Invalid(f"{what}; there are {listed(sheet.labels)}", path="/data/columns")
    return places[0]


def _time_places(sheet: Sheet, names: list[str], roles: dict[str, int]) -> list[int]:
    """All columns of times: those of openings before plain ones before those of closings."""
    taken = set(roles.values())
    places: list[int] = []
    for known in (*OPENING, *PLAIN_TIMES, *CLOSING):
        same = [i for i, name in enumerate(names) if name == known and i not in taken]
        if len(same) > 1:
            raise unread(f"the column {known} is there twice; a file has the candles of one market")
        places += same
    if places:
        return places
    unnamed = [i for i, name in enumerate(names) if name in UNNAMED and i not in taken and i == 0]
    if not unnamed:
        shown = [name.strip().casefold() for name in sheet.labels]
        raise unread(f"there is no column of times (timestamp, date, datetime, time, …); there are {listed(shown)}")
    return unnamed


def _by_values(sheet: Sheet, reading: Reading, timeframe_ms: int) -> Plan:
    columns: list[Floats] = []
    for i, column in enumerate(sheet.columns):
        try:
            numbers = number_columns({f"column {i + 1}": column}, reading.decimal, european=sheet.european)
            columns.append(numbers[f"column {i + 1}"])
        except Invalid:
            columns.append(np.full(sheet.n_rows, np.nan))
    first = columns[0]
    epoch = len(first) > 0 and bool(np.isfinite(first).all()) and float(np.abs(first).min()) > 1e8
    layout = proven_layout(columns, timeframe_ms) if epoch else None
    if layout is None:
        _refuse_by_shape(sheet)
        raise unread("the columns have no names, and their values do not prove which is which")
    plan = _in_order(list(layout), reading.timezone)
    plan.notes.append(f"the columns have no names; by their values they are {', '.join(layout)}")
    return plan


def _refuse_by_shape(sheet: Sheet) -> None:
    """Refuse what looks like HistData's files, whose times are New York's, or like others of that shape."""
    first = [str(column.iloc[0]) for column in sheet.columns[:2]] if sheet.n_rows and len(sheet.columns) > 5 else []
    if not first:
        return
    if re.fullmatch(r"\d{8} \d{6}", first[0]):
        name, order = "histdata", "time,open,high,low,close,volume"
    elif re.fullmatch(r"\d{4}\.\d\d\.\d\d", first[0]) and is_clock(sheet.columns[1]):
        name, order = "histdata-mt", "date,time,open,high,low,close,volume"
    else:
        return
    raise unread(
        "it looks like a file of HistData, in New York's winter time, but other files look so too",
        f"--layout {name}",
        f"--columns {order} --timezone UTC",
        path="/data/layout",
    )


def _volume_notes(roles: dict[str, int]) -> list[str]:
    return [] if "volume" in roles else [NO_VOLUME]


def listed(names: list[str]) -> str:
    """The first dozen names."""
    shown = ", ".join(names[:12])
    return f"{shown}, …" if len(names) > 12 else shown or "none"
