"""Tables without names of columns: what their values prove about the order of the columns."""

from __future__ import annotations

import numpy as np

from tunesmith.domain.array_types import Floats
from tunesmith.domain.market.layouts.known_layouts import LAYOUTS

_NEEDED_ROWS = 3


def proven_layout(columns: list[Floats], timeframe_ms: int) -> tuple[str, ...] | None:
    """The roles of the columns of a table whose first one is an epoch; None where the values leave a doubt.

    `columns` holds NaN for what is no number. It is proven which are high and low where no other two columns bound the
    prices; which comes first of open and close where a bar opens near the close of the one before, and closes far from
    the open of the one before; and which is the volume where the number of columns and the other values name a layout.
    """
    for name in ("binance", "kraken-api", "kraken", "coinbase", "bitfinex", "ccxt"):
        layout = LAYOUTS[name]
        if len(columns) in layout.widths and _fits(name, layout.columns, columns, timeframe_ms):
            return layout.columns
    return None


def _fits(name: str, roles: tuple[str, ...], columns: list[Floats], timeframe_ms: int) -> bool:
    of = {role: columns[i] for i, role in enumerate(roles) if role != "-"}
    if len(columns[0]) < _NEEDED_ROWS or any(np.isnan(column).any() for column in of.values()):
        return False
    opened, high, low, close = (of[role] for role in ("open", "high", "low", "close"))
    if not (_bounds(high, low, opened, close) and _is_volume(of["volume"], high, low)):
        return False
    if not _opens_where_it_closed(of["time"], opened, close):
        return False
    if name == "binance":
        spans = (columns[6] - of["time"] + 1) / timeframe_ms
        return bool((spans == spans[0]).all()) and spans[0] in (1.0, 1000.0)
    if name == "kraken":
        counts = columns[6]
        return bool((counts % 1 == 0).all()) and bool((counts >= 0).all())
    if name == "kraken-api":
        average, counts = columns[5], columns[7]
        within = (average <= high) & (average >= low) | (of["volume"] == 0)
        return bool(within.all()) and bool((counts % 1 == 0).all())
    return True


def _bounds(high: Floats, low: Floats, opened: Floats, close: Floats) -> bool:
    """Whether high and low bound the others in every row, and do so strictly in some."""
    held = (high >= np.maximum(opened, close)) & (low <= np.minimum(opened, close))
    beyond = (high > np.maximum(opened, close)).any() and (low < np.minimum(opened, close)).any()
    return bool(held.all()) and bool(beyond)


def _is_volume(volume: Floats, high: Floats, low: Floats) -> bool:
    """Whether a column is neither a price nor a count: it leaves the range of prices in some row, and has fractions."""
    beyond = bool(((volume > high) | (volume < low)).any())
    return beyond and bool((volume >= 0).all()) and bool((volume % 1 != 0).any())


def _opens_where_it_closed(times: Floats, opened: Floats, close: Floats) -> bool:
    order = np.argsort(times, kind="stable")
    opened, close = opened[order], close[order]
    as_said = np.median(np.abs(opened[1:] - close[:-1]))
    other_way = np.median(np.abs(close[1:] - opened[:-1]))
    return bool(as_said < 0.5 * other_way)
