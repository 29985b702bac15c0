"""Exchanges, through ccxt (the extra `download`): public candles of every exchange that it knows."""

from __future__ import annotations

import difflib
import re
import time
from collections.abc import Callable, Mapping
from typing import Any

from tunesmith.errors import Internal, Invalid, NotFound
from tunesmith.storage.sources.source import Market, Row

ATTEMPTS = 5

_NONSENSE = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What ccxt raises when an answer has another form than it expects."""


class Exchange:
    """The exchange called `name`, asked no faster than it allows. `settings` are ccxt's own.

    Raises `NotFound` for a name that ccxt does not know, `Invalid` for one without candles or where ccxt is missing.
    """

    page_bars = 500
    empty_is_end = False

    def __init__(
        self,
        name: str,
        timeout_s: float = 10.0,
        settings: Mapping[str, Any] | None = None,
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        try:
            import ccxt
        except ModuleNotFoundError:
            raise Invalid("downloading from exchanges needs ccxt: pip install 'tunesmith[download]'") from None
        if name not in ccxt.exchanges:
            near = difflib.get_close_matches(name[:64], ccxt.exchanges, 3)
            hint = f"; did you mean {' or '.join(near)}?" if near else ""
            raise NotFound(f"there is no exchange {name[:64]!r}{hint}")
        options = {"enableRateLimit": True, "timeout": round(1000 * timeout_s), **(settings or {})}
        self._exchange = getattr(ccxt, name)(options)
        self._unreachable, self._unknown, self._wrong = ccxt.NetworkError, ccxt.BadSymbol, ccxt.BaseError
        self._wait = wait
        self.name = name
        if not self._exchange.has.get("fetchOHLCV"):
            raise Invalid(f"{name} does not hand out candles")

    def fetch(self, market: Market, start_ms: int, end_ms: int, limit: int) -> list[Row]:
        """See `Source.fetch`; tries again a few times, waiting longer each time, while the exchange is unreachable."""
        _, symbol, timeframe = market
        known = self._exchange.timeframes
        if known and timeframe not in known:
            raise Invalid(f"{self.name} has no {timeframe} bars; it has {', '.join(known)}")
        for attempt in range(ATTEMPTS):
            try:
                found = self._exchange.fetch_ohlcv(symbol, timeframe, since=start_ms, limit=limit)
                return _rows(found, end_ms)
            except self._unknown as error:
                raise NotFound(f"{self.name} has no market {symbol}{self._near(symbol)}") from error
            except self._unreachable as error:
                if attempt == ATTEMPTS - 1:
                    raise Internal(f"{self.name} does not answer: {_brief(error)}") from error
                self._wait(2.0**attempt)
            except self._wrong as error:
                raise Internal(f"{self.name} refuses: {_brief(error)}") from error
            except _NONSENSE as error:
                raise Internal(f"{self.name} answers what is no candles: {_brief(error)}") from error
        raise Internal(f"{self.name} does not answer")

    def _near(self, symbol: str) -> str:
        near = difflib.get_close_matches(symbol, self._exchange.symbols or [], 3)
        return f"; did you mean {' or '.join(near)}?" if near else ""


def _rows(bars: list[list[Any]], end_ms: int) -> list[Row]:
    """The bars that open before `end_ms`; one without prices was not traded and is left out."""
    sound = (bar for bar in bars if None not in bar[:5] and bar[0] < end_ms)
    return [(int(t), float(o), float(h), float(low), float(c), float(v or 0.0)) for t, o, h, low, c, v in sound]


def _brief(error: Exception) -> str:
    return re.sub(r"\s+", " ", str(error))[:200]
