"""A backtest's snapshot: cut once for each window of the same bars, as long as it is on this machine."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import numpy as np
import pytest

from tunesmith.config import Server, Settings
from tunesmith.domain.market.bars import Bars
from tunesmith.domain.trading import Costs
from tunesmith.errors import Conflict
from tunesmith.services.market import window_snapshots
from tunesmith.services.market.market_windows import Window, prepared
from tunesmith.services.market.window_snapshots import cut_window, known_window
from tunesmith.services.runtime.context import Context
from tunesmith.services.runtime.task_runner import Job
from tunesmith.storage.cache.caches import MemoryCache
from tunesmith.storage.market.snapshots import SnapshotFolder
from tunesmith.workers.chunks.payloads import Prepared

HOUR = 3_600_000
WINDOW = Window(
    venue="demo",
    symbol="A/B",
    timeframe="1h",
    start_ms=0,
    end_ms=90 * HOUR,
    boundary_ms=95 * HOUR,
    withheld=False,
    costs=Costs(),
    fill="next_open",
    direction="long",
    initial_cash=10_000.0,
)


class House:
    """A data directory with a cache and one market; `cut` counts what a worker was asked for."""

    def __init__(self, folder: Path) -> None:
        self.cut = 0
        self.series = SimpleNamespace(data_hash="d1")
        self.cache = MemoryCache()
        self.snapshots = SnapshotFolder(folder / "snapshots")
        self.on_cut: Callable[[], None] | None = None
        parts = SimpleNamespace(
            cache=self.cache,
            market=SimpleNamespace(find=lambda symbol, timeframe, venue: self.series),
            settings=Settings(server=Server(data_dir=str(folder))),
        )
        self.context = cast(Context, parts)

    async def run(self, function: str, payload: Any) -> Prepared:
        assert function == "prepare"
        self.cut += 1
        if self.on_cut:
            self.on_cut()
        close = np.full(payload.end_ms // HOUR, 1.0 + self.cut)
        columns = dict.fromkeys(("open", "high", "low", "close", "volume"), close)
        bars = Bars.from_arrays(np.arange(len(close)) * HOUR, columns, symbol="A/B", timeframe="1h")
        return Prepared(
            snapshot=self.snapshots.put(bars),
            n_bars=len(bars),
            first=0,
            n_in_sample=1,
            n_holdout=0,
            start_ms=0,
            end_ms=1,
        )

    async def forget(self, state: dict[str, Any]) -> None:
        """A task whose state nobody reads."""

    async def ask(self, window: Window = WINDOW, **state: Any) -> tuple[Prepared, int]:
        """What a fresh task works on, and how many windows were cut for it; the task remembers it."""
        saved: list[dict[str, Any]] = []

        async def save(state: dict[str, Any]) -> None:
            saved.append(state)

        job = SimpleNamespace(state=state, run=self.run, save=save)
        before = self.cut
        known = await known_window(self.context, cast(Job, job), window)
        data = await cut_window(self.context, cast(Job, job), window, known)
        if "prepared" not in state:
            assert saved == [{**state, "prepared": msgspec.to_builtins(data)}]
        return data, self.cut - before


def play(folder: Path, scene: Callable[[House], Awaitable[None]]) -> None:
    async def main() -> None:
        await scene(House(folder))

    asyncio.run(main())


def test_tasks_on_the_same_window_share_one_snapshot(tmp_path: Path) -> None:
    async def scene(house: House) -> None:
        first = await house.ask()
        assert first[1] == 1
        assert await house.ask(looked=True) == (first[0], 0)
        costs = msgspec.structs.replace(WINDOW, costs=Costs(fee_rate=0.01), initial_cash=5.0, direction="both")
        assert await house.ask(costs) == (first[0], 0)

    play(tmp_path, scene)


@pytest.mark.parametrize("field", ["start_ms", "end_ms", "boundary_ms"])
def test_another_window_is_cut_for_itself(tmp_path: Path, field: str) -> None:
    async def scene(house: House) -> None:
        await house.ask()
        other = msgspec.structs.replace(WINDOW, **{field: getattr(WINDOW, field) + HOUR})
        assert [(await house.ask(other))[1] for _ in range(2)] == [1, 0]
        assert (await house.ask())[1] == 0

    play(tmp_path, scene)


def test_searches_and_verdicts_cut_for_themselves(tmp_path: Path) -> None:
    async def scene(house: House) -> None:
        await house.ask()
        for until_ms in (None, 100 * HOUR):
            job = SimpleNamespace(state={}, run=house.run, save=house.forget)
            before = house.cut
            data = await prepared(house.context, cast(Job, job), WINDOW, until_ms=until_ms)
            assert (data.n_bars, house.cut) == (100 if until_ms else 90, before + 1)

    play(tmp_path, scene)


def test_new_bars_and_another_engine_are_cut_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene(house: House) -> None:
        await house.ask()
        house.series.data_hash = "d2"
        assert (await house.ask())[1] == 1
        monkeypatch.setattr(window_snapshots, "engine_version", lambda: "another")
        assert (await house.ask())[1] == 1

    play(tmp_path, scene)


def test_bars_that_were_replaced_while_a_window_was_cut_leave_nothing_behind(tmp_path: Path) -> None:
    async def scene(house: House) -> None:
        house.on_cut = lambda: setattr(house.series, "data_hash", "d2")
        await house.ask()
        house.on_cut = None
        assert (await house.ask())[1] == 1
        house.series.data_hash = "d1"
        assert (await house.ask())[1] == 1

    play(tmp_path, scene)


@pytest.mark.parametrize("gone", ["*", "*.npy", "*.json"])
def test_a_snapshot_that_is_not_here_is_cut_again(tmp_path: Path, gone: str) -> None:
    async def scene(house: House) -> None:
        await house.ask()
        for file in (tmp_path / "snapshots").glob(gone):
            file.unlink()
        assert [(await house.ask())[1] for _ in range(2)] == [1, 0]

    play(tmp_path, scene)


def test_a_snapshot_that_is_taken_again_is_not_pruned(tmp_path: Path) -> None:
    async def scene(house: House) -> None:
        data, _ = await house.ask()
        for file in (tmp_path / "snapshots").iterdir():
            os.utime(file, (0, 0))
        await house.ask()
        assert house.snapshots.prune(keep=()) == 0
        assert house.snapshots.get(data.snapshot).data_hash == data.snapshot

    play(tmp_path, scene)


@pytest.mark.parametrize("name", ["", "../x", "0" * 63, "0" * 64, "G" * 64])
def test_a_name_that_is_no_snapshot_here_is_cut_again(tmp_path: Path, name: str) -> None:
    class Foreign(MemoryCache):
        async def get(self, key: str) -> bytes | None:
            empty = Prepared(snapshot=name, n_bars=9, first=0, n_in_sample=9, n_holdout=0, start_ms=0, end_ms=1)
            return msgspec.json.encode(empty)

    async def scene(house: House) -> None:
        house.context.cache = Foreign()
        data, n_cut = await house.ask()
        assert (data.n_bars, n_cut) == (90, 1)

    play(tmp_path, scene)


def test_a_task_that_goes_on_keeps_to_its_snapshot(tmp_path: Path) -> None:
    async def scene(house: House) -> None:
        old, _ = await house.ask()
        house.series.data_hash = "d2"
        assert await house.ask(prepared=msgspec.to_builtins(old)) == (old, 0)
        house.snapshots.prune(set(), -1.0)
        with pytest.raises(Conflict, match="no longer those that the task began with"):
            await house.ask(prepared=msgspec.to_builtins(old))

    play(tmp_path, scene)
