"""What one request and one user may take: refused before it begins, with the figure, or busy at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from services.search_house import SYMBOLS, House, open_house
from tunesmith.compute.engines.engine_table import ENGINES
from tunesmith.errors import Busy, Invalid
from tunesmith.services.runtime import rate_limits
from tunesmith.services.runtime.rate_limits import Rate
from tunesmith.services.runtime.speed_estimates import Speeds
from tunesmith.workers.chunks.payloads import StrategyRef

SEARCH: dict[str, Any] = {
    "symbol": SYMBOLS[0],
    "strategy_id": "ma_cross_v1.0",
    "param_ranges": {"fast_period": {"min": 2, "max": 20}, "slow_period": {"min": 21, "max": 60}},
    "method": "grid",
}
RULE = "enter_long(close > sma(close, 3))\nexit_long(close < sma(close, 3))\n"
REF = StrategyRef(id="s", version="1", kind="rule", code="", code_hash="h")


def in_house(scene: Callable[[House], Awaitable[None]]) -> Callable[[Path], None]:
    def test(tmp_path: Path) -> None:
        async def main() -> None:
            async with open_house(tmp_path) as house:
                await scene(house)

        asyncio.run(main())

    return test


def allow(house: House, **limits: Any) -> None:
    settings = house.context.settings
    house.context.settings = msgspec.structs.replace(
        settings, limits=msgspec.structs.replace(settings.limits, **limits)
    )


@in_house
async def test_a_search_beyond_its_budget_is_refused_with_the_estimate(house: House) -> None:
    allow(house, search_budget_s=1e-6)
    with pytest.raises(
        Invalid, match=r"760 trials on 630 bars need about 0 s .*5 ns for a trial and bar, assumed"
    ) as e:
        await house.ask("optimization.start", **SEARCH)
    assert e.value.path == "/data/param_ranges"
    with pytest.raises(Invalid) as sampled:
        await house.ask("optimization.start", **{**SEARCH, "method": "random", "max_iterations": 500})
    assert sampled.value.path == "/data/max_iterations"
    walk = {**SEARCH, "train_bars": 200, "test_bars": 100}
    with pytest.raises(Invalid):
        await house.ask("walkforward.start", **walk)
    assert (await house.ask("task.list"))["total"] == 0
    stop = {"time_budget_s": 1e-7}
    assert (await house.ask("optimization.start", **{**SEARCH, "stop": stop}))["n_trials"] == 760


@in_house
async def test_a_session_beyond_its_budget_is_refused(house: House) -> None:
    session = {"symbols": list(SYMBOLS), "strategies": ["ma_cross_v1.0"], "mode": "random", "size": 100}
    allow(house, session_budget_s=1e-6)
    with pytest.raises(Invalid, match=f"{len(SYMBOLS)} searches need about") as refused:
        await house.ask("session.generate", **session)
    assert refused.value.path == "/data/size"
    allow(house, search_budget_s=1e-6)
    with pytest.raises(Invalid) as one:
        await house.ask("session.generate", **session)
    assert one.value.path == "/data/size"


@in_house
async def test_the_speed_of_a_search_is_what_the_next_estimate_goes_by(house: House) -> None:
    await house.search(
        **{**SEARCH, "param_ranges": {**SEARCH["param_ranges"], "signal_threshold": {"values": [0, 0.001, 0.002]}}}
    )
    allow(house, search_budget_s=1e-6)
    with pytest.raises(Invalid, match=r"ns for a trial and bar, measured"):
        await house.ask("optimization.start", **SEARCH)


@in_house
async def test_a_user_who_changes_strategies_too_often_is_told_when_to_come_back(house: House) -> None:
    house.context.strategy_changes = Rate(2, "changes of strategies")
    for number in range(2):
        await house.ask("strategy.create", id=f"s{number}", name="S", version="1.0", code=RULE)
    with pytest.raises(Busy) as busy:
        await house.ask("strategy.update", id="s0", version="1.1", code=RULE)
    assert 0 < (busy.value.retry_after_ms or 0) <= 30_000
    await house.ask("strategy.create", user="bob", id="s2", name="S", version="1.0", code=RULE)


@in_house
async def test_a_full_queue_is_said_before_anything_else(house: House) -> None:
    allow(house, tasks_per_user=0)
    for message_type in ("optimization.start", "backtest.start"):
        with pytest.raises(Busy) as busy:
            await house.ask(message_type, symbol="NOT/THERE", strategy_id="nor_this")
        assert busy.value.retry_after_ms


@in_house
async def test_requests_that_come_together_do_not_overfill_the_queue(house: House) -> None:
    allow(house, tasks_per_user=2)
    search = {**SEARCH, "method": "random", "max_iterations": 100_000}
    asked = await asyncio.gather(*(house.ask("optimization.start", **search) for _ in range(8)), return_exceptions=True)
    begun = [found["optimization_id"] for found in asked if isinstance(found, dict)]
    assert len(begun) == 2
    assert all(isinstance(found, dict | Busy) for found in asked)
    for task_id in begun:  # several at once: it was cancelled for each of them
        replies = await asyncio.gather(*(house.ask("optimization.cancel", optimization_id=task_id) for _ in range(3)))
        assert [reply["status"] for reply in replies] == ["cancelled"] * 3


def test_tokens_come_back_with_time(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr(rate_limits.time, "monotonic", lambda: clock[0])
    rate = Rate(60, "things")
    for _ in range(60):
        rate.take("ann")
    with pytest.raises(Busy) as busy:
        rate.take("ann")
    assert busy.value.retry_after_ms == 1000
    clock[0] += 0.999
    with pytest.raises(Busy):
        rate.take("ann")
    clock[0] += 0.002
    rate.take("ann")
    clock[0] += 3600.0
    for _ in range(60):
        rate.take("ann")
    with pytest.raises(Busy):
        rate.take("ann")


def test_the_quickest_chunk_says_how_fast_a_strategy_is() -> None:
    speeds = Speeds()
    assert speeds.ns(REF, "tunesmith") == ENGINES["tunesmith"].assumed_ns
    assert not speeds.is_measured(REF, "tunesmith")
    speeds.learn(REF, "tunesmith", 1.0, 1000)  # too little to tell
    assert not speeds.is_measured(REF, "tunesmith")
    speeds.learn(REF, "tunesmith", 0.1, 10**7)
    assert speeds.ns(REF, "tunesmith") == pytest.approx(10.0)
    speeds.learn(REF, "tunesmith", 5.0, 10**7)
    assert speeds.ns(REF, "tunesmith") == pytest.approx(11.0)
    speeds.learn(REF, "tunesmith", 0.02, 10**7)
    assert speeds.ns(REF, "tunesmith") == pytest.approx(2.0)
    assert speeds.ns(REF, "vectorbt") == ENGINES["vectorbt"].assumed_ns
