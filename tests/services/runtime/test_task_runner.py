"""Tasks: durable, driven, logged, cancelled, failed with a reason, resumed. A real database, chunks run inline."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from services.recorder import Recorder
from tunesmith.config import Settings, Workers
from tunesmith.errors import Internal, Invalid
from tunesmith.protocol.catalog import Call
from tunesmith.services.runtime.task_runner import Driver, Job, Tasks
from tunesmith.storage.faults import DiskRefused
from tunesmith.storage.sqlite.connections import Connection
from tunesmith.storage.sqlite.database import Database
from tunesmith.storage.tables import outbox, task_table
from tunesmith.storage.tables.task_table import NewTaskRow, TaskRow
from tunesmith.workers.inline import Inline
from workers import doubling as doubling_chunks

CALL = Call("x", "1", "ann", "operator", "requests", 0.0, "bot")
SETTINGS = Settings(workers=Workers(count=1, task_timeout_s=0.5))


async def insert(conn: Connection, call: Call, task_id: str, kind: str, request: Any, priority: int = 5) -> TaskRow:
    """Store a pending task of a kind that no feature has."""
    text = msgspec.json.encode(request).decode()
    new = NewTaskRow(id=task_id, kind=kind, user=call.user, client=call.client, request=text, priority=priority)
    return await task_table.create(conn, new)


class House:
    """A database, an inline executor and the tasks over them."""

    def __init__(self, database: Database, drivers: dict[str, Driver], settings: Settings = SETTINGS) -> None:
        self.database = database
        self.recorder = Recorder()
        self.tasks = Tasks(settings, database, Inline("workers.doubling"), self.recorder)
        self.tasks.drivers = drivers

    async def submit(self, task_id: str, kind: str, request: Any = None, priority: int = 5) -> None:
        row = await self.database.write(lambda conn: insert(conn, CALL, task_id, kind, request, priority))
        self.tasks.start(row)

    async def ended(self, task_id: str) -> task_table.TaskRow:
        assert await self.tasks.wait(task_id, 10.0), f"{task_id} did not end"
        row = await task_table.get(self.database, task_id)
        assert row is not None
        return row


def in_loop(test: Callable[[Database], Any]) -> Callable[[Path], None]:
    def run(tmp_path: Path) -> None:
        async def main() -> None:
            database = await Database.open(tmp_path / "t.db")
            try:
                await test(database)
            finally:
                await database.close()

        asyncio.run(main())

    run.__name__ = test.__name__
    return run


async def nothing(conn: Any) -> dict[str, Any]:
    return {}


async def doubling(job: Job) -> None:
    numbers = job.decode(list[int])
    found = sorted([x async for x in job.map(lambda number: job.run("double", number), numbers)])
    job.advance(len(found), len(numbers))
    job.log(f"doubled {len(found)}")

    async def apply(conn: Any) -> dict[str, Any]:
        return {"found": found}

    await job.complete(apply)


@in_loop
async def test_the_last_lines_of_a_task_are_there_with_its_end(database: Database) -> None:
    async def talks(job: Job) -> None:
        job.log("the last word")
        await job.complete(nothing)

    async def breaks(job: Job) -> None:
        raise Invalid("it cannot be")

    house = House(database, {"talks": talks, "breaks": breaks})
    for kind, last in (("talks", "the last word"), ("breaks", "it cannot be")):
        await house.submit(kind, kind)
        assert (await house.ended(kind)).is_finished
        assert [line.message for line in await task_table.logs(database, kind)] == [f"{kind} started", last]
    await house.tasks.close()


@in_loop
async def test_lines_that_the_disk_refused_with_a_tasks_end_are_written_later(database: Database) -> None:
    async def refuses(conn: Any) -> dict[str, Any]:
        raise DiskRefused("full", retry_after_ms=1)

    async def talks(job: Job) -> None:
        job.log("said before")
        await job.complete(refuses if job.row.attempts == 0 else nothing)

    house = House(database, {"talks": talks})
    house.tasks.retry_s = 0.01
    await house.submit("t", "talks")
    await house.ended("t")
    said = [line.message for line in await task_table.logs(database, "t")]
    assert said.count("said before") == 2
    assert said[-1] == "said before"
    await house.tasks.close()


@in_loop
async def test_a_task_runs_to_its_end_and_says_so(database: Database) -> None:
    house = House(database, {"doubling": doubling})
    await house.submit("t1", "doubling", [3, 1, 2])
    row = await house.ended("t1")
    assert (row.status, row.progress) == ("completed", 1.0)
    assert msgspec.json.decode(row.result or "") == {"found": [2, 4, 6]}
    [event] = await outbox.unpublished(database)
    assert (event.topic, event.type) == ("task/t1/done/", "task.completed")
    assert msgspec.json.decode(event.event)["data"]["result"] == {"found": [2, 4, 6]}
    await house.tasks.close()
    lines = [line.message for line in await task_table.logs(database, "t1")]
    assert lines == ["doubling started", "doubled 3"]
    assert house.recorder.progress_of("t1") == [1.0]


@in_loop
async def test_a_failure_keeps_its_reason(database: Database) -> None:
    async def refuse(job: Job) -> None:
        raise Invalid("no such thing", path="/data/x")

    async def break_(job: Job) -> None:
        raise ZeroDivisionError("secret detail")

    house = House(database, {"refuse": refuse, "break": break_})
    await house.submit("t1", "refuse")
    await house.submit("t2", "break")
    refused, broken = await house.ended("t1"), await house.ended("t2")
    assert refused.status == broken.status == "failed"
    assert refused.error is not None
    assert broken.error is not None
    assert (refused.error["code"], refused.error["errors"][0]["path"]) == ("invalid", "/data/x")
    assert broken.error["code"] == "internal"
    assert "secret" not in broken.error["detail"]
    await house.tasks.close()
    assert any("secret detail" in line.message for line in await task_table.logs(database, "t2"))


@in_loop
async def test_a_chunk_over_the_tasks_time_fails_it_with_that_reason(database: Database) -> None:
    async def stall(job: Job) -> None:
        await job.run("stall", 30.0)

    house = House(database, {"stall": stall})
    await house.submit("t1", "stall")
    row = await house.ended("t1")
    assert row.error is not None
    assert (row.status, row.error["code"]) == ("failed", "deadline_exceeded")
    doubling_chunks.GO_ON.set()
    await house.tasks.close()


@in_loop
async def test_the_time_limit_counts_the_work_of_all_chunks_and_not_the_waiting(database: Database) -> None:
    async def work(job: Job) -> None:
        for _ in range(5):
            await job.run("work_for", 20.0)  # it says so; nobody waits

    house = House(database, {"work": work})
    house.tasks.work_limits = {"work": 50.0}
    await house.submit("t1", "work")
    row = await house.ended("t1")
    assert row.error is not None
    assert "worked longer than its limit of 50 s" in row.error["detail"]
    await house.tasks.close()


@in_loop
async def test_whoever_waits_is_told_also_when_another_saw_the_end_first(database: Database) -> None:
    async def forever(job: Job) -> None:
        await asyncio.Event().wait()

    house = House(database, {"forever": forever})
    await house.submit("t1", "forever")
    waiting = [asyncio.create_task(house.tasks.wait("t1", 30.0)) for _ in range(2)]
    while house.tasks._finished.get("t1") is None or not house.tasks._finished["t1"]._waiters:
        await asyncio.sleep(0)
    await database.write(lambda conn: task_table.finish(conn, "t1", "cancelled"))  # stored, and not told yet
    assert await house.tasks.wait("t1", 30.0)
    async with asyncio.timeout(90):
        assert await asyncio.gather(*waiting) == [True, True]
    await house.tasks.close()


@in_loop
async def test_a_cancelled_task_stays_cancelled_and_keeps_nothing_of_its_end(database: Database) -> None:
    reached, go_on = asyncio.Event(), asyncio.Event()

    async def late(job: Job) -> None:
        reached.set()
        await go_on.wait()

    house = House(database, {"late": late})
    await house.submit("t1", "late")
    await reached.wait()
    assert await house.tasks.cancel("t1")
    assert not await house.tasks.cancel("t1")
    row = await house.ended("t1")
    assert row.status == "cancelled"
    assert not await house.tasks.finish(row, "completed")
    assert [event.type for event in await outbox.unpublished(database)] == ["task.cancelled"]
    await house.tasks.close()


@in_loop
async def test_unfinished_tasks_go_on_with_their_state_after_a_restart(database: Database) -> None:
    reached = asyncio.Event()
    seen: list[dict[str, Any]] = []

    async def stepwise(job: Job) -> None:
        seen.append(dict(job.state))
        if not job.state:
            await job.save({"step": 1})
            reached.set()
            await asyncio.Event().wait()
        await job.complete(nothing)

    patient = Settings(workers=Workers(count=1))
    first = House(database, {"stepwise": stepwise}, patient)
    await first.submit("t1", "stepwise")
    await reached.wait()
    await first.tasks.close()
    row = await task_table.get(database, "t1")
    assert row is not None
    assert row.status == "running"
    second = House(database, {"stepwise": stepwise}, patient)
    assert await second.tasks.recover() == 1
    assert (await second.ended("t1")).status == "completed"
    assert seen == [{}, {"step": 1}]
    await second.tasks.close()


@in_loop
async def test_a_task_that_is_started_twice_is_driven_once(database: Database) -> None:
    driven: list[str] = []

    async def note(job: Job) -> None:
        driven.append(job.id)
        await job.complete(nothing)

    house = House(database, {"note": note})
    row = await database.write(lambda conn: insert(conn, CALL, "t1", "note", None))
    house.tasks.start(row)
    house.tasks.start(row)
    await house.ended("t1")
    assert driven == ["t1"]
    await house.tasks.close()


@in_loop
async def test_an_end_that_the_disk_refuses_is_tried_again(database: Database) -> None:
    async def refuse(job: Job) -> None:
        raise Invalid("no such thing")

    house = House(database, {"refuse": refuse})
    write, refusals = database.write, [Internal("disk is full")]

    async def full(work: Any) -> Any:
        if refusals and "finish" in getattr(work, "__qualname__", ""):
            raise refusals.pop()
        return await write(work)

    database.write = full  # type: ignore[method-assign]
    house.tasks.retry_s = 0.01
    await house.submit("t1", "refuse")
    row = await house.ended("t1")
    assert refusals == []
    assert (row.status, row.attempts) == ("failed", 2)
    await house.tasks.close()


@in_loop
async def test_a_disk_that_refuses_in_the_middle_puts_a_task_off_and_does_not_fail_it(database: Database) -> None:
    refusals = [DiskRefused("the disk is full")] * 3

    async def work(job: Job) -> None:
        value = await job.run("double", 21)
        if refusals:
            raise refusals.pop()
        await job.complete(lambda conn: _result(value))

    async def _result(value: int) -> dict[str, Any]:
        return {"value": value}

    house = House(database, {"work": work})
    house.tasks.retry_s = 0.01
    await house.submit("t1", "work")
    row = await house.ended("t1")
    assert (row.status, row.result, row.error) == ("completed", '{"value":42}', None)
    await house.tasks.close()
    lines = [line.message for line in await task_table.logs(database, "t1")]
    assert sum("goes on when the disk takes writes again" in line for line in lines) == 3
