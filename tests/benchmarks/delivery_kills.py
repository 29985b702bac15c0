"""kill -9 of the daemon, again and again, while clients approve and bots follow: what was acknowledged, and who got it.

    python tests/benchmarks/delivery_kills.py [--kills 30] [--clients 8] [--seed N]

Each client approves packages of a market of its own, one after the other, with the client library: it repeats a request
under the same id until it is answered. A bot follows each market with the library; beside it a bare SUB socket shows
what one would miss that only listens. Each kill comes at a random moment after the daemon is ready. In the end the
database, the acknowledgements and what the bots heard are compared. The exit code is 1 when an acknowledged approval is
missing, a request had its effect twice, or a bot has not heard every package once and in order.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import secrets
import sqlite3
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import zmq
import zmq.asyncio

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from benchmarks.approvals import plant  # noqa: E402
from journeys.daemon import DaemonProcess  # noqa: E402
from tunesmith.client import AsyncClient  # noqa: E402

PATIENCE_S = 300.0
LONGEST_PAUSE_S = 1.5
SETTINGS = {"TUNESMITH_WORKERS__COUNT": "1"}


class Outcome(NamedTuple):
    """What the comparison came to."""

    n_kills: int
    n_acknowledged: int
    n_missing: int
    n_doubled: int
    n_incomplete: int
    n_missed_live: int
    seconds: float

    @property
    def is_good(self) -> bool:
        """Nothing acknowledged is missing, nothing happened twice, every bot is complete."""
        return self.n_acknowledged > 0 and not (self.n_missing or self.n_doubled or self.n_incomplete)


class Market:
    """A market with the client that approves there, the bot that follows it, and a socket that only listens."""

    def __init__(self, daemon: DaemonProcess, symbol: str, standing: str) -> None:
        self.symbol, self.standing = symbol, standing
        self.acknowledged: list[str] = []
        self.heard: list[str] = []
        self.heard_live: set[str] = set()
        self.n_asked = 0
        self._doors = daemon.doors

    async def approve(self, ended: asyncio.Event) -> None:
        """Approve one package after the other until told to end; the last one is waited for."""
        async with AsyncClient(
            self._doors["requests"], self._doors["events"], name=self.symbol.partition("/")[0]
        ) as me:
            while not ended.is_set():
                self.n_asked += 1
                data = {"package_id": self.standing, "reason": "benchmark"}
                name = f"{self.symbol.partition('/')[0]}-{self.n_asked}"
                reply = await me.request("package.rollback", data, id=name, deadline_s=PATIENCE_S)
                self.standing = reply["package"]["package_id"]
                self.acknowledged.append(self.standing)

    async def follow(self) -> None:
        """Hear of every package with the client library."""
        async with AsyncClient(self._doors["requests"], self._doors["events"], deadline_s=PATIENCE_S) as me:
            async for event in me.package_events(self.symbol, grades=("criteria",)):
                self.heard.append(event.package_id)

    async def listen(self, context: zmq.asyncio.Context) -> None:
        """Hear what comes while a connection stands, as a bot without recovery does."""
        with context.socket(zmq.SUB) as socket:
            socket.linger = 0
            socket.connect(self._doors["events"])
            socket.subscribe(f"pkg/{self.symbol}/")
            while True:
                frames = await socket.recv_multipart()
                self.heard_live.add(json.loads(frames[1])["data"]["package_id"])


def stored(folder: Path, symbol: str) -> list[str]:
    """Every package of a market in the database, in order."""
    with closing(sqlite3.connect(folder / "tunesmith.db")) as conn:
        rows = conn.execute("SELECT id FROM parameter_packages WHERE symbol = ? ORDER BY seq", (symbol,))
        return [row[0] for row in rows]


async def kills(daemon: DaemonProcess, n_kills: int, draw: random.Random) -> None:
    """Kill the daemon at random moments; it is up in the end."""
    for _ in range(n_kills):
        await asyncio.sleep(draw.uniform(0.0, LONGEST_PAUSE_S))
        await asyncio.to_thread(daemon.kill)
        await asyncio.to_thread(daemon.start)
    await asyncio.sleep(LONGEST_PAUSE_S)


async def play(daemon: DaemonProcess, markets: list[Market], n_kills: int, draw: random.Random) -> None:
    """Clients and bots beside the kills, until every client has its last answer and every bot the newest package."""
    ended = asyncio.Event()
    with zmq.asyncio.Context() as context:
        listening = [asyncio.create_task(work) for m in markets for work in (m.follow(), m.listen(context))]
        approving = [asyncio.create_task(market.approve(ended)) for market in markets]
        try:
            await asyncio.gather(kills(daemon, n_kills, draw))
            ended.set()
            await asyncio.gather(*approving)
            async with asyncio.timeout(60.0):
                while any(market.heard[-1:] != [market.standing] for market in markets):
                    await asyncio.sleep(0.05)
        except TimeoutError:
            pass  # the comparison says who is incomplete
        finally:
            for task in (*approving, *listening):
                task.cancel()
            await asyncio.gather(*approving, *listening, return_exceptions=True)


def compared(
    markets: list[Market], folder: Path, n_kills: int, seconds: float, before: dict[str, int] | None = None
) -> Outcome:
    """The database beside what was acknowledged and heard; `before`: packages that each market had, two if planted."""
    missing = doubled = incomplete = missed_live = 0
    for market in markets:
        found = stored(folder, market.symbol)
        approved = found[(before or {}).get(market.symbol, 2) :]
        missing += len(set(market.acknowledged) - set(approved))
        doubled += max(0, len(approved) - market.n_asked)
        first = found.index(market.heard[0]) if market.heard else 0
        incomplete += market.heard != found[first:]
        missed_live += len(set(approved) - market.heard_live)
    n = sum(len(market.acknowledged) for market in markets)
    return Outcome(n_kills, n, missing, doubled, incomplete, missed_live, seconds)


def measure(n_kills: int, n_clients: int, seed: int) -> Outcome:
    """Play it in a new folder."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        planted = plant(folder, n_clients)
        daemon = DaemonProcess(folder, SETTINGS, keeps_doors=True)
        daemon.start()
        began = time.perf_counter()
        try:
            markets = [Market(daemon, symbol, standing) for symbol, standing in planted.items()]
            asyncio.run(play(daemon, markets, n_kills, random.Random(seed)))
        finally:
            daemon.stop()
        return compared(markets, folder, n_kills, time.perf_counter() - began)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(2**31))
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    found = measure(options.kills, options.clients, options.seed)
    print(f"{found.n_kills} kills in {found.seconds:.0f} s, {found.n_acknowledged:,} approvals acknowledged")
    print(f"{found.n_missing} acknowledged approvals missing, {found.n_doubled} requests with two effects")
    print(f"{found.n_incomplete} of {options.clients} bots incomplete after recovery")
    print(f"{found.n_missed_live} packages missed by bare sockets that only listen")
    return 0 if found.is_good else 1


if __name__ == "__main__":
    sys.exit(main())
