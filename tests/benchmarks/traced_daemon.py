"""The process that `message_way` traces: a daemon in a folder, and a bot that asks it for a search and its verdict.

    python -m benchmarks.traced_daemon SYMBOL FOLDER

It prints one JSON line: its process id, and CLOCK_MONOTONIC just before the request and once the package has arrived.
Without the environment of `call_trace.hooked` nothing is recorded: such a run compiles what the next ones need.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import random
import sys
import time
from collections.abc import Mapping
from typing import Any

import zmq

from benchmarks.call_trace import FOLDER, Recorder, TimedLoop, install
from tunesmith import config
from tunesmith.app import Daemon

ANY_PORT = "tcp://127.0.0.1:0"
SETTINGS = {
    "server.requests": ANY_PORT,
    "server.events": ANY_PORT,
    "server.inbox": ANY_PORT,
    "server.http": "",
    "workers.count": "1",
    "events.heartbeat_s": "3600",
    "backups.every_h": "0",
    "statistics.n_reality_check": "100",
    "statistics.n_permutations": "20",
    "statistics.n_holdout_permutations": "99",
    "statistics.combined": "0.05",
}
"""So few draws that each kind of work is one chunk, and a bound that so few can keep."""

SEARCH = {
    "strategy_id": "ma_cross_v1.0",
    "param_ranges": {
        "fast_period": {"min": 2, "max": 20},
        "slow_period": {"min": 10, "max": 60, "step": 5},
        "signal_threshold": 0.0,
    },
    "method": "grid",
    "approve": {},
}
N_BARS, SEED, DAY_MS = 2000, 20240611, 86_400_000
BEGIN_MS = (int(time.time()) // 86_400 - N_BARS) * DAY_MS
"""The bars end today: old ones are not approved without a word that an older daemon, which is traced too, refuses."""
SIGMA, DRIFT, MEAN_LENGTH, N_STEPS = 0.02, 0.35, 40, 8
SETTLE_S, IDLE_S = 1.5, 3.0
TIMEOUT_MS = 300_000


def planted_bars() -> list[list[float]]:
    """Daily bars with an edge for moving averages: a drift of ±0.35 σ that turns every 40 bars on average."""
    draw, price, sign, made = random.Random(SEED), 100.0, 1.0, []
    for i in range(N_BARS):
        sign = -sign if draw.random() < 1 / MEAN_LENGTH else sign
        path = [price]
        for _ in range(N_STEPS):
            step = sign * DRIFT * SIGMA / N_STEPS + draw.gauss(0.0, SIGMA / math.sqrt(N_STEPS))
            path.append(path[-1] * math.exp(step))
        price = path[-1]
        made.append([BEGIN_MS + i * DAY_MS, path[0], max(path), min(path), price, 1000.0])
    return made


def ask(socket: zmq.Socket[bytes], kind: str, data: Mapping[str, Any]) -> Any:
    """The data of the reply to a request."""
    socket.send(json.dumps({"v": 1, "type": kind, "id": kind, "data": data, "deadline_ms": 30_000}).encode())
    if not socket.poll(TIMEOUT_MS):
        raise RuntimeError(f"no reply to {kind}")
    reply = json.loads(socket.recv_multipart()[-1])
    if not reply["ok"]:
        raise RuntimeError(f"{kind}: {reply['error']}")
    return reply["data"]


def walk(doors: Mapping[str, Any], recorder: Recorder | None, symbol: str) -> tuple[int, int]:
    """Ask as a bot does and wait for the package: nanoseconds just before the request, and once it is there."""
    with zmq.Context() as context, context.socket(zmq.DEALER) as dealer, context.socket(zmq.SUB) as events:
        dealer.linger = events.linger = 0
        dealer.connect(doors["requests"])
        events.connect(doors["events"])
        events.subscribe(f"pkg/{symbol}/")
        ask(dealer, "data.import", {"symbol": symbol, "timeframe": "1d", "bars": planted_bars()})
        if recorder is not None:
            time.sleep(SETTLE_S)
            recorder.mark_background(True)
            time.sleep(IDLE_S)
            recorder.mark_background(False)
        began = time.monotonic_ns()
        ask(dealer, "optimization.start", {**SEARCH, "symbol": symbol})
        if not events.poll(TIMEOUT_MS):
            raise RuntimeError(f"no package: {ask(dealer, 'task.list', {})} {ask(dealer, 'verdict.list', {})}")
        return began, time.monotonic_ns()


async def main(symbol: str, folder: str, recorder: Recorder | None) -> None:
    daemon = Daemon(config.load(overrides={**SETTINGS, "server.data_dir": folder}, environ={}))
    doors = await daemon.start()
    try:
        span = await asyncio.to_thread(walk, doors, recorder, symbol)
    finally:
        await daemon.stop()
    print(json.dumps({"pid": os.getpid(), "span": span}), flush=True)


if __name__ == "__main__":
    hook = install() if FOLDER in os.environ else None  # before the daemon starts a thread
    with asyncio.Runner(loop_factory=TimedLoop) as runner:
        runner.run(main(sys.argv[1], sys.argv[2], hook))
