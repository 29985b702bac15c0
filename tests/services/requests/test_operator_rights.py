"""What a bot may not do, however it asks, and what a former operator may not: over the handlers and a real database."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any, cast

import pytest

from services.search_house import House
from services.verdict_house import EDGE, decided, open_court, searched
from tunesmith.domain.approval import VerdictWish
from tunesmith.errors import Forbidden
from tunesmith.protocol.catalog import Call
from tunesmith.protocol.envelope import Role
from tunesmith.services.requests.waited_answers import waited_answer
from tunesmith.workers.executor import Chunk, Executor

SEARCH = {"symbol": EDGE, "strategy_id": "averages", "param_ranges": {"fast": [5, 10]}}
WALK = {"symbol": EDGE, "strategy_id": "averages", "train_bars": 300, "test_bars": 300}
BACKTEST = {"symbol": EDGE, "strategy_id": "averages"}


async def audited(house: House, **wanted: Any) -> list[tuple[str, str, str]]:
    """(type, outcome, detail) of the entries of the audit log, oldest first."""
    found = (await house.ask("audit.list", **wanted))["entries"]
    return [(each["type"], each["outcome"], each["detail"]) for each in reversed(found)]


def test_rights_of_operators_are_refused_to_bots_and_entered_for_operators(tmp_path: Path) -> None:
    async def scene() -> None:
        async with open_court(tmp_path) as house:
            for message, data, field, told in (
                ("backtest.start", {**BACKTEST, "use_holdout": True}, "use_holdout", "use_holdout"),
                ("optimization.start", {**SEARCH, "priority": 4}, "priority", "priority 4"),
                ("walkforward.start", {**WALK, "priority": 0}, "priority", "priority 0"),
                ("optimization.start", {**SEARCH, "approve": VerdictWish(min_sharpe=0.1)}, "approve", "approve"),
            ):
                with pytest.raises(Forbidden, match=f"^{told} needs the role operator; ann is a bot$") as refused:
                    await house.ask(message, user="ann", role="bot", **data)
                assert refused.value.path == f"/data/{field}"
                reply = await house.ask(message, user="ann", **data)
                await house.ended(next(iter(value for name, value in reply.items() if name.endswith("_id"))))
                [*_, (kind, outcome, detail)] = await audited(house, type=message)
                assert (kind, outcome) == (message, "ok")
                assert told in detail.split("; ")[1:]
            assert detail.endswith("min_sharpe 0.1, looser than the settings' 0.5")
            await house.ask("optimization.start", user="ann", role="bot", priority=9, **SEARCH)
            assert len(await audited(house)) == 5, "a verdict's entry is the fifth; what a bot may do is not entered"

    asyncio.run(scene())


@pytest.mark.parametrize(("role", "why"), [(None, "has no key or token in force"), ("bot", "is a bot by now")])
def test_who_is_no_operator_any_more_publishes_nothing(tmp_path: Path, role: Role | None, why: str) -> None:
    async def scene() -> None:
        async with open_court(tmp_path) as house:
            search = await searched(house, EDGE)
            house.context.role_of = lambda user: role if user == "ann" else "operator"
            with pytest.raises(Forbidden, match=f"nothing was changed: .* ann {why}"):
                await decided(house, search, user="ann")
            house.context.tasks.stands_back = lambda user: False  # it asks for roles as well
            asked_when: list[Role | None] = [role, "operator"]
            house.context.role_of = lambda user: asked_when.pop() if user == "ann" else "operator"
            asked = await house.ask("strategy.approve", user="ann", strategy_id="averages", optimization_id=search)
            await house.ended(asked["verdict_id"])
            assert asked_when == [], "when the task was stored, and when it ended"
            reply = await house.ask("verdict.status", verdict_id=asked["verdict_id"])
            assert (reply["status"], reply["approved"]) == ("failed", False)
            assert why in reply["error"]["detail"]
            assert (await house.ask("package.list"))["total"] == 0
            [*_, verdict] = await audited(house, type="verdict")
            assert verdict[:2] == ("verdict", "forbidden")
            assert why in verdict[2]
            assert why in await house.log_of(asked["verdict_id"])

    asyncio.run(scene())


def test_a_search_on_its_way_to_a_verdict_publishes_nothing_once_its_user_is_revoked(tmp_path: Path) -> None:
    async def scene() -> None:
        async with open_court(tmp_path) as house:
            data = {**SEARCH, "method": "grid", "direction": "both", "approve": VerdictWish()}
            started = await house.ask("optimization.start", user="ann", **data)
            house.context.role_of = lambda user: None
            await house.ended(started["optimization_id"])
            status = await house.ask("optimization.status", optimization_id=started["optimization_id"])
            await house.ended(status["verdict_id"])
            reply = await house.ask("verdict.status", verdict_id=status["verdict_id"])
            assert reply["status"] == "failed"
            assert "ann has no key or token in force" in reply["error"]["detail"]
            assert (await house.ask("package.list"))["total"] == 0

    asyncio.run(scene())


def test_what_a_bot_waits_for_comes_before_nobody_elses_work(tmp_path: Path) -> None:
    seen: dict[str, set[int]] = {"operator": set(), "bot": set()}

    async def scene() -> None:
        async with open_court(tmp_path) as house:
            search = await searched(house, EDGE)
            run = house.context.executor.run

            async def recording(chunk: Any, **how: Any) -> Any:
                seen[how["user"]].add(how["priority"])
                return await run(chunk, **how)

            house.context.executor.run = recording  # type: ignore[method-assign]
            plan: dict[str, Any] = {"symbols": [EDGE], "strategies": ["averages"], "size": 10}
            for who in ("operator", "bot"):
                asked: dict[str, Any] = {"user": who, "role": who}
                await house.ask("optimization.analyze", **asked, optimization_id=search)
                await house.ask("session.plan", **asked, **plan)
                await house.ask("optimization.export", **asked, optimization_id=search)
            assert seen == {"operator": {0}, "bot": {5}}

    asyncio.run(scene())


def test_what_bots_wait_for_takes_half_of_the_workers_and_an_operators_all(tmp_path: Path) -> None:
    async def scene() -> None:
        async with open_court(tmp_path) as house:
            context, at_work = house.context, Counter[str]()
            most = Counter[str]()

            class Slow:
                async def run(self, chunk: Chunk, *, priority: int, user: str, **_: Any) -> tuple[int, str]:
                    at_work[user] += 1
                    most[user] = max(most[user], at_work[user])
                    await asyncio.sleep(0.01)
                    at_work[user] -= 1
                    return priority, user

            context.executor = cast(Executor, Slow())
            roles: list[tuple[str, Role]] = [("bot", "bot"), ("ann", "operator")]
            calls = [Call("optimization.analyze", "r", user, role, "requests", 9.0) for user, role in roles * 6]
            chunk = Chunk("analyze", None)
            answers = await asyncio.gather(*(waited_answer(context, call, chunk, 1.0) for call in calls))
            assert Counter(answers) == {(5, "bot"): 6, (0, "ann"): 6}
            assert most == {"bot": max(1, context.settings.n_workers // 2), "ann": 6}
            assert not context.answering

    asyncio.run(scene())


def test_a_bots_work_stands_back_behind_an_operators_of_the_same_priority(tmp_path: Path) -> None:
    async def scene() -> None:
        async with open_court(tmp_path) as house:
            asked: list[tuple[str, int]] = []
            run = house.context.executor.run

            async def noted(chunk: Chunk, *, priority: int = 5, user: str = "local", **more: Any) -> Any:
                asked.append((user, priority))
                return await run(chunk, priority=priority, user=user, **more)

            house.context.executor.run = noted  # type: ignore[method-assign]
            house.context.tasks.stands_back = lambda user: user != "ann"
            for user, fast in (("ann", 5), ("bob", 6)):
                begun = await house.ask("backtest.start", user=user, params={"fast": fast, "slow": 50}, **BACKTEST)
                await house.ended(begun["task_id"])
            assert {each for each in asked if each[0] in ("ann", "bob")} == {("ann", 5), ("bob", 6)}

    asyncio.run(scene())
