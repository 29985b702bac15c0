"""Verdicts on candles that ended long ago, and what packages say of what they were made from."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import msgspec

from services.decision_house import N_BARS, RULE, decided, grow, open_court, searched
from services.search_house import House
from tunesmith.services.tasks.task_kinds import request_of
from tunesmith.services.verdicts.verdict_tasks import VerdictTask
from tunesmith.storage.tables import task_table
from tunesmith.storage.timestamps import milliseconds

OLD, NEW = "OLD/USDT", "NEW/USDT"
DAY_MS = 86_400_000


async def n_looks(house: House) -> int:
    return len(await house.context.database.fetch_all("SELECT 1 FROM holdout_looks"))


async def replays_equal(house: House, verdict: dict[str, Any]) -> bool:
    replay = await house.ask("verdict.replay", verdict_id=verdict["verdict_id"])
    await house.ended(replay["task_id"])
    return bool((await house.ask("replay.status", task_id=replay["task_id"]))["equal"])


def request_as_an_older_version_stored_it(request: str) -> VerdictTask:
    """The stored request without what it says of old candles."""
    asked = msgspec.json.decode(request)
    del asked["accept_old_data"]
    return msgspec.convert(asked, VerdictTask)


def times(package: dict[str, Any]) -> tuple[int, int, int, int]:
    """Until when it is valid, when it was approved, and where its candles end and their hold-out begins."""
    names = ("valid_until", "created_at", "data_end", "holdout_from")
    until, approved, end, begin = (milliseconds(package[name]) for name in names)
    return until, approved, end, begin


def test_old_candles_are_refused_before_any_look_and_approved_where_who_asks_accepts_them(tmp_path: Path) -> None:
    async def main() -> None:
        grow(tmp_path, OLD, 7, 0.8)
        async with open_court(tmp_path) as house:
            search = await searched(house, OLD, approve={"accept_old_data": False})
            straight = (await house.ask("optimization.status", optimization_id=search))["verdict_id"]
            await house.ended(straight)
            refused = await house.ask("verdict.get", verdict_id=straight)
            assert (refused["verdict"], refused["checks"][-1]["name"]) == ("insufficient_data", "recent_candles")
            assert "import newer candles, or say accept_old_data (--accept-old-data)" in refused["reason"]
            task = await task_table.get(house.context.database, straight)
            assert task is not None
            assert refused["evidence"]["age"] == {"asked_ms": milliseconds(task.created_at), "accepted": False}
            older = request_as_an_older_version_stored_it(task.request)
            assert older.age(task.created_at) is None, "it is decided by the rules that it was asked under"
            assert older.key == request_of(task, VerdictTask).key, "asked once more, it is the same verdict"
            assert await n_looks(house) == 0
            assert await decided(house, optimization_id=search, accept_old_data=False) == refused
            assert await replays_equal(house, refused)
            plan = await house.ask("verdict.plan", optimization_id=search)
            assert "Without accept_old_data it would be refused: the candles ended" in plan["told"]

            accepted = await decided(house, optimization_id=search, accept_old_data=True)
            assert (accepted["verdict"], await n_looks(house)) == ("approved", 1), accepted["reason"]
            package = accepted["parameter_package"]
            assert (package["grade"], package["accepted_old_data"], package["funding"]) == ("tested", True, None)
            until, approved, end, begin = times(package)
            assert until == approved + end - begin
            assert milliseconds(package["registered_at"]) == approved
            assert end == house.context.market.find(OLD).end_ms
            assert begin == accepted["evidence"]["boundary_ms"]
            assert package["spread"] == accepted["evidence"]["spread"]["estimates"][OLD]["used"]
            limit = accepted["evidence"]["limit"]
            assert package["budget"] == {"searches": 1, "tries": 1.0, "look": 1, "level": limit["level"]}
            assert await replays_equal(house, accepted)

    asyncio.run(main())


def test_a_package_of_new_candles_expires_from_their_end_and_needs_no_word(tmp_path: Path) -> None:
    async def main() -> None:
        today_ms = int(time.time() * 1000) // DAY_MS * DAY_MS
        grow(tmp_path, NEW, 7, 0.8, begin_ms=today_ms - (N_BARS + 2) * DAY_MS)
        async with open_court(tmp_path) as house:
            params = {"fast_period": 3, "slow_period": 12, "signal_threshold": 0.0}
            backtest = await house.ask("backtest.start", symbol=NEW, strategy_id=RULE, params=params)
            await house.ended(backtest["task_id"])
            verdict = await decided(house, backtest_id=backtest["task_id"], accept_old_data=False)
            assert (verdict["verdict"], verdict["grade"]) == ("approved", "criteria"), verdict["reason"]
            package = verdict["parameter_package"]
            assert (package["accepted_old_data"], package["budget"], "spread" in package) == (False, None, False)
            until, approved, end, begin = times(package)
            assert until == end + end - begin
            assert 2 * DAY_MS <= approved - end <= 3 * DAY_MS
            assert await replays_equal(house, verdict)

    asyncio.run(main())
