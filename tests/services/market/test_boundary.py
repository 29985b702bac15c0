"""Where a hold-out begins: it stays while nobody looks, and moves past every look once a whole new one is there."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest
import structlog

from storage.opened import add_task, made_as_they_closed
from tunesmith.config import Server, Settings
from tunesmith.domain.thresholds import Thresholds
from tunesmith.errors import Busy
from tunesmith.protocol.catalog import Call
from tunesmith.protocol.messages.markets import ListData, MarketRequest
from tunesmith.services.market import data_requests
from tunesmith.services.market.market_windows import Window, boundary_of, on_newest_holdout, window_of
from tunesmith.services.runtime.context import Context, Identity
from tunesmith.services.runtime.task_runner import Job
from tunesmith.services.verdicts import ledger
from tunesmith.storage.market.market_folder import MarketFolder
from tunesmith.storage.sqlite.connections import Connection
from tunesmith.storage.sqlite.database import Database
from tunesmith.storage.tables import holdout_table
from tunesmith.storage.timestamps import iso
from tunesmith.workers.inline import Inline

HOUR_MS = 3_600_000
BEGIN_MS = 1_704_067_200_000
MARKET = ("north", "A/USDT")
NEEDED = 30


class Town:
    """One market that grows, and those who look at its hold-out."""

    def __init__(self, context: Context) -> None:
        self.context = context

    def grow(self, start: int, stop: int, hours: int = 1) -> int:
        """Import the bars from hour `start` to `stop`; where they end, UTC milliseconds."""
        rows = [(BEGIN_MS + i * HOUR_MS, 1.0, 1.0, 1.0, 1.0, 1.0) for i in range(start, stop, hours)]
        self.context.market.import_rows(rows, symbol=MARKET[1], timeframe=f"{hours}h", venue=MARKET[0])
        return BEGIN_MS + stop * HOUR_MS

    async def begins(self) -> int:
        return await boundary_of(self.context, *MARKET)

    async def look(self, end_ms: int, kind: str = "verdict") -> None:
        span = (BEGIN_MS, end_ms)

        async def write(conn: Connection) -> None:
            await holdout_table.record_look(conn, *MARKET, span, "ann", kind, "t")
            await made_as_they_closed(conn)

        await self.context.database.write(write)

    async def window(self, timeframe: str = "1h") -> Window:
        return await window_of(self.context, MarketRequest(timeframe=timeframe), MARKET[1], "long")

    async def verdict(self, task_id: str, window: Window, end_ms: int) -> ledger.Look:
        """Have a verdict look at the hold-out of now, as verdicts' tasks do; what it read where that is used up."""
        row = await self.context.database.write(lambda conn: add_task(conn, task_id, "verdict"))
        job = cast(Job, SimpleNamespace(id=task_id, row=row, state={}))
        while True:
            asked = ledger.Asked(windows=[window], end_ms=end_ms)
            found = await ledger.read(self.context, job, asked, ["ann"])
            if found.boundary_ms != window.boundary_ms:
                window = msgspec.structs.replace(window, boundary_ms=found.boundary_ms)
                continue
            if found.burnt is not None:
                return found
            looked = await ledger.look(self.context, job, asked, ["ann"], found.number)
            assert await ledger.read(self.context, job, asked, ["ann"]) == looked, "a restart finds its own look"
            await self.context.database.write(made_as_they_closed)
            return looked


class Nowhere:
    async def provide(self, request: MarketRequest, symbol: str) -> None:
        """There is no upstream."""


def in_town(folder: Path, scene: Callable[[Town], Awaitable[None]]) -> None:
    async def main() -> None:
        settings = Settings(
            server=Server(data_dir=str(folder)), statistics=Thresholds(min_holdout_bars=NEEDED, min_bars=50)
        )
        database = await Database.open(folder / "t.db")
        executor = Inline("tunesmith.workers.chunks.chunk_table")
        parts: dict[str, Any] = {
            "settings": settings,
            "database": database,
            "upstream": Nowhere(),
            "executor": executor,
            "identity": Identity(),
        }
        try:
            await scene(Town(cast(Context, SimpleNamespace(market=MarketFolder(folder / "market"), **parts))))
        finally:
            await executor.close()
            await database.close()

    asyncio.run(main())


def test_it_moves_past_the_last_look_once_enough_newer_bars_are_there_and_never_back(tmp_path: Path) -> None:
    async def scene(town: Town) -> None:
        first_end = town.grow(0, 400)
        first = await town.begins()
        town.grow(400, 500)
        assert await town.begins() == first, "nobody has looked"
        await town.look(first_end)
        await town.look(first_end - 24 * HOUR_MS, "backtest")
        with structlog.testing.capture_logs() as lines:
            assert await town.begins() == first_end, "100 bars are newer than the look"
            assert await town.begins() == first_end
        assert [line["event"] for line in lines] == ["the hold-out moves"]
        end = town.grow(500, 510)
        await town.look(end)
        town.grow(510, 510 + NEEDED - 1)
        assert await town.begins() == first_end, "one bar is missing"
        town.grow(510 + NEEDED - 1, 510 + NEEDED)
        assert await town.begins() == end
        moved = await holdout_table.moves(town.context.database, *MARKET)
        assert [(move.from_ms, move.to_ms) for move in moved] == [(first, first_end), (first_end, end)]
        assert await town.context.database.write(lambda conn: holdout_table.advance(conn, *MARKET, first)) is None

    in_town(tmp_path, scene)


def test_bars_that_had_closed_when_somebody_looked_make_no_new_holdout(tmp_path: Path) -> None:
    """They existed, imported or not, and whoever looked may have known them."""

    async def scene(town: Town) -> None:
        end = town.grow(0, 400)
        begins = await town.begins()
        span = (BEGIN_MS, end)
        await town.context.database.write(
            lambda conn: holdout_table.record_look(conn, *MARKET, span, "ann", "verdict", "t")
        )
        town.grow(400, 500)
        assert await town.begins() == begins, "the look was made now, these bars closed before"
        await town.context.database.write(made_as_they_closed)
        assert await town.begins() == end

    in_town(tmp_path, scene)


def test_searches_then_get_the_bars_up_to_it(tmp_path: Path) -> None:
    async def scene(town: Town) -> None:
        end = town.grow(0, 400)
        before = await town.window()
        await town.look(end)
        town.grow(400, 500)
        after = await town.window()
        assert (before.end_ms, after.end_ms) == (before.boundary_ms, end)
        assert before.boundary_ms < after.boundary_ms == end
        [listed] = (await data_requests.list_all(town.context, ListData(), cast(Call, None))).data
        assert listed.withheld_from == after.withheld_from == iso(end)

    in_town(tmp_path, scene)


def test_looks_at_another_timeframe_count_and_the_longest_bars_that_can_be_decided_on_say_what_is_new(
    tmp_path: Path,
) -> None:
    async def scene(town: Town) -> None:
        town.grow(0, 400)
        seen = town.grow(0, 384, hours=4)
        town.grow(0, 384, hours=24)
        first = await town.begins()
        await town.look(seen)
        town.grow(400, 384 + 4 * NEEDED)
        assert await town.begins() == first, "hourly bars are newer, too few of four hours are there"
        town.grow(384, 384 + 4 * NEEDED - 4, hours=4)
        assert await town.begins() == first, "one of four hours is missing"
        town.grow(384 + 4 * NEEDED - 4, 384 + 4 * NEEDED, hours=4)
        assert await town.begins() == seen, "no verdict can be on the few bars of a day: they are not waited for"
        assert {(await town.window(timeframe)).boundary_ms for timeframe in ("1h", "4h")} == {seen}

    in_town(tmp_path, scene)


@pytest.mark.parametrize("kind", ["backtest", "approval"])
def test_a_verdict_after_it_is_the_first_and_what_was_used_up_is_new(tmp_path: Path, kind: str) -> None:
    async def scene(town: Town) -> None:
        end = town.grow(0, 400)
        old = await town.window()
        first = await town.verdict("v1", old, end)
        assert (first.number, first.burnt, first.boundary_ms) == (1, None, old.boundary_ms)
        assert (await town.verdict("v2", old, end)).number == 2
        await town.look(end, kind)
        for verdict_id in ("v-late", "v-later"):
            used_up = await town.verdict(verdict_id, old, end)
            assert (used_up.number, used_up.written) == (3, False), "one that is refused before it looks is not counted"
            assert used_up.burnt is not None
        for user in ("ann",) * 2:
            with pytest.raises(Busy):
                await ledger.check_quota(limited(town.context), [old], end, user)
        newer = town.grow(400, 500)
        fresh = await town.window()
        await ledger.check_quota(limited(town.context), [fresh], newer, "ann")
        third = await town.verdict("v3", fresh, newer)
        assert (third.number, third.burnt, third.boundary_ms) == (1, None, end)
        assert (await town.verdict("v4", fresh, newer)).number == 2

    in_town(tmp_path, scene)


def limited(context: Context) -> Context:
    settings = msgspec.structs.replace(
        context.settings, limits=msgspec.structs.replace(context.settings.limits, verdicts_per_market=2)
    )
    parts = {name: getattr(context, name) for name in ("database", "market", "executor", "identity")}
    return cast(Context, SimpleNamespace(settings=settings, **parts))


def test_a_search_of_before_is_decided_on_what_nobody_has_seen(tmp_path: Path) -> None:
    """Bars that searches get after the move could choose among older searches: they prove nothing for those."""

    async def scene(town: Town) -> None:
        end = town.grow(0, 400)
        old = await town.window()
        await town.look(end, "backtest")
        newer = town.grow(400, 500)
        renewed = await on_newest_holdout(town.context, old)
        assert (renewed.end_ms, renewed.boundary_ms) == (old.end_ms, end)
        look = await town.verdict("v1", old, newer)
        assert (look.number, look.burnt, look.boundary_ms) == (1, None, end)

    in_town(tmp_path, scene)


def test_looks_and_moves_at_once_leave_no_look_in_a_hold_out_that_begins_anew(tmp_path: Path) -> None:
    async def scene(town: Town) -> None:
        end = town.grow(0, 400)
        await town.begins()
        await town.look(end)
        town.grow(400, 500)
        ends = [BEGIN_MS + hour * HOUR_MS for hour in range(401, 470, 3)]
        await asyncio.gather(*(work for at in ends for work in (town.look(at), town.begins())))
        [*moved] = await holdout_table.moves(town.context.database, *MARKET)
        assert moved
        begins = await town.begins()
        assert begins in {end, *ends}
        look = await town.verdict("v1", await town.window(), BEGIN_MS + 500 * HOUR_MS)
        looks = await holdout_table.looks(town.context.database, [MARKET], begins, BEGIN_MS + 500 * HOUR_MS)
        assert look.number == len({each.task_id for each in looks})
        assert sorted(moved, key=lambda move: move.to_ms) == moved
        assert begins == max(at for at in ends if at <= BEGIN_MS + (500 - NEEDED) * HOUR_MS)

    in_town(tmp_path, scene)


def test_bars_are_counted_without_the_gaps(tmp_path: Path) -> None:
    async def scene(town: Town) -> None:
        town.grow(0, 400)
        town.grow(420, 440)
        [series] = town.context.market.list()
        assert series.n_bars_from(BEGIN_MS + 390 * HOUR_MS) == 30
        assert series.n_bars_from(BEGIN_MS + 410 * HOUR_MS) == 20
        assert series.n_bars_from(0) == series.n_bars == 420
        unlisted = msgspec.structs.replace(series, gaps=[], n_gaps=1)
        assert unlisted.n_bars_from(BEGIN_MS + 396 * HOUR_MS) == 42
        assert series.n_bars_from(BEGIN_MS + 440 * HOUR_MS) == 0

    in_town(tmp_path, scene)
