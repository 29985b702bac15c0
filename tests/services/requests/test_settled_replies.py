"""What is asked about a task: from the database until it has ended, then what was answered before."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast, get_type_hints

import pytest

from tunesmith.config import Settings
from tunesmith.domain.search.findings import Comparison, Summary
from tunesmith.errors import Internal, NotFound
from tunesmith.protocol.catalog import MESSAGES, Call, Written, finished
from tunesmith.protocol.codec import encode
from tunesmith.protocol.messages.analysis import ComparedSearch, CompareOptimizations, ComparisonReply
from tunesmith.protocol.messages.backtests import BacktestStatus, BacktestStatusReply
from tunesmith.protocol.messages.optimizations import OptimizationResults, OptimizationResultsReply
from tunesmith.routes import all_routes
from tunesmith.services.requests import settled_replies as replies
from tunesmith.services.requests.settled_replies import settled_replies
from tunesmith.services.runtime.context import Context
from tunesmith.storage.cache.caches import Cache, MemoryCache
from tunesmith.storage.sqlite.database import Database
from tunesmith.storage.tables import task_table

Scene = Callable[["House"], Awaitable[None]]


class House:
    """A real database, a cache, and a use case that counts how often it read the rows."""

    def __init__(self, database: Database, cache: Cache) -> None:
        self.n_read = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.database = database
        self.jobs: dict[str, Any] = {}
        parts = SimpleNamespace(database=database, cache=cache, settings=Settings(), tasks=self)
        self.context = cast(Context, parts)
        self.about = settled_replies(self.context, self._status, ["task_id"])
        self.results = settled_replies(self.context, self._results, ["optimization_id"])
        self.comparison = settled_replies(self.context, self._compare, ["a", "b"])

    async def create(self, task_id: str = "bt-1") -> None:
        await self.database.write(
            lambda conn: task_table.create(
                conn, task_table.NewTaskRow(id=task_id, kind="backtest", user="u", client=None, request="{}")
            )
        )

    async def move(self, status: str, task_id: str = "bt-1") -> None:
        if status == "running":
            await self.database.write(lambda conn: task_table.set_running(conn, task_id))
        else:
            await self.database.write(lambda conn: task_table.finish(conn, task_id, status))

    async def begin_again(self) -> None:
        await self.database.write(lambda conn: task_table.restart(conn, "bt-1"))

    async def compared(self) -> int:
        """How often the rows were read to compare two tasks."""
        before = self.n_read
        request = CompareOptimizations(a="bt-1", b="bt-2")
        await answered(self.comparison(request, _call("optimization.compare")))
        return self.n_read - before

    async def ask(self, task_id: str = "bt-1") -> tuple[str, int]:
        """The status answered, and how often the rows were read for it."""
        before = self.n_read
        reply = await answered(self.about(BacktestStatus(task_id=task_id), _call("backtest.status")))
        assert reply.task_id == task_id
        return reply.status, self.n_read - before

    async def page(self, **how: Any) -> OptimizationResultsReply:
        request = OptimizationResults(optimization_id="bt-1", **how)
        return cast(OptimizationResultsReply, await answered(self.results(request, _call("optimization.results"))))

    async def _status(self, context: Context, request: BacktestStatus, call: Call) -> BacktestStatusReply:
        self.n_read += 1
        await self.gate.wait()
        row = await task_table.get(context.database, request.task_id)
        if row is None:
            raise NotFound("there is no such task")
        return BacktestStatusReply(task_id=row.id, status=row.status, progress=row.progress)

    async def _compare(self, context: Context, request: CompareOptimizations, call: Call) -> ComparisonReply:
        self.n_read += 1
        about: dict[str, Any] = {"symbols": [], "timeframe": "1h", "strategy_id": "s", "method": "grid", "score": "s"}
        a, b = (ComparedSearch(optimization_id=name, status="completed", **about) for name in (request.a, request.b))
        of = Summary(
            n_trials=0, n_defined=0, n_eligible=0, best=None, best_params=None, best_score=None, quantiles=[None]
        )
        numbers = dict.fromkeys(set(Comparison.__struct_fields__) - {"a", "b"})
        return ComparisonReply(a=a, b=b, score="s", direction="maximize", comparison=Comparison(a=of, b=of, **numbers))

    async def _results(self, context: Context, request: OptimizationResults, call: Call) -> OptimizationResultsReply:
        self.n_read += 1
        return OptimizationResultsReply(
            optimization_id=request.optimization_id,
            status="completed",
            optimization_target=f"{request.sort} {request.descending}",
            best_params={"fast": 5, "share": 0.5, "mode": "a"},
            best_score=1.0,
            total=request.limit + request.offset,
            trials=[],
        )


async def answered(made: Any) -> Any:
    """A handler's reply, whether it is at hand or comes; what is sent of one at hand says the same."""
    reply = await finished(made)
    assert not isinstance(made, Written) or made.text == encode(reply)
    return reply


def _call(name: str) -> Call:
    return Call(name, "r1", "local", "bot", "requests", 0.0)


def play(path: Path, scene: Scene, cache: Cache | None = None) -> None:
    async def main() -> None:
        database = await Database.open(path / "t.db")
        try:
            await scene(House(database, cache or MemoryCache()))
        finally:
            await database.close()

    asyncio.run(main())


def test_a_task_is_read_afresh_until_it_has_completed(tmp_path: Path) -> None:
    async def scene(house: House) -> None:
        await house.create()
        assert [await house.ask(), await house.ask()] == [("pending", 1)] * 2
        await house.move("running")
        assert [await house.ask(), await house.ask()] == [("running", 1)] * 2
        await house.move("completed")
        assert [await house.ask(), await house.ask(), await house.ask()] == [("completed", n) for n in (1, 0, 0)]

    play(tmp_path, scene)


@pytest.mark.parametrize("end", ["failed", "cancelled"])
def test_a_task_that_was_cut_short_is_read_once_as_well(tmp_path: Path, end: str) -> None:
    async def scene(house: House) -> None:
        await house.create()
        await house.move(end)
        assert [await house.ask(), await house.ask()] == [(end, n) for n in (1, 0)]

    play(tmp_path, scene)


def test_what_was_on_its_way_when_a_task_was_cancelled_is_in_what_is_kept(tmp_path: Path) -> None:
    async def scene(house: House) -> None:
        await house.create()
        await house.move("running")
        await house.move("cancelled")
        late = asyncio.create_task(
            house.database.write(lambda conn: conn.execute("UPDATE tasks SET progress = 0.75 WHERE id = 'bt-1'"))
        )
        await asyncio.sleep(0)
        request, call = BacktestStatus(task_id="bt-1"), _call("backtest.status")
        replies = [await answered(house.about(request, call)) for _ in range(2)]
        await late
        assert [reply.progress for reply in replies] == [0.75, 0.75]

    play(tmp_path, scene)


def test_while_nothing_can_be_written_it_is_read_afresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def full(work: Any) -> Any:
        raise Internal("the disk is full")

    async def scene(house: House) -> None:
        await house.create()
        await house.move("cancelled")
        with monkeypatch.context() as patched:
            patched.setattr(house.database, "write", full)
            assert [await house.ask(), await house.ask()] == [("cancelled", 1)] * 2
        assert [await house.ask(), await house.ask()] == [("cancelled", n) for n in (1, 0)]

    play(tmp_path, scene)


def test_a_task_that_is_still_driven_is_read_afresh(tmp_path: Path) -> None:
    async def scene(house: House) -> None:
        await house.create()
        await house.move("running")
        house.jobs["bt-1"] = object()
        await house.move("completed")
        assert [await house.ask(), await house.ask()] == [("completed", 1)] * 2
        house.jobs.clear()
        assert [await house.ask(), await house.ask()] == [("completed", n) for n in (1, 0)]

    play(tmp_path, scene)


def test_an_unknown_task_is_unknown_and_may_come_later(tmp_path: Path) -> None:
    async def scene(house: House) -> None:
        for _ in range(2):
            with pytest.raises(NotFound):
                await house.ask()
        await house.create()
        assert await house.ask() == ("pending", 1)

    play(tmp_path, scene)


@pytest.mark.parametrize("end", ["cancelled", "failed", "completed"])
def test_a_task_that_begins_again_is_read_afresh_and_its_next_end_is_another(tmp_path: Path, end: str) -> None:
    async def scene(house: House) -> None:
        await house.create()
        await house.move("running")
        await house.move(end)
        assert [await house.ask(), await house.ask()] == [(end, 1), (end, 0)]
        await house.begin_again()
        assert [await house.ask(), await house.ask()] == [("pending", 1)] * 2
        await house.move("running")
        assert [await house.ask(), await house.ask()] == [("running", 1)] * 2
        await house.move("completed")
        assert [await house.ask(), await house.ask()] == [("completed", 1), ("completed", 0)]

    play(tmp_path, scene)


async def reading(house: House, n: int) -> None:
    """Wait until the rows were read n times."""
    while house.n_read < n:
        await asyncio.sleep(0.001)


def test_who_asks_again_after_the_deadline_gets_what_was_made_meanwhile(tmp_path: Path) -> None:
    async def scene(house: House) -> None:
        await house.create()
        await house.move("running")
        await house.move("completed")
        house.gate.clear()
        first = asyncio.create_task(house.ask())
        await reading(house, 1)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        second = [asyncio.create_task(house.ask()) for _ in range(3)]
        await asyncio.sleep(0)
        house.gate.set()
        assert await asyncio.gather(*second) == [("completed", 0)] * 3
        assert await house.ask() == ("completed", 0)
        assert house.n_read == 1

    play(tmp_path, scene)


def test_few_answers_are_made_that_nobody_waits_for(tmp_path: Path) -> None:
    async def scene(house: House) -> None:
        names = [f"bt-{i}" for i in range(replies._LEFT_ALONE + 3)]
        for name in names:
            await house.create(name)
            await house.move("running", name)
            await house.move("completed", name)
        house.gate.clear()
        asked = [asyncio.create_task(house.ask(name)) for name in names]
        await reading(house, len(names))
        for task in asked:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await asyncio.sleep(0)
        house.gate.set()
        found = [(await house.ask(name))[1] for name in names]
        assert found == [1] * 3 + [0] * replies._LEFT_ALONE

    play(tmp_path, scene)


def test_a_refusal_is_told_to_everyone_who_waits_and_is_not_kept(tmp_path: Path) -> None:
    async def scene(house: House) -> None:
        await house.create()
        await house.move("running")
        await house.move("completed")
        house.gate.clear()
        asked = [asyncio.create_task(house.ask()) for _ in range(2)]
        await reading(house, 1)
        await house.database.write(lambda conn: conn.execute("DELETE FROM tasks WHERE id = 'bt-1'"))
        house.gate.set()
        found = await asyncio.gather(*asked, return_exceptions=True)
        assert [type(each) for each in found] == [NotFound, NotFound]

    play(tmp_path, scene)


def test_two_ends_at_one_moment_are_two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene(house: House) -> None:
        monkeypatch.setattr(task_table, "SQL_NOW", "'2026-01-01T00:00:00.000Z'")
        await house.create()
        await house.move("running")
        await house.move("cancelled")
        await house.ask()
        await house.begin_again()
        await house.move("running")
        await house.move("completed")
        assert [await house.ask(), await house.ask()] == [("completed", 1), ("completed", 0)]

    play(tmp_path, scene)


def test_a_task_that_was_deleted_is_unknown(tmp_path: Path) -> None:
    async def scene(house: House) -> None:
        await house.create()
        await house.move("cancelled")
        await house.ask()
        await house.database.write(lambda conn: conn.execute("DELETE FROM tasks WHERE id = 'bt-1'"))
        with pytest.raises(NotFound):
            await house.ask()

    play(tmp_path, scene)


def test_what_is_asked_about_two_tasks_is_kept_when_both_have_ended(tmp_path: Path) -> None:
    async def scene(house: House) -> None:
        for name in ("bt-1", "bt-2"):
            await house.create(name)
        await house.move("running")
        await house.move("completed")
        assert [await house.compared(), await house.compared()] == [1, 1]
        await house.move("running", "bt-2")
        await house.move("completed", "bt-2")
        assert [await house.compared(), await house.compared()] == [1, 0]
        await house.begin_again()
        assert [await house.compared(), await house.compared()] == [1, 1]

    play(tmp_path, scene)


def test_a_shared_cache_outlives_the_daemon_but_does_not_know_more_than_the_database(tmp_path: Path) -> None:
    shared = MemoryCache()

    async def completed(house: House) -> None:
        await house.create()
        await house.move("running")
        await house.move("completed")
        assert await house.ask() == ("completed", 1)

    async def again(house: House) -> None:
        assert await house.ask() == ("completed", 0)

    async def running(house: House) -> None:
        await house.create()
        await house.move("running")
        assert await house.ask() == ("running", 1)

    async def gone(house: House) -> None:
        with pytest.raises(NotFound):
            await house.ask()

    for name in ("here", "elsewhere", "empty"):
        (tmp_path / name).mkdir()
    play(tmp_path / "here", completed, shared)
    play(tmp_path / "here", again, shared)
    play(tmp_path / "elsewhere", running, shared)
    play(tmp_path / "empty", gone, shared)


def test_a_backup_that_was_put_back_is_believed(tmp_path: Path) -> None:
    shared = MemoryCache()
    file = tmp_path / "t.db"
    backup: list[bytes] = []

    async def running(house: House) -> None:
        await house.create()
        await house.move("running")

    async def completed(house: House) -> None:
        await house.move("completed")
        assert await house.ask() == ("completed", 1)

    async def once_more(house: House) -> None:
        assert await house.ask() == ("running", 1)

    play(tmp_path, running, shared)
    backup.append(file.read_bytes())
    play(tmp_path, completed, shared)
    for left in tmp_path.glob("t.db-*"):
        with contextlib.suppress(FileNotFoundError):
            left.unlink()
    file.write_bytes(backup[0])
    play(tmp_path, once_more, shared)


def test_each_page_is_another_answer_and_comes_back_as_it_was(tmp_path: Path) -> None:
    async def scene(house: House) -> None:
        await house.create()
        await house.move("running")
        await house.move("completed")
        asked: list[dict[str, Any]] = [{}, {"sort": "sharpe"}, {"descending": False}, {"limit": 9}, {"offset": 50}]
        first = [await house.page(**how) for how in asked]
        assert house.n_read == len(asked)
        assert [await house.page(**how) for how in asked] == first
        assert house.n_read == len(asked)
        assert len({(page.optimization_target, page.total) for page in first}) == len(asked)

    play(tmp_path, scene)


@pytest.mark.parametrize("text", [b"", b"{}", b"null", b"\xff", b'{"task_id": "bt-2"}'])
def test_foreign_values_are_read_afresh(tmp_path: Path, text: bytes) -> None:
    class Foreign(MemoryCache):
        async def get(self, key: str) -> bytes | None:
            return text

    async def scene(house: House) -> None:
        await house.create()
        await house.move("running")
        await house.move("completed")
        assert [await house.ask(), await house.ask()] == [("completed", 1)] * 2

    play(tmp_path, scene, Foreign())


SETTLED = {name: route.settled_by for name, route in all_routes().items() if route.settled_by}


def test_replies_about_ended_searches_and_backtests_are_kept() -> None:
    assert {"backtest.status", "optimization.status", "optimization.results", "optimization.compare"} <= set(SETTLED)


@pytest.mark.parametrize("name", SETTLED)
def test_the_table_names_fields_that_are_there(name: str) -> None:
    message = MESSAGES[name]
    assert not message.changes
    for field in SETTLED[name]:
        assert field in message.request.__struct_fields__
        reply = message.reply if len(SETTLED[name]) == 1 else get_type_hints(message.reply)[field]
        assert "status" in reply.__struct_fields__
