"""Comparison: which market stored candles are, by their marks and those in the database. For a thread of its own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tunesmith.domain.market.comparable_marks import Comparable
from tunesmith.domain.market.market_kinship import Kinship, kinship
from tunesmith.domain.market.market_marks import Mark, unpacked
from tunesmith.storage.market.market_store import MarketStore
from tunesmith.storage.market.series import Series
from tunesmith.storage.tables import market_table
from tunesmith.storage.tables.holdout_table import Name
from tunesmith.storage.tables.market_table import Kin, NewMark, StoredMark


class MarkedSeries(NamedTuple):
    """The mark of a series, and the ids of the marks of the same market of which it has every bar.

    `is_other` says that bars which a search or a verdict used are not what they were.
    """

    mark: NewMark
    instead_of: list[int]
    is_other: bool


class Compared(NamedTuple):
    """What came of it: the new marks, and the other names of the market."""

    marks: list[MarkedSeries]
    kin: list[Kin]


def compare(market: MarketStore, database: Path, name: Name, newest: int) -> Compared:
    """The marks of the market's series that are not in the database, and its other names by all marks up to `newest`.

    Names that are known to be its own are not compared again. Raises `FileNotFoundError` where the store has not kept
    the mark of a series, and `Internal` where the database cannot be read.
    """
    known = market_table.stored_kin(database, name)
    own: list[tuple[StoredMark, Mark]] = []
    others: list[StoredMark] = []
    for stored in market_table.stored_marks(database, newest):
        if (stored.venue, stored.symbol) == name:
            own.append((stored, unpacked(stored.mark)))
        elif (stored.venue, stored.symbol) not in known:
            others.append(stored)
    hashes = {(stored.timeframe, stored.data_hash) for stored, _ in own}
    fresh = [each for each in market.list(*name) if (each.timeframe, each.data_hash) not in hashes]
    used_ms = market_table.used_until(database, name)
    made = [_marked(market, series, own, used_ms) for series in fresh]
    comparable = [Comparable(unpacked(each.mark.mark)) for each in made]
    return Compared(made, _kin(comparable, others))


def _marked(
    market: MarketStore, series: Series, own: Sequence[tuple[StoredMark, Mark]], used_ms: int | None
) -> MarkedSeries:
    kept = market.mark(series)
    mark = unpacked(kept.mark)
    before = [(stored.id, one) for stored, one in own if stored.timeframe == series.timeframe]
    return MarkedSeries(
        NewMark(
            venue=series.venue,
            symbol=series.symbol,
            timeframe=series.timeframe,
            data_hash=series.data_hash,
            closes=kept.closes,
            mark=kept.mark,
        ),
        instead_of=[id for id, one in before if mark.has_within(one)],
        is_other=used_ms is not None and _is_other(mark, [one for _, one in before], used_ms),
    )


def _is_other(mark: Mark, before: Sequence[Mark], used_ms: int) -> bool:
    """Whether bars that were used are not what they were, by every mark that there was of them."""
    used = [each for one in before if (each := one.until(used_ms)) is not None]
    return bool(used) and not any(mark.has_within(each) for each in used)


def _kin(fresh: Sequence[Comparable], others: Sequence[StoredMark]) -> list[Kin]:
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
    return list(found.values())


def _kin_of(name: Name, like: Kinship) -> Kin:
    return Kin(*name, like.scale, like.offset_ms, like.r, like.n)
