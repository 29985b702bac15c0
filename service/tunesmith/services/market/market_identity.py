"""Identity: every name that a market has, by marks of its closes that stay when candles are replaced or removed.

A market is marked when it is first worked on, and again when its bars have changed, and is then compared with all marks
that there are. What was found to be one market stays one. Budgets of looks, hold-outs and the book of searches count a
market under all its names.
"""

from __future__ import annotations

import asyncio
import functools
from typing import NamedTuple

import structlog

from tunesmith.errors import Busy, TunesmithError
from tunesmith.services.market.market_comparison import Compared, compare
from tunesmith.services.runtime.context import Context
from tunesmith.storage.sqlite.connections import Connection
from tunesmith.storage.tables import market_table
from tunesmith.storage.tables.holdout_table import Name as Name
from tunesmith.storage.tables.market_table import Kin
from tunesmith.storage.timestamps import now
from tunesmith.workers.chunks.payloads import KeepMarks
from tunesmith.workers.executor import Chunk

logger = structlog.get_logger(__name__)

_ATTEMPTS = 10


class Lineage(NamedTuple):
    """A market's own name and its others."""

    own: Name
    kin: list[Kin]

    @property
    def names(self) -> list[Name]:
        """The names under which times mean the same as under its own, which comes first."""
        return [self.own, *(each.name for each in self.kin if each.has_our_times)]

    @property
    def elsewhen(self) -> list[Name]:
        """The names under which its bars have other times: called longer ones, years away, backwards."""
        return [each.name for each in self.kin if not each.has_our_times]

    @property
    def all_names(self) -> list[Name]:
        return [self.own, *(each.name for each in self.kin)]


async def lineage_of(context: Context, venue: str, symbol: str) -> Lineage:
    """Every name of the market; its stored candles are marked first where they are not."""
    name = venue, symbol
    await _mark_all(context, name)
    return Lineage(name, await market_table.kin(context.database, name))


async def renewed_since(context: Context, name: Name, since: str) -> str | None:
    """When used bars of the market were replaced after `since` (ISO text); None where they are what they were."""
    return await market_table.renewed(context.database, name, since)


async def _mark_all(context: Context, own: Name) -> None:
    """Mark the market, and those that an older program worked on."""
    older = [name for name in await market_table.unmarked(context.database) if name not in context.identity.hopeless]
    if await _is_marked(context, own) and not any(context.market.list(*name) for name in older):
        return
    async with context.identity.lock:
        for name in older:
            try:
                await _mark(context, name)
            except TunesmithError as error:
                context.identity.hopeless.add(name)
                logger.warning("a market cannot be known again", venue=name[0], symbol=name[1], why=error.message)
        await _mark(context, own)


async def _is_marked(context: Context, name: Name) -> bool:
    stored = {(series.timeframe, series.data_hash) for series in context.market.list(*name)}
    return stored <= context.identity.marked.get(name, frozenset()) or stored <= await _marked(context, name)


async def _marked(context: Context, name: Name) -> frozenset[tuple[str, str]]:
    found = context.identity.marked[name] = frozenset(await market_table.marked(context.database, name))
    return found


async def _mark(context: Context, name: Name) -> None:
    """Mark what is stored under a name; compared anew where another name was marked meanwhile."""
    for _ in range(_ATTEMPTS):
        if await _is_marked(context, name):
            return
        newest = await market_table.newest(context.database)
        comparison = functools.partial(compare, context.market, context.database.path, name, newest)
        try:
            found = await asyncio.to_thread(comparison)
        except FileNotFoundError:  # an older program stored the candles, or an import replaced them just now
            payload = KeepMarks(market=context.settings.market, venue=name[0], symbol=name[1])
            await context.executor.run(Chunk("keep_marks", payload), priority=0)
            continue
        await _store(context, name, newest, found)
    raise Busy(f"the candles of {name[1]} ({name[0]}) are being replaced; ask again", retry_after_ms=1_000)


async def _store(context: Context, name: Name, newest: int, found: Compared) -> None:
    async def write(conn: Connection) -> bool:
        if await market_table.newest(conn) != newest:
            return False
        for each in found.marks:
            await market_table.put_mark(conn, each.mark, each.instead_of)
        for kin in found.kin:
            await market_table.put_kin(conn, name, kin)
        if any(each.is_other for each in found.marks):
            await market_table.put_renewal(conn, name, "", now())
        return True

    if await context.database.write(write):
        if any(each.is_other for each in found.marks):
            logger.warning("bars that were used are others now: evidence begins anew", venue=name[0], symbol=name[1])
        for kin in found.kin:
            logger.info("one market under two names", one=name, other=kin.name, r=round(kin.r, 4), n=kin.n)
