"""Answers from the cache: the same backtest hits, whatever differs misses, what is not sound is computed again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from tunesmith.config import Server, Settings
from tunesmith.domain.trading import Costs
from tunesmith.errors import Conflict, Internal
from tunesmith.services.backtests import backtest_results
from tunesmith.services.market import window_snapshots
from tunesmith.services.market.market_windows import Assignment, Window
from tunesmith.services.runtime.context import Context
from tunesmith.services.runtime.task_runner import Job
from tunesmith.storage.cache.caches import MemoryCache
from tunesmith.workers.chunks.payloads import Prepared, StrategyRef

HOUR = 3_600_000
WINDOW = Window(
    venue="demo",
    symbol="A/B",
    timeframe="1h",
    start_ms=0,
    end_ms=100 * HOUR,
    boundary_ms=90 * HOUR,
    withheld=False,
    costs=Costs(),
    fill="next_open",
    direction="long",
    initial_cash=10_000.0,
)
TASK = Assignment(strategy=StrategyRef(id="mine", version="1", kind="rule", code="x", code_hash="c1"), window=WINDOW)
PARAMS: dict[str, Any] = {"fast": 5, "mode": "a"}
FOUND = {
    "params": PARAMS,
    "metrics": {"sharpe": 1.25, "win_rate": None},
    "stats": {"Start": "2024"},
    "trades": [{"size": 1.0}],
    "equity": [(0, 10_000.0), (HOUR, 10_001.5)],
    "longer": [{"timeframe": "4h", "partial": 0.5, "stale": 0.0}],
    "disagreements": [],
    "warnings": [],
}


@dataclass
class Worker:
    """Plays task and worker: counts what is computed. `on_cut` runs while a window is being cut."""

    market: SimpleNamespace
    disagreements: list[str] = field(default_factory=list)
    on_cut: Callable[[], None] | None = None
    ran: list[str] = field(default_factory=list)
    state: dict[str, Any] = field(default_factory=dict)

    async def run(self, function: str, payload: Any) -> Any:
        self.ran.append(function)
        if function == "backtest":
            return {**FOUND, "disagreements": self.disagreements}
        snapshot = f"cut of {self.market.data_hash} {payload.start_ms} {payload.end_ms}"
        if self.on_cut:
            self.on_cut()
        return Prepared(snapshot=snapshot, n_bars=100, first=0, n_in_sample=90, n_holdout=10, start_ms=0, end_ms=1)

    async def save(self, state: dict[str, Any]) -> None:
        self.state = state

    def advance(self, done: int, total: int) -> None: ...

    def log(self, message: str, level: str = "info") -> None: ...


class House:
    """A cache and a market whose stored bars have a hash."""

    def __init__(self) -> None:
        self.cache = MemoryCache()
        self.series = SimpleNamespace(data_hash="d1")
        found = SimpleNamespace(find=lambda symbol, timeframe, venue: self.series)
        self.context = cast(Context, SimpleNamespace(cache=self.cache, market=found, settings=Settings()))

    async def ask(self, task: Assignment = TASK, params: dict[str, Any] = PARAMS, **more: Any) -> list[str]:
        """Which chunks ran for a backtest; its result is checked."""
        worker = Worker(self.series, **more)
        _, made = await backtest_results.backtest(self.context, cast(Job, worker), task, params)
        assert {name: made[name] for name in ("metrics", "trades", "equity", "longer")} == {
            name: FOUND[name] for name in ("metrics", "trades", "equity", "longer")
        }
        return worker.ran


def changed(**window: Any) -> Assignment:
    return msgspec.structs.replace(TASK, window=msgspec.structs.replace(WINDOW, **window))


def other_strategy(**changes: Any) -> Assignment:
    return msgspec.structs.replace(TASK, strategy=msgspec.structs.replace(TASK.strategy, **changes))


def test_a_repeated_backtest_asks_no_worker() -> None:
    async def main() -> None:
        house = House()
        assert await house.ask() == ["prepare", "backtest"]
        assert await house.ask() == []

    asyncio.run(main())


@pytest.mark.parametrize(
    ("task", "params"),
    [
        (changed(costs=Costs(fee_rate=0.002)), PARAMS),
        (changed(fill="close"), PARAMS),
        (changed(direction="both"), PARAMS),
        (changed(initial_cash=5_000.0), PARAMS),
        (changed(start_ms=HOUR), PARAMS),
        (changed(end_ms=99 * HOUR), PARAMS),
        (other_strategy(code_hash="c2"), PARAMS),
        (other_strategy(kind="kernel"), PARAMS),
        (TASK, {"fast": 6, "mode": "a"}),
        (TASK, {"fast": 5, "mode": "b"}),
        (TASK, {"fast": 5}),
    ],
)
def test_whatever_a_result_depends_on_makes_it_another(task: Assignment, params: dict[str, Any]) -> None:
    async def main() -> None:
        house = House()
        await house.ask()
        assert "backtest" in await house.ask(task, params)
        assert await house.ask(task, params) == []
        assert await house.ask() == []

    asyncio.run(main())


def test_another_name_for_the_same_rule_is_the_same_rule() -> None:
    async def main() -> None:
        house = House()
        await house.ask()
        assert await house.ask(other_strategy(id="copy", version="7")) == []

    asyncio.run(main())


def test_new_bars_are_cut_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        house = House()
        await house.ask()
        house.series.data_hash = "d2"
        assert await house.ask() == ["prepare", "backtest"]
        for module in (backtest_results, window_snapshots):
            monkeypatch.setattr(module, "engine_version", lambda: "another")
        assert await house.ask() == ["prepare", "backtest"]

    asyncio.run(main())


def test_a_window_whose_bars_were_replaced_while_it_was_cut_is_not_kept() -> None:
    async def main() -> None:
        house = House()

        def replace() -> None:
            house.series.data_hash = "d2"

        assert await house.ask(on_cut=replace) == ["prepare", "backtest"]
        house.series.data_hash = "d1"
        assert await house.ask() == ["prepare"]

    asyncio.run(main())


def test_a_task_that_goes_on_after_a_restart_keeps_to_its_snapshot(tmp_path: Path) -> None:
    async def main() -> None:
        house = House()
        house.context.settings = Settings(server=Server(data_dir=str(tmp_path)))
        old = Prepared(snapshot="0" * 64, n_bars=9, first=0, n_in_sample=9, n_holdout=0, start_ms=0, end_ms=1)
        files = [tmp_path / "snapshots" / f"{old.snapshot}.{kind}" for kind in ("npy", "json")]
        files[0].parent.mkdir()
        for file in files:
            file.touch()
        worker = Worker(house.series, state={"prepared": msgspec.to_builtins(old)})
        data, _ = await backtest_results.backtest(house.context, cast(Job, worker), TASK, PARAMS)
        assert (data, worker.ran) == (old, ["backtest"])
        for file in files:
            file.unlink()
        with pytest.raises(Conflict, match="no longer those"):
            await backtest_results.backtest(house.context, cast(Job, worker), TASK, PARAMS)

    asyncio.run(main())


def test_numbers_that_vectorbt_does_not_confirm_are_refused_and_not_kept() -> None:
    async def main() -> None:
        house = House()
        with pytest.raises(Internal, match="sharpe"):
            await house.ask(disagreements=["sharpe 1 and 2"])
        assert await house.ask() == ["prepare", "backtest"]

    asyncio.run(main())


@pytest.mark.parametrize(
    "text", [b"", b"null", b"[]", b"{}", b"\xff", b'{"snapshot": 1}', b'{"metrics": {"sharpe": "x"}}']
)
def test_values_of_another_form_are_misses(text: bytes) -> None:
    class Foreign(MemoryCache):
        async def get(self, key: str) -> bytes | None:
            return text

    async def main() -> None:
        house = House()
        house.context.cache = Foreign()
        assert await house.ask() == ["prepare", "backtest"]

    asyncio.run(main())
