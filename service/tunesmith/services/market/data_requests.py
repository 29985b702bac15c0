"""Market data over the wire: what is there, bars that come with a request, and candles that are removed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import TypeVar

from tunesmith.domain.market.layouts.reading import Reading
from tunesmith.domain.records import build
from tunesmith.errors import Invalid, NotFound
from tunesmith.protocol.catalog import Call
from tunesmith.protocol.messages.markets import (
    DataList,
    DataRemoved,
    DataShown,
    ImportData,
    ImportReport,
    ListData,
    MarketData,
    MarketSeries,
    RemoveData,
    ShowData,
)
from tunesmith.services.market.market_identity import lineage_of
from tunesmith.services.market.market_windows import known_boundary
from tunesmith.services.requests.idempotency import Change
from tunesmith.services.runtime.context import Context
from tunesmith.storage.market.series import Series
from tunesmith.storage.sqlite.connections import Connection
from tunesmith.storage.tables import market_table, market_uses
from tunesmith.storage.timestamps import iso, now
from tunesmith.workers.chunks.payloads import ImportBars, Imported, Timed
from tunesmith.workers.executor import Chunk

Shown = TypeVar("Shown", MarketData, MarketSeries)


async def list_all(context: Context, request: ListData, call: Call) -> DataList:
    """What market data is stored, and from where on it is held out."""
    stored = context.market.list(venue=request.venue, symbol=request.symbol)
    markets = {(series.venue, series.symbol) for series in stored}
    begins = {market: await known_boundary(context, *market) for market in markets}
    return DataList(
        data=[_shown(context, MarketData, series, begins[series.venue, series.symbol]) for series in stored],
    )


async def import_bars(context: Context, request: ImportData, call: Call) -> Change:
    """Store bars that came with the request. `invalid` with every problem when they are unsound."""
    _check_import(request)
    payload = build(
        ImportBars,
        request,
        market=context.settings.market,
        database=str(context.database.path),
        rows=request.bars,
        table=request.rows,
        reading=build(Reading, request, now_ms=round(time.time() * 1000)),
    )
    done: Timed = await context.executor.run(Chunk("import_bars", payload), priority=0, user=call.user)
    imported: Imported = done.value

    async def apply(conn: Connection) -> ImportReport:
        if imported.renewed:
            await market_table.put_renewal(conn, (request.venue, request.symbol), call.user, now())
        return imported.report

    return Change(apply)


def _check_import(request: ImportData) -> None:
    if request.bars is None and request.rows is None:
        raise Invalid("there are neither bars nor rows", path="/data/bars")
    if request.bars is not None:
        said = ("rows", "header", "layout", "columns", "timezone", "time_format", "decimal")
        extra = next((name for name in said if getattr(request, name) is not None), None)
        extra = extra or ("times" if request.times != "opening" else "drop_open" if request.drop_open else None)
        if extra:
            raise Invalid(f"{extra} does not go with bars, whose layout is fixed", path=f"/data/{extra}")
    if request.new_evidence and not request.replace:
        raise Invalid("new_evidence goes with replace", path="/data/new_evidence")


async def show(context: Context, request: ShowData, call: Call) -> DataShown:
    """One market: its series with their gaps, its hold-out, its other names, and what uses it."""
    venue, stored = _series_of(context, request.symbol, request.venue)
    begins = await known_boundary(context, venue, request.symbol)
    others = await market_table.kin(context.database, (venue, request.symbol))
    return DataShown(
        venue=venue,
        symbol=request.symbol,
        withheld_from=begins,
        data=[_shown(context, MarketSeries, each, begins) for each in stored],
        other_names=[f"{each.venue} {each.symbol}" for each in others],
        uses=await market_uses.uses(context.database, (venue, request.symbol)),
    )


async def remove(context: Context, request: RemoveData, call: Call) -> Change:
    """Remove candles. The market is marked first, so that it is known again under whatever name it comes back."""
    venue, stored = _series_of(context, request.symbol, request.venue)
    chosen = [each for each in stored if request.timeframe in (None, each.timeframe)]
    if not chosen:
        raise NotFound(
            f"{request.symbol} is not there in {request.timeframe}; there is {', '.join(s.timeframe for s in stored)}",
            path="/data/timeframe",
        )
    if not request.force:
        market_uses.refuse_used(await market_uses.uses(context.database, (venue, request.symbol)), "force")
    await lineage_of(context, venue, request.symbol)
    for each in chosen:
        await asyncio.to_thread(context.market.remove, each)
    removed = DataRemoved(
        venue=venue,
        symbol=request.symbol,
        timeframes=[each.timeframe for each in chosen],
        n_bars=sum(each.n_bars for each in chosen),
    )

    async def apply(conn: Connection) -> DataRemoved:
        return removed

    return Change(apply)


def _shown(context: Context, kind: type[Shown], series: Series, withheld_from: str | None) -> Shown:
    return build(
        kind,
        series,
        start=iso(series.start_ms),
        end=iso(series.end_ms),
        withheld_from=withheld_from,
        calendar=context.market.calendar_of(series),
    )


def _series_of(context: Context, symbol: str, venue: str | None) -> tuple[str, Sequence[Series]]:
    """The venue of a symbol, and what is stored of it there. Raises as `MarketStore.only_market` does."""
    stored = context.market.only_market(symbol, venue)
    return stored[0].venue, stored
