"""Looks of the second edition: written right before the first work on a hold-out, once, and for good."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from services.search_house import House
from services.verdict_house import NOISE, open_court, searched
from tunesmith.errors import Busy, Conflict
from tunesmith.protocol.task_types import VERDICT
from tunesmith.services.market.market_windows import Window
from tunesmith.services.runtime.task_runner import Job
from tunesmith.services.searches.search_tasks import OptimizationTask
from tunesmith.services.tasks.task_kinds import request_of
from tunesmith.services.verdicts import ledger
from tunesmith.services.verdicts.ledger import Asked, Look, LookMoved
from tunesmith.storage.tables import holdout_table, task_table


class Bench:
    """Verdicts on one search that stand still until a test has them look."""

    def __init__(self, house: House, window: Window) -> None:
        self.context = house.context
        self.asked = Asked(windows=[window], end_ms=house.context.market.find(NOISE).end_ms)

    async def job(self, task_id: str, user: str = "ann") -> Job:
        """The job of a verdict that runs; the one of before where the daemon was started again."""
        row = await task_table.get(self.context.database, task_id)
        if row is None:
            new = task_table.NewTaskRow(id=task_id, kind=VERDICT.name, user=user, client=None, request="{}")
            row = await self.context.database.write(lambda conn: task_table.create(conn, new))
        return Job(row, self.context.tasks)

    async def read(self, *users: str) -> Look:
        """What a verdict that has not looked yet reads."""
        return await ledger.next_look(self.context, self.asked, users or ("ann",))

    async def look(self, task_id: str, planned: int, users: Sequence[str] = ("ann",)) -> Look:
        job = await self.job(task_id, users[0])
        return await ledger.look(self.context, job, self.asked, users, planned)

    async def written(self) -> list[tuple[Any, ...]]:
        rows = await self.context.database.fetch_all("SELECT user, kind, task_id FROM holdout_looks ORDER BY id")
        return [tuple(row) for row in rows]


async def bench_of(house: House) -> Bench:
    row = await task_table.get(house.context.database, await searched(house))
    assert row is not None
    return Bench(house, request_of(row, OptimizationTask).window)


def test_reading_costs_nothing_and_a_look_is_written_once(tmp_path: Path) -> None:
    async def main() -> None:
        async with open_court(tmp_path) as house:
            bench = await bench_of(house)
            assert [(await bench.read()).number for _ in range(2)] == [1, 1]
            assert await bench.written() == []
            first = await bench.look("vd-1", 1)
            assert (first.number, first.written, first.burnt) == (1, True, None)
            assert await bench.written() == [("ann", "verdict", "vd-1")]
            assert (await bench.read()).number == 2
            assert (await bench.read("bob")).number == 1, "looks of others are theirs"
            assert (await bench.look("vd-2", 2)).number == 2
            again = await ledger.read(bench.context, await bench.job("vd-1"), bench.asked, ["ann"])
            assert again == first, "one that is driven again reads its own"

    asyncio.run(main())


def test_a_look_stands_when_the_daemon_is_killed_after_it(tmp_path: Path) -> None:
    async def main() -> None:
        async with open_court(tmp_path) as house:
            bench = await bench_of(house)
            await bench.look("vd-1", 1)
            again = await bench.look("vd-1", 1)  # a job that was made anew from the database
            assert (again.number, again.written) == (1, True)
            assert await bench.written() == [("ann", "verdict", "vd-1")]

    asyncio.run(main())


def test_what_is_cancelled_before_it_looks_costs_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        async with open_court(tmp_path) as house:
            bench = await bench_of(house)
            job = await bench.job("vd-1")
            assert await house.context.tasks.cancel("vd-1")
            with pytest.raises(Conflict, match="cancelled before it looked"):
                await ledger.look(bench.context, job, bench.asked, ["ann"], 1)
            assert await bench.written() == []
            assert (await bench.read()).number == 1

    asyncio.run(main())


def test_a_look_that_another_one_came_before_is_to_be_planned_again(tmp_path: Path) -> None:
    async def main() -> None:
        async with open_court(tmp_path) as house:
            bench = await bench_of(house)
            names = ["vd-1", "vd-2"]
            found = await asyncio.gather(*(bench.look(name, 1) for name in names), return_exceptions=True)
            assert sum(isinstance(each, Look) for each in found) == 1
            [(late, why)] = [(name, why) for name, why in zip(names, found, strict=True) if isinstance(why, LookMoved)]
            assert str(why) == "it would be look 2 at the hold-out, not 1"
            assert (await bench.look(late, 2)).written
            assert sorted(row[2] for row in await bench.written()) == names

    asyncio.run(main())


def test_a_verdict_on_another_s_search_looks_for_both(tmp_path: Path) -> None:
    async def main() -> None:
        async with open_court(tmp_path) as house:
            bench = await bench_of(house)
            await bench.look("vd-1", 1, ["ann"])
            assert (await bench.read("op", "ann")).number == 2, "the larger of the two"
            await bench.look("vd-2", 2, ["op", "ann"])
            assert [(await bench.read(user)).number for user in ("op", "ann")] == [2, 3]

    asyncio.run(main())


def test_looks_of_the_first_edition_count_and_what_is_used_up_is_not_looked_at(tmp_path: Path) -> None:
    async def main() -> None:
        async with open_court(tmp_path) as house:
            bench = await bench_of(house)
            old = ("ann", "verdict", "vd-old")
            span = (0, bench.asked.end_ms)
            await bench.context.database.write(lambda conn: holdout_table.record_look(conn, "local", NOISE, span, *old))
            assert (await bench.read()).number == 2
            own = await ledger.read(bench.context, await bench.job("vd-old"), bench.asked, ["ann"])
            assert own.number == 1, "one that goes on after the upgrade has its line already"
            seen = {"symbol": NOISE, "strategy_id": "averages", "use_holdout": True}
            await house.ended((await house.ask("backtest.start", user="bob", **seen))["task_id"])
            with pytest.raises(LookMoved, match="a backtest looked at it"):
                await bench.look("vd-1", 2)
            assert "a backtest looked at it" in str((await bench.read()).burnt)
            assert [row[1] for row in await bench.written()] == ["verdict", "backtest"]

    asyncio.run(main())


def test_looks_are_past_once_the_whole_holdout_is_newer(tmp_path: Path) -> None:
    async def main() -> None:
        async with open_court(tmp_path) as house:
            bench = await bench_of(house)
            await bench.look("vd-1", 1)
            boundary, end = bench.asked.boundary_ms, bench.asked.end_ms
            database = bench.context.database
            for begins, n in ((boundary, 1), (end - 1, 1), (end, 0)):
                seen = await holdout_table.looks(database, [("local", NOISE)], begins, begins + end - boundary)
                assert len(seen) == n
            assert await holdout_table.looks(database, [("elsewhere", NOISE)], boundary, end) == []

    asyncio.run(main())


def test_a_holdout_that_begins_later_by_now_is_not_looked_at(tmp_path: Path) -> None:
    async def main() -> None:
        async with open_court(tmp_path) as house:
            bench = await bench_of(house)
            later = bench.asked.boundary_ms + 86_400_000
            await bench.context.database.write(lambda conn: holdout_table.advance(conn, "local", NOISE, later))
            with pytest.raises(LookMoved, match=r"begins at .* by now"):
                await bench.look("vd-1", 1)
            assert ((await bench.read()).boundary_ms, await bench.written()) == (later, [])
            windows = [msgspec.structs.replace(each, boundary_ms=later) for each in bench.asked.windows]
            bench.asked = msgspec.structs.replace(bench.asked, windows=windows)
            assert (await bench.look("vd-1", 1)).written

    asyncio.run(main())


def test_a_user_looks_at_a_holdout_as_often_as_the_settings_say(tmp_path: Path) -> None:
    async def main() -> None:
        async with open_court(tmp_path) as house:
            bench = await bench_of(house)
            limit = house.context.settings.limits.verdicts_per_market
            for i in range(1, limit + 1):
                await bench.look(f"vd-{i}", i)
            with pytest.raises(Busy, match=f"{limit} of your verdicts have looked"):
                await bench.look("vd-more", limit + 1)
            assert len(await bench.written()) == limit

    asyncio.run(main())
