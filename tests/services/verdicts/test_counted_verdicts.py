"""Verdicts of the second edition through the daemon's handlers: which searches count, and that nothing else decides."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

import tunesmith as ts
from benchmarks.made_markets import AVERAGES
from services.search_house import House
from services.verdict_house import EDGE, LAX, NOISE, RANGES, SEARCH, decided, evidence, open_court, searched
from services.verdicts.test_replay_requests import replayed
from tunesmith.compute.decision.statistics.levels import with_imports
from tunesmith.compute.decision.statistics.record_clock import TRY
from tunesmith.compute.rules.strategy import Strategy
from tunesmith.domain.market.timeframes import timeframe_ms
from tunesmith.errors import Conflict
from tunesmith.services.strategies import strategy_requests
from tunesmith.services.verdicts import counted_answers, verdict_tasks
from tunesmith.storage.sqlite import backups, restoring
from tunesmith.storage.timestamps import iso
from tunesmith.workers.executor import Chunk

DRAWN = ("counted", "limit", "searches")
_bounds = iter(range(1, 1_000_000))


async def made(house: House, user: str, symbol: str = NOISE, **asked: Any) -> str:
    """The id of a search of `user` that has ended; its results were delivered to nobody."""
    data = {"symbol": symbol, **SEARCH, **asked}
    task_id = (await house.ask("optimization.start", user=user, **data))["optimization_id"]
    await house.ended(task_id)
    return str(task_id)


async def judged(house: House, found: str, user: str = "local") -> dict[str, Any]:
    """The evidence of a new verdict on a search; a bound that all keep makes it another request than the last."""
    criteria = {**LAX, "min_sharpe": -1e6 - next(_bounds)}
    return await evidence(house, (await decided(house, found, user, approval_criteria=criteria))["verdict_id"])


async def best_of(house: House, found: str) -> dict[str, Any]:
    """The parameters of a search's winner."""
    best: dict[str, Any] = (await house.ask("optimization.status", optimization_id=found))["best_params"]
    return best


def just(best: dict[str, Any]) -> dict[str, list[Any]]:
    """Ranges that hold a winner within `RANGES` and one neighbour of it there, as a verdict asks for."""
    return {"fast": sorted({best["fast"], 10 if best["fast"] != 10 else 5}), "slow": [best["slow"]]}


async def last_verdict(house: House) -> str:
    """The id of the newest verdict."""
    return str((await house.ask("verdict.list", limit=1))["verdicts"][0]["verdict_id"])


async def forget_nulls(house: House) -> None:
    await house.context.database.write(lambda conn: conn.execute("DELETE FROM null_vectors"))


async def n_nulls(house: House) -> int:
    [[n]] = await house.context.database.fetch_all("SELECT count(*) FROM null_vectors")
    return int(n)


async def n_looks(house: House) -> int:
    [[n]] = await house.context.database.fetch_all("SELECT count(*) FROM holdout_looks")
    return int(n)


class Halting:
    """An executor that gives one chunk of a function, the `number`-th from now, to nobody."""

    def __init__(self, house: House, function: str, number: int = 1) -> None:
        self.inner, self.function, self.left = house.context.tasks.executor, function, number
        self.halted = asyncio.Event()
        house.context.tasks.executor = self  # type: ignore[assignment]

    async def run(self, chunk: Chunk, **how: Any) -> Any:
        if chunk.function == self.function:
            self.left -= 1
            if self.left == 0:
                self.halted.set()
                await asyncio.Event().wait()
        return await self.inner.run(chunk, **how)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


def test_who_searches_from_many_dates_on_has_made_as_many_tries(tmp_path: Path) -> None:
    async def main() -> None:
        async with open_court(tmp_path) as house:
            whole = await searched(house)
            first = await judged(house, whole)
            series = house.context.market.find(NOISE)
            for n_bars in (60, 120):
                date = iso(series.start_ms + n_bars * timeframe_ms(series.timeframe))[:10]
                await searched(house, start_date=date)
            told = await judged(house, whole)
            assert (told["counted"]["n"], told["counted"]["n_parts"]) == (3, 2), "the two other starts are parts"
            assert told["counted"]["ticks"] > TRY == first["counted"]["ticks"], (
                "the same points on other bars are tries"
            )
            assert (await replayed(house, verdict_id=(await last_verdict(house))))["equal"]

    asyncio.run(main())


def test_a_newcomer_is_compared_again_where_another_package_came_into_force_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decide, others = verdict_tasks._by_proof, []

    async def main() -> None:
        async with open_court(tmp_path) as house:
            slow, quick = await searched(house, EDGE), await searched(house, EDGE, seed=1)

            async def overtaken(*given: Any) -> Any:
                ruling = await decide(*given)
                if not others:
                    others.append("under way")
                    others.append((await decided(house, quick))["parameter_package"]["package_id"])
                return ruling

            monkeypatch.setattr(verdict_tasks, "_by_proof", overtaken)
            told = await decided(house, slow)
            logs = (await house.ask("task.logs", task_id=told["verdict_id"]))["lines"]
            assert any("another package came into force" in entry["message"] for entry in logs)
            assert (await evidence(house, told["verdict_id"]))["standing"]["package_id"] == others[1]

    asyncio.run(main())


def test_who_narrows_down_and_asks_for_the_winner_has_made_all_of_these_tries(tmp_path: Path) -> None:
    async def main() -> None:
        async with open_court(tmp_path) as house:
            wide = await searched(house)
            first = await judged(house, wide)
            assert (first["counted"]["n"], first["counted"]["ticks"]) == (1, TRY)
            best = await best_of(house, wide)
            fast, slow = best["fast"], best["slow"]
            around = {"fast": [fast - 1, fast, fast + 1], "slow": [slow - 2, slow, slow + 2]}
            narrow = await searched(house, param_ranges=around)
            point = await searched(house, param_ranges=just(best))
            told = await judged(house, point)
            assert (told["counted"]["n"], told["counted"]["n_trials"]) == (3, 6 + 9 + 2)
            assert told["counted"]["added"][point] == 0, "its points were tried before"
            assert told["counted"]["ticks"] == TRY + told["counted"]["added"][narrow] > TRY
            assert told["p"]["search"] >= first["p"]["search"]
            again = await judged(house, wide)
            for name in DRAWN:
                assert again[name] == told[name], "the same point, whichever of the searches is asked about"
            wider = await judged(house, narrow)
            assert wider["counted"]["added"] == told["counted"]["added"]

    asyncio.run(main())


def test_its_winner_asked_for_alone_has_the_p_value_of_the_search(tmp_path: Path) -> None:
    async def main() -> None:
        async with open_court(tmp_path) as house:
            wide = await searched(house)
            first = await judged(house, wide)
            point = await searched(house, param_ranges=just(await best_of(house, wide)))
            assert await best_of(house, point) == await best_of(house, wide)
            told = await judged(house, point)
            assert (told["counted"]["n"], told["counted"]["ticks"]) == (2, TRY)
            assert told["searches"] == first["searches"]

    asyncio.run(main())


def test_neither_what_is_stored_nor_workers_nor_a_restore_change_what_comes_of_it(tmp_path: Path) -> None:
    async def main() -> None:
        async with open_court(tmp_path) as house:
            await searched(house, EDGE)
            found = await searched(house, EDGE, param_ranges={"fast": [9, 10, 11], "slow": [58, 60, 62]})
            verdict = await decided(house, found)
            assert verdict["approved"], verdict["reason"]
            assert await n_nulls(house) == 2
            assert (await replayed(house, verdict_id=verdict["verdict_id"]))["equal"], "with all vectors known"
            await forget_nulls(house)
            assert (await replayed(house, verdict_id=verdict["verdict_id"]))["equal"], "with none"
            await searched(house, EDGE, param_ranges={"fast": [2, 3], "slow": [80]})
        database = tmp_path / "t.db"
        backup = backups.make(database, tmp_path / "backups", "asked", keep=2)
        async with open_court(tmp_path, n_processes=2) as house:
            await forget_nulls(house)
            found = await replayed(house, verdict_id=verdict["verdict_id"])
            assert (found["equal"], found["differences"]) == (True, []), "later searches do not count in it"
        restoring.restore(database, backup.path)
        async with open_court(tmp_path) as house:
            assert await n_nulls(house) == 2
            found = await replayed(house, verdict_id=verdict["verdict_id"])
            assert (found["equal"], found["differences"]) == (True, [])

    asyncio.run(main())


@pytest.mark.parametrize(
    ("function", "number", "looked"),
    [("null_draws", 4, 0), ("decision_work_holdout", 1, 1)],
    ids=["counting", "looking"],
)
def test_a_verdict_that_was_killed_goes_on_with_the_searches_and_the_look_that_it_had(
    tmp_path: Path, function: str, number: int, looked: int
) -> None:
    async def main() -> None:
        async with open_court(tmp_path) as house:
            found = await searched(house, EDGE)
            halting = Halting(house, function, number)
            about = {"strategy_id": "averages", "optimization_id": found, "approval_criteria": LAX}
            asking = asyncio.create_task(house.ask("strategy.approve", **about))
            await halting.halted.wait()
            assert await n_looks(house) == looked
            await made(house, "local", EDGE, param_ranges={"fast": [2, 3], "slow": [80]})
            asking.cancel()
            [verdict_id] = house.context.tasks.jobs
        async with open_court(tmp_path) as house:
            await house.ended(verdict_id)
            told = await evidence(house, verdict_id)
            assert (told["status"], told["ledger"]["look"], await n_looks(house)) == ("approved", 1, 1)
            assert told["counted"]["n"] == 1, "a later search is not in the book that it began with"
            assert (await replayed(house, verdict_id=verdict_id))["equal"]

    asyncio.run(main())


@pytest.mark.parametrize(("function", "looked"), [("null_draws", 0), ("decision_work_holdout", 1)])
def test_a_verdict_that_is_cancelled_before_it_looks_leaves_no_look(tmp_path: Path, function: str, looked: int) -> None:
    async def main() -> None:
        async with open_court(tmp_path) as house:
            found = await searched(house, EDGE)
            halting = Halting(house, function)
            about = {"strategy_id": "averages", "optimization_id": found, "approval_criteria": LAX}
            asking = asyncio.create_task(house.ask("strategy.approve", **about))
            await halting.halted.wait()
            [verdict_id] = house.context.tasks.jobs
            assert await house.context.tasks.cancel(verdict_id)
            assert (await asking)["status"] == "cancelled"
            await house.ended(verdict_id)
            assert await n_looks(house) == looked

    asyncio.run(main())


def test_somebody_else_s_search_that_tried_the_point_before_raises_p_and_not_the_clock(tmp_path: Path) -> None:
    async def main() -> None:
        async with open_court(tmp_path) as house:
            bars = house.context.market.load("local", NOISE, "1d")
            study = ts.optimize(Strategy.parse(AVERAGES), bars, RANGES, method="grid", direction="both")
            best = just(dict(study.best_params or {}))
            alone = await judged(house, await made(house, "bob", param_ranges=best), "bob")
            wide = await made(house, "ann")
            told = await judged(house, await made(house, "bob", param_ranges=best), "bob")
            assert (alone["searches"]["n_foreign"], told["searches"]["n_foreign"]) == (0, 1)
            for evidence in (alone, told):
                assert (evidence["counted"]["n"], evidence["counted"]["ticks"]) == (1, TRY)
            assert told["limit"] == alone["limit"]
            assert told["p"]["search"] > alone["p"]["search"]
            searcher = await judged(house, wide, "ann")
            assert told["p"]["search"] == searcher["p"]["search"], "as if the one who searched had asked"

    asyncio.run(main())


def test_backtests_and_walk_forwards_count_too_also_of_a_rule_without_parameters(tmp_path: Path) -> None:
    async def main() -> None:
        async with open_court(tmp_path) as house:
            code = "enter_long(close < shift(close))\nexit_long(close > shift(close))\n"
            await house.ask("strategy.create", id="plain", name="Plain", version="1.0", code=code)
            backtest = await house.ask("backtest.start", symbol=NOISE, strategy_id="plain")
            await house.ended(backtest["task_id"])
            windows = {"train_bars": 400, "test_bars": 200, "constraints": ["n_trades >= 1"]}
            asked = {"symbol": NOISE, "strategy_id": "averages", "param_ranges": {"fast": [3, 4], "slow": [90]}}
            forward = await house.ask("walkforward.start", **asked, **windows)
            await house.ended(forward["walkforward_id"])
            found = await searched(house)
            told = await judged(house, found)
            assert list(told["counted"]["added"]) == [backtest["task_id"], forward["walkforward_id"], found]
            assert all(ticks > 0 for ticks in told["counted"]["added"].values())

    asyncio.run(main())


def test_searches_on_another_timeframe_count(tmp_path: Path) -> None:
    async def main() -> None:
        async with open_court(tmp_path) as house:
            alone = await judged(house, await searched(house))
            alone = await judged(house, await searched(house))
            slow = await searched(house, timeframe="2d", param_ranges={"fast": [3, 5], "slow": [20, 30]})
            told = await judged(house, await searched(house))
            assert (told["counted"]["n"], told["counted"]["n_trials"], told["counted"]["n_unmade"]) == (2, 6 + 4, 0)
            assert told["counted"]["added"][slow] > 0
            assert told["p"]["search"] >= alone["p"]["search"]

    asyncio.run(main())


def test_a_search_whose_strategy_is_not_installed_any_more_counts_by_its_trials(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        async with open_court(tmp_path) as house:
            ranges = {"fast_period": [3, 5], "slow_period": [20, 30], "signal_threshold": [0.0]}
            await searched(house, EDGE, strategy_id="ma_cross_v1.0", param_ranges=ranges)
            found = await searched(house, EDGE)
            both = await judged(house, found)
            assert (both["counted"]["n"], both["counted"]["n_unmade"]) == (2, 0)
            parse = strategy_requests.parse_ref

            def uninstalled(ref: Any) -> Any:
                if ref.id == "ma_cross_v1.0":
                    raise Conflict("it is not installed")
                return parse(ref)

            monkeypatch.setattr(counted_answers, "parse_ref", uninstalled)
            told = await judged(house, found)
            assert (told["counted"]["n"], told["counted"]["n_unmade"]) == (1, 4)
            searches = told["searches"]
            plain = (1 + searches["n_reached"]) / (1 + searches["n"])
            assert told["p"]["search"] == with_imports(plain, searches["real"], [4]) > plain
            await forget_nulls(house)
            assert (await judged(house, found))["searches"] == searches, "nothing known follows what is gone"

    asyncio.run(main())
