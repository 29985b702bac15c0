"""The data directory of the release, as a crash left it: how it was made, and what is said to a daemon that goes on."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
import tarfile
import tempfile
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import zmq

from golden import commands
from golden.candles import candles
from golden.conversation import Curve, Said, Talk
from golden.scenario import CODE, EDGE, ENVIRON, GOLD, KEPT, NOISE, RULE, WIDE
from journeys.daemon import DaemonProcess

ARCHIVE = Path(__file__).with_name("release_0_1.tar.xz")
SETTINGS = {
    **ENVIRON,
    "TUNESMITH_SECURITY__CURVE": "on",
    "TUNESMITH_RETENTION__REPLY_DAYS": "36500",
    "TUNESMITH_RETENTION__SNAPSHOT_DAYS": "36500",
    "TUNESMITH_SERVER__DRAIN_TIMEOUT_S": "0.5",
    "TUNESMITH_LIMITS__TASKS_PER_USER": "10",
    "TUNESMITH_WORKERS__ATTEMPTS": "1",
}
UNSEEN, BRIEF, FRESH = "UNSEEN/USDT", "BRIEF/USDT", "FRESH/USDT"
CREATE = {"id": "mine", "code": CODE, "name": "Mine", "default_params": {"fast": 7}}
LAX = {"min_sharpe": -9.0, "min_return": -1.0, "max_drawdown": 1.0, "min_profit_factor": 0.0, "min_trades": 0}
_DROPPED = ("daemon.log", "tunesmith.db-shm", "doors.json", "backups", "exports", "cache")
_NAMES = re.compile(
    r"\b(?:(?:bt|opt|vd|wf|re|rp)-[0-9a-f]{16}|session_\d{8}_\d{6}_\d{4}|[0-9a-f]{64}"
    r"|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z)\b"
)


def make_archive(folder: Path) -> None:
    """Make the data directory in `folder`, which is empty, and pack it: what it holds is never made again."""
    data = folder / "data"
    data.mkdir()
    facts: dict[str, Any] = {"tokens": _make_keys(data)}
    daemon = DaemonProcess(data, SETTINGS)
    daemon.start()
    try:
        with zmq.Context() as context, Talk(context, daemon, Said(), curve(data, "cli")) as talk:
            facts |= _fill(talk)
    finally:
        daemon.kill()
    facts["until"] = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    for name in _DROPPED:
        where = data / name
        shutil.rmtree(where) if where.is_dir() else where.unlink(missing_ok=True)
    (folder / "facts.json").write_text(json.dumps(facts, indent=1))
    with tarfile.open(ARCHIVE, "w:xz", preset=9) as archive:
        for name in ("data", "facts.json"):
            archive.add(folder / name, name, filter=_anonymous)


def unpack(folder: Path) -> dict[str, Any]:
    """Unpack the data directory below `folder`; what is known of it (ids, times, tokens)."""
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(folder, filter="tar")
    facts: dict[str, Any] = json.loads((folder / "facts.json").read_text())
    return {**facts, "kept": _names(folder / "data")}


def curve(data: Path, name: str) -> Curve:
    """The keys of one who may come in."""
    return Curve.read(key_file(data, name))


def key_file(data: Path, name: str) -> Path:
    """The file of the keys of one who may come in."""
    return data / "keys" / "issued" / f"{name}.key"


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member


def _make_keys(data: Path) -> dict[str, str]:
    made = commands.run(
        data,
        [
            ["keys", "init"],
            ["keys", "new", "night-bot"],
            ["keys", "new", "gone-bot"],
            ["keys", "revoke", "gone-bot"],
            ["keys", "token", "desk", "--role", "operator"],
            ["keys", "token", "web-bot"],
            ["keys", "signing", "new"],
        ],
        {},
    )
    assert [each["code"] for each in made] == [0] * len(made), made
    return {name: made[i]["out"].split()[0] for name, i in (("desk", 4), ("web-bot", 5))} | {
        "trusted": made[6]["out"].strip()
    }


def _fill(talk: Talk) -> dict[str, Any]:
    """Everything that a data directory may hold, and work that a crash leaves undone."""
    for symbol, seed, drift in ((GOLD, 7, 0.5), (NOISE, 45, 0.0), (FRESH, 21, 0.6)):
        talk.quietly("data.import", {"symbol": symbol, "timeframe": "1w", "bars": candles(seed, drift, 1500)})
    unseen_rows = candles(12, 0.5, 1500, n_drifting=1040)
    talk.quietly("data.import", {"symbol": UNSEEN, "timeframe": "1w", "bars": unseen_rows})
    brief = candles(40, 0.5, 200, datetime(2018, 6, 1, tzinfo=UTC), timedelta(seconds=1))
    talk.quietly("data.import", {"symbol": BRIEF, "timeframe": "1s", "bars": brief})
    talk.say("create", "strategy.create", CREATE)
    talk.say("update", "strategy.update", {"id": "mine", "version": "1.1", "default_params": {"fast": 8}})
    of_brief = _backtested(talk, BRIEF, params={"fast_period": 2, "slow_period": 6})
    brief_verdict = _decided(talk, backtest_id=of_brief, approval_criteria=LAX)
    assert brief_verdict["approved"], brief_verdict["reason"]
    of_gold = _searched(talk, GOLD)
    proven = _decided(talk, optimization_id=of_gold)
    assert proven["grade"] == "proven", proven["reason"]
    by_chance = _decided(talk, optimization_id=_searched(talk, NOISE), approval_criteria={**LAX, "min_trades": 2})
    assert "shuffled" in by_chance["reason"], by_chance["reason"]
    unseen = _decided(talk, optimization_id=_searched(talk, UNSEEN), approval_criteria={**LAX, "min_trades": 2})
    assert "never saw" in unseen["reason"], unseen["reason"]
    kept = _decided(talk, backtest_id=_backtested(talk, GOLD), approval_criteria={"min_trades": 2, "max_drawdown": 0.9})
    package_id = kept["parameter_package"]["package_id"]
    talk.say("ack", "package.ack", {"package_id": package_id}, client="bot-7")
    talk.say("rollback", "package.rollback", {"package_id": package_id, "reason": "the one before was better"})
    schedule = {"symbol": GOLD, "strategy_id": RULE, "param_ranges": EDGE}
    talk.say("schedule", "schedule.create", {"schedule_id": "weekly", "search": schedule, "every": "5000w"})
    asked = {"symbols": [GOLD, NOISE], "strategies": [RULE], "mode": "sobol", "size": 8, "seed": 2}
    session = talk.say("generate", "session.generate", asked)["session_id"]
    talk.quietly("session.execute", {"session_id": session, "parallel": 1})
    talk.ended("session.status", {"session_id": session})
    walk = {"symbol": GOLD, "strategy_id": RULE, "param_ranges": EDGE, "train_bars": 400, "test_bars": 200}
    walked = talk.say("walk", "walkforward.start", walk)["walkforward_id"]
    talk.ended("walkforward.status", {"walkforward_id": walked})
    of_fresh = _searched(talk, FRESH)
    return {
        "search": of_gold,
        "session": session,
        "walkforward": walked,
        "brief": brief_verdict["parameter_package"]["package_id"],
        "verdicts": {"proven": proven["verdict_id"], "by-chance": by_chance["verdict_id"],
                     "unseen": unseen["verdict_id"], "kept": kept["verdict_id"]},
        "undone": _begin(talk, of_fresh),
    }  # fmt: skip


def _searched(talk: Talk, symbol: str) -> str:
    asked = {"symbol": symbol, "strategy_id": RULE, "param_ranges": EDGE, "method": "grid"}
    which = {"optimization_id": talk.quietly("optimization.start", asked)["optimization_id"]}
    talk.ended("optimization.status", which)
    return str(which["optimization_id"])


def _backtested(talk: Talk, symbol: str, **asked: Any) -> str:
    data = {"symbol": symbol, "strategy_id": RULE, "params": KEPT, **asked}
    which = {"task_id": talk.quietly("backtest.start", data)["task_id"]}
    talk.ended("backtest.status", which)
    return str(which["task_id"])


def _decided(talk: Talk, **asked: Any) -> Any:
    verdict = talk.quietly("strategy.approve", {"strategy_id": RULE, **asked})
    assert verdict["status"] == "completed", verdict
    return verdict


def _begin(talk: Talk, of_fresh: str) -> dict[str, str]:
    """A search that is half done, and a verdict and a backtest that have begun or wait, when the daemon is killed."""
    asked = {"symbol": GOLD, "strategy_id": RULE, "param_ranges": WIDE, "method": "random", "seed": 6,
             "constraints": {"min_trades": 2}}  # fmt: skip
    search = talk.quietly("optimization.start", {**asked, "max_iterations": 30_000})["optimization_id"]
    deadline = time.monotonic() + 60
    while talk.quietly("optimization.status", {"optimization_id": search})["n_done"] < 2_000:
        assert time.monotonic() < deadline
    body = {"v": 1, "type": "strategy.approve", "id": "late", "deadline_ms": 100}
    talk.send(json.dumps({**body, "data": {"strategy_id": RULE, "optimization_id": of_fresh}}).encode())
    talk.receive()  # the verdict, or that it is not there yet
    backtest = talk.quietly("backtest.start", {"symbol": FRESH, "strategy_id": RULE})["task_id"]
    tasks = talk.quietly("task.list", {"limit": 3})["tasks"]
    undone = {each["kind"]: each["task_id"] for each in tasks if each["completed_at"] is None}
    assert undone.keys() == {"optimization", "verdict", "backtest"}, "the daemon was too quick"
    return {"search": search, "verdict": undone["verdict"], "backtest": backtest}


def _names(data: Path) -> set[str]:
    """Every id and time in the database; a copy is read, so that the write-ahead log stays as the kill left it."""
    with tempfile.TemporaryDirectory() as copy:
        for file in data.glob("tunesmith.db*"):
            shutil.copy(file, copy)
        with closing(sqlite3.connect(Path(copy) / "tunesmith.db")) as conn:
            return set(_NAMES.findall("\n".join(conn.iterdump())))
