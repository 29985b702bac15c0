"""What every kind of task keeps to: it is durable, listed, logged, cancelled, resumed; its end is announced once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from contracts.stars import STARS, add_stars
from services.decision_house import RANGES, RULE, grow, open_court, searched
from services.recorder import Recorder
from services.search_house import House
from tunesmith.errors import Busy, Conflict, Forbidden, NotFound
from tunesmith.protocol.catalog import MESSAGES
from tunesmith.protocol.task_types import TASK_TYPES, TaskType, task_type_of
from tunesmith.protocol.topics import done_topic
from tunesmith.routes import all_routes
from tunesmith.services.tasks.task_kinds import KINDS
from tunesmith.storage.tables import outbox, task_table

SYMBOL = "EDGE/USDT"
SEARCH = {"symbol": SYMBOL, "strategy_id": RULE, "param_ranges": RANGES, "method": "grid"}
Given = Callable[[House], Awaitable[dict[str, Any]]]
"""Makes what a kind needs before it can be asked for; the data of the request that starts it."""


async def _backtest(house: House) -> dict[str, Any]:
    return {"symbol": SYMBOL, "strategy_id": RULE}


async def _optimization(house: House) -> dict[str, Any]:
    return SEARCH


async def _walk_forward(house: House) -> dict[str, Any]:
    return {**SEARCH, "train_bars": 400, "test_bars": 200}


async def _session(house: House) -> dict[str, Any]:
    made = await house.ask(
        "session.generate", symbols=[SYMBOL], strategies=[RULE], mode="random", size=5, label="mine", seed=3
    )
    return {"session_id": made["session_id"]}


async def _verdict(house: House) -> dict[str, Any]:
    started = await house.ask("backtest.start", symbol=SYMBOL, strategy_id=RULE)
    await house.ended(started["task_id"])
    return {"strategy_id": RULE, "backtest_id": started["task_id"]}


async def _replay(house: House) -> dict[str, Any]:
    asked = await house.ask("strategy.approve", **await _verdict(house))
    await house.ended(asked["verdict_id"])
    return {"verdict_id": asked["verdict_id"]}


async def _stars(house: House) -> dict[str, Any]:
    return {"n_chunks": 3}


GIVEN: dict[str, Given] = {
    "backtest": _backtest,
    "optimization": _optimization,
    "walkforward": _walk_forward,
    "session": _session,
    "verdict": _verdict,
    "replay": _replay,
    STARS.name: _stars,
}
LABELLED = sorted({*GIVEN} - {"session"})
"""A session has the label that it was generated with."""


@pytest.fixture(autouse=True)
def stars(monkeypatch: pytest.MonkeyPatch) -> None:
    add_stars(monkeypatch)


@asynccontextmanager
async def closed_house(folder: Path) -> AsyncIterator[tuple[House, asyncio.Event]]:
    """A house whose workers take no chunk until the event is set; it is set at first."""
    gate = asyncio.Event()
    gate.set()
    async with open_court(folder) as house:
        run = house.context.executor.run

        async def gated(*given: Any, **options: Any) -> Any:
            await gate.wait()
            return await run(*given, **options)

        house.context.executor.run = gated  # type: ignore[method-assign]
        yield house, gate


async def started(house: House, kind: TaskType, label: str | None = "mine", **more: Any) -> str:
    data = await GIVEN[kind.name](house)
    named = {} if kind.name == "session" or label is None else {"label": label}
    return await _start(house, kind, {**data, **named}, **more)


async def _start(house: House, kind: TaskType, data: dict[str, Any], **more: Any) -> str:
    """The id; a start that waits for the end of its task is not waited for."""
    asking = asyncio.create_task(house.ask(kind.start, **data, **more))
    while not house.context.tasks.jobs and not asking.done():
        await asyncio.sleep(0.002)
    task_id = next(iter(house.context.tasks.jobs), None) or (await asking)[kind.id_field]
    asking.add_done_callback(lambda done: done.cancelled() or done.exception())
    return str(task_id)


async def row_of(house: House, task_id: str) -> task_table.TaskRow:
    row = await task_table.get(house.context.database, task_id)
    assert row is not None
    return row


def play(folder: Path, scene: Callable[[House, asyncio.Event], Awaitable[None]]) -> None:
    async def main() -> None:
        grow(folder, SYMBOL, 1, 0.4)
        async with closed_house(folder) as (house, gate):
            await scene(house, gate)

    asyncio.run(asyncio.wait_for(main(), 120))


def test_every_kind_is_held_to_this_contract() -> None:
    assert set(GIVEN) == set(KINDS) == set(TASK_TYPES)


@pytest.mark.parametrize("name", GIVEN)
def test_its_record_and_its_messages_agree(name: str) -> None:
    kind, wire = KINDS[name], TASK_TYPES[name]
    assert kind.wire is wire
    assert wire.id_field in MESSAGES[wire.start].reply.__struct_fields__
    for message in (wire.status, wire.results, *filter(None, [wire.cancel])):
        field = next(iter(wire.named("x", message)))
        assert field in MESSAGES[message].request.__struct_fields__, message
        assert message in all_routes()
    for field in ("status", "progress", "error", "label"):
        assert field in MESSAGES[wire.status].reply.__struct_fields__ or (name, field) == ("session", "error")
    assert MESSAGES[wire.start].changes
    assert task_type_of(f"{wire.prefix}1") is wire


@pytest.mark.parametrize("name", GIVEN)
def test_it_is_durable_listed_logged_and_ends_with_one_event(name: str, tmp_path: Path) -> None:
    kind = TASK_TYPES[name]

    async def scene(house: House, gate: asyncio.Event) -> None:
        data = await GIVEN[name](house)
        gate.clear()
        task_id = await _start(house, kind, data if name == "session" else {**data, "label": "mine"})
        row = await row_of(house, task_id)
        assert task_id.startswith(kind.prefix)
        assert (row.kind, row.user, row.label) == (name, "local", "mine")
        assert msgspec.json.decode(row.request, type=KINDS[name].request)
        listed = (await house.ask("task.list", kind=name))["tasks"]
        assert [(each["task_id"], each["label"]) for each in listed] == [(task_id, "mine")]
        shown = await house.ask(kind.status, **{kind.id_field: task_id})
        assert (shown[kind.id_field], shown["label"]) == (task_id, "mine")
        assert shown["status"] in ("pending", "running")
        gate.set()
        await house.ended(task_id)
        shown = await house.ask(kind.status, **{kind.id_field: task_id})
        assert (shown["status"], shown["progress"], shown["label"]) == ("completed", 1.0, "mine"), shown
        assert await house.ask(kind.results, **{kind.id_field: task_id})
        assert f"{name} started" in await house.log_of(task_id)
        announcer = house.context.tasks.announcer
        assert isinstance(announcer, Recorder)
        progress = announcer.progress_of(task_id)
        assert progress == sorted(progress)
        events = await outbox.replay(house.context.database, 0, [done_topic(task_id)], 10)
        assert [event.type for event in events.events] == ["task.completed"]

    play(tmp_path, scene)


@pytest.mark.parametrize("name", GIVEN)
def test_it_is_cancelled_by_its_user_or_an_operator_and_once(name: str, tmp_path: Path) -> None:
    kind = TASK_TYPES[name]
    message = kind.cancel or "task.cancel"

    async def scene(house: House, gate: asyncio.Event) -> None:
        data = await GIVEN[name](house)
        gate.clear()
        task_id = await _start(house, kind, data)
        with pytest.raises(Forbidden):
            await house.ask(message, user="mallory", role="bot", **kind.named(task_id, message))
        for _ in range(2):
            found = await house.ask(message, **kind.named(task_id, message))
            assert found["status"] == "cancelled"
        await house.ended(task_id)
        assert (await row_of(house, task_id)).status == "cancelled"
        events = await outbox.replay(house.context.database, 0, [done_topic(task_id)], 10)
        assert [event.type for event in events.events] == ["task.cancelled"]
        with pytest.raises(NotFound):
            await house.ask(message, **kind.named(f"{kind.prefix}none", message))
        gate.set()

    play(tmp_path, scene)


@pytest.mark.parametrize("name", GIVEN)
def test_one_that_has_ended_cannot_be_cancelled(name: str, tmp_path: Path) -> None:
    kind = TASK_TYPES[name]

    async def scene(house: House, gate: asyncio.Event) -> None:
        task_id = await started(house, kind)
        await house.ended(task_id)
        with pytest.raises(Conflict):
            await house.ask("task.cancel", task_id=task_id)

    play(tmp_path, scene)


@pytest.mark.parametrize("name", GIVEN)
def test_it_goes_on_when_the_daemon_starts_again(name: str, tmp_path: Path) -> None:
    kind = TASK_TYPES[name]

    async def main() -> None:
        grow(tmp_path, SYMBOL, 1, 0.4)
        async with closed_house(tmp_path) as (house, gate):
            data = await GIVEN[name](house)
            gate.clear()
            task_id = await _start(house, kind, data)
            while (await row_of(house, task_id)).status != "running":
                await asyncio.sleep(0.002)
        async with open_court(tmp_path) as house:
            await house.ended(task_id)
            row = await row_of(house, task_id)
            assert (row.status, row.attempts) == ("completed", 2), row.error
            assert "the daemon started again; the task goes on" in await house.log_of(task_id)

    asyncio.run(asyncio.wait_for(main(), 120))


@pytest.mark.parametrize("name", GIVEN)
def test_it_counts_in_its_users_quota(name: str, tmp_path: Path) -> None:
    kind = TASK_TYPES[name]

    async def scene(house: House, gate: asyncio.Event) -> None:
        data = await GIVEN[name](house)
        house.context.settings = msgspec.structs.replace(
            house.context.settings, limits=msgspec.structs.replace(house.context.settings.limits, tasks_per_user=1)
        )
        gate.clear()
        held = await house.ask("stars.count", n_chunks=1)
        with pytest.raises(Busy):
            await house.ask(kind.start, **data)
        gate.set()
        await house.ended(held["count_id"])
        await house.ended(await _start(house, kind, data))

    play(tmp_path, scene)


@pytest.mark.parametrize("name", LABELLED)
@pytest.mark.parametrize("label", ["", "x" * 65, "a\nb", "\x1b[2J", "\u202eabc"])
def test_what_is_no_label_is_refused(name: str, label: str) -> None:
    request = MESSAGES[TASK_TYPES[name].start].request
    with pytest.raises(msgspec.ValidationError, match=r"\$\.label"):
        msgspec.convert({**_least(request), "label": label}, request)


def _least(request: type[msgspec.Struct]) -> dict[str, Any]:
    """A value for each required field."""
    values = {"symbol": SYMBOL, "strategy_id": RULE, "train_bars": 10, "test_bars": 10, "n_chunks": 1}
    required = [field.name for field in msgspec.structs.fields(request) if field.required]
    return {name: values[name] for name in required}


def test_a_label_goes_on_to_what_a_task_begins(tmp_path: Path) -> None:
    async def scene(house: House, gate: asyncio.Event) -> None:
        task_id = await searched(house, SYMBOL, approve={}, label="both")
        verdict_id = (await house.ask("optimization.status", optimization_id=task_id))["verdict_id"]
        await house.ended(verdict_id)
        assert (await house.ask("verdict.status", verdict_id=verdict_id))["label"] == "both"
        assert [v["label"] for v in (await house.ask("verdict.list"))["verdicts"]] == ["both"]
        session_id = await started(house, TASK_TYPES["session"])
        await house.ended(session_id)
        labels = {task["kind"]: task["label"] for task in (await house.ask("task.list", limit=2))["tasks"]}
        assert labels == {"session": "mine", "optimization": "mine"}

    play(tmp_path, scene)
