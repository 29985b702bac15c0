"""What requests about a market have in common, and the messages about market data."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from tunesmith.domain.names import CalendarName, Date, Symbol, Timeframe, Venue
from tunesmith.domain.trading import OWN_ENGINE, AskedDirection, Cash, Costs, Direction, Engine, Fill, MissingShare
from tunesmith.protocol.envelope import Reply, Request


class MarketRequest(Request, frozen=True, kw_only=True):
    """The optional fields of every request that trades on a market.

    `direction` auto trades every side that the strategy enters: both where its rule has short entries too. The reply
    names the direction that it came to.
    Of the bars that the market's calendar expects, the share `max_missing` may be missing (.05 where it is left out).
    """

    venue: Venue | None = None
    timeframe: Timeframe | None = None
    start_date: Date | None = None
    end_date: Date | None = None
    costs: Costs | None = None
    fill: Fill = "next_open"
    direction: AskedDirection = "auto"
    engine: Engine = OWN_ENGINE
    initial_cash: Cash = 10_000.0
    max_missing: MissingShare | msgspec.UnsetType = msgspec.UNSET


class Terms(Reply, frozen=True, kw_only=True):
    """How what was asked for trades: the sides, the costs and the start capital. An older daemon's replies lack it."""

    direction: Direction | None = None
    costs: Costs | None = None
    initial_cash: float | None = None


class ListData(Request, frozen=True, kw_only=True):
    """`data.list`: what market data is there."""

    venue: Venue | None = None
    symbol: Symbol | None = None


class MarketData(Reply, frozen=True, kw_only=True):
    """One stored series. `withheld_from`: where the hold-out of its venue and symbol begins; null before it is set.

    `calendar`: the one that was named for the market, else the one recognized from the bars; null where an older
    version imported them, and it is recognized when they are read.
    """

    venue: str
    symbol: str
    timeframe: str
    start: str
    end: str
    n_bars: int
    n_gaps: int
    data_hash: str
    imported_at: str
    withheld_from: str | None = None
    calendar: str | None = None


class DataList(Reply, frozen=True, kw_only=True):
    data: list[MarketData]


class ImportData(Request, frozen=True, kw_only=True):
    """`data.import`: bars inline, appended to or replacing what is stored. No path comes from the network.

    `bars` holds rows [time in UTC milliseconds, open, high, low, close, volume]. `calendar` names the market's, such as
    24/7, weekdays, "09:30-16:00 America/New_York", XNYS or irregular; without one it is recognized from the bars.
    """

    symbol: Symbol
    timeframe: Timeframe
    bars: Annotated[list[tuple[int, float, float, float, float, float]], msgspec.Meta(min_length=1, max_length=10_000)]
    venue: Venue = "local"
    calendar: CalendarName | msgspec.UnsetType = msgspec.UNSET


class ImportReport(Reply, frozen=True, kw_only=True):
    """What an import found and stored."""

    venue: str
    symbol: str
    timeframe: str
    n_bars: int
    n_new: int
    start: str
    end: str
    gaps: list[dict[str, Any]]
    data_hash: str
    calendar: str | None = None
