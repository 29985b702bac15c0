"""`tunesmith demo`: the whole job on this machine: a daemon process, a bot process, a real market and a planted one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib import resources
from pathlib import Path
from typing import Annotated, NamedTuple

import typer
from rich.console import Console
from rich.text import Text

from tunesmith.cli.daemon.serve_command import need_service
from tunesmith.cli.demo.planted import planted_market
from tunesmith.cli.lazy_commands import new_app
from tunesmith.cli.tables import params
from tunesmith.client import Client
from tunesmith.domain.records import JsonObject
from tunesmith.errors import Internal
from tunesmith.plain_text import escape_all
from tunesmith.storage.atomic_files import make_folder
from tunesmith.storage.market.market_folder import MarketFolder

app = new_app()

_START_TIMEOUT_S = 20.0
_TASK_TIMEOUT_S = 120.0
_INDENT = 12


class Market(NamedTuple):
    """One market of the demo: what is searched there, and what to say of it."""

    symbol: str
    timeframe: str
    about: str
    ranges: JsonObject


REAL = Market(
    "BTC/USDT",
    "1h",
    "real candles, 2024-01-01 to 2024-09-06",
    {
        "fast_period": {"min": 5, "max": 50, "step": 5},
        "slow_period": {"min": 20, "max": 200, "step": 10},
        "signal_threshold": {"min": 0.0, "max": 0.02, "step": 0.005},
    },
)
PLANTED = Market(
    "PLANTED/USDT",
    "1d",
    "made up, with an edge planted in it (drifts that turn every 40 bars)",
    {
        "fast_period": {"min": 2, "max": 20},
        "slow_period": {"min": 10, "max": 60, "step": 2},
        "signal_threshold": 0.0,
    },
)
_TOLD = {"permutations": "shuffled", "holdout": "held out", "replay": "replayed"}
"""The checks that the demo shows, and how it calls them."""


@app.command()
def demo(
    keep: Annotated[Path | None, typer.Option(help="Keep the demo's files in this folder.")] = None,
) -> None:
    """See the whole job on real candles, in a minute: a daemon, a bot, a search, a verdict. Ends by itself."""
    need_service()
    raise typer.Exit(run_demo(keep))


def _say(console: Console, label: str, text: str) -> None:
    """One labelled statement, wrapped under itself."""
    lines = Text(text).wrap(console, console.width - _INDENT)
    for i, line in enumerate(lines):
        line.rstrip()
        console.print(f"{label if i == 0 else '':<{_INDENT}}", line, sep="", end="\n")


def run_demo(keep: Path | None) -> int:
    """Run the demo and say what happens; the exit code."""
    console = Console(width=80, highlight=False)
    with ExitStack() as stack:
        folder = keep or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tunesmith-demo-")))
        make_folder(folder)
        console.print("[bold]Tunesmith demo[/bold]: a daemon, a bot and two markets, on this machine only\n")
        _import_markets(folder, console)
        began = time.monotonic()
        doors = stack.enter_context(daemon(folder))
        _say(console, "Daemon", f"ready in {time.monotonic() - began:.1f} s, requests at {doors['requests']}")
        bot = stack.enter_context(_bot(doors, folder))
        _say(console, "Bot", "a process of its own, takes packages of both markets, graded tested or better")
        client = stack.enter_context(Client(doors["requests"], doors["events"], key=""))
        verdicts = {m.symbol: _tune(client, m, console, first=m is REAL) for m in (REAL, PLANTED)}
        received = _received(bot, [v["parameter_package"] for v in verdicts.values() if v["approved"]])
    _conclude(received, verdicts, console)
    return 0 if len(received) == sum(v["approved"] for v in verdicts.values()) else 1


@contextmanager
def daemon(folder: Path) -> Iterator[dict[str, str]]:
    """A daemon on free ports of this machine; its doors. It is stopped at the end."""
    log = (folder / "daemon.log").open("w")
    options = ["--data-dir", str(folder), "--http", "127.0.0.1:0"]
    for door in ("requests", "events", "inbox"):
        options += [f"--{door}", "tcp://127.0.0.1:0"]
    ours = ("TUNESMITH_SERVER__", "TUNESMITH_SECURITY__")
    environ = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    command = [sys.executable, "-m", "tunesmith.app", *options]
    process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environ)
    try:
        yield _doors_of(process, folder)
    finally:
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        log.close()


def _doors_of(process: subprocess.Popen[bytes], folder: Path) -> dict[str, str]:
    doors = folder / "doors.json"
    deadline = time.monotonic() + _START_TIMEOUT_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        if doors.exists() and (found := json.loads(doors.read_text()))["pid"] == process.pid:
            return dict(found)
        time.sleep(0.02)
    said = (folder / "daemon.log").read_text()[-2000:]
    raise Internal(f"the daemon did not start; it said:\n{said}")


def _import_markets(folder: Path, console: Console) -> None:
    store = MarketFolder(folder / "market")
    sample = resources.files("tunesmith") / "sample" / "BTC_USDT-1h.parquet"
    planted = folder / "planted.csv"
    planted.write_text(planted_market(n_bars=2000, seed=20240611))
    with resources.as_file(sample) as path:
        for market, file in ((REAL, path), (PLANTED, planted)):
            report = store.import_file(file, symbol=market.symbol, timeframe=market.timeframe, venue="demo")
            _say(console, "Data", f"{market.symbol} {market.timeframe}, {report.n_bars:,} bars: {market.about}")


@contextmanager
def _bot(doors: dict[str, str], folder: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "tunesmith.cli.demo.demo_bot", doors["requests"], doors["events"]]
    command += [REAL.symbol, PLANTED.symbol]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        if process.stdout is None or process.stdout.readline().strip() != "listening":
            raise Internal("the bot did not start")
        yield process
    finally:
        process.terminate()
        process.wait()
        if process.stdout:
            process.stdout.close()


def _tune(client: Client, market: Market, console: Console, *, first: bool) -> JsonObject:
    """Search and judge one market; the verdict."""
    console.print(f"\n[bold]{market.symbol}[/bold] {market.timeframe}, strategy ma_cross_v1.0")
    began = time.monotonic()
    search = client.request(
        "optimization.start",
        {
            "symbol": market.symbol,
            "strategy_id": "ma_cross_v1.0",
            "timeframe": market.timeframe,
            "param_ranges": market.ranges,
            "optimization_target": "sharpe",
            "method": "grid",
        },
    )
    found: JsonObject = _wait(client, "optimization.status", {"optimization_id": search["optimization_id"]})
    took = time.monotonic() - began
    if found["best_params"] is None:
        raise Internal(f"the search found nothing: {found['error'] or found['status']}")
    best = found["best_params"]
    _say(
        console,
        "  search",
        f"{found['n_trials']:,} combinations in {took:.1f} s{' (compiling included)' if first else ''}, on the bars "
        f"before {search['withheld_from'][:10]}; what comes after was withheld",
    )
    _say(console, "  best", f"{params(best)}: Sharpe ratio {found['best_score']:.2f} a year, in sample")
    began = time.monotonic()
    verdict = client.request(
        "strategy.approve",
        {"strategy_id": "ma_cross_v1.0", "optimization_id": search["optimization_id"], "accept_old_data": True},
    )
    if verdict["status"] in ("pending", "running"):
        verdict = _wait(client, "verdict.status", {"verdict_id": verdict["verdict_id"]})
    for check in verdict["checks"]:
        if check["passed"] and check["name"] in _TOLD:
            _say(console, f"  {_TOLD[check['name']]}", check["reason"])
    took = time.monotonic() - began
    _say(console, "  verdict", f"{verdict['verdict'].replace('_', ' ')} after {took:.1f} s: {verdict['reason']}")
    return verdict


def _wait(client: Client, message_type: str, data: JsonObject) -> JsonObject:
    deadline = time.monotonic() + _TASK_TIMEOUT_S
    while time.monotonic() < deadline:
        reply: JsonObject = escape_all(client.request(message_type, data))
        if reply["status"] not in ("pending", "running"):
            if reply["status"] == "failed":
                raise Internal(f"{message_type}: {reply['error']['detail']}")
            return reply
        time.sleep(0.05)
    raise Internal(f"{message_type}: no end after {_TASK_TIMEOUT_S:g} s")


def _received(bot: subprocess.Popen[str], expected: list[JsonObject]) -> list[JsonObject]:
    """What the bot got; one line for each package that was approved."""
    if bot.stdout is None:
        return []
    lines = [json.loads(bot.stdout.readline()) for _ in expected]
    ids = {package["package_id"] for package in expected}
    return [package for package in lines if package["package_id"] in ids]


def _conclude(received: list[JsonObject], verdicts: dict[str, JsonObject], console: Console) -> None:
    console.print("\n[bold]What the bot received[/bold]")
    for package in received:
        market = f"{package['symbol']} {package['timeframe']}"
        _say(console, "  package", f"{package['package_id'][:12]} for {market}: {params(package['params'])}")
        _say(console, "", f"grade {package['grade']}, valid until {package['valid_until'][:10]}")
    for symbol, verdict in verdicts.items():
        if not verdict["approved"]:
            _say(console, "  nothing", f"for {symbol}: {verdict['verdict'].replace('_', ' ')}")
    console.print(
        '\nThe grade "tested" says: the same search hardly ever finds something as good\n'
        "where the market is shuffled; what it found holds on bars that it never saw; and\n"
        "vectorbt computes the same numbers from the orders. Each further verdict on a\n"
        "market is stricter, so that asking again does not help chance. These candles\n"
        "ended long ago; the demo says accept_old_data, without which they are refused."
    )
