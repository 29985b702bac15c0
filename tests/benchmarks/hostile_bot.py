"""What an operator notices of an attacker with one bot's key who does everything that the role allows.

    python tests/benchmarks/hostile_bot.py [--minutes 10] [--seed N]

Two daemons with the same keys and the same made markets, half of them with an edge, take turns: on one the operator
works alone, on the other beside the attacker, a process of its own that keeps 64 requests on the wire: long searches,
sessions, walk-forwards and replays of verdicts on the very markets, sorted pages far in, whole histories of events,
exports, acknowledgements, hostile texts, bodies that are refused, and what is for operators (`--kinds` names some). In
each turn the operator reads statuses for a while, searches a market, and asks for the verdict. Printed are the
operator's times on both and their ratios, what the attacker was answered, and whether verdicts and each of their checks
came out alike; p-values differ by their draws, whose seed is the verdict's id. The exit code is 1 where one differs,
where a right of operators was granted, or where statuses took more than `MUST_RATIO` times as long.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import zmq

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from benchmarks.loads import at, body  # noqa: E402
from benchmarks.made_markets import AVERAGES, regimes, walk  # noqa: E402
from journeys.daemon import FEW_DRAWS, DaemonProcess, wait_until  # noqa: E402
from services.verdict_house import LAX, rows_of  # noqa: E402
from tunesmith.client import Client  # noqa: E402
from tunesmith.protocol.key_files import read_client_key  # noqa: E402
from tunesmith.storage.market.market_folder import MarketFolder  # noqa: E402
from tunesmith.transport.access.client_keys import KeyStore  # noqa: E402

MUST_RATIO = 5.0
"""How many times as long the operator's p99 of a status may be: the attacker's process has a core of two."""

N_BARS, DAY_MS = 1_700, 86_400_000
N_FLYING = 64
STATUS_S, PAUSE_S = 5.0, 0.02
SEARCH = {"strategy_id": "averages", "param_ranges": {"fast": [5, 10, 20], "slow": [40, 60]}, "method": "grid",
          "direction": "both"}  # fmt: skip
WIDE = {"strategy_id": "ma_cross_v1.0", "param_ranges": {"fast_period": {"min": 2, "max": 90},
        "slow_period": {"min": 91, "max": 400}}, "method": "grid"}  # fmt: skip
HOSTILE = "\x1b[2J\x07\u202e'; DROP TABLE tasks; --"
GRANTED_TO_NOBODY = ("use_holdout", "priority", "approve", "strategy.approve", "package.revoke", "data.import",
                     "data.remove")  # fmt: skip


class Requests:
    """What the attacker sends next: anything that a bot may, and what it may not, about what it has seen so far."""

    def __init__(self, symbols: list[str], seed: int, kinds: list[str]) -> None:
        self._symbols, self._random, self._kinds = symbols, random.Random(seed), kinds
        self.tasks, self.packages = ["opt-none"], ["a" * 64]

    def next(self) -> tuple[str, str, dict[str, Any]]:
        """What it is called in the count, its message type, its data."""
        while True:
            one = self._any()
            if not self._kinds or one[0] in self._kinds:
                return one

    def _any(self) -> tuple[str, str, dict[str, Any]]:
        pick = self._random.choice
        market, task, package = {"symbol": pick(self._symbols)}, pick(self.tasks), pick(self.packages)
        search = {"optimization_id": task}
        one: tuple[str, str, dict[str, Any]] = pick([
            ("long search", "optimization.start", {**market, **WIDE}),
            ("foreign search", "optimization.start", {**market, **SEARCH}),
            ("learning", "optimization.start", {**market, **WIDE, "method": "tpe", "max_iterations": 100_000}),
            ("session", "session.generate", {"symbols": self._symbols, "strategies": ["macd"], "size": 50_000}),
            ("walk-forward", "walkforward.start", {**market, **WIDE, "train_bars": 300, "test_bars": 30}),
            ("backtest", "backtest.start", {**market, "strategy_id": "averages"}),
            ("sorted page", "optimization.results", {**search, "sort": "sharpe", "limit": 1000, "offset": 20_000}),
            ("analysis", "optimization.analyze", search),
            ("export", "optimization.export", {**search, "format": "csv"}),
            ("replay", "verdict.replay", {"verdict_id": pick([t for t in self.tasks if t[:2] == "vd"] or ["vd-1"])}),
            ("events", "events.replay", {"topics": ["pkg/", "task/"], "after": 0, "limit": 1000}),
            ("tasks", "task.list", {"limit": 1000}),
            ("reports", "report.list", {"limit": 1000, "offset": pick([0, 10**12])}),
            ("schemas", "schema.get", {}),
            ("plan", "session.plan", {"symbols": self._symbols, "strategies": ["macd"], "size": 10**8}),
            ("packages", "package.list", {"limit": 1000}),
            ("ack", "package.ack", {"package_id": package, "reason": "x" * 300}),
            ("hostile text", "package.ack", {"package_id": package, "reason": HOSTILE}),
            ("hostile text", "optimization.start", {**market, **SEARCH, "label": HOSTILE}),
            ("megabyte", "optimization.start", {**market, **SEARCH, "label": "y" * 10**6}),
            ("foreign cancel", "optimization.cancel", search),
            ("use_holdout", "backtest.start", {**market, "strategy_id": "averages", "use_holdout": True}),
            ("priority", "optimization.start", {**market, **SEARCH, "priority": 0}),
            ("approve", "optimization.start", {**market, **SEARCH, "approve": {}}),
            ("strategy.approve", "strategy.approve", {"strategy_id": "averages", **search}),
            ("package.revoke", "package.revoke", {"package_id": package}),
            ("data.import", "data.import", {**market, "timeframe": "1d", "bars": [[0, 1.0, 1.0, 1.0, 1.0, 1.0]]}),
            ("data.remove", "data.remove", {**market, "force": True}),
        ])  # fmt: skip
        return one

    def learn(self, data: Any) -> None:
        """Remember tasks, sessions and packages that a reply names."""
        for each in (data.get("tasks") or [])[:200]:
            self.tasks.append(each["task_id"])
        self.packages += [each["package"]["package_id"] for each in data.get("packages") or []]
        self.tasks, self.packages = self.tasks[-400:], self.packages[-50:]


def attack(requests: str, events: str, key_file: str, made: Requests) -> None:
    """Go on until standard input ends; then print how often what was answered how, as JSON."""
    key, codes = read_client_key(Path(key_file)), Counter[str]()
    flying: dict[str, str] = {}
    with zmq.Context() as context, ExitStack() as stack:
        poller = zmq.Poller()
        poller.register(sys.stdin.fileno(), zmq.POLLIN)
        sockets = [stack.enter_context(context.socket(zmq.DEALER)) for _ in range(4)]
        hearing = stack.enter_context(context.socket(zmq.SUB))
        for socket, address in (*((each, requests) for each in sockets), (hearing, events)):
            socket.linger = 0
            socket.curve_publickey, socket.curve_secretkey = key.public.encode(), key.secret.encode()
            socket.curve_serverkey = key.server.encode()
            socket.connect(address)
            poller.register(socket, zmq.POLLIN)
        hearing.subscribe("")
        numbers = itertools.count()
        while True:
            while len(flying) < N_FLYING:
                number = next(numbers)
                name, message_type, data = made.next()
                id = f"evil-{os.getpid()}-{number}"
                flying[id] = name
                sockets[number % 4].send(body(message_type, data, id))
            ready = dict(poller.poll(1_000))
            if sys.stdin.fileno() in ready:
                break
            for socket in ready:
                frames = socket.recv_multipart()
                if socket is hearing:
                    continue
                reply = json.loads(frames[-1])
                codes[f"{flying.pop(reply['id'], 'late')}: {'ok' if reply['ok'] else reply['error']['code']}"] += 1
                if reply["ok"]:
                    made.learn(reply["data"])
    print(json.dumps(codes))


class Turn(NamedTuple):
    """What the operator had in one turn: seconds of each status, of the search and of the verdict, and the verdict."""

    statuses: list[float]
    search_s: float
    verdict_s: float
    verdict: dict[str, Any]


class Court:
    """A daemon with keys and its operator."""

    def __init__(self, folder: Path, n_markets: int) -> None:
        self.store = KeyStore(folder / "keys")
        self.store.make_server()
        self.evil = self.store.add("evil-bot", "bot")
        market = MarketFolder(folder / "market")
        end = int(time.time() * 1000) // DAY_MS * DAY_MS
        for number, symbol in enumerate(symbols_of(n_markets)):
            rng = np.random.default_rng(7_000 + number)
            bars = regimes(rng, N_BARS, drift=0.4, length=60.0) if number % 2 == 0 else walk(rng, N_BARS)
            rows = [(end - (N_BARS - i) * DAY_MS, *row[1:]) for i, row in enumerate(rows_of(bars))]
            market.import_rows(rows, symbol=symbol, timeframe="1d", venue="local")
        curve = {"TUNESMITH_SECURITY__CURVE": "on", "TUNESMITH_WORKERS__COUNT": "2"}
        self.daemon = DaemonProcess(folder, {**curve, **FEW_DRAWS})
        self.daemon.start()
        self.operator = Client(self.daemon.doors["requests"], key=self.store.issued("cli"), deadline_s=600)
        self.ask("strategy.create", {"id": "averages", "name": "A", "version": "1.0", "code": AVERAGES})

    def ask(self, message_type: str, data: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = self.operator.request(message_type, data)
        return found

    def until_done(self, message_type: str, data: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = {}

        def final() -> bool:
            found.update(self.ask(message_type, data))
            return found["status"] not in ("pending", "running")

        wait_until(final, 600.0, lambda: f"{message_type} {data} is still {found}")
        return found

    def turn(self, symbol: str, status_s: float) -> Turn:
        """Search a market, read statuses, ask for the verdict."""
        began = time.perf_counter()
        started = self.ask("optimization.start", {"symbol": symbol, **SEARCH})["optimization_id"]
        search = {"optimization_id": started}
        self.until_done("optimization.status", search)
        search_s, statuses = time.perf_counter() - began, []
        reads = itertools.cycle([("optimization.status", search), ("package.list", {}), ("task.list", {"limit": 50})])
        ends = time.monotonic() + status_s
        while time.monotonic() < ends:
            message_type, data = next(reads)
            asked = time.perf_counter()
            self.ask(message_type, data)
            statuses.append(time.perf_counter() - asked)
            time.sleep(PAUSE_S)
        began = time.perf_counter()
        asked_for = {"strategy_id": "averages", "approval_criteria": LAX, **search}
        verdict = self.ask("strategy.approve", asked_for)
        verdict = self.until_done("verdict.status", {"verdict_id": verdict["verdict_id"]})
        return Turn(statuses, search_s, time.perf_counter() - began, verdict)


def decided(verdict: dict[str, Any]) -> tuple[Any, ...]:
    """What was decided, and by which checks."""
    checks = sorted((check["segment"], check["name"], check["passed"]) for check in verdict["checks"])
    return verdict["status"], verdict["verdict"], verdict["grade"], checks


def symbols_of(n: int) -> list[str]:
    return [f"HOSTILE{number}/USDT" for number in range(n)]


def attacked_turn(court: Court, symbol: str, more: list[str], status_s: float) -> tuple[Turn, Counter[str]]:
    """A turn beside the attacker, who has `more` arguments, and what the attacker was answered."""
    doors = court.daemon.doors
    command = [sys.executable, __file__, "--attack", doors["requests"], doors["events"], str(court.evil), *more]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        time.sleep(2.0)
        turn = court.turn(symbol, status_s)
    finally:
        codes, _ = process.communicate("\n", timeout=60)
    return turn, Counter(json.loads(codes))


def report(calm: list[Turn], attacked: list[Turn], codes: Counter[str]) -> bool:
    """Print the figures; whether they are as they must be."""
    print(f"{'operator':24} {'alone':>20} {'beside the attacker':>22} {'ratio':>7}")
    ratios = {}
    for name, share in (("status p50, ms", 0.5), ("status p99, ms", 0.99)):
        alone, beside = (1000 * at([s for turn in turns for s in turn.statuses], share) for turns in (calm, attacked))
        ratios[name] = beside / alone
        print(f"{name:24} {alone:20.2f} {beside:22.2f} {beside / alone:7.2f}")
    for name in ("search_s", "verdict_s"):
        for word, share in (("p50", 0.5), ("p99", 0.99)):
            alone, beside = (at([getattr(turn, name) for turn in turns], share) for turns in (calm, attacked))
            print(f"{name[:-2] + ' ' + word + ', s':24} {alone:20.2f} {beside:22.2f} {beside / alone:7.2f}")
    different = [
        i for i, (a, b) in enumerate(zip(calm, attacked, strict=True)) if decided(a.verdict) != decided(b.verdict)
    ]
    n_approved = sum(turn.verdict["verdict"] == "approved" for turn in calm)
    print(f"verdicts: {len(calm)} on each, {n_approved} approved; {len(different)} differ")
    for i in different:
        print(f"  {i}: {calm[i].verdict['verdict']}: {calm[i].verdict['reason']}")
        print(f"     {attacked[i].verdict['verdict']}: {attacked[i].verdict['reason']}")
    print("attacker:", ", ".join(f"{name} {n:,}" for name, n in sorted(codes.items())))
    granted = [name for name in codes if name.split(": ")[0] in GRANTED_TO_NOBODY and name.endswith(": ok")]
    if granted:
        print("GRANTED:", granted)
    return not different and not granted and ratios["status p99, ms"] <= MUST_RATIO


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**31))
    parser.add_argument("--kinds", nargs="*", default=[], help="what the attacker does, as the last line calls it")
    parser.add_argument("--attack", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.attack:
        requests, events, key_file, *symbols = options.attack
        attack(requests, events, key_file, Requests(symbols, options.seed, options.kinds))
        return 0
    ends = time.monotonic() + 60 * options.minutes
    symbols = symbols_of(max(2, round(options.minutes * 3)))
    calm, attacked, codes = [], [], Counter[str]()
    print(f"seed {options.seed}")
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        courts = [Court(Path(folder), len(symbols)) for folder in (one, other)]
        try:
            for number, symbol in enumerate(symbols):
                calm.append(courts[0].turn(symbol, STATUS_S))
                more = [*symbols, "--seed", str(options.seed + number), "--kinds", *options.kinds]
                turn, answered = attacked_turn(courts[1], symbol, more, STATUS_S)
                attacked.append(turn)
                codes += answered
                if time.monotonic() > ends:
                    break
        finally:
            for court in courts:
                court.operator.close()
                court.daemon.stop()
    return 0 if report(calm, attacked, codes) else 1


if __name__ == "__main__":
    sys.exit(main())
