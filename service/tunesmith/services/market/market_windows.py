"""Windows of stored bars: which bars a request may work on, and what a worker needs to work on them.

A window is what a request's market fields name, with the hold-out cut off unless it was asked for. The hold-out is one
for all names that a market's candles are stored under, its lineage: what was looked at under one name was seen under
every other.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

import msgspec
import structlog

from tunesmith.domain.market.bars_used import BarsUsed, LongerBarsUsed
from tunesmith.domain.market.timeframes import timeframe_ms
from tunesmith.domain.records import JsonObject, build
from tunesmith.domain.trading import MAX_MISSING, OWN_ENGINE, RUIN, Costs, Direction, Engine, Fill
from tunesmith.errors import Conflict, Invalid
from tunesmith.protocol.messages.markets import MarketRequest
from tunesmith.services.market.market_identity import Lineage, lineage_of
from tunesmith.services.runtime.context import Context
from tunesmith.services.runtime.dates import parse_date
from tunesmith.services.runtime.task_runner import Job
from tunesmith.storage.market.series import Series
from tunesmith.storage.market.snapshots import open_snapshots
from tunesmith.storage.sqlite.connections import Connection, Source
from tunesmith.storage.tables import holdout_table
from tunesmith.storage.tables.holdout_table import Move, Name
from tunesmith.storage.tables.strategy_table import StrategyRow
from tunesmith.storage.timestamps import iso
from tunesmith.workers.chunks.payloads import Prepare, Prepared, StrategyRef, Work

logger = structlog.get_logger(__name__)

_DAY_MS = 86_400_000


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """Which bars a task works on, and how orders fill there; stored with the task.

    Times are UTC milliseconds: trading begins at `start_ms`, bars must close by `end_ms`; the hold-out begins at
    `boundary_ms`. `withheld` says that the hold-out cut the range short. `ruin` is the share of the initial cash at
    which an account is ruined; windows that were stored before there was one have none, and are evaluated without.
    The same goes for `calendar`: None is one that is recognized from the bars, and without one they are taken as they
    were before there were any. Of the bars that it expects, the share `max_missing` may be missing.
    """

    venue: str
    symbol: str
    timeframe: str
    start_ms: int
    end_ms: int
    boundary_ms: int
    withheld: bool
    costs: Costs
    fill: Fill
    direction: Direction
    initial_cash: float
    engine: Engine = OWN_ENGINE
    ruin: float | msgspec.UnsetType = msgspec.UNSET
    calendar: str | msgspec.UnsetType | None = msgspec.UNSET
    max_missing: float = 1.0

    @property
    def withheld_from(self) -> str | None:
        return iso(self.boundary_ms) if self.withheld else None


async def window_of(
    context: Context, request: MarketRequest, symbol: str, direction: Direction, *, use_holdout: bool = False
) -> Window:
    """The window that a request names; bars that are not stored are asked of the upstream first, where there is one.

    `direction` is what the request's comes to for its strategy.
    Raises `NotFound` for an unknown symbol or timeframe, `Invalid` for dates that are no dates, upside down or outside
    the data, and for a venue that must be named.
    """
    await context.upstream.provide(request, symbol)
    series = context.market.find(symbol, request.timeframe, request.venue)
    start, end = _range_of(request, series)
    boundary = await boundary_of(context, series.venue, series.symbol)
    withheld = not use_holdout and end > boundary
    if withheld:
        end = boundary
    if end <= start:
        raise Invalid(
            f"start_date lies in the hold-out, which begins at {iso(boundary)} and is kept from searches",
            path="/data/start_date",
        )
    if end - start < 2 * timeframe_ms(series.timeframe):
        raise Invalid("the range is shorter than two bars", path="/data/start_date")
    return build(
        Window,
        series,
        request,
        start_ms=start,
        end_ms=end,
        boundary_ms=boundary,
        withheld=withheld,
        costs=request.costs or Costs(),
        direction=direction,
        ruin=RUIN,
        calendar=context.market.calendar_of(series),
        max_missing=MAX_MISSING if isinstance(request.max_missing, msgspec.UnsetType) else request.max_missing,
    )


async def boundary_of(context: Context, venue: str, symbol: str) -> int:
    """The stored instant at which the hold-out of a venue's symbol begins, UTC milliseconds; set when first needed.

    It lies at the given share of the series with the longest span, whatever timeframe is asked for later. Raises
    `Invalid` while either side of it would have fewer bars than a verdict needs. It stays where it is until the
    hold-out has been looked at and a whole one of newer bars is there: then it moves to where the last look ended.
    """
    lineage = await lineage_of(context, venue, symbol)
    known = await known_boundaries(context.database, lineage)
    if known:
        stored = max(known.values())
        if known.get((venue, symbol)) != stored:
            await _take_over(context, venue, symbol, stored)
        return await _moved_on(context, lineage, stored)
    longest = max(context.market.list(venue=venue, symbol=symbol), key=_span)
    decision = context.settings.decision
    needed = math.ceil(decision.min_bars / min(decision.holdout_share, 1.0 - decision.holdout_share))
    if longest.n_bars < needed:
        raise Invalid(
            f"{symbol} has {longest.n_bars} bars of {longest.timeframe}; a hold-out that deserves its name needs "
            f"{needed}: import more",
            path="/data/symbol",
        )
    boundary = longest.time_at(1.0 - decision.holdout_share)
    store = functools.partial(holdout_table.set_boundary, venue=venue, symbol=symbol, boundary_ms=boundary)
    return await context.database.write(store)


async def known_boundary(context: Context, venue: str, symbol: str) -> str | None:
    """Where the hold-out begins, as a time of the wire; None where nothing has needed it yet.

    What the market's other names say of it is heard when it is worked on.
    """
    stored = await holdout_table.boundary(context.database, venue, symbol)
    return None if stored is None else iso(await _moved_on(context, Lineage((venue, symbol), []), stored))


async def known_boundaries(source: Source, lineage: Lineage) -> dict[Name, int]:
    """Where the hold-out begins in our times, by each of the market's names that has one; of none that runs backwards.

    A market backwards has a hold-out of its own; looks at either count for both.
    """
    known = await holdout_table.boundaries(source, lineage.all_names)
    found = {lineage.own: known[lineage.own]} if lineage.own in known else {}
    for kin in lineage.kin:
        ours = kin.ours(known[kin.name]) if kin.name in known else None
        if ours is not None:
            found[kin.name] = ours
    return found


async def on_newest_holdout(context: Context, window: Window) -> Window:
    """The window with the hold-out of now, where that begins later than when the window was made.

    Bars in between belong to neither part: what was searched had not seen them, what is decided must not use them.
    """
    boundary = await boundary_of(context, window.venue, window.symbol)
    return msgspec.structs.replace(window, boundary_ms=max(boundary, window.boundary_ms))


async def _take_over(context: Context, venue: str, symbol: str, boundary_ms: int) -> None:
    """A market under one of several names has the boundary that it has under the others, the latest of them."""

    async def write(conn: Connection) -> None:
        await holdout_table.set_boundary(conn, venue, symbol, boundary_ms)
        await holdout_table.advance(conn, venue, symbol, boundary_ms)

    await context.database.write(write)


async def _moved_on(context: Context, lineage: Lineage, stored: int) -> int:
    """The boundary, which moves past every look once enough newer bars are there; looks in between are heard."""
    venue, symbol = lineage.own
    series = context.market.list(venue=venue, symbol=symbol)
    names, elsewhen = lineage.names, lineage.elsewhen
    seen = await holdout_table.last_seen(context.database, names, stored, elsewhen=elsewhen)
    if seen is None or not series:
        return stored
    limits = context.settings.statistics
    counted = slowest_to_decide_on(series, limits.min_bars)
    if counted.n_bars_from(seen) < limits.min_holdout_bars:
        return stored

    async def write(conn: Connection) -> tuple[int, Move | None]:
        last = await holdout_table.last_seen(conn, names, stored, elsewhen=elsewhen)
        enough = last is not None and counted.n_bars_from(last) >= limits.min_holdout_bars
        move = await holdout_table.advance(conn, venue, symbol, last) if last is not None and enough else None
        return await holdout_table.boundary(conn, venue, symbol) or stored, move

    boundary, move = await context.database.write(write)
    if move is not None:
        logger.info("the hold-out moves", venue=venue, symbol=symbol, was=iso(move.from_ms), begins=iso(move.to_ms))
    return boundary


def slowest_to_decide_on(series: Sequence[Series], min_bars: int) -> Series:
    """The series with the longest bars among those that have enough of them for a verdict, else the longest series.

    All timeframes have one hold-out: one that moved on after so many of the shortest bars would never have enough of
    the longer ones.
    """
    able = [each for each in series if each.n_bars >= min_bars]
    if able:
        return max(able, key=lambda each: timeframe_ms(each.timeframe))
    return max(series, key=_span)


def _span(series: Series) -> int:
    return series.end_ms - series.start_ms


def _range_of(request: MarketRequest, series: Series) -> tuple[int, int]:
    start = series.start_ms if request.start_date is None else parse_date(request.start_date, "/data/start_date")
    end = series.end_ms if request.end_date is None else parse_date(request.end_date, "/data/end_date", end=True)
    span = f"{series.symbol} {series.timeframe} runs from {iso(series.start_ms)} to {iso(series.end_ms)}"
    if not series.start_ms <= start < series.end_ms:
        raise Invalid(f"start_date is outside the data: {span}", path="/data/start_date")
    if not series.start_ms < end <= series.end_ms + _DAY_MS:
        raise Invalid(f"end_date is outside the data: {span}", path="/data/end_date")
    if end <= start:
        raise Invalid("end_date is not after start_date", path="/data/end_date")
    return start, min(end, series.end_ms)


class Assignment(msgspec.Struct, frozen=True, kw_only=True):
    """What a task works on, stored with it: a strategy version and a window of a market."""

    strategy: StrategyRef
    window: Window


def assign(row: StrategyRow, window: Window) -> Assignment:
    ref = build(StrategyRef, row)
    return Assignment(strategy=ref, window=window)


async def prepared(
    context: Context, job: Job, window: Window, *, until_ms: int | None = None, slot: str = "prepared"
) -> Prepared:
    """The task's snapshot: cut once, then remembered, so that a restart works on the same bars.

    A task that ended long ago may have lost it; it is cut again then, and `Conflict` raised where it became another.
    `until_ms` reaches past the window's end, into the hold-out, where a verdict needs it; `slot` tells the windows of
    one task apart.
    """
    known = msgspec.convert(job.state[slot], Prepared) if slot in job.state else None
    if known is not None and open_snapshots(context.settings.data_dir).keep(known.snapshot):
        return known
    done: Prepared = await job.run("prepare", prepare_payload(context, window, until_ms))
    if known is not None and known.snapshot != done.snapshot:
        raise Conflict(f"the bars of {window.symbol} {window.timeframe} are no longer those that the task began with")
    state: dict[str, Any] = {**job.state, slot: msgspec.to_builtins(done)}
    await job.save(state)
    return done


def prepare_payload(context: Context, window: Window, until_ms: int | None = None) -> Prepare:
    """What a worker needs to cut the window."""
    return build(
        Prepare,
        window,
        data_dir=str(context.settings.data_dir),
        market=context.settings.market,
        end_ms=window.end_ms if until_ms is None else until_ms,
        in_sample_end_ms=min(window.end_ms, window.boundary_ms),
        max_missing=window.max_missing if until_ms is None else 1.0,  # of what a verdict sees, its data gate judges
    )


def used_of(data: Prepared, longer: list[JsonObject]) -> BarsUsed | None:
    """What bars the work on a snapshot was made with, `longer` ones as its chunk told; None without a calendar."""
    parts = [part for part in (data.in_sample, data.holdout) if part is not None]
    if data.calendar is None:
        return None
    n_expected, n_missing = (sum(getattr(part, name) for part in parts) for name in ("n_expected", "n_missing"))
    return BarsUsed(
        calendar=data.calendar,
        missing=n_missing / n_expected if n_expected else 0.0,
        partial=data.partial or 0.0,
        longer=msgspec.convert(longer, list[LongerBarsUsed]),
    )


def work_of(context: Context, assignment: Assignment, data: Prepared) -> Work:
    """What a worker needs to evaluate the assignment on prepared data."""
    window = assignment.window
    return build(Work, window, assignment, data, data_dir=str(context.settings.data_dir))
