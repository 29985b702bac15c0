"""Everything at once for a long time: what a daemon takes must not grow, and what it took on must be done.

    python tests/benchmarks/soak.py [--minutes 20] [--seed N]

Backtests, searches (some cancelled), approvals with bots that follow, strategies made, changed and deleted, lookups and
pings, from clients that come and go; every few seconds workers are killed -9 or Redis is stopped and started. Memory
and open files of the daemon are looked at all the time, and the medians of the second and the last quarter compared
(the cache in process has 16 MB, so that it is full by then).
The exit code is 1 when memory grew by more than a tenth, files by more than ten, a task that was acknowledged has not
come to its end, a bot has not heard every package, or the daemon did not stop cleanly.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import secrets
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from benchmarks.approvals import plant  # noqa: E402
from benchmarks.loads import memory_mb, n_descriptors  # noqa: E402
from journeys.conftest import import_markets  # noqa: E402
from journeys.daemon import DaemonProcess  # noqa: E402
from storage.redis_server import RedisServer  # noqa: E402
from tunesmith.client import AsyncClient  # noqa: E402
from tunesmith.errors import Conflict, TunesmithError  # noqa: E402

MAY_GROW, MAY_OPEN = 1.1, 10
MARKETS = 4
TRIES_S = 300.0
STRATEGY = "n = Int(5, 2, 50)\nenter_long(close > sma(close, n))\nexit_long(close < sma(close, n))\n"
SEARCH = {
    "symbol": "BTC/USDT",
    "strategy_id": "ma_cross_v1.0",
    "param_ranges": {"fast_period": {"min": 2, "max": 40}, "slow_period": {"min": 41, "max": 90}},
    "method": "random",
    "max_iterations": 400,
}
FINAL = ("completed", "failed", "cancelled")


class Soak:
    """The load, what was acknowledged, and what was measured."""

    def __init__(
        self, daemon: DaemonProcess, redis: RedisServer, standing: dict[str, str], seed: int, *, kills: bool = True
    ) -> None:
        self.daemon, self.redis = daemon, redis
        self.draw, self.kills = random.Random(seed), kills
        self.standing = standing
        self.tasks: dict[str, str] = {}
        self.done: Counter[str] = Counter()
        self.heard: dict[str, list[str]] = {symbol: [] for symbol in standing}
        self.approved: dict[str, list[str]] = {symbol: [] for symbol in standing}
        self.samples: list[tuple[float, float, int]] = []
        self.ended = asyncio.Event()

    def client(self, name: str) -> AsyncClient:
        doors = self.daemon.doors
        return AsyncClient(doors["requests"], doors["events"], name=name, deadline_s=TRIES_S)

    async def pause(self, seconds: float) -> None:
        """Wait about so long, or until the end."""
        try:
            async with asyncio.timeout(self.draw.uniform(0.5, 1.5) * seconds):
                await self.ended.wait()
        except TimeoutError:
            return

    async def again_and_again(
        self, name: str, pause_s: float, step: Callable[[AsyncClient, int], Awaitable[None]]
    ) -> None:
        """One step after the other, a new client for every fifty."""
        number = 0
        while not self.ended.is_set():
            async with self.client(name) as client:
                for _ in range(50):
                    if self.ended.is_set():
                        break
                    number += 1
                    await step(client, number)
                    self.done[name] += 1
                    await self.pause(pause_s)

    async def backtest(self, client: AsyncClient, number: int) -> None:
        params = {"fast_period": 2 + number % 20, "slow_period": 30 + number % 50, "signal_threshold": 1e-6 * number}
        started = await client.backtest("BTC/USDT", "ma_cross_v1.0", params)
        self.tasks[started.task_id] = "backtest"

    async def search(self, client: AsyncClient, number: int) -> None:
        started = await client.request("optimization.start", {**SEARCH, "seed": number})
        task_id = started["optimization_id"]
        self.tasks[task_id] = "search"
        if number % 5 == 0:
            try:
                await client.request("optimization.cancel", {"optimization_id": task_id})
            except Conflict:  # it was done by then
                return
        elif number % 3 == 0:
            await client.wait(task_id, TRIES_S)
            await client.request("optimization.results", {"optimization_id": task_id})

    async def approve(self, client: AsyncClient, number: int) -> None:
        symbol = list(self.standing)[number % MARKETS]
        data = {"package_id": self.standing[symbol], "reason": "soak"}
        reply = await client.request("package.rollback", data, id=f"soak-{number}")
        self.standing[symbol] = reply["package"]["package_id"]
        self.approved[symbol].append(self.standing[symbol])
        await client.acknowledge(self.standing[symbol])

    async def strategy(self, client: AsyncClient, number: int) -> None:
        name = f"soak-{number}"
        await client.request("strategy.create", {"id": name, "name": "S", "version": "1", "code": STRATEGY})
        await client.request("strategy.update", {"id": name, "version": "2", "code": STRATEGY + f"# {number}\n"})
        await client.request("strategy.delete", {"id": name})

    async def look(self, client: AsyncClient, number: int) -> None:
        asked = [client.request("strategy.list"), client.request("task.list"), client.ping()]
        asked += [client.request("package.latest", {"symbol": symbol}) for symbol in self.standing]
        asked += [client.request("backtest.status", {"task_id": task}) for task in self._some("backtest")]
        await asyncio.gather(*asked)

    async def follow(self, symbol: str) -> None:
        async with self.client(f"bot-{symbol[:4]}") as client:
            async for event in client.package_events(symbol, grades=("criteria",)):
                self.heard[symbol].append(event.package_id)

    async def disturb(self, every_s: float) -> None:
        """Kill workers, or take Redis away for a while."""
        while not self.ended.is_set():
            await self.pause(every_s)
            if self.kills and self.draw.random() < 0.6:
                self.done["workers killed"] += await asyncio.to_thread(self.daemon.kill_workers)
            else:
                await asyncio.to_thread(self.redis.stop)
                await self.pause(every_s / 4)
                await asyncio.to_thread(self.redis.start)
                self.done["Redis stopped"] += 1

    async def sample(self, every_s: float) -> None:
        """Look at the daemon's memory and files."""
        assert self.daemon.process is not None
        pid, began = self.daemon.process.pid, time.monotonic()
        while not self.ended.is_set():
            self.samples.append((time.monotonic() - began, memory_mb(pid), n_descriptors(pid)))
            if len(self.samples) % 20 == 1:
                at, megabytes, files = self.samples[-1]
                print(f"{at:7.0f} s  {megabytes:7.1f} MB  {files:4} files  {dict(self.done)}", flush=True)
            await self.pause(every_s)

    async def unfinished(self) -> list[str]:
        """Tasks that were acknowledged and do not come to their end, or that failed, with what is said of them."""
        lost = []
        async with self.client("auditor") as client:
            for task_id, kind in self.tasks.items():
                message, field = ("backtest", "task_id") if kind == "backtest" else ("optimization", "optimization_id")
                try:
                    found = await client.request(f"{message}.status", {field: task_id})
                    if found["status"] not in FINAL:
                        await client.wait(task_id, TRIES_S)
                        found = await client.request(f"{message}.status", {field: task_id})
                except TunesmithError as error:
                    lost.append(f"{task_id}: {error}")
                    continue
                if found["status"] not in ("completed", "cancelled"):
                    lost.append(f"{task_id}: {found['status']} {found.get('error')}")
        return lost

    async def play(self, minutes: float) -> list[str]:
        """All of it for so long; the tasks that were lost."""
        steps = (
            self.again_and_again("backtests", 0.5, self.backtest),
            self.again_and_again("searches", 3.0, self.search),
            self.again_and_again("approvals", 0.3, self.approve),
            self.again_and_again("strategies", 1.0, self.strategy),
            self.again_and_again("looks", 0.2, self.look),
            self.disturb(max(2.0, min(15.0, 10.0 * minutes))),
            self.sample(max(0.1, minutes / 4)),
        )
        following = [asyncio.create_task(self.follow(symbol)) for symbol in self.standing]
        running = [asyncio.create_task(step) for step in steps]
        try:
            done, _ = await asyncio.wait(running, timeout=60.0 * minutes, return_when=asyncio.FIRST_EXCEPTION)
            self.ended.set()
            await asyncio.gather(*running)
            assert not done, "a part of the load ended early"
            lost = await self.unfinished()
            async with asyncio.timeout(30.0):
                while any(heard[-1:] != [self.standing[symbol]] for symbol, heard in self.heard.items()):
                    await asyncio.sleep(0.05)
        finally:
            for task in (*running, *following):
                task.cancel()
            await asyncio.gather(*running, *following, return_exceptions=True)
        return lost

    def _some(self, kind: str) -> list[str]:
        known = [task_id for task_id, of in self.tasks.items() if of == kind]
        return self.draw.sample(known, min(5, len(known)))


def growth(samples: list[tuple[float, float, int]]) -> tuple[float, int]:
    """Memory of the last quarter over that of the second, and the files that are open beyond those then."""
    quarter = max(1, len(samples) // 4)
    second, last = samples[quarter : 2 * quarter] or samples, samples[-quarter:]
    by = [statistics.median(sample[column] for sample in part) for part in (second, last) for column in (1, 2)]
    return by[2] / by[0], round(by[3] - by[1])


def measure(minutes: float, seed: int) -> dict[str, Any]:
    """Play it with a new daemon and a Redis: what came of it."""
    with tempfile.TemporaryDirectory() as name, RedisServer() as redis:
        import_markets(Path(name))
        standing = plant(Path(name), MARKETS)
        environ = {"TUNESMITH_CACHE__REDIS_URL": redis.url, "TUNESMITH_CACHE__MAX_MB": "16"}
        daemon = DaemonProcess(Path(name), environ)
        daemon.start()
        try:
            found = soaked(Soak(daemon, redis, standing, seed), minutes)
        finally:
            code = daemon.stop()
    return {**found, "code": code}


def soaked(soak: Soak, minutes: float) -> dict[str, Any]:
    """Play it over a running daemon: what came of it."""
    lost = asyncio.run(soak.play(minutes))
    grown, opened = growth(soak.samples)
    return {
        "done": dict(soak.done),
        "tasks": len(soak.tasks),
        "lost": lost,
        "complete": all(
            not soak.approved[s] or heard[-len(soak.approved[s]) :] == soak.approved[s]
            for s, heard in soak.heard.items()
        ),
        "grown": grown,
        "opened": opened,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(2**31))
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    found = measure(options.minutes, options.seed)
    print(f"{found['done']}")
    print(f"{found['tasks']:,} tasks acknowledged, {len(found['lost'])} lost {found['lost'][:3]}")
    print(f"bots complete: {found['complete']}; stopped with {found['code']}")
    print(f"memory x {found['grown']:.3f}, files {found['opened']:+d}, last quarter beside the second")
    kept = not found["lost"] and found["complete"] and found["code"] == 0
    return 0 if kept and found["grown"] <= MAY_GROW and found["opened"] <= MAY_OPEN else 1


if __name__ == "__main__":
    sys.exit(main())
