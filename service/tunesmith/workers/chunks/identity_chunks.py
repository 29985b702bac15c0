"""Chunk that tells which market stored candles are: makes their marks and compares them with those of other names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tunesmith.domain.market.comparable_marks import Comparable
from tunesmith.domain.market.daily_closes import daily_closes
from tunesmith.domain.market.market_kinship import Kinship, kinship
from tunesmith.domain.market.market_marks import Mark, mark_of, packed, unpacked
from tunesmith.storage.market.market_schemes import open_market
from tunesmith.storage.tables import market_table
from tunesmith.storage.tables.holdout_table import Name
from tunesmith.storage.tables.market_table import Kin, StoredMark
from tunesmith.workers.chunks.payloads import Identified, Identify, MarkedSeries


def identify(payload: Identify) -> Identified:
    """Mark the market's series that have none, and find its other names among all marks.

    Names that are known to be its own are not compared again. Raises `Internal` for damaged candles.
    """
    name, database = (payload.venue, payload.symbol), Path(payload.database)
    known = market_table.stored_kin(database, name)
    own: list[tuple[StoredMark, Mark]] = []
    others: list[StoredMark] = []
    hashes = set()
    for stored in market_table.stored_marks(database, payload.newest):
        if (stored.venue, stored.symbol) == name:
            own.append((stored, unpacked(stored.mark)))
            hashes.add((stored.timeframe, stored.data_hash))
        elif (stored.venue, stored.symbol) not in known:
            others.append(stored)
    made, fresh = [], []
    used_ms = market_table.used_until(database, name)
    store = open_market(payload.market)
    for series in store.list(payload.venue, payload.symbol):
        if (series.timeframe, series.data_hash) in hashes:
            continue
        bars = store.load(payload.venue, payload.symbol, series.timeframe)
        mark = mark_of(bars.timestamp, bars.close, bars.timeframe)
        before = [(stored.id, one) for stored, one in own if stored.timeframe == series.timeframe]
        made.append(
            MarkedSeries(
                timeframe=series.timeframe,
                data_hash=bars.data_hash,
                closes=daily_closes(bars.timestamp, bars.close, bars.timeframe).tobytes(),
                mark=packed(mark),
                instead_of=[id for id, one in before if mark.has_within(one)],
                is_other=used_ms is not None and _is_other(mark, [one for _, one in before], used_ms),
            )
        )
        fresh.append(Comparable(mark))
    return Identified(marks=made, kin=_kin(fresh, others))


def _is_other(mark: Mark, before: Sequence[Mark], used_ms: int) -> bool:
    """Whether bars that were used are not what they were, by every mark that there was of them."""
    used = [each for one in before if (each := one.until(used_ms)) is not None]
    return bool(used) and not any(mark.has_within(each) for each in used)


def _kin(fresh: Sequence[Comparable], others: Sequence[StoredMark]) -> list[tuple[str, str, float, int, float, int]]:
    """The names among `others` that are the market; of several likenesses of one name one with the same times."""
    found: dict[Name, Kin] = {}
    for stored in others:
        name = stored.venue, stored.symbol
        if name in found and found[name].has_our_times:
            continue
        other = Comparable(unpacked(stored.mark))
        for own in fresh:
            like = kinship(own, other)
            if like is not None and (name not in found or _kin_of(name, like).has_our_times):
                found[name] = _kin_of(name, like)
    return [(*name, kin.scale, kin.offset_ms, kin.r, kin.n) for name, kin in found.items()]


def _kin_of(name: Name, like: Kinship) -> Kin:
    return Kin(*name, like.scale, like.offset_ms, like.r, like.n)
