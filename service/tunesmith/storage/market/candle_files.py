"""Files of candles that cannot be read: what is said of them, with the commands that would."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import NamedTuple

import msgspec

from tunesmith.domain.market.layouts.reading import Reading, Unread, reworded
from tunesmith.domain.market.layouts.said_tables import command_of, guessed_columns, look_of
from tunesmith.domain.market.layouts.sheet import Sheet
from tunesmith.domain.market.layouts.sheet_candles import candles_of_sheet
from tunesmith.errors import Invalid
from tunesmith.storage.market.candles import Candles, problems_of


class Target(NamedTuple):
    """Where the candles of a file are to go."""

    symbol: str
    timeframe: str
    venue: str


def explained(error: Invalid, sheet: Sheet, path: Path, target: Target, reading: Reading) -> Invalid:
    """A refusal to read a file with what the file looks like, and the commands that would read it.

    They keep what was said in `reading`.
    """
    options = list(error.options) if isinstance(error, Unread) else []
    says = "This would read it:" if len(options) == 1 else "One of these would read it:"
    if not options and error.path in (None, "/data/columns"):
        options = _guessed(sheet, target, reading)
        says = "This would read it, if these are the roles of its columns:"
    lines = [error.message, "", look_of(sheet)]
    if options:
        lines += [says]
        lines += [f"  {command_of(str(path), *target, _with_said(each, reading))}" for each in options]
    return reworded(error, "\n".join(lines))


def _guessed(sheet: Sheet, target: Target, reading: Reading) -> list[str]:
    """The options by which a sheet would be read, as far as its values tell; none that would be refused."""
    guess = guessed_columns(sheet, target.symbol)
    if guess is None:
        return []
    try:
        asked = msgspec.structs.replace(reading, columns=guess, layout=None)
        found = candles_of_sheet(sheet, asked, target.symbol, target.timeframe)
    except Unread as error:
        return [f"--columns {guess} {option}" for option in error.options if not option.startswith("--columns")]
    except Invalid:
        return []
    sound = not problems_of(Candles(found.timestamp, found.ohlcv), target.timeframe)
    return [f"--columns {guess}"] if sound else []


def _with_said(options: str, reading: Reading) -> str:
    """The options with those that were given, but for what they say otherwise."""
    said = {"layout": reading.layout, "columns": reading.columns, "timezone": reading.timezone,
            "time-format": reading.time_format, "decimal": reading.decimal,
            "times": None if reading.times == "opening" else reading.times}  # fmt: skip
    if "--columns" in options or "--layout" in options:
        said = {**said, "layout": None, "columns": None}
    kept = [f"--{name} {shlex.quote(value)}" for name, value in said.items() if value and f"--{name} " not in options]
    return " ".join([*kept, *(["--drop-open"] if reading.drop_open else []), options])
