"""Every kind of task says what it tries out, and whatever is stored of one that tries something out is counted."""

from __future__ import annotations

import ast
import asyncio
from pathlib import Path
from typing import Any

import tunesmith
from services.book_house import open_book
from services.verdict_house import NOISE
from tunesmith.services.market.market_windows import Assignment
from tunesmith.services.schedules import schedule_requests
from tunesmith.services.tasks.task_kinds import KINDS
from tunesmith.storage.tables import counted_table

PACKAGE = Path(tunesmith.__file__).parent

TRIES_NOTHING = {
    "verdict": "it decides on a search or a backtest that was counted before",
    "replay": "it makes a decision again and shows what differs",
    "session": "its searches are tasks of their own",
}
"""Kinds of task that nothing is counted of, and why."""


def test_every_kind_counts_or_says_why_not() -> None:
    assert {name for name, kind in KINDS.items() if kind.counts is None} == set(TRIES_NOTHING)
    for name, kind in KINDS.items():
        if issubclass(kind.request, Assignment):
            assert kind.counts is not None or name == "verdict", f"{name} works with a strategy on a market"


def test_tasks_are_stored_in_one_place() -> None:
    found = []
    for file in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("task_table.create", "task_rows.create"):
                found.append(file.relative_to(PACKAGE).as_posix())
    assert found == ["services/tasks/task_kinds.py"]


async def counted(house: Any) -> list[tuple[str, int, int | None]]:
    """Kind, trials made, and trials at the end, of everything that is counted."""
    sql = """SELECT t.kind, c.n_made, c.n_at_end FROM counted_searches AS c JOIN tasks AS t ON t.id = c.task_id
             ORDER BY c.id"""
    return [tuple(row) for row in await house.context.database.fetch_all(sql)]


def test_whoever_begins_a_search_it_is_counted(tmp_path: Path) -> None:
    async def main() -> None:
        async with open_book(tmp_path) as house:
            ask, context = house.house.ask, house.context
            search = {"symbol": NOISE, "strategy_id": "averages", "method": "random", "max_iterations": 3}
            await house.house.search(**search)
            await ask("schedule.create", schedule_id="s", every="1d", search=search)
            await context.database.write(
                lambda conn: conn.execute("UPDATE schedules SET next_at = '2020-01-01T00:00:00.000Z'")
            )
            assert await schedule_requests.run_due(context) == 1
            for task_id in list(context.tasks.jobs):
                await house.house.ended(task_id)
            asked = {"strategies": ["averages"], "symbols": [NOISE], "mode": "random", "size": 2}
            session = (await ask("session.generate", **asked))["session_id"]
            await house.house.execute(session)
            walk = await ask("walkforward.start", **search, train_bars=400, test_bars=200)
            await house.house.ended(walk["walkforward_id"])
            await house.point("point", 9, "local")
            of = [row for row in await counted(house) if row[0] != "verdict"]
            n = 3 * walk["n_windows"]
            assert of == [
                ("optimization", 3, None),
                ("optimization", 3, None),
                ("optimization", 2, None),
                ("walkforward", n, n),
                ("backtest", 1, 1),
            ]

    asyncio.run(main())


def test_a_search_over_several_symbols_is_counted_on_each(tmp_path: Path) -> None:
    async def main() -> None:
        async with open_book(tmp_path) as house:
            task_id = await house.begin("both", symbol=None, symbols=[NOISE, "EDGE/USDT"])  # type: ignore[arg-type]
            await house.trials("both", 2)
            row = await counted_table.of_task(house.context.database, task_id)
            assert row is not None
            for symbol in (NOISE, "EDGE/USDT"):
                [place] = await counted_table.places(house.context.database, "local", symbol, (0, 2**53))
                assert (place.id, place.user) == (row.id, "ann")
            assert await counted_table.places(house.context.database, "local", "A/USDT", (0, 2**53)) == []

    asyncio.run(main())


def test_a_task_that_shows_no_result_has_made_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        async with open_book(tmp_path) as house:
            database = house.context.database
            data = {"symbol": NOISE, "strategy_id": "averages"}
            cancelled = await house.house.ask("backtest.start", **data)
            assert await house.context.tasks.cancel(cancelled["task_id"])
            await house.house.ended(cancelled["task_id"])
            await house.begin("no trial")
            rows = await database.fetch_all("SELECT n_made, visible_from FROM counted_searches")
            assert [tuple(row) for row in rows] == [(0, None), (0, None)]

    asyncio.run(main())
