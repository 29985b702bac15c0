"""Cancelled verdicts cost nothing: in the middle of permutations no worker's life, before the hold-out no look."""

from __future__ import annotations

import asyncio
from pathlib import Path

from services.search_house import House
from services.verdict_house import EDGE, LAX, open_court, searched
from tunesmith.telemetry import REGISTRY

RANGES = {"fast": list(range(2, 50)), "slow": list(range(50, 110))}
"""So many trials that 25 draws of them, one chunk, take longer than a cancelled chunk may go on."""


def n_deaths() -> float:
    return REGISTRY.get_sample_value("tunesmith_worker_deaths_total") or 0.0


async def n_looks(house: House) -> int:
    [row] = await house.context.database.fetch_all("SELECT count(*) FROM holdout_looks")
    return int(row[0])


def test_three_cancelled_verdicts_are_no_deaths_of_workers(tmp_path: Path) -> None:
    async def main() -> None:
        async with open_court(tmp_path, n_processes=2) as house:
            found = await searched(house, EDGE, param_ranges=RANGES)
            executor, tasks, before = house.context.executor, house.context.tasks, n_deaths()
            for _ in range(3):
                about = {"strategy_id": "averages", "optimization_id": found, "approval_criteria": LAX}
                asking = asyncio.create_task(house.ask("strategy.approve", **about))  # it waits for the verdict
                while executor.stats().queued == 0:  # more parts of the permutations wait than can be at work
                    await asyncio.sleep(0.01)
                [task] = tasks.jobs
                assert await tasks.cancel(task)
                assert (await asking)["status"] == "cancelled"
                await house.ended(task)
                while executor.stats().busy:
                    await asyncio.sleep(0.01)
            assert n_deaths() == before

    asyncio.run(main())


def test_a_cancelled_ruling_by_criteria_that_saw_no_holdout_costs_no_look(tmp_path: Path) -> None:
    async def main() -> None:
        async with open_court(tmp_path) as house:
            params = {"fast": 5, "slow": 40}
            about = {"symbol": EDGE, "timeframe": "1d", "strategy_id": "averages"}
            backtest = await house.ask("backtest.start", **about, params=params)
            await house.ended(backtest["task_id"])
            asking = asyncio.create_task(
                house.ask("strategy.approve", strategy_id="averages", backtest_id=backtest["task_id"])
            )
            while not house.context.tasks.jobs:
                await asyncio.sleep(0)
            [task] = house.context.tasks.jobs
            assert await house.context.tasks.cancel(task)
            assert (await asking)["status"] == "cancelled"
            await house.ended(task)
            assert await n_looks(house) == 0

    asyncio.run(main())
