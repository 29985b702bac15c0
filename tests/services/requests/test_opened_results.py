"""Results of others: which messages show them, and that whoever is delivered them is entered, once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from services.book_house import BookHouse, driven, open_book
from services.verdict_house import NOISE
from tunesmith.protocol.catalog import MESSAGES
from tunesmith.services.requests.opened_results import ASKED, NAMES, RESULTS, USED, may_show

PLAIN = frozenset({
    "approved", "bars", "changed", "chosen_because", "client", "completed_at", "costs", "created_at", "data_hash",
    "differences", "direction", "disk_mb", "eligible", "end_date", "engine", "equal", "error", "estimated_time",
    "eta_s", "exact", "explanations", "fill", "format", "grade", "index", "initial_cash", "items_by_status",
    "kind", "label", "lines", "memory_mb", "method", "mode", "ms_per_trial", "n_bars", "n_compared", "n_done",
    "n_failed", "n_items", "n_trials", "n_windows", "next_offset", "not_asked", "number", "offset",
    "optimization_target", "path", "progress", "reason", "request", "seconds", "session_id", "start_date",
    "started_at", "status", "stopped_by", "strategy_id", "strategy_version", "symbol", "symbols", "timeframe",
    "total", "trials_per_s", "used_holdout", "user", "venue", "verdict", "verdict_id", "version", "warnings",
    "withheld_from", "workers",
})  # fmt: skip
"""Fields of what is about tasks that tell nothing of what a task found, beyond that it ended and how."""

OPENING = {
    "strategy.approve", "backtest.status", "backtest.cancel", "optimization.status", "optimization.results",
    "optimization.cancel", "optimization.resume", "optimization.analyze", "optimization.compare",
    "optimization.export", "session.execute", "session.status", "session.cancel", "session.results",
    "walkforward.status", "verdict.status", "verdict.get", "report.get", "report.list",
}  # fmt: skip


def structs_in(annotation: Any, seen: set[Any]) -> Iterator[type[msgspec.Struct]]:
    """Every struct that a value of the type may hold."""
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        if annotation in seen:
            return
        seen.add(annotation)
        yield annotation
        for field in msgspec.structs.fields(annotation):
            yield from structs_in(field.type, seen)
    for part in getattr(annotation, "__args__", ()):
        yield from structs_in(part, seen)


def is_about_tasks(annotation: Any) -> bool:
    """Whether a value of the type names a task, or holds what does."""
    return any(set(kind.__struct_fields__) & set(NAMES) for kind in structs_in(annotation, set()))


def unknown_fields(kind: type[msgspec.Struct]) -> set[str]:
    """Fields of a struct that is about tasks of which nobody has said whether they show results."""
    if not is_about_tasks(kind):
        return set()
    inner = {field.name for field in msgspec.structs.fields(kind) if is_about_tasks(field.type)}
    return set(kind.__struct_fields__) - inner - set(NAMES) - RESULTS - PLAIN


@pytest.mark.parametrize("name", MESSAGES)
def test_every_field_beside_a_task_s_name_is_known_as_a_result_or_as_none(name: str) -> None:
    """A new field, or a new message, fails here until it is said which it is."""
    for kind in structs_in(MESSAGES[name].reply, set()):
        assert unknown_fields(kind) == set(), kind.__name__


def test_what_names_a_task_and_shows_its_results_opens_it() -> None:
    opening = {
        name
        for name, message in MESSAGES.items()
        if may_show(message.reply) and set(ASKED) & set(message.request.__struct_fields__)
    }
    assert opening == OPENING
    using = {
        name
        for name, message in MESSAGES.items()
        if message.changes
        and any(set(USED) & set(kind.__struct_fields__) for kind in structs_in(message.request, set()))
    }
    assert using == {"optimization.start", "schedule.create"}


async def opened(house: BookHouse, user: str = "bob") -> list[str]:
    """What the user is entered to have opened, by name."""
    sql = """SELECT c.task_id FROM opened_searches AS o JOIN counted_searches AS c ON c.id = o.counted_id
             WHERE o.user = ? ORDER BY c.id"""
    return house.told([row[0] for row in await house.context.database.fetch_all(sql, (user,))])


ABOUT_SEARCH = {
    "optimization.status": {"optimization_id": "{search}"},
    "optimization.results": {"optimization_id": "{search}"},
    "optimization.analyze": {"optimization_id": "{search}", "what": ["ranking"]},
    "optimization.compare": {"a": "{search}", "b": "{search}"},
    "optimization.export": {"optimization_id": "{search}"},
    "report.get": {"report_id": "{report}"},
    "report.list": {"optimization_id": "{search}"},
    "optimization.start": {"symbol": NOISE, "strategy_id": "averages", "warm_start": "{search}", "method": "genetic"},
    "schedule.create": {
        "schedule_id": "daily",
        "every": "1d",
        "search": {"symbol": NOISE, "strategy_id": "averages", "warm_start": "{search}", "method": "genetic"},
    },
    "events.snapshot": {"topics": ["task/{search}/done/"]},
    "events.replay": {"topics": ["task/{search}/"]},
}
"""Messages through which a search's results are delivered or made use of."""

LISTINGS = {
    "report.list": {},
    "verdict.list": {},
    "session.list": {},
    "task.list": {},
    "task.logs": {"task_id": "{search}"},
    "events.snapshot": {"topics": ["task/"]},
}
"""Messages that open nothing: they name no search, or show nothing of what it found."""


def filled(data: Any, values: dict[str, str]) -> Any:
    """The data of a request with ids in the places of their names."""
    if isinstance(data, dict):
        return {key: filled(value, values) for key, value in data.items()}
    if isinstance(data, list):
        return [filled(each, values) for each in data]
    return data.format(**values) if isinstance(data, str) and "{" in data else data


def test_whoever_is_delivered_another_s_results_is_entered_once(tmp_path: Path) -> None:
    async def main() -> None:
        async with open_book(tmp_path) as house:
            task_id = await house.begin("search", "ann")
            await house.house.ask("optimization.status", user="early", optimization_id=task_id)
            await driven(house.house, task_id)
            status = await house.house.ask("optimization.status", user="ann", optimization_id=task_id)
            values = {"search": task_id, "report": status["report_id"]}
            for name, data in LISTINGS.items():
                await house.house.ask(name, user=f"lists by {name}", **filled(data, values))
                assert await opened(house, f"lists by {name}") == [], name
            for name, data in ABOUT_SEARCH.items():
                user = f"by {name}"
                await house.house.ask(name, user=user, **filled(data, values))
                assert await opened(house, user) == ["search"], name
                await house.house.ask(name, user="ann", **filled(data, values))
            assert await opened(house, "early") == [], "there was nothing to see yet"
            await house.house.ask("optimization.status", user="early", optimization_id=task_id)
            assert await opened(house, "early") == ["search"]
            assert await opened(house, "ann") == [], "it is her own"
            for _ in range(2):
                await house.house.ask("optimization.results", user="early", optimization_id=task_id)
            entries = (await house.house.ask("audit.list", user="op", limit=200))["entries"]
            entered = [(each["user"], each["type"]) for each in entries if each["outcome"] == "opened"]
            assert sorted(entered) == sorted(
                [(f"by {name}", name) for name in ABOUT_SEARCH] + [("early", "optimization.status")]
            )
            assert {each["target"] for each in entries if each["outcome"] == "opened"} == {task_id}

    asyncio.run(main())


def test_backtests_walk_forwards_and_sessions_are_opened_as_well(tmp_path: Path) -> None:
    async def main() -> None:
        async with open_book(tmp_path) as house:
            ask = house.house.ask
            point = await house.point("point", 7, "ann")
            asked = {"strategies": ["averages"], "symbols": [NOISE], "mode": "random", "size": 4, "direction": "both"}
            session = (await ask("session.generate", user="ann", **asked))["session_id"]
            done = await house.house.execute(session, user="ann")
            house.names["of session"] = done["items"][0]["optimization_id"]
            walk = {"symbol": NOISE, "strategy_id": "averages", "method": "random", "max_iterations": 3}
            walked = await ask("walkforward.start", user="ann", **walk, train_bars=400, test_bars=200)
            house.names["walked"] = walked["walkforward_id"]
            await house.house.ended(walked["walkforward_id"])
            await ask("backtest.status", user="bob", task_id=point)
            assert await opened(house) == ["point"]
            await ask("session.results", user="bob", session_id=session)
            assert await opened(house) == ["point", "of session"]
            await ask("walkforward.status", user="bob", walkforward_id=walked["walkforward_id"])
            assert await opened(house) == ["point", "of session", "walked"]
            await ask("session.status", user="carl", session_id=session)
            assert await opened(house, "carl") == ["of session"]
            report = (await ask("backtest.status", user="ann", task_id=point))["report_id"]
            await ask("report.get", user="dora", report_id=report)
            assert await opened(house, "dora") == ["point"]

    asyncio.run(main())


def test_what_was_opened_stays_so_over_a_restart(tmp_path: Path) -> None:
    async def main() -> None:
        async with open_book(tmp_path) as house:
            task_id = await house.begin("search", "ann")
            await driven(house.house, task_id)
            await house.house.ask("optimization.results", user="bob", optimization_id=task_id)
        async with open_book(tmp_path) as house:
            house.names["search"] = task_id
            await house.house.ask("optimization.results", user="bob", optimization_id=task_id)
            assert await opened(house) == ["search"]
            entries = (await house.house.ask("audit.list", user="op"))["entries"]
            assert sum(each["outcome"] == "opened" for each in entries) == 1

    asyncio.run(main())
