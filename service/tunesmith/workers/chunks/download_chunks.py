"""Chunks that download bars from another machine."""

from __future__ import annotations

from tunesmith.storage.market.market_schemes import open_market
from tunesmith.storage.sources import open_source
from tunesmith.storage.sources.download import download
from tunesmith.storage.sources.source import Market
from tunesmith.workers import worker
from tunesmith.workers.chunks.payloads import FetchBars


def fetch_bars(payload: FetchBars) -> int:
    """Download bars from the upstream data service; how many are new.

    A download that is cancelled ends after the page that it waits for, and what came by then is stored.
    """
    store = open_market(payload.market)
    market = Market(payload.venue, payload.symbol, payload.timeframe)
    source = open_source(payload.upstream, payload.timeout_s)
    span = (payload.start_ms, payload.end_ms)
    return download(source, store, market, span, lambda _: worker.stop_if_cancelled())
