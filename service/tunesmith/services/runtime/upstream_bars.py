"""Bars that are not stored yet, asked of the upstream data service before a request's window is cut.

A request names a market and a range. What of it is not stored is downloaded by a worker, page by page, checked as every
import is, and stays. Requests that need the same market wait for one download; one whose deadline passes meanwhile may
simply be sent again.
"""

from __future__ import annotations

import asyncio
import time

import structlog

from tunesmith.config import Settings
from tunesmith.domain.records import build
from tunesmith.errors import NotFound, TunesmithError
from tunesmith.protocol.messages.markets import MarketRequest
from tunesmith.services.runtime.dates import parse_date
from tunesmith.storage.market.market_store import MarketStore
from tunesmith.storage.market.series import Series
from tunesmith.storage.sources.download import missing
from tunesmith.storage.sources.source import Market
from tunesmith.workers.chunks.payloads import FetchBars, Timed
from tunesmith.workers.executor import Chunk, Executor

logger = structlog.get_logger(__name__)

VENUE = "upstream"
"""Under which bars are asked for and stored when the request names no venue."""


class Upstream:
    """The upstream data service of the settings, or none."""

    def __init__(self, settings: Settings, market: MarketStore, executor: Executor) -> None:
        self._settings, self._market, self._executor = settings, market, executor
        self._downloads: dict[tuple[Market, int | None, int], asyncio.Task[int]] = {}

    async def provide(self, request: MarketRequest, symbol: str) -> None:
        """Download what the request needs and the store has not; nothing without an upstream.

        Raises `NotFound` where the upstream does not have the market, or the request names no timeframe of one that is
        not stored; `Invalid` for dates, and for bars that are not sound; `Internal` when the upstream fails.
        """
        if not self._settings.sources.upstream:
            return
        wanted = self._wanted(request, symbol)
        if wanted is None:
            return
        download = self._downloads.get(wanted)
        if download is None:
            download = self._downloads[wanted] = asyncio.create_task(self._download(*wanted), name="download")
            download.add_done_callback(lambda task: self._forget(wanted, task))
        await asyncio.shield(download)

    async def close(self) -> None:
        """Stop downloading; what came is stored."""
        running = list(self._downloads.values())
        for download in running:
            download.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    def _wanted(self, request: MarketRequest, symbol: str) -> tuple[Market, int | None, int] | None:
        start = None if request.start_date is None else parse_date(request.start_date, "/data/start_date")
        now_ms = int(time.time() * 1000)
        end = now_ms if request.end_date is None else parse_date(request.end_date, "/data/end_date", end=True)
        end = min(end, now_ms)
        series = self._stored(request, symbol)
        if series is None:
            if request.timeframe is None:
                raise NotFound(
                    f"there is no market data for {symbol!r} yet; name the timeframe, so that it can be fetched",
                    path="/data/timeframe",
                )
            return Market(request.venue or VENUE, symbol, request.timeframe), start or 0, end
        if request.end_date is None:
            end = series.end_ms
        if not missing(series, start, end):
            return None
        return Market(series.venue, symbol, series.source or series.timeframe), start, end

    def _stored(self, request: MarketRequest, symbol: str) -> Series | None:
        try:
            return self._market.find(symbol, request.timeframe, request.venue)
        except NotFound:
            return None

    async def _download(self, market: Market, start_ms: int | None, end_ms: int) -> int:
        sources = self._settings.sources
        payload = build(FetchBars, market, sources, market=self._settings.market, start_ms=start_ms, end_ms=end_ms)
        downloaded: Timed = await self._executor.run(
            Chunk("fetch_bars", payload), priority=0, timeout_s=self._settings.workers.task_timeout_s
        )
        n_new: int = downloaded.value
        logger.info("downloaded", venue=market.venue, symbol=market.symbol, timeframe=market.timeframe, n_new=n_new)
        return n_new

    def _forget(self, wanted: tuple[Market, int | None, int], download: asyncio.Task[int]) -> None:
        self._downloads.pop(wanted, None)
        if not download.cancelled() and isinstance(error := download.exception(), TunesmithError):
            logger.warning("download failed", symbol=wanted[0].symbol, code=error.code, reason=error.message)
