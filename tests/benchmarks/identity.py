"""Is a market known again, whatever was done to its candles, and is no other taken for it? And what does that cost?

    PYTHONPATH=tests python -m benchmarks.identity [--shared ../shared/data]

Prints for each of thirty alterations on how many of the real markets it is known again: the whole market is stored, and
the newest 5,472 bars (19 days of 5m), or half of the market where it has fewer than twice as many, are altered. Then
all pairs of files: how many of one coin are one market, the pairs of different coins that come closest, and those of
one coin that are furthest apart. Then made-up markets with nothing in common, and what identifying a market of 70,000
bars costs with 50 such markets stored.

Exits with 1 where an alteration is not recognized, two markets are taken for one or one for two, or where it takes more
than half a second of a core.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.alterations import ALTERATIONS, HOUR_MS, Closes
from benchmarks.made_markets import SHARED
from benchmarks.real_closes import closes_of, coin_of, files_of
from tunesmith.domain.market.comparable_marks import Comparable
from tunesmith.domain.market.daily_closes import daily_closes
from tunesmith.domain.market.market_kinship import LEAST_EQUAL, common_moves, equal_moves, kinship
from tunesmith.domain.market.market_marks import packed
from tunesmith.services.market.market_comparison import compare
from tunesmith.storage.market.market_folder import MarketFolder
from tunesmith.storage.sqlite.connections import Connection
from tunesmith.storage.sqlite.database import Database
from tunesmith.storage.tables import market_table
from tunesmith.storage.tables.market_table import NewMark

BEGIN = 1_577_836_800_000
N_ALTERED, N_LEAST = 5_472, 1_090
"""Bars that are altered; markets with fewer than the latter have not all that some alterations take away."""
N_STORED, N_LONG = 50, 70_000
AT_MOST_S = 0.5


def walk(seed: int, n: int) -> Closes:
    """A made-up market whose moves are calm and wild by turns."""
    rng = np.random.default_rng(seed)
    size = 0.002 * np.exp(np.cumsum(0.05 * rng.standard_normal(n)) % 2.0 - 1.0)
    return Closes(BEGIN + np.arange(n) * HOUR_MS, 100.0 * np.exp(np.cumsum(size * rng.standard_normal(n))), "1h")


def recognized(closes: dict[str, Closes]) -> bool:
    """Print the table of alterations; whether every one is recognized on every market."""
    stored = {name: Comparable(each.mark()) for name, each in closes.items()}
    print(f"{'alteration':40} {'recognized':>12} {'least |r|':>10} {'fewest moves':>13}   not on")
    sound = True
    for what, alter in ALTERATIONS.items():
        found, missing = [], []
        for name, each in closes.items():
            part = each.at(slice(-min(N_ALTERED, len(each.time) // 2), None))
            if len(part.time) < N_LEAST:
                continue
            like = kinship(Comparable(alter(part, np.random.default_rng(1)).mark()), stored[name])
            if like is None:
                missing.append(name)
            else:
                found.append(like)
        least, fewest = min(abs(like.r) for like in found), min(like.n for like in found)
        n = f"{len(found)} of {len(found) + len(missing)}"
        print(f"{what:40} {n:>12} {least:10.4f} {fewest:13,}   {missing or ''}")
        sound = sound and not missing
    return sound


def told_apart(closes: dict[str, Closes]) -> bool:
    """Print what all pairs of files come to; whether no two coins are one market, and each coin is one."""
    marks = {name: Comparable(each.mark()) for name, each in closes.items()}
    different, same, false, parted = [], [], [], []
    began = time.perf_counter()
    n_pairs = longest = 0
    for (one, ours), (other, theirs) in itertools.combinations(marks.items(), 2):
        n_pairs += 1
        like = kinship(ours, theirs)
        if coin_of(one) != coin_of(other):
            r = max((abs(each.r) for each in common_moves(ours, theirs)), default=0.0)
            run = equal_moves(ours, theirs)
            longest = max(longest, run.n if run else 0)
            different.append((r, one, other))
            false += [(one, other, like)] if like else []
        elif min(closes[one].time[-1], closes[other].time[-1]) > max(closes[one].time[0], closes[other].time[0]):
            same.append((0.0 if like is None else abs(like.r), one, other))
            parted += [(one, other)] if like is None else []
    taken = time.perf_counter() - began
    print(f"\n{len(closes)} files, {n_pairs} pairs in {taken:.1f} s")
    print(f"{len(different)} of different coins: {len(false)} taken for one market {false or ''}")
    print(f"{len(same)} of one coin in common time: {len(parted)} taken for two markets {parted or ''}")
    print(f"The longest run of equal moves of different coins: {longest} of the {LEAST_EQUAL} that make one market")
    print("Closest of different coins:", *(f"  {r:.4f}  {a}  {b}" for r, a, b in sorted(different)[:-7:-1]), sep="\n")
    print("Furthest of one coin:", *(f"  {r:.4f}  {a}  {b}" for r, a, b in sorted(same)[:6]), sep="\n")
    return not false and not parted


def made_up() -> bool:
    """Print how many pairs of independent walks are taken for one market; whether none is."""
    marks = [Comparable(walk(seed, 4_000).mark()) for seed in range(120)]
    pairs = list(itertools.combinations(marks, 2))
    n = sum(kinship(one, other) is not None for one, other in pairs)
    print(f"\nIndependent walks of 4,000 bars: {n} of {len(pairs)} pairs are taken for one market")
    return n == 0


def cost() -> bool:
    """Print what identifying a market costs a worker and the database; whether it is quick enough."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        own = walk(1_000, N_LONG)
        rows = [(int(t), p, p, p, p, 1.0) for t, p in zip(own.time, own.close.tolist(), strict=True)]
        MarketFolder(folder / "market").import_rows(rows, symbol="OWN", timeframe="1h")
        size = asyncio.run(_store(folder / "t.db"))
        store = MarketFolder(folder / "market")
        taken, used = [], []
        for _ in range(4):
            began, before = time.perf_counter(), time.process_time()
            found = compare(store, folder / "t.db", ("local", "OWN"), N_STORED)
            taken.append(time.perf_counter() - began)
            used.append(time.process_time() - before)
        assert len(found.marks) == 1
        assert not found.kin
    print(f"\nA mark of {N_LONG:,} bars has {size:,} bytes")
    print(f"To make one and compare it with {N_STORED} of that length: {min(used):.2f} s of a core at best,")
    print(f"{taken[0]:.2f} s by the clock the first time, {min(taken):.2f} s at best; once it is marked, none")
    return min(used) <= AT_MOST_S


async def _store(path: Path) -> int:
    database = await Database.open(path)
    size = 0
    for seed in range(N_STORED):
        closes = walk(seed, N_LONG)
        content = packed(closes.mark())
        size = len(content)
        days = daily_closes(*closes).tobytes()
        name = f"M{seed}"
        mark = NewMark(venue="local", symbol=name, timeframe="1h", data_hash=name, closes=days, mark=content)

        async def write(conn: Connection, mark: NewMark = mark) -> None:
            await market_table.put_mark(conn, mark, [])

        await database.write(write)
    await database.close()
    return size


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, default=SHARED)
    shared = parser.parse_args().shared
    closes = {name: closes_of(shared, name, timeframe) for name, timeframe in files_of(shared).items()}
    sound = [recognized(closes), told_apart(closes)] if closes else []
    return 0 if all([*sound, made_up(), cost()]) else 1


if __name__ == "__main__":
    sys.exit(main())
