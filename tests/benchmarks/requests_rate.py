"""What a request costs, held in the same run against the plainest peer that could do it.

    python tests/benchmarks/requests_rate.py [--seconds 2] [--rounds 7] [--clients 16 64]

`ping` and cached lookups, with full validation, beside a blocking pyzmq ROUTER that sends back what it gets: the two
take turns, and the figure is the median of the rounds' ratios (processor time a request beside it). Then an approval's
way to a bot that listens, beside one fsync of the same disk. The exit code is 1 when a bound is missed.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import zmq

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from benchmarks.approvals import approval, approved, plant  # noqa: E402
from benchmarks.loads import Make, at, cpu_s, dealers, echo, fsync_ms, rate, read  # noqa: E402
from journeys.conftest import import_markets  # noqa: E402
from journeys.daemon import DaemonProcess, Dealer  # noqa: E402

MUST_RATIO, MUST_APPROVE_MS = 0.6, 1.0
BACKTEST = {"symbol": "BTC/USDT", "strategy_id": "ma_cross_v1.0"}
SETTINGS = {"TUNESMITH_EVENTS__HEARTBEAT_S": "5"}


def lookups(dealer: Dealer, symbol: str) -> Mapping[str, Make]:
    """`ping`, and what bots ask again and again."""
    task_id = dealer.data("backtest.start", BACKTEST)["task_id"]
    dealer.until_done("backtest.status", {"task_id": task_id})
    return {
        "ping": read("ping"),
        "backtest.status": read("backtest.status", {"task_id": task_id}),
        "strategy.get": read("strategy.get", {"id": "ma_cross_v1.0"}),
        "package.latest": read("package.latest", {"symbol": symbol}),
    }


def beside_echo(
    daemon: DaemonProcess, kinds: Mapping[str, Make], n_clients: int, rounds: int, seconds: float
) -> dict[str, float]:
    """Message type → the median over the rounds of its rate over the echo's."""
    assert daemon.process is not None
    pid, ratios = daemon.process.pid, {}
    with zmq.Context() as context, echo() as (address, echo_pid):
        plain, ours = dealers(context, address, n_clients), dealers(context, daemon.doors["requests"], n_clients)
        for name, make in kinds.items():
            rate(ours, make, b'"ok":true', seconds / 10)
            found = []
            for _ in range(rounds):
                at_start = cpu_s(echo_pid), cpu_s(pid)
                peer = rate(plain, read("ping"), b'"v":1', seconds)
                own = rate(ours, make, b'"ok":true', seconds)
                spent = (cpu_s(echo_pid) - at_start[0]) / peer, (cpu_s(pid) - at_start[1]) / own
                found.append((own / peer, own, peer, *(1e6 * part / seconds for part in spent)))
            ratios[name], own, peer, echo_us, own_us = (
                statistics.median(column) for column in zip(*found, strict=True)
            )
            print(
                f"{n_clients:4} clients  {name:16} {own:9,.0f}/s  echo {peer:9,.0f}/s  ratio {ratios[name]:5.2f}"
                f"   CPU {own_us:5.1f} us, echo {echo_us:5.1f} us",
                flush=True,
            )
        for socket in (*plain, *ours):
            socket.close()
    return ratios


def approve_to_bot(daemon: DaemonProcess, symbol: str, standing: str, n: int) -> tuple[float, float]:
    """Milliseconds from an approval's request to the event at a bot, and those of an fsync, taken in turns: medians."""
    taken, synced = [], []
    with zmq.Context() as context:
        [asker] = dealers(context, daemon.doors["requests"], 1)
        bot = context.socket(zmq.SUB)
        bot.linger, bot.rcvtimeo = 0, 10_000
        bot.connect(daemon.doors["events"])
        bot.subscribe(f"pkg/{symbol}/")
        bot.recv_multipart()  # the last one, which a new subscription gets
        for _ in range(n):
            began = time.perf_counter()
            asker.send(approval(standing))
            while json.loads(bot.recv_multipart()[1])["data"]["supersedes"] != standing:
                pass
            taken.append(time.perf_counter() - began)
            standing = approved(asker.recv())
            synced.append(fsync_ms(daemon.folder, 1))
        asker.close()
        bot.close()
    return 1000 * at(taken, 0.5), at(synced, 0.5)


def measure(clients: list[int], rounds: int, seconds: float, n_approvals: int) -> dict[str, float]:
    """Every figure by its name: ratios, and `approve` in milliseconds above one fsync."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        import_markets(folder)
        (symbol, standing), *_ = plant(folder, 1).items()
        daemon = DaemonProcess(folder, SETTINGS)
        daemon.start()
        try:
            return _measure(daemon, (symbol, standing), clients, rounds, seconds, n_approvals)
        finally:
            daemon.kill()


def _measure(
    daemon: DaemonProcess, package: tuple[str, str], clients: list[int], rounds: int, seconds: float, n_approvals: int
) -> dict[str, float]:
    figures: dict[str, float] = {}
    with zmq.Context() as context, Dealer(context, daemon.doors["requests"]) as dealer:
        kinds = lookups(dealer, package[0])
    for n in clients:
        ratios = beside_echo(daemon, kinds, n, rounds, seconds)
        figures |= {f"{kind}, {n} clients": ratio for kind, ratio in ratios.items()}
    took, synced = approve_to_bot(daemon, *package, n_approvals)
    print(f"approve to bot p50 {took:.2f} ms, fsync p50 {synced:.2f} ms", flush=True)
    figures["approve"] = took - synced
    return figures


BOUNDS: list[tuple[str, Callable[[float], bool], str]] = [
    ("ping", lambda value: value >= MUST_RATIO, f"at least {MUST_RATIO} of the echo"),
    ("backtest.status", lambda value: value >= MUST_RATIO, f"at least {MUST_RATIO} of the echo"),
    ("strategy.get", lambda value: value >= MUST_RATIO, f"at least {MUST_RATIO} of the echo"),
    ("package.latest", lambda value: value >= MUST_RATIO, f"at least {MUST_RATIO} of the echo"),
    ("approve", lambda value: value <= MUST_APPROVE_MS, f"at most {MUST_APPROVE_MS} ms above one fsync"),
]
"""What a figure's name begins with → whether it is good, and what that means."""


def judged(figures: Mapping[str, Any]) -> bool:
    """Print each figure with its bound; whether all are kept."""
    good = True
    for name, value in figures.items():
        [(kept, bound)] = [(is_kept(value), says) for begin, is_kept, says in BOUNDS if name.startswith(begin)]
        print(f"{name:32} {value:8.2f}  {bound:34} {'yes' if kept else 'NO'}")
        good = good and kept
    return good


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--clients", type=int, nargs="+", default=[16, 64])
    options = parser.parse_args()
    figures = measure(options.clients, options.rounds, options.seconds, 200)
    print()
    return 0 if judged(figures) else 1


if __name__ == "__main__":
    sys.exit(main())
