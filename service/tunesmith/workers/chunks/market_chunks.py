"""Chunks that read and write whole markets: cut a window of bars for a task, store bars that came with a request."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tunesmith.compute.search.split import annualized, split_at
from tunesmith.domain.market.layouts.reading import told_by_fields
from tunesmith.domain.market.layouts.sheet import sheet_of_rows
from tunesmith.domain.market.timeframes import timeframe_ms
from tunesmith.domain.records import JsonObject
from tunesmith.errors import Invalid
from tunesmith.storage.market.market_schemes import open_market
from tunesmith.storage.market.market_store import Misread
from tunesmith.storage.market.snapshots import open_snapshots
from tunesmith.storage.tables.used_bars import UsedBars
from tunesmith.workers.chunks.payloads import ImportBars, Imported, KeepMarks, Prepare, Prepared


def prepare(payload: Prepare) -> Prepared:
    """Store the window's bars, with everything before it as warm-up, as a snapshot.

    What comes after the window is not in it, so that a worker that searches on it has no bars of the hold-out.
    """
    store = open_market(payload.market)
    bars = store.load(payload.venue, payload.symbol, payload.timeframe)
    length = timeframe_ms(payload.timeframe)
    stop = int(np.searchsorted(bars.timestamp + length, payload.end_ms, side="right"))
    first = bars.index_at(payload.start_ms)
    if stop - first < 2:
        raise Invalid(f"the range holds {max(0, stop - first)} bars; at least 2 are needed", path="/data/start_date")
    bars = annualized(bars, payload.in_sample_end_ms).slice(0, stop)
    split = split_at(bars, payload.boundary_ms, first, payload.in_sample_end_ms)
    return Prepared(
        snapshot=open_snapshots(Path(payload.data_dir)).put(bars),
        n_bars=len(bars),
        first=first,
        n_in_sample=split.n_in_sample,
        n_holdout=len(bars) - split.out_start,
        start_ms=int(bars.timestamp[first]),
        end_ms=bars.end_ms,
    )


def import_bars(payload: ImportBars) -> Imported:
    """Store bars that came with a request."""
    store = open_market(payload.market)
    names = {"symbol": payload.symbol, "timeframe": payload.timeframe, "venue": payload.venue}
    used = UsedBars(Path(payload.database), payload.new_evidence, "replace and new_evidence")
    how: JsonObject = {**names, "replace": payload.replace, "changing": used.check if payload.replace else None}
    if payload.rows is not None:
        report = store.import_rows(payload.rows, **how, now_ms=payload.reading.now_ms)
    else:
        sheet = sheet_of_rows(payload.table or [], payload.header)
        try:
            report = store.import_sheet(sheet, **how, reading=payload.reading)
        except Misread as error:
            raise told_by_fields(error.cause) from error
    return Imported(report, bool(used.replaced))


def keep_marks(payload: KeepMarks) -> None:
    """Make the marks of a market's series that were stored without. Raises `Internal` for damaged candles."""
    open_market(payload.market).keep_marks(payload.venue, payload.symbol)
