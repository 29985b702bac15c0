"""Where candles may come from beside files.

A source is a class with `fetch` in a file of its own, and a row here; from outside the package, `register_source`.
"""

from __future__ import annotations

from collections.abc import Callable

from tunesmith.storage.sources.exchange import Exchange
from tunesmith.storage.sources.source import Source
from tunesmith.storage.sources.upstream_http import HttpUpstream
from tunesmith.storage.sources.upstream_zmq import ZmqUpstream

SOURCES: dict[str, Callable[[str, float], Source]] = {
    "http": HttpUpstream,
    "https": HttpUpstream,
    "tcp": ZmqUpstream,
    "ipc": ZmqUpstream,
}
"""Scheme of an address → the source behind it, made of the address and the seconds that a request may take."""


def register_source(scheme: str, make: Callable[[str, float], Source]) -> None:
    """Add a source for the addresses of a scheme. Raises `ValueError` where the scheme is taken."""
    if scheme in SOURCES:
        raise ValueError(f"there is a source for {scheme}:// already")
    SOURCES[scheme] = make


def open_source(where: str, timeout_s: float = 10.0) -> Source:
    """The source at `where`: an exchange's name, or the address of an upstream data service.

    Each of its requests may take `timeout_s` seconds. Raises `NotFound` for an exchange that is not known and `Invalid`
    for a scheme that is not.
    """
    scheme, separator, _ = where.partition("://")
    return SOURCES.get(scheme if separator else "", Exchange)(where, timeout_s)
