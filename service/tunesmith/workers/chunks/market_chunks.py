"""Chunks that read and write whole markets: cut a window of bars for a task, store bars that came with a request."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from tunesmith.compute.search.split import Split, annualized, split_at
from tunesmith.domain.market.bars import Bars, too_many_missing
from tunesmith.domain.market.calendars import COUNTED, calendar_named
from tunesmith.domain.market.expected_bars import MAX_OUTSIDE, Presence, presence_of
from tunesmith.domain.market.layouts.reading import told_by_fields
from tunesmith.domain.market.layouts.sheet import sheet_of_rows
from tunesmith.domain.market.timeframes import timeframe_ms
from tunesmith.domain.records import JsonObject
from tunesmith.errors import Invalid
from tunesmith.storage.market.market_schemes import open_market
from tunesmith.storage.market.market_store import Loaded, MarketStore, Misread
from tunesmith.storage.market.snapshots import open_snapshots
from tunesmith.storage.tables.used_bars import UsedBars
from tunesmith.workers.chunks.payloads import BarCounts, ImportBars, Imported, KeepMarks, Prepare, Prepared

_CALENDAR = "/data/calendar"


def prepare(payload: Prepare) -> Prepared:
    """Store the window's bars, with everything before it as warm-up, as a snapshot.

    What comes after the window is not in it, so that a worker that searches on it has no bars of the hold-out.
    """
    store = open_market(payload.market)
    loaded = _load(store, payload)
    bars = loaded.bars
    length = timeframe_ms(payload.timeframe)
    stop = int(np.searchsorted(bars.timestamp + length, payload.end_ms, side="right"))
    first = bars.index_at(payload.start_ms)
    if stop - first < 2:
        raise Invalid(f"the range holds {max(0, stop - first)} bars; at least 2 are needed", path="/data/start_date")
    bars = annualized(bars, payload.in_sample_end_ms).slice(0, stop)
    split = split_at(bars, payload.boundary_ms, first, payload.in_sample_end_ms)
    by_calendar = {} if bars.calendar == COUNTED else _counted(loaded, payload, bars, split)
    return Prepared(
        snapshot=open_snapshots(Path(payload.data_dir)).put(bars),
        n_bars=len(bars),
        first=first,
        n_in_sample=split.n_in_sample,
        n_holdout=len(bars) - split.out_start,
        start_ms=int(bars.timestamp[first]),
        end_ms=bars.end_ms,
        **by_calendar,
    )


def _load(store: MarketStore, payload: Prepare) -> Loaded:
    """The whole market by the window's calendar; as before there were calendars where the window has none."""
    series = store.find(payload.symbol, payload.timeframe, payload.venue)
    if isinstance(payload.calendar, msgspec.UnsetType):
        return store.load_by(series, COUNTED)
    return store.load_by(series, None if payload.calendar is None else calendar_named(payload.calendar))


def _counted(loaded: Loaded, payload: Prepare, bars: Bars, split: Split) -> dict[str, Any]:
    """What the calendar says of the window's bars. Raises `Invalid` where more are missing than is accepted, or where
    too many are outside of its sessions, which no longer bar would hold."""
    first, calendar = split.first, bars.calendar
    begin_ms, end_ms = int(bars.timestamp[first]), bars.end_ms
    parts = []
    stamps = loaded.stored.timestamp
    for begin, end in ((begin_ms, min(end_ms, payload.in_sample_end_ms)), (max(begin_ms, payload.boundary_ms), end_ms)):
        part = stamps[np.searchsorted(stamps, begin) : np.searchsorted(stamps, end)]
        parts.append(presence_of(calendar, part, loaded.stored.timeframe))
    n_bars = int(np.searchsorted(stamps, end_ms) - np.searchsorted(stamps, begin_ms))
    together = Presence(*(sum(numbers) for numbers in zip(*parts, strict=True)))
    if together.n_outside > MAX_OUTSIDE * n_bars:
        raise Invalid(
            f"{together.n_outside:,} of {n_bars:,} {loaded.stored.timeframe} bars of {bars.symbol} lie outside of the "
            f"sessions of its calendar ({calendar.text}): import them again with the calendar that they follow",
            path="/data/symbol",
        )
    if together.missing > payload.max_missing:
        said = too_many_missing(bars, loaded.stored.timeframe, together, payload.max_missing)
        raise Invalid(said, path="/data/max_missing")
    counts = [BarCounts(n_expected=part.n_expected, n_missing=part.n_missing) for part in parts]
    return {
        "calendar": calendar.text,
        "in_sample": counts[0],
        "holdout": counts[1],
        "partial": float(loaded.is_partial[first : len(bars)].mean()),
    }


def import_bars(payload: ImportBars) -> Imported:
    """Store bars that came with a request."""
    named = None if isinstance(payload.calendar, msgspec.UnsetType) else calendar_named(payload.calendar, _CALENDAR)
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
    try:
        report = report if named is None else store.name_calendar(report, named)
    except Invalid as error:
        if not used.replaced:
            raise
        # the bars are replaced, so the daemon must hear that evidence begins anew
        report = msgspec.structs.replace(report, warnings=[*report.warnings, error.message])
    return Imported(report, bool(used.replaced))


def keep_marks(payload: KeepMarks) -> None:
    """Make the marks of a market's series that were stored without. Raises `Internal` for damaged candles."""
    open_market(payload.market).keep_marks(payload.venue, payload.symbol)
