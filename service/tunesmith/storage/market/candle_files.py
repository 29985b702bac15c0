"""Files of candles: which market their names say, and what is said of one that cannot be read."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import NamedTuple

import msgspec

from tunesmith.domain.market.layouts.file_formats import is_readable_name
from tunesmith.domain.market.layouts.reading import Reading, Unread, reworded
from tunesmith.domain.market.layouts.said_tables import command_of, guessed_columns, look_of
from tunesmith.domain.market.layouts.sheet import Sheet
from tunesmith.domain.market.layouts.sheet_candles import candles_of_sheet
from tunesmith.domain.names import Venue
from tunesmith.errors import Invalid
from tunesmith.storage.market.candles import Candles, problems_of

_NAME = re.compile(
    r"(?P<parts>[A-Za-z0-9.]+(?:_[A-Za-z0-9.]+){1,3})(?:-(?P<expiry>[0-9]{6}))?"
    r"-(?P<timeframe>[1-9][0-9]{0,3}[smhdw])(?P<kind>-[A-Za-z_]+)?\.[a-z0-9.]+"
)
_QUOTES = frozenset({"USD", "USDT", "USDC", "EUR", "GBP", "JPY", "AUD", "CAD", "CHF", "BTC", "ETH", "BNB", "BUSD",
                     "FDUSD", "TUSD", "DAI", "TRY", "BRL", "KRW"})  # fmt: skip
_WRAPPERS = frozenset({"futures", "spot", "margin"})


class Named(NamedTuple):
    """The market that a file's name says."""

    symbol: str
    timeframe: str


def named_market(name: str) -> Named | str:
    """The market of a name as freqtrade writes it, or why there is none.

    BTC_USDT-1h is BTC/USDT, BTC_USDT_USDT-1h-futures BTC/USDT:USDT, XBT_EUR_d-1h XBT/EUR.d, BRK_B_USD-1d BRK.B/USD:
    freqtrade writes each / : and . as _.
    """
    if not is_readable_name(name):
        return "it is no table of candles"
    match = _NAME.fullmatch(name)
    if match is None:
        return "the name does not say symbol and timeframe"
    if match["kind"] not in (None, "-futures"):
        return f"{match['kind'][1:]} is no trading data"
    parts = match["parts"].split("_")
    symbol = _symbol_of(parts, futures=match["kind"] == "-futures")
    if symbol is None:
        return f"{match['parts']} could be several symbols; import it alone, with --symbol"
    return Named(symbol + (f"-{match['expiry']}" if match["expiry"] else ""), match["timeframe"])


def _symbol_of(parts: list[str], *, futures: bool) -> str | None:
    if len(parts) == 2:
        return "/".join(parts)
    first, second, third = parts[:3]
    if len(parts) == 3 and (futures or (third in (first, second) and third in _QUOTES)):
        return f"{first}/{second}:{third}"
    if len(parts) == 3 and third.islower() and second in _QUOTES:
        return f"{first}/{second}.{third}"
    if len(parts) == 3 and third in _QUOTES and second not in _QUOTES:
        return f"{first}.{second}/{third}"
    return None


def venue_of(file: Path, folder: Path) -> str:
    """The venue that the folders say: the nearest one that holds the file and is not named after a kind of market."""
    for each in (file.parent, *file.parent.parents):
        if each.name and each.name not in _WRAPPERS:
            try:
                return msgspec.convert(each.name, Venue)
            except msgspec.ValidationError:
                return "local"
        if each == folder.parent:
            break
    return "local"


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
