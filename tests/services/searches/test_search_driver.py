"""Driving searches: trials that misbehave, early ends, cancelling, going on. Real chunks over a real database."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from services.search_faults import misbehave, tried
from services.search_house import House, open_house
from tunesmith.errors import Conflict, Forbidden
from tunesmith.services.searches.search_driver import missing_ranges
from tunesmith.storage.tables import task_table, trial_table

GRID: dict[str, Any] = {
    "symbol": "A/USDT",
    "strategy_id": "ma_cross_v1.0",
    "param_ranges": {
        "fast_period": {"min": 2, "max": 13},
        "slow_period": {"min": 15, "max": 24},
        "signal_threshold": 0.0,
    },
    "method": "grid",
    "constraints": ["n_trades >= 0"],
}
GENETIC = {**GRID, "method": "genetic", "max_iterations": 100, "options": {"population": 10}, "seed": 5}


def in_house(n_processes: int = 0, **workers: Any) -> Callable[..., Callable[[Path], None]]:
    """Run an async test `(house, folder)` in a house with these workers."""

    def decorate(test: Callable[[House, Path], Awaitable[None]]) -> Callable[[Path], None]:
        @functools.wraps(test)
        def run(tmp_path: Path) -> None:
            async def main() -> None:
                async with open_house(tmp_path, n_processes, **workers) as house:
                    await test(house, tmp_path)

            asyncio.run(main())

        del run.__wrapped__  # type: ignore[attr-defined]  # pytest would read the parameters of `test`
        run.__annotations__ = {"tmp_path": Path}
        return run

    return decorate


@in_house(2, chunk_trials=2, trial_timeout_s=2.0, memory_mb=200)
async def test_trials_that_misbehave_fail_alone_and_are_tried_again_on_request(house: House, folder: Path) -> None:
    undisturbed = await house.search(**GRID)
    request = {"symbols": ["A/USDT"], "strategies": ["ma_cross_v1.0"], "mode": "exhaustive"}
    request |= {"param_ranges": {"ma_cross_v1.0": GRID["param_ranges"]}, "constraints": GRID["constraints"]}
    session_id = (await house.ask("session.generate", **request))["session_id"]
    faults = {"raising": [3], "dying": [17], "hanging": [42], "eating": [100]}
    misbehave(folder, **faults)
    done = await house.execute(session_id)
    assert (done["status"], done["n_done"], done["n_failed"]) == ("completed", 120, 4)
    expected = await house.trials(undisturbed["optimization_id"])
    search_id = done["items"][0]["optimization_id"]
    found = await house.trials(search_id)
    reasons = {trial["index"]: trial["error"] for trial in found if trial["error"]}
    assert reasons[3] == "search failed: ZeroDivisionError (3 tries)"
    assert reasons[17].startswith("search: its worker died 2 times: exit code 9")
    assert reasons[42].startswith("search took longer than 2")
    assert reasons[100] == "search took more than 200 MB of memory (3 tries)"
    for before, after in zip(expected, found, strict=True):
        if before["index"] in reasons:
            assert after["params"] == before["params"]
            assert (after["score"], after["eligible"]) == (None, False)
        else:
            assert after == before
    assert [stop - start for fault, start, stop in tried(folder) if fault == "raising"] == [2, 1, 1, 1]
    log = await house.log_of(search_id)
    assert "trials 2 to 3: search failed: ZeroDivisionError; they are tried in halves" in log
    assert "ZeroDivisionError: where it broke" in log

    misbehave(folder)
    again = await house.execute(session_id, retry_failed=True)
    assert (again["status"], again["n_done"], again["n_failed"]) == ("completed", 120, 0)
    assert await house.trials(search_id) == expected
    assert again["best"]["best_score"] == undisturbed["best_score"]
    status = await house.ask("optimization.status", optimization_id=search_id)
    assert (status["n_failed"], status["best_score"]) == (0, undisturbed["best_score"])


@in_house(chunk_trials=10)
async def test_what_a_method_learned_after_a_failed_trial_is_made_anew(house: House, folder: Path) -> None:
    undisturbed = await house.search(**GENETIC)
    misbehave(folder, raising=[14])
    task_id = (await house.ask("optimization.start", **GENETIC))["optimization_id"]
    await house.until_stored(task_id, 40)
    status = await house.ask("optimization.cancel", optimization_id=task_id)
    assert (status["status"], status["n_failed"]) == ("cancelled", 1)
    misbehave(folder)
    await house.ask("optimization.resume", optimization_id=task_id, retry_failed=True)
    await house.ended(task_id)
    status = await house.ask("optimization.status", optimization_id=task_id)
    assert (status["status"], status["n_failed"], status["n_done"]) == ("completed", 0, undisturbed["n_done"])
    assert await house.trials(task_id) == await house.trials(undisturbed["optimization_id"])


@in_house(chunk_trials=10)
async def test_a_resumed_search_ends_early_where_an_uninterrupted_one_does(house: House, folder: Path) -> None:
    request = {**GRID, "stop": {"batch": 10, "patience": 3}}
    whole = await house.search(**request)
    assert whole["stopped_by"] == "no_improvement"
    assert whole["n_trials"] == whole["n_done"] < 120
    for n_stored in (10, whole["n_trials"] - 10):
        task_id = (await house.ask("optimization.start", **request))["optimization_id"]
        await house.until_stored(task_id, n_stored)
        await house.ask("optimization.cancel", optimization_id=task_id)
        sql = "DELETE FROM trials WHERE optimization_id = ? AND idx < 5"  # what is left begins beyond the first
        await house.context.database.write(lambda conn, sql=sql, task_id=task_id: conn.execute(sql, (task_id,)))
        if (await house.ask("optimization.status", optimization_id=task_id))["status"] == "cancelled":
            await house.ask("optimization.resume", optimization_id=task_id)
        await house.ended(task_id)
        found = await house.ask("optimization.status", optimization_id=task_id)
        assert (found["stopped_by"], found["n_trials"]) == (whole["stopped_by"], whole["n_trials"])
        assert await house.trials(task_id) == await house.trials(whole["optimization_id"])


@in_house(chunk_trials=10)
async def test_a_target_ends_a_search_with_the_batch_that_reaches_it(house: House, folder: Path) -> None:
    whole = await house.search(**GRID)
    scores = [trial["score"] for trial in await house.trials(whole["optimization_id"])]
    target = sorted(scores)[-3]
    first = next(i for i, score in enumerate(scores) if score >= target)
    found = await house.search(**GRID, stop={"batch": 7, "target": target})
    assert found["stopped_by"] == "target_reached"
    assert found["n_trials"] == found["n_done"] == (first // 7 + 1) * 7
    assert found["best_score"] == max(scores[: found["n_trials"]])


def test_the_trial_count_that_time_reached_stays(tmp_path: Path) -> None:
    """Also when the daemon ends between the count and the report."""

    async def first() -> tuple[str, int]:
        async with open_house(tmp_path, chunk_trials=10) as house:
            found = await house.search(**GRID, stop={"batch": 10, "time_budget_s": 1e-6})
            assert (found["stopped_by"], found["n_trials"]) == ("time_budget", 10)
            task_id = found["optimization_id"]
            sql = "UPDATE tasks SET status = 'running', completed_at = NULL WHERE id = ?"
            await house.context.database.write(lambda conn: conn.execute(sql, (task_id,)))
            return task_id, found["n_trials"]

    async def second(task_id: str, n_trials: int) -> None:
        async with open_house(tmp_path, chunk_trials=10) as house:
            await house.ended(task_id)
            found = await house.ask("optimization.status", optimization_id=task_id)
            assert (found["status"], found["stopped_by"]) == ("completed", "time_budget")
            assert found["n_trials"] == found["n_done"] == n_trials

    asyncio.run(second(*asyncio.run(first())))


@in_house(chunk_trials=10)
async def test_time_that_ran_out_before_a_stop_keeps_what_is_stored(house: House, folder: Path) -> None:
    """A search whose budget was used up when it was stopped keeps every batch up to the first that is not there."""
    request = {**GRID, "stop": {"batch": 10, "time_budget_s": 1000.0}}
    task_id = (await house.ask("optimization.start", **request))["optimization_id"]
    await house.until_stored(task_id, 40)
    await house.ask("optimization.cancel", optimization_id=task_id)
    await house.ended(task_id)
    row = await task_table.get(house.context.database, task_id)
    assert row is not None
    assert '"worked_s"' in (row.state or "")
    sql = "UPDATE tasks SET state = json_set(state, '$.worked_s', 2000.0) WHERE id = ?"
    await house.context.database.write(lambda conn: conn.execute(sql, (task_id,)))
    (first, n_kept), *_ = await trial_table.done_ranges(house.context.database, task_id)
    assert (first, n_kept >= 10) == (0, True)
    await house.ask("optimization.resume", optimization_id=task_id)
    await house.ended(task_id)
    found = await house.ask("optimization.status", optimization_id=task_id)
    assert (found["status"], found["stopped_by"], found["n_trials"]) == ("completed", "time_budget", n_kept)


@in_house(chunk_trials=5)
async def test_a_cancelled_search_keeps_what_it_has_and_ends_the_same(house: House, folder: Path) -> None:
    whole = await house.search(**GRID)
    task_id = (await house.ask("optimization.start", **GRID))["optimization_id"]
    await house.until_stored(task_id, 20)
    cancelled = await house.ask("optimization.cancel", optimization_id=task_id)
    assert (cancelled["status"], cancelled["n_done"] >= 20) == ("cancelled", True)
    assert await house.ask("optimization.status", optimization_id=task_id) == cancelled
    with pytest.raises(Forbidden):
        await house.ask("optimization.resume", "eve", "bot", optimization_id=task_id)
    resumed = await house.ask("optimization.resume", optimization_id=task_id)
    assert (resumed["status"], resumed["n_done"]) == ("pending", cancelled["n_done"])
    with pytest.raises(Conflict):
        await house.ask("optimization.resume", optimization_id=task_id)
    await house.ended(task_id)
    found = await house.ask("optimization.status", optimization_id=task_id)
    same = ("status", "n_trials", "n_done", "best_params", "best_score")
    assert [found[name] for name in same] == [whole[name] for name in same]
    assert await house.trials(task_id) == await house.trials(whole["optimization_id"])


@in_house(chunk_trials=7)
async def test_several_symbols_and_several_targets(house: House, folder: Path) -> None:
    request = {name: value for name, value in GRID.items() if name != "symbol"}
    request |= {"symbols": ["A/USDT", "B/USDT"], "aggregate": "minimum"}
    found = await house.search(**request)
    alone = [await house.search(**{**GRID, "symbol": symbol}) for symbol in request["symbols"]]
    scores = [[t["score"] for t in await house.trials(each["optimization_id"])] for each in (found, *alone)]
    assert scores[0] == [min(pair) for pair in zip(*scores[1:], strict=True)]
    (trial, *_) = await house.trials(found["optimization_id"])
    assert set(trial["by_symbol"]) == {"A/USDT", "B/USDT"}
    front = await house.search(**{**GRID, "optimization_target": ["return", "drawdown"]})
    on_front = await house.ask("optimization.results", optimization_id=front["optimization_id"], front=True)
    best = await house.trials(front["optimization_id"])
    for trial in on_front["trials"]:
        gain, loss = trial["scores"]
        assert not any(t["scores"][0] > gain and t["scores"][1] < loss for t in best if t["eligible"])


@in_house(chunk_trials=50)
async def test_bars_that_a_search_began_with_are_cut_again_where_they_were_removed(house: House, folder: Path) -> None:
    task_id = (await house.ask("optimization.start", **{**GRID, "stop": {"batch": 5, "patience": 99}}))[
        "optimization_id"
    ]
    await house.until_stored(task_id, 5)
    await house.ask("optimization.cancel", optimization_id=task_id)
    while task_id in house.context.tasks.jobs:
        await asyncio.sleep(0.002)
    for file in (folder / "snapshots").iterdir():
        file.unlink()
    await house.ask("optimization.resume", optimization_id=task_id)
    await house.ended(task_id)
    found = await house.ask("optimization.status", optimization_id=task_id)
    assert (found["status"], found["n_done"]) == ("completed", 120), found["error"]


def test_missing_ranges_are_what_lies_between() -> None:
    assert missing_ranges([], 10, 4) == [(0, 4), (4, 8), (8, 10)]
    assert missing_ranges([(0, 10)], 10, 4) == []
    assert missing_ranges([(2, 3), (8, 9)], 10, 4) == [(0, 2), (3, 7), (7, 8), (9, 10)]
