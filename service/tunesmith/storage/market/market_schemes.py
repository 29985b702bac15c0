"""The stores of candles by the scheme of their address.

A store is a class of `market_store.MarketStore` in a file of its own, and a row here; from outside the package,
`register_market`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tunesmith.storage.market.market_folder import MarketFolder
from tunesmith.storage.market.market_store import MarketStore

MARKETS: dict[str, Callable[[str], MarketStore]] = {}
"""Scheme of an address → the store behind it, made of the address; what has no such scheme is a folder."""


def register_market(scheme: str, make: Callable[[str], MarketStore]) -> None:
    """Add a store for the addresses of a scheme. Raises `ValueError` where the scheme is taken."""
    if scheme in MARKETS:
        raise ValueError(f"there is a store of candles for {scheme}:// already")
    MARKETS[scheme] = make


def open_market(where: str) -> MarketStore:
    """The store of the setting `server.market`: a folder, or what stands behind an address."""
    scheme, separator, _ = where.partition("://")
    return MARKETS[scheme](where) if separator and scheme in MARKETS else MarketFolder(Path(where).expanduser())
