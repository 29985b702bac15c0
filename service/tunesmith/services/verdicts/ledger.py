"""The ledger: who has seen what of a market's hold-out, and which verdict on it this is.

A verdict `read`s how many looks there were, and `look`s right before its first work on the hold-out: one that never
gets there, or is cancelled before, costs nothing, and one that was written stands, whatever becomes of the verdict. A
backtest that looked, and an approval by criteria, use the hold-out up. All are of the past once the whole hold-out is
later than they are. (Verdicts of the first edition were written when they began; theirs count as looks.)

The lineage is a venue's symbol over a range of time, whatever the timeframe, the file or the resampling, with every
other name that the market has or had, as `market_identity` knows them.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from tunesmith.errors import Busy, Conflict
from tunesmith.services.market.market_identity import Lineage, lineage_of
from tunesmith.services.market.market_windows import Window, known_boundaries
from tunesmith.services.runtime.context import Context
from tunesmith.services.runtime.task_runner import Job
from tunesmith.storage.sqlite.connections import Connection, Source
from tunesmith.storage.tables import holdout_table
from tunesmith.storage.tables import task_table as task_rows
from tunesmith.storage.timestamps import iso

Market = tuple[Window, Lineage]
"""The window of a market, and every name that the market has."""

_WORDS = {"backtest": "a backtest looked at it", "approval": "an approval by criteria used it"}


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What a verdict is asked about: its markets, whose hold-outs all begin at one instant, and where the data ends."""

    windows: Sequence[Window]
    end_ms: int

    @property
    def boundary_ms(self) -> int:
        return self.windows[0].boundary_ms


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """What the ledger says of hold-outs: the `number` of the next look at them, or that of the look that is `written`.

    `burnt` says why they are used up. They begin at `boundary_ms` by now, which may be later than what was asked.
    """

    number: int
    burnt: str | None
    boundary_ms: int
    written: bool = False


class LookMoved(Exception):
    """Somebody else looked or used the hold-out up meanwhile, or it begins later by now."""


async def read(context: Context, job: Job, asked: Asked, users: Sequence[str]) -> Look:
    """Which look at the hold-outs a verdict for `users` would be, or which it was where it has looked.

    Looks of any of them count, other users' do not.
    """
    if "look" in job.state:
        return msgspec.convert(job.state["look"], Look)
    return await next_look(context, asked, users, job.id)


async def next_look(context: Context, asked: Asked, users: Sequence[str], task_id: str | None = None) -> Look:
    """Which look at the hold-outs a verdict for `users` would be: the one of `task_id`, or a new one."""
    markets = await _markets_of(context, asked)
    async with context.database.reader() as source:
        return await _next_look(source, markets, asked, users, task_id)


async def look(context: Context, job: Job, asked: Asked, users: Sequence[str], planned: int) -> Look:
    """Write a look at the hold-outs durably, for each of `users`; to be called right before the first work on them.

    Once for each verdict, whatever restarts. Nothing is written and `LookMoved` raised where it would not be the look
    that the verdict has `planned` its level for, where the hold-outs begin later by now, or where they are used up: the
    verdict is to be planned again. Raises `Busy` for a user who has looked as often as one may.
    """
    if "look" in job.state:
        return msgspec.convert(job.state["look"], Look)
    markets = await _markets_of(context, asked)

    async def write(conn: Connection) -> Look:
        found = await _next_look(conn, markets, asked, users, job.id)
        if (found.number, found.boundary_ms) != (planned, asked.boundary_ms) or found.burnt is not None:
            return found
        for market in markets:
            await _refuse_beyond_quota(context, conn, market, asked.end_ms, job.row.user, job.id)
            window = market[0]
            span = (window.start_ms, asked.end_ms)
            for user in dict.fromkeys(users):
                await holdout_table.record_look(conn, window.venue, window.symbol, span, user, "verdict", job.id)
        written = msgspec.structs.replace(found, written=True)
        state = {**job.state, "look": msgspec.to_builtins(written)}
        if not await task_rows.set_state(conn, job.id, msgspec.json.encode(state).decode()):
            raise Conflict("the verdict was cancelled before it looked at the hold-out")
        return written

    found = await context.database.write(write)
    if not found.written:
        raise LookMoved(_why_not(found, asked, planned))
    job.state = {**job.state, "look": msgspec.to_builtins(found)}
    return found


def _why_not(found: Look, asked: Asked, planned: int) -> str:
    if found.burnt is not None:
        return found.burnt
    if found.boundary_ms != asked.boundary_ms:
        return f"the hold-out begins at {iso(found.boundary_ms)} by now"
    return f"it would be look {found.number} at the hold-out, not {planned}"


async def _markets_of(context: Context, asked: Asked) -> list[Market]:
    return [(window, await lineage_of(context, window.venue, window.symbol)) for window in asked.windows]


async def _next_look(
    source: Source, markets: Sequence[Market], asked: Asked, users: Sequence[str], task_id: str | None
) -> Look:
    known = [await known_boundaries(source, lineage) for _, lineage in markets]
    boundary_ms = max([asked.boundary_ms, *(at for each in known for at in each.values())])
    numbers, burnt = [], None
    for window, lineage in markets:
        looks = await _looks(source, lineage, (boundary_ms, asked.end_ms))
        numbers.append(len(_verdicts(looks, users, task_id)) + 1)
        burnt = burnt or _used_up(window, looks)
    return Look(number=max(numbers), burnt=burnt, boundary_ms=boundary_ms)


async def check_quota(context: Context, windows: Sequence[Window], end_ms: int, user: str) -> None:
    """Raise `Busy` for a user whose verdicts have looked at one of the hold-outs as often as one user's may."""
    for window in windows:
        market = window, await lineage_of(context, window.venue, window.symbol)
        await _refuse_beyond_quota(context, context.database, market, end_ms, user)


async def _refuse_beyond_quota(
    context: Context, source: Source, market: Market, end_ms: int, user: str, task_id: str | None = None
) -> None:
    limit = context.settings.limits.verdicts_per_market
    window, lineage = market
    looks = await _looks(source, lineage, (window.boundary_ms, end_ms))
    if len(_verdicts(looks, [user], task_id)) >= limit:
        raise Busy(
            f"{limit} of your verdicts have looked at the hold-out of {window.symbol}, which is the limit; it begins "
            "anew with bars that nobody has seen",
            retry_after_ms=3_600_000,
        )


async def _looks(source: Source, lineage: Lineage, span: tuple[int, int]) -> list[holdout_table.Look]:
    return await holdout_table.looks(source, lineage.names, *span, elsewhen=lineage.elsewhen)


def _verdicts(looks: Sequence[holdout_table.Look], users: Sequence[str], task_id: str | None) -> set[str | None]:
    """The verdicts but `task_id` that looked for one of the users; those of the first edition did when they began."""
    found = {each.task_id for each in looks if each.kind == "verdict" and each.user in users}
    return found - {task_id}


def _used_up(window: Window, looks: Sequence[holdout_table.Look]) -> str | None:
    """Which of the looks, oldest first, used the hold-out of the window's market up; None where none did."""
    burning = [look for look in looks if look.kind in _WORDS]
    if not burning:
        return None
    last = burning[-1]
    under = "" if last.symbol == window.symbol and last.venue == window.venue else f" under the name {last.symbol}"
    return (
        f"the hold-out of {window.symbol} is used up: {_WORDS[last.kind]}{under} on {last.time[:10]}, asked for "
        f"by {last.user}; new bars make a new one"
    )
