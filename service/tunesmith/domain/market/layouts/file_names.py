"""What the names of files say: whether they could hold candles, of which market, from where."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import msgspec

from tunesmith.domain.names import Venue

_KINDS = {
    "CSV": (".csv", ".txt", ".tsv", ".tab", ".prn"),
    "JSON": (".json", ".ndjson", ".jsonl"),
    "Parquet": (".parquet", ".pq"),
    "Feather": (".feather", ".arrow", ".arrows", ".ipc"),
    "Excel": (".xlsx", ".xls", ".xlsb", ".ods"),
    "HDF5": (".h5", ".hdf5", ".hdf"),
}
_COMPRESSED = (".gz", ".zip", ".zst", ".xz", ".bz2")

ENDINGS = tuple(ending for endings in _KINDS.values() for ending in endings)
"""What the names of readable files end in, before the ending of a compression."""

_NAME = re.compile(
    r"(?P<parts>[A-Za-z0-9.]+(?:_[A-Za-z0-9.]+){1,3})(?:-(?P<expiry>[0-9]{6}))?"
    r"-(?P<timeframe>[1-9][0-9]{0,3}[smhdw])(?P<kind>-[A-Za-z_]+)?\.[a-z0-9.]+"
)
_QUOTES = frozenset({"USD", "USDT", "USDC", "EUR", "GBP", "JPY", "AUD", "CAD", "CHF", "BTC", "ETH", "BNB", "BUSD",
                     "FDUSD", "TUSD", "DAI", "TRY", "BRL", "KRW"})  # fmt: skip
_WRAPPERS = frozenset({"futures", "spot", "margin"})


def kind_of(name: str) -> str | None:
    """Of which format a file of this name is, compressed or not; None for none that is read."""
    low = name.lower()
    bare = next((low.removesuffix(ending) for ending in _COMPRESSED if low.endswith(ending)), low)
    return next((kind for kind, endings in _KINDS.items() if bare.endswith(endings)), None)


def is_readable_name(name: str) -> bool:
    """Whether a file of this name could be read."""
    return kind_of(name) is not None


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
