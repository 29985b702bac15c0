"""Market data over the wire: what is there, and bars sent inline."""

from __future__ import annotations

from tunesmith.domain.records import build
from tunesmith.protocol.catalog import Call
from tunesmith.protocol.messages.markets import DataList, ImportData, ImportReport, ListData, MarketData
from tunesmith.services.market.market_windows import known_boundary
from tunesmith.services.requests.idempotency import Change
from tunesmith.services.runtime.context import Context
from tunesmith.storage.sqlite.connections import Connection
from tunesmith.storage.timestamps import iso
from tunesmith.workers.chunks.payloads import ImportBars, Timed
from tunesmith.workers.executor import Chunk


async def list_all(context: Context, request: ListData, call: Call) -> DataList:
    """What market data is stored, and from where on it is held out."""
    stored = context.market.list(venue=request.venue, symbol=request.symbol)
    markets = {(series.venue, series.symbol) for series in stored}
    begins = {market: await known_boundary(context, *market) for market in markets}
    return DataList(
        data=[
            build(
                MarketData,
                series,
                start=iso(series.start_ms),
                end=iso(series.end_ms),
                withheld_from=begins[series.venue, series.symbol],
                calendar=context.market.calendar_of(series),
            )
            for series in stored
        ]
    )


async def import_bars(context: Context, request: ImportData, call: Call) -> Change:
    """Store bars that came with the request. `invalid` with every problem when they are unsound."""
    payload = build(ImportBars, request, market=context.settings.market, rows=request.bars)
    imported: Timed = await context.executor.run(Chunk("import_bars", payload), priority=0, user=call.user)
    report: ImportReport = imported.value

    async def apply(conn: Connection) -> ImportReport:
        return report

    return Change(apply)
