"""What requests about a market have in common, and the messages about market data."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from tunesmith.domain.names import CalendarName, Date, Name, Symbol, Timeframe, Venue
from tunesmith.domain.trading import (
    OWN_ENGINE,
    AskedDirection,
    Cash,
    Costs,
    Direction,
    Engine,
    Fill,
    MissingShare,
)
from tunesmith.protocol.envelope import Reply, Request

MAX_BARS = 10_000
"""How many bars come in one request."""


class MarketRequest(Request, frozen=True, kw_only=True):
    """The optional fields of every request that trades on a market.

    Of the bars that the market's calendar expects, the share `max_missing` may be missing (.05 where it is left out).
    `direction` auto trades every side that the strategy enters: both where its rule has short entries too. The reply
    names the direction that it came to.
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


Cell = Annotated[str, msgspec.Meta(max_length=100)] | int | float | bool | None
"""A value of a table as JSON has it."""


class ImportData(Request, frozen=True, kw_only=True):
    """`data.import`: bars inline, appended to or replacing what is stored. No path comes from the network.

    `bars` holds rows [time in UTC milliseconds, open, high, low, close, volume]. Instead of them `rows` holds a table
    as somebody has it, with the names of its columns in `header` where it has some; `layout`, `columns`, `timezone`,
    `time_format`, `decimal`, `times` and `drop_open` say of it what the options of `tunesmith data import` say of a
    file. `replace` lets the rows win where stored bars differ, with `new_evidence` also where a search or a verdict
    used those.
    `calendar` names the market's, such as 24/7, weekdays, "09:30-16:00 America/New_York", XNYS or irregular; without
    one it is recognized from the bars.
    """

    symbol: Symbol
    timeframe: Timeframe
    bars: (
        Annotated[list[tuple[int, float, float, float, float, float]], msgspec.Meta(min_length=1, max_length=MAX_BARS)]
        | None
    ) = None
    venue: Venue = "local"
    calendar: CalendarName | msgspec.UnsetType = msgspec.UNSET
    rows: Annotated[list[list[Cell]], msgspec.Meta(min_length=1, max_length=MAX_BARS)] | None = None
    header: Annotated[list[str], msgspec.Meta(min_length=1, max_length=100)] | None = None
    layout: Name | None = None
    columns: Annotated[str, msgspec.Meta(min_length=1, max_length=1000)] | None = None
    timezone: Name | None = None
    time_format: Name | None = None
    decimal: Literal[".", ","] | None = None
    times: Literal["opening", "closing"] = "opening"
    drop_open: bool = False
    replace: bool = False
    new_evidence: bool = False


class ImportReport(Reply, frozen=True, kw_only=True):
    """What an import found and stored.

    `warnings` says what is odd about the candles, such as jumps as a split makes them; `n_dropped` counts rows without
    prices that were left out.
    """

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
    warnings: list[str] = []
    n_dropped: int = 0


class ShowData(Request, frozen=True, kw_only=True):
    """`data.show`: one market's series, with their gaps, its hold-out and what uses it."""

    symbol: Symbol
    venue: Venue | None = None


class MarketSeries(MarketData, frozen=True, kw_only=True):
    """A stored series with its first gaps, each {from, to, missing}: open of the first and last missing bar, number."""

    gaps: list[dict[str, Any]]


class MarketUses(Reply, frozen=True, kw_only=True):
    """What uses a market: ids of tasks that are not done, of schedules and of packages in force.

    `searches` and `looks` are how many count on it, whether its candles are there or not.
    """

    tasks: list[str] = []
    schedules: list[str] = []
    packages: list[str] = []
    searches: int = 0
    looks: int = 0


class DataShown(Reply, frozen=True, kw_only=True):
    """One market. `other_names`: those under which it is known as well, each `venue symbol`."""

    venue: str
    symbol: str
    withheld_from: str | None
    data: list[MarketSeries]
    other_names: list[str]
    uses: MarketUses


class RemoveData(Request, frozen=True, kw_only=True):
    """`data.remove`: remove a market's candles, of one timeframe or all. Looks and searches go on counting.

    While tasks, schedules or packages in force use the market it is refused, unless `force`.
    """

    symbol: Symbol
    venue: Venue | None = None
    timeframe: Timeframe | None = None
    force: bool = False


class DataRemoved(Reply, frozen=True, kw_only=True):
    """The timeframes whose candles were removed, and how many bars they had."""

    venue: str
    symbol: str
    timeframes: list[str]
    n_bars: int
