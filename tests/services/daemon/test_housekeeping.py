"""Housekeeping over a real database and real files: what expires, what is removed, and that it goes on."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import numpy as np
import pytest
import structlog

from storage.opened import MA, add_package, add_task
from tunesmith.config import Retention, Server, Settings
from tunesmith.domain.market.bars import COLUMNS, Bars
from tunesmith.errors import Internal
from tunesmith.services.daemon import housekeeping
from tunesmith.services.daemon.housekeeping import (
    expire_packages,
    forget_null_vectors,
    forget_replies,
    keep_house,
    remove_snapshots,
)
from tunesmith.services.runtime import incidents
from tunesmith.services.runtime.context import Context
from tunesmith.services.runtime.incidents import Noticed
from tunesmith.storage.market.snapshots import SnapshotFolder
from tunesmith.storage.sqlite.database import Database
from tunesmith.storage.tables import null_vector_table, outbox, package_table, reply_table, task_table
from tunesmith.storage.tables.null_vector_table import NullRow
from tunesmith.storage.timestamps import iso

A, B, C = "a" * 64, "b" * 64, "c" * 64
TOPIC = f"pkg/BTC/USDT/1h/{MA.id}/"
LONG_AGO = "2024-03-01T00:00:00.000Z"
DAY_S = 86_400


def with_context(folder: Path, scene: Callable[[Context], Awaitable[None]]) -> None:
    async def main() -> None:
        settings = Settings(server=Server(data_dir=str(folder)), retention=Retention(snapshot_days=2, reply_days=7))
        database = await Database.open(folder / "t.db")
        try:
            await scene(cast(Context, SimpleNamespace(settings=settings, database=database, noticed=Noticed())))
        finally:
            await database.close()

    asyncio.run(main())


async def told(context: Context) -> list[tuple[str, str]]:
    """(type, package id) of every event on the packages' topic, oldest first."""
    missed = await outbox.replay(context.database, 0, [TOPIC])
    events = [msgspec.json.decode(row.event) for row in missed.events]
    return [(event["type"], event["data"]["package_id"]) for event in events]


def test_a_package_that_expires_does_not_hide_those_that_stand_on_its_topic(tmp_path: Path) -> None:
    async def scene(context: Context) -> None:
        for package_id, venue, until in (
            (A, "north", "2999-01-01T00:00:00Z"),
            (B, "south", LONG_AGO),
            (C, "x", LONG_AGO),
        ):
            more = {"venue": venue, "valid_until": until}
            await context.database.write(lambda conn, i=package_id, m=more: add_package(conn, i, **m))
        assert await expire_packages(context) == 2
        assert await told(context) == [("package.expired", B), ("package.expired", C), ("package.approved", A)]
        row = await package_table.get(context.database, A)
        assert row is not None
        last = (await outbox.snapshot(context.database, [TOPIC])).events[-1]
        assert msgspec.json.decode(last.event)["data"] == row.doc
        assert await expire_packages(context) == 0
        assert len(await told(context)) == 3

    with_context(tmp_path, scene)


def test_nothing_follows_the_expiry_of_the_only_package(tmp_path: Path) -> None:
    async def scene(context: Context) -> None:
        await context.database.write(lambda conn: add_package(conn, A, timeframe="5m"))
        await context.database.write(lambda conn: add_package(conn, B, valid_until=LONG_AGO))
        assert await expire_packages(context) == 1
        assert await told(context) == [("package.expired", B)]

    with_context(tmp_path, scene)


class Clocks:
    """The wall clock and the one that nobody sets, as a test moves them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.wall_s, self.elapsed_s = 1_750_000_000.0, 1_000.0
        monkeypatch.setattr(time, "time", lambda: self.wall_s)
        monkeypatch.setattr(incidents, "elapsed_s", lambda: self.elapsed_s)

    def go_on(self, seconds: float) -> None:
        self.wall_s += seconds
        self.elapsed_s += seconds


def test_a_clock_that_is_set_forward_for_a_while_expires_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clocks = Clocks(monkeypatch)
    until = iso(int((clocks.wall_s + DAY_S) * 1000))

    async def seconds(context: Context, n: int) -> int:
        """How many packages expire in so many seconds."""
        n_expired = 0
        for _ in range(n):
            clocks.go_on(1.0)
            n_expired += await expire_packages(context)
        return n_expired

    async def scene(context: Context) -> None:
        await context.database.write(lambda conn: add_package(conn, A, valid_until=until))
        for set_s, back_after_s in ((2 * DAY_S, 3), (2 * DAY_S, 599), (365 * DAY_S, 1)):
            clocks.wall_s += set_s
            assert await seconds(context, back_after_s) == 0
            clocks.wall_s -= set_s
            assert await seconds(context, 5) == 0
        clocks.wall_s += 2 * DAY_S
        assert await seconds(context, 599) == 0
        clocks.wall_s += 60  # set again: the wait begins anew
        assert await seconds(context, 599) == 0
        assert await seconds(context, 3) == 1
        assert await told(context) == [("package.expired", A)]

    with_context(tmp_path, scene)


def test_a_package_expires_at_its_time_while_the_clock_is_brought_nearer_slowly_or_was_set_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clocks = Clocks(monkeypatch)

    async def scene(context: Context) -> None:
        until = iso(int((clocks.wall_s + 4_000) * 1000))
        await context.database.write(lambda conn: add_package(conn, A, valid_until=until))
        for _ in range(4_000):
            clocks.go_on(1.0)
            clocks.wall_s -= 0.0005
            assert await expire_packages(context) == 0
        clocks.go_on(3.0)
        clocks.wall_s -= 3_600.0
        assert await expire_packages(context) == 0, "by the wall clock there is an hour left"
        clocks.go_on(3_600.0)
        assert await expire_packages(context) == 1

    with_context(tmp_path, scene)


def snapshot_of(store: SnapshotFolder, seed: int, age_days: float) -> str:
    rng = np.random.default_rng(seed)
    columns = {name: rng.uniform(90, 110, 20) for name in COLUMNS}
    columns["high"], columns["low"] = np.full(20, 120.0), np.full(20, 80.0)
    stamps = 1_704_067_200_000 + 3_600_000 * np.arange(20)
    bars = Bars.from_arrays(stamps, columns, symbol="A/B", timeframe="1h", venue="v", bars_per_year=8766.0)
    name = store.put(bars)
    then = time.time() - age_days * DAY_S
    for path in store.root.glob(f"{name}.*"):
        os.utime(path, (then, then))
    return name


def test_snapshots_go_unless_a_task_works_on_them_or_they_are_young(tmp_path: Path) -> None:
    async def scene(context: Context) -> None:
        store = SnapshotFolder(tmp_path / "snapshots")
        in_state, in_request, of_ended, old = (snapshot_of(store, seed, age_days=3) for seed in range(4))
        young = snapshot_of(store, 4, age_days=1)

        async def write(conn: Any) -> None:
            await add_task(conn, "runs")
            await add_task(conn, "waits", request=f'{{"bars": ["{in_request}"]}}')
            await add_task(conn, "ended")
            for task_id, name in (("runs", in_state), ("ended", of_ended)):
                await task_table.set_running(conn, task_id)
                await task_table.set_state(conn, task_id, f'{{"prepared": {{"snapshot": "{name}"}}}}')
            await task_table.finish(conn, "ended", "failed")

        await context.database.write(write)
        assert await remove_snapshots(context) == 2
        assert {path.stem for path in store.root.iterdir()} == {in_state, in_request, young}
        assert old not in (in_state, in_request, young)
        assert await remove_snapshots(context) == 0

    with_context(tmp_path, scene)


def test_replies_are_forgotten_when_their_time_is_over(tmp_path: Path) -> None:
    async def scene(context: Context) -> None:
        async def write(conn: Any) -> None:
            for i in range(12):
                await reply_table.store(conn, ("ann", "", f"r{i}"), "x", "hash", "{}")
                created = iso(int((time.time() - (i % 2 * 4 + 5) * DAY_S) * 1000))  # 5 and 9 days ago
                await conn.execute("UPDATE requests SET created_at = ? WHERE id = ?", (created, f"r{i}"))
            assert await reply_table.forget(conn, iso(0)) == 0

        await context.database.write(write)
        assert await context.database.write(lambda conn: reply_table.forget(conn, iso(2**42), limit=2)) == 2
        left = await context.database.fetch_all("SELECT count(*) FROM requests")
        assert left[0][0] == 10
        await forget_replies(context)
        rows = await context.database.fetch_all("SELECT id FROM requests")
        assert {int(row[0][1:]) % 2 for row in rows} == {0}
        assert await forget_replies(context) == 0

    with_context(tmp_path, scene)


def test_null_vectors_are_forgotten_when_their_time_is_over(tmp_path: Path) -> None:
    async def scene(context: Context) -> None:
        async def write(conn: Any) -> None:
            rows = [NullRow(counted_id=i, ground="g", n=1, v=b"") for i in range(250)]
            await null_vector_table.put(conn, rows)
            long_ago = iso(int((time.time() - 8 * DAY_S) * 1000))
            await conn.execute("UPDATE null_vectors SET made_at = ? WHERE counted_id < 240", (long_ago,))

        await context.database.write(write)
        assert await forget_null_vectors(context) == 240
        assert len(await null_vector_table.get(context.database, [(i, "g") for i in range(250)])) == 10

    with_context(tmp_path, scene)


@pytest.mark.parametrize(("fault", "level"), [(Internal("the disk is full"), "warning"), (KeyError("x"), "error")])
def test_a_step_that_fails_is_logged_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: Exception, level: str
) -> None:
    n_failed = 0
    rounds: list[str] = []
    enough = asyncio.Event()

    async def fail(context: Context) -> None:
        nonlocal n_failed
        n_failed += 1
        raise fault

    async def other(context: Context) -> None:
        rounds.append("other")
        if n_failed >= 3:
            enough.set()

    async def slow(context: Context) -> None:
        rounds.append("slow")

    monkeypatch.setattr(housekeeping, "_INTERVAL_S", 0.001)
    for name, step in (
        ("expire_packages", fail),
        ("set_gauges", other),
        ("remove_snapshots", fail),
        ("forget_replies", slow),
    ):
        monkeypatch.setattr(housekeeping, name, step)

    async def scene(context: Context) -> None:
        with structlog.testing.capture_logs() as lines:
            keeper = asyncio.create_task(keep_house(context))
            async with asyncio.timeout(90):
                await enough.wait()
            assert not keeper.done()
            keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await keeper
        assert {line["log_level"] for line in lines} == {level}
        assert lines[0]["step"] == "fail"
        assert rounds.count("slow") == 1
        assert rounds.count("other") >= 2

    with_context(tmp_path, scene)
