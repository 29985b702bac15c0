"""What a revocation stops, over the handlers and a real database."""

from __future__ import annotations

import asyncio
from pathlib import Path

from services.search_house import SYMBOLS, open_house
from tunesmith.protocol.envelope import Role
from tunesmith.services.schedules.schedule_requests import run_due
from tunesmith.services.schedules.suspension import suspend_revoked
from tunesmith.storage.tables import schedule_table

SEARCH = {"symbol": SYMBOLS[0], "strategy_id": "ma_cross_v1.0", "param_ranges": {"fast_period": [5, 9]}}
LONG = {**SEARCH, "param_ranges": {}, "max_iterations": 100_000}


def test_a_revocation_suspends_schedules_and_cancels_tasks_of_that_user_alone(tmp_path: Path) -> None:
    roles: dict[str, Role | None] = {"ann": "operator", "bob": "operator"}

    async def scene() -> None:
        async with open_house(tmp_path) as house:
            context = house.context
            context.role_of = lambda user: roles.get(user, "operator")
            for user in roles:
                await house.ask("schedule.create", user=user, schedule_id=f"of-{user}", search=SEARCH, every="1d")
            tasks = {
                user: (await house.ask("optimization.start", user=user, **LONG))["optimization_id"] for user in roles
            }
            assert await suspend_revoked(context) == 0

            roles["bob"] = "bot"
            assert await suspend_revoked(context) == 1
            roles["ann"] = None
            assert await suspend_revoked(context) == 2
            assert await suspend_revoked(context) == 0

            states = {s["schedule_id"]: s["suspended"] for s in (await house.ask("schedule.list"))["schedules"]}
            assert states == {
                "of-ann": "the key or token of ann was revoked",
                "of-bob": "bob is a bot by now, and approvals need an operator",
            }
            await house.ended(tasks["ann"])
            listed = {task["task_id"]: task for task in (await house.ask("task.list"))["tasks"]}
            assert listed[tasks["ann"]]["status"] == "cancelled"
            assert listed[tasks["ann"]]["error"]["detail"] == "the key or token of ann was revoked"
            assert "cancelled: the key or token of ann was revoked" in await house.log_of(tasks["ann"])
            assert listed[tasks["bob"]]["status"] == "running", "a bot may search"
            entries = (await house.ask("audit.list"))["entries"]
            assert {(e["type"], e["target"]) for e in entries if e["door"] == "files"} == {
                ("schedule.suspend", "of-ann"), ("schedule.suspend", "of-bob"), ("task.cancel", tasks["ann"]),
            }  # fmt: skip

            roles["ann"] = "operator"
            await context.database.write(lambda conn: schedule_table.set_next(conn, "of-ann", "2020-01-01T00:00:00Z"))
            assert await run_due(context) == 0, "another key of that name does not make it go on"
            await house.ask("schedule.create", user="ann", schedule_id="of-ann", search=SEARCH, every="1d")
            await context.database.write(lambda conn: schedule_table.set_next(conn, "of-ann", "2020-01-01T00:00:00Z"))
            assert await run_due(context) == 1

    asyncio.run(scene())


def test_a_schedule_that_is_due_before_the_revocation_is_noticed_makes_no_search(tmp_path: Path) -> None:
    async def scene() -> None:
        async with open_house(tmp_path) as house:
            await house.ask("schedule.create", user="ann", schedule_id="daily", search=SEARCH, every="1d")
            house.context.role_of = lambda user: None
            database = house.context.database
            await database.write(lambda conn: schedule_table.set_next(conn, "daily", "2020-01-01T00:00:00Z"))
            await run_due(house.context)
            assert (await house.ask("task.list"))["total"] == 0
            row = await schedule_table.get(database, "daily")
            assert row is not None
            assert row.suspended == "the key or token of ann was revoked"

    asyncio.run(scene())
