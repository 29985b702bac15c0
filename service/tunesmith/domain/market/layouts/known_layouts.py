"""Layouts by name, for files without names of columns and for times that need a zone to be known."""

from __future__ import annotations

import difflib
from typing import NamedTuple

from tunesmith.errors import Invalid


class Layout(NamedTuple):
    """Columns in order, each a role or "-" for one that is not used, and the zone of the times where they name none.

    `widths` are the numbers of columns that such files have.
    """

    columns: tuple[str, ...]
    widths: tuple[int, ...]
    timezone: str | None
    about: str


_PLAIN = ("time", "open", "high", "low", "close", "volume")

LAYOUTS: dict[str, Layout] = {
    "binance": Layout(_PLAIN, (11, 12), None, "klines of Binance's downloads and API, milliseconds or microseconds"),
    "kraken": Layout(_PLAIN, (7,), None, "Kraken's downloads: OHLCVT, seconds"),
    "kraken-api": Layout(
        ("time", "open", "high", "low", "close", "-", "volume"), (8,), None, "Kraken's API, with an average price"
    ),
    "coinbase": Layout(
        ("time", "low", "high", "open", "close", "volume"), (6,), None, "candles of Coinbase's API, seconds"
    ),
    "bitfinex": Layout(
        ("time", "open", "close", "high", "low", "volume"), (6,), None, "candles of Bitfinex's API, milliseconds"
    ),
    "ccxt": Layout(_PLAIN, (6,), None, "ccxt's fetch_ohlcv, and freqtrade's old JSON"),
    "histdata": Layout(_PLAIN, (5, 6), "-05:00", "HistData's ASCII bars, in New York's winter time all year"),
    "histdata-mt": Layout(
        ("date", "time", "open", "high", "low", "close", "volume"), (6, 7), "-05:00", "HistData's bars for MetaTrader"
    ),
}


def layout_named(name: str, width: int) -> Layout:
    """The layout of that name, for a table of so many columns. Raises `Invalid` where there is none, or it has others.

    One that has a column less than the layout has no volume.
    """
    layout = LAYOUTS.get(name)
    if layout is None:
        near = difflib.get_close_matches(name, LAYOUTS, 1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(LAYOUTS)}"
        raise Invalid(f"there is no layout {name[:40]!r}; {hint}", path="/data/layout")
    if width not in layout.widths:
        allowed = " or ".join(map(str, layout.widths))
        raise Invalid(f"a table of the layout {name} has {allowed} columns, this one has {width}", path="/data/layout")
    return layout._replace(columns=layout.columns[:width])
