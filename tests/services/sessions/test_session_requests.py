"""Sessions as use cases: whose they are, what goes wrong in one search, what an execution leaves out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from services.search_house import House
from services.searches.test_search_driver import GRID, in_house
from tunesmith.errors import Busy, Conflict, Forbidden, NotFound
from tunesmith.protocol.messages.sessions import SessionRequest
from tunesmith.services.sessions import session_requests as use_cases
from tunesmith.storage.tables import task_table

RANGES = GRID["param_ranges"]
SESSION: dict[str, Any] = {
    "symbols": ["A/USDT", "B/USDT"],
    "strategies": ["ma_cross_v1.0"],
    "mode": "exhaustive",
    "param_ranges": {"ma_cross_v1.0": RANGES},
    "constraints": ["n_trades >= 0"],
}
CODE = "n = Int(5, 2, 40)\nenter_long(close > sma(close, n))\nexit_long(close < sma(close, n))\n"


async def generated(house: House, **changed: Any) -> str:
    found: str = (await house.ask("session.generate", **{**SESSION, **changed}))["session_id"]
    return found


@in_house(chunk_trials=40)
async def test_its_searches_run_one_after_the_other_and_only_once(house: House, folder: Path) -> None:
    session_id = await generated(house)
    done = await house.execute(session_id)
    assert (done["status"], done["n_done"], done["items_by_status"]) == ("completed", 240, {"completed": 2})
    first, second = [await task_table.get(house.context.database, item["optimization_id"]) for item in done["items"]]
    assert first is not None
    assert second is not None
    assert str(first.completed_at) <= str(second.started_at)
    with pytest.raises(Conflict, match="complete"):
        await house.ask("session.execute", session_id=session_id, resume=True, retry_failed=True)
    listed = await house.ask("task.list", kind="session")
    assert [(task["task_id"], task["status"]) for task in listed["tasks"]] == [(session_id, "completed")]
    assert (await house.ask("task.list", kind="optimization"))["total"] == 2


@in_house(chunk_trials=40)
async def test_a_search_that_cannot_be_made_any_more_does_not_keep_the_others_from_running(
    house: House, folder: Path
) -> None:
    await house.ask("strategy.create", id="mine", code=CODE)
    session_id = await generated(
        house, strategies=["mine", "ma_cross_v1.0"], symbols=["A/USDT"], param_ranges={"ma_cross_v1.0": RANGES}
    )
    only = await generated(house, strategies=["mine"], param_ranges={})
    await house.ask("strategy.delete", id="mine")
    done = await house.execute(session_id)
    assert (done["status"], done["n_done"], done["items_by_status"]) == (
        "completed",
        120,
        {"waiting": 1, "completed": 1},
    )
    assert "search 0 (A/USDT, mine)" in await house.log_of(session_id)
    failed = await house.execute(only)
    assert failed["status"] == "failed"
    again = await house.execute(only, resume=True)
    assert (again["status"], again["n_done"]) == ("failed", 0)


@in_house(chunk_trials=40)
async def test_a_session_is_its_users(house: House, folder: Path) -> None:
    session_id = await generated(house)
    for message in ("execute", "cancel", "clean"):
        with pytest.raises(Forbidden):
            await house.ask(f"session.{message}", "eve", "bot", session_id=session_id)
    assert (await house.ask("session.status", "eve", "bot", session_id=session_id))["status"] == "created"
    await house.execute(session_id)
    assert (await house.ask("session.clean", "eve", "bot", days=0))["sessions"] == []
    assert (await house.ask("session.clean", days=1))["sessions"] == []
    assert await house.ask("session.clean", days=0) == {"sessions": [session_id], "n_trials": 240}
    with pytest.raises(NotFound):
        await house.ask("session.status", session_id=session_id)


@in_house(chunk_trials=40)
async def test_cleaning_takes_the_trials_away_from_who_asks_for_the_search(house: House, folder: Path) -> None:
    session_id = await generated(house, symbols=["A/USDT"])
    [item] = (await house.execute(session_id))["items"]
    assert len(await house.trials(item["optimization_id"])) == 120
    await house.ask("session.clean", session_id=session_id)
    assert await house.trials(item["optimization_id"]) == []
    status = await house.ask("optimization.status", optimization_id=item["optimization_id"])
    assert (status["status"], status["n_done"], status["best_score"]) == ("completed", 0, item["best_score"])
    assert await house.ask("report.get", report_id=status["report_id"])


@in_house(chunk_trials=5)
async def test_a_cancelled_session_goes_on_with_another_number_at_once(house: House, folder: Path) -> None:
    whole = await house.execute(await generated(house))
    session_id = await generated(house)
    await house.ask("session.execute", session_id=session_id, parallel=3)
    while not (await house.ask("session.status", session_id=session_id))["n_done"]:
        pass
    cancelled = await house.ask("session.cancel", session_id=session_id)
    assert (cancelled["status"], cancelled["eta_s"]) == ("cancelled", None)
    with pytest.raises(Conflict, match="give resume"):
        await house.ask("session.execute", session_id=session_id, retry_failed=True)
    done = await house.execute(session_id, resume=True, parallel=1)
    assert (done["status"], done["n_done"]) == ("completed", 240)
    for before, after in zip(whole["items"], done["items"], strict=True):
        assert await house.trials(before["optimization_id"]) == await house.trials(after["optimization_id"])
        row = await task_table.get(house.context.database, after["optimization_id"])
        assert row is not None
        assert msgspec.json.decode(row.request)["parallel"] == 1


@in_house(chunk_trials=40)
async def test_the_quota_holds_for_sessions(house: House, folder: Path) -> None:
    limits = msgspec.structs.replace(house.context.settings.limits, tasks_per_user=0)
    house.context.settings = msgspec.structs.replace(house.context.settings, limits=limits)
    session_id = await generated(house)
    with pytest.raises(Busy):
        await house.ask("session.execute", session_id=session_id)
    assert (await house.ask("session.status", session_id=session_id))["status"] == "created"


@in_house(chunk_trials=40)
async def test_a_search_cancelled_by_itself_is_made_up_for_by_a_resume(house: House, folder: Path) -> None:
    session_id = await generated(house)
    done = await house.execute(session_id)
    search = done["items"][1]["optimization_id"]
    sql = "UPDATE tasks SET status = 'cancelled' WHERE id IN (?, ?)"
    await house.context.database.write(lambda conn: conn.execute(sql, (search, session_id)))
    await house.context.database.write(
        lambda conn: conn.execute("DELETE FROM trials WHERE optimization_id = ? AND idx > 60", (search,))
    )
    expected = await house.trials(done["items"][0]["optimization_id"])
    again = await house.execute(session_id, resume=True)
    assert (again["status"], again["items_by_status"]) == ("completed", {"completed": 2})
    assert len(await house.trials(search)) == 120
    assert await house.trials(done["items"][0]["optimization_id"]) == expected


@in_house(chunk_trials=40)
async def test_a_plan_warns_of_more_work_than_a_task_may_have(house: House, folder: Path) -> None:
    plan = await house.ask("session.plan", **SESSION)
    assert (plan["n_items"], plan["n_trials"]) == (2, 240)
    limits = msgspec.structs.replace(house.context.settings.workers, task_timeout_s=1e-6)
    house.context.settings = msgspec.structs.replace(house.context.settings, workers=limits)
    [warning] = (await house.ask("session.plan", **SESSION))["warnings"]
    assert "task_timeout_s" in warning


@in_house()
async def test_a_grid_of_every_nth_point_stays_below_its_size(house: House, folder: Path) -> None:
    for size in (1, 7, 60, 119, 120, 500):
        request = msgspec.convert({**SESSION, "mode": "grid", "size": size}, SessionRequest)
        for planned in await use_cases.plan_items(house.context, request):
            n = planned.made.task.plan.n_trials
            every = planned.made.task.plan.options.every or 1
            assert n <= size
            assert n == -(-120 // every)
            assert every == 1 or -(-120 // (every - 1)) > size


@in_house(chunk_trials=40)
async def test_after_a_restart_it_starts_its_searches_itself_one_after_the_other(house: House, folder: Path) -> None:
    session_id = await generated(house)
    before = [item["optimization_id"] for item in (await house.execute(session_id))["items"]]
    again = "UPDATE tasks SET status = 'pending', started_at = NULL, completed_at = NULL WHERE kind <> 'verdict'"
    for sql in (again, "DELETE FROM trials", "UPDATE optimization_tasks SET n_done = 0"):
        await house.context.database.write(lambda conn, sql=sql: conn.execute(sql))  # type: ignore[misc]
    assert await house.context.tasks.recover() == 1
    await house.ended(session_id)
    first, second = [await task_table.get(house.context.database, task_id) for task_id in before]
    assert first is not None
    assert second is not None
    assert (first.status, second.status) == ("completed", "completed")
    assert str(first.completed_at) <= str(second.started_at)
