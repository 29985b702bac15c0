"""What signatures cost: appending events with a key and without, and checking them.

python tests/benchmarks/signatures.py [--events 5000]
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from pathlib import Path

import msgspec

from tunesmith.client.trust import Trust
from tunesmith.storage.secrets.signing_keys import SigningKeys
from tunesmith.storage.sqlite.database import Database
from tunesmith.storage.tables import outbox

DATA = {"package_id": "a" * 64, "params": {f"p{i}": i for i in range(20)}, "checks": ["x" * 200] * 10}
"""About as long as a package."""


async def appended(folder: Path, n_events: int, keys: SigningKeys | None) -> tuple[float, float]:
    """Events a second, and processor seconds an event; each is a durable write of its own, 200 at a time."""
    database = await Database.open(folder / "t.db")
    if keys is not None:
        database.signing_key = keys.current
    began, spent = time.perf_counter(), time.process_time()
    for _ in range(n_events // 200):
        write = (database.write(lambda conn: outbox.append(conn, "pkg/A/1h/s/", "x", "A", DATA)) for _ in range(200))
        await asyncio.gather(*write)
    rate, cost = n_events / (time.perf_counter() - began), (time.process_time() - spent) / n_events
    await database.close()
    return rate, cost


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=5_000)
    n_events = parser.parse_args(arguments).events
    with tempfile.TemporaryDirectory() as folder:
        keys = SigningKeys(Path(folder) / "signing")
        line = keys.new().key.line
        for name, used in (("unsigned", None), ("signed", keys)):
            place = Path(folder) / name
            place.mkdir()
            rate, cost = asyncio.run(appended(place, n_events, used))
            print(f"append, {name:<9} {cost * 1e6:>9.1f} µs of processor time, {rate:,.0f} events a second")
        key, trust = keys.load(), Trust([line])
        assert key is not None
        frame = msgspec.json.encode(DATA)
        began = time.process_time()
        signatures = [key.sign(frame) for _ in range(n_events)]
        print(f"sign              {(time.process_time() - began) / n_events * 1e6:>9.1f} µs of processor time")
        began = time.process_time()
        refused = [trust.refusal(frame, signature, key.keyid) for signature in signatures]
        print(f"check             {(time.process_time() - began) / n_events * 1e6:>9.1f} µs of processor time")
        assert refused == [None] * n_events


if __name__ == "__main__":
    main()
