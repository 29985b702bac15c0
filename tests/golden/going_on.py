"""What a daemon says that opens the release's data directory and goes on with it."""

from __future__ import annotations

import base64
import hashlib
import json
import signal
import time
from pathlib import Path
from typing import Any

import zmq
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from golden import commands
from golden.archive import BRIEF, CREATE, FRESH, SETTINGS, UNSEEN, curve, key_file, unpack
from golden.conversation import Listener, Said, Talk
from golden.placeholders import Placeholders
from golden.scenario import EDGE, GOLD, NOISE, RULE
from golden.web import Web
from journeys.daemon import DaemonProcess
from tunesmith.client import Client

ANOTHER_PROGRAM = "the program or its libraries are not those that made the verdict"
"""What a replay may say has changed."""


def record_going_on(folder: Path) -> dict[str, Any]:
    """Unpack the data directory below `folder`, go on with it, and return what is recorded."""
    facts = unpack(folder)
    data = folder / "data"
    daemon = DaemonProcess(data, SETTINGS)
    daemon.start()
    try:
        with zmq.Context() as context:
            steps, version = _talk(context, daemon, facts)
    finally:
        code = daemon.stop()
    assert code == 0, daemon.log()[-3000:]
    placeholders = Placeholders(version, str(data), facts["kept"], facts["until"])
    return dict(placeholders.replaced(steps))


def _talk(context: zmq.Context[Any], daemon: DaemonProcess, facts: dict[str, Any]) -> tuple[dict[str, Any], str]:
    said = Said()
    operator, bot = curve(daemon.folder, "cli"), curve(daemon.folder, "night-bot")
    listener = Listener(context, daemon, "pkg/", bot)
    with Talk(context, daemon, said, operator) as talk, Talk(context, daemon, said, bot) as asking:
        talk.quiet, asking.quiet = "quiet-again", "quiet-bot"  # the ids of those before are in the database
        version = talk.quietly("ping", {})["version"]
        _stored(talk, facts)
        _late(talk, listener, facts)
        _undone(talk, facts)
        _replayed(talk, facts)
        _allowed(daemon, talk, asking, facts)
        _new(talk, facts)
        _failed(daemon, talk, facts)
        told = commands.run(daemon.folder, _commands(facts), {})
        _draining(daemon, talk, facts)
    listener.close()
    return {"steps": said.steps, "commands": told}, version


def _until(facts: dict[str, Any], time: str) -> bool:
    return time <= str(facts["until"])


def _stored(talk: Talk, facts: dict[str, Any]) -> None:
    """Everything that is stored, as it was stored."""
    audit = talk.quietly("audit.list", {"limit": 1000})["entries"]
    talk.said.keep("audit-list", [each for each in audit if _until(facts, each["time"])])
    events = talk.quietly("events.replay", {"topics": ["pkg/", "task/"], "limit": 1000})
    stored = [each for each in events["events"] if _until(facts, each["event"]["time"])]
    for record in stored:
        if "text" in record:
            text = record["text"].encode()
            signed_by(facts["tokens"]["trusted"], text, base64.b64decode(record["signature"]))
            assert json.loads(text) == record["event"]
            record["text"] = f"sha256 {hashlib.sha256(text).hexdigest()}"
    talk.said.keep("events-replay", {"epoch": events["epoch"], "events": stored})
    talk.say("data-list", "data.list", {})
    for id in ("mine", RULE):
        talk.say(f"strategy-{id}", "strategy.get", {"id": id})
    talk.say("report-list", "report.list", {})
    talk.say("search-status", "optimization.status", {"optimization_id": facts["search"]})
    talk.say("search-results", "optimization.results", {"optimization_id": facts["search"], "limit": 5})
    talk.say("session-status", "session.status", {"session_id": facts["session"], "detailed": True})
    talk.say("session-results", "session.results", {"session_id": facts["session"], "limit": 3})
    talk.say("walkforward", "walkforward.status", {"walkforward_id": facts["walkforward"]})
    talk.say("schedule-list", "schedule.list", {})
    for name, verdict_id in facts["verdicts"].items():
        talk.say(f"verdict-{name}", "verdict.get", {"verdict_id": verdict_id})
    talk.say("package-latest", "package.latest", {"symbol": GOLD})
    talk.say("create", "strategy.create", CREATE)


def _late(talk: Talk, listener: Listener, facts: dict[str, Any]) -> None:
    """A bot that comes late gets each package in force, signed as it was; one that is over is announced as expired."""

    def expired(heard: list[list[bytes]]) -> bool:
        return any(json.loads(frames[1])["type"] == "package.expired" for frames in heard)

    heard = list(map(list, dict.fromkeys(map(tuple, listener.until(expired)))))  # one may come late and as it happens
    for frames in heard:
        signed_by(facts["tokens"]["trusted"], frames[1], frames[2])
    kept = [[frames[0].decode(), frames[1].decode(), base64.b64encode(frames[2]).decode()] for frames in heard
            if _until(facts, json.loads(frames[1])["time"])]  # fmt: skip
    talk.said.keep("late-packages", [each for each in kept if BRIEF not in each[0]])
    [gone] = [json.loads(frames[1]) for frames in heard if json.loads(frames[1])["type"] == "package.expired"]
    talk.said.keep("expired", {name: gone[name] for name in ("type", "data", "source", "epoch", "keyid")})
    brief = talk.quietly("package.get", {"package_id": facts["brief"]})
    talk.said.keep("package-expired", brief)


def _undone(talk: Talk, facts: dict[str, Any]) -> None:
    """What the crash left undone is done."""
    undone = facts["undone"]
    search, verdict = {"optimization_id": undone["search"]}, {"verdict_id": undone["verdict"]}
    talk.ended("backtest.status", {"task_id": undone["backtest"]})
    talk.say("undone-backtest", "backtest.status", {"task_id": undone["backtest"]})
    talk.ended("verdict.status", verdict)
    made = talk.say("undone-verdict", "verdict.get", verdict)
    made["evidence"]["engine"] = "<the program that goes on>"
    talk.ended("optimization.status", search)
    talk.say("undone-search", "optimization.status", search)
    talk.say("undone-search-results", "optimization.results", {**search, "limit": 5})
    talk.say("task-list", "task.list", {"limit": 1000})
    talk.say("package-list", "package.list", {"limit": 2})


def _replayed(talk: Talk, facts: dict[str, Any]) -> None:
    """Every stored verdict is made again: each value is the same to the bit, whatever program does it."""
    for name, verdict_id in facts["verdicts"].items():
        replay = talk.quietly("verdict.replay", {"verdict_id": verdict_id})
        assert set(replay["changed"]) <= {ANOTHER_PROGRAM}, replay["changed"]
        talk.said.keep(f"replay-{name}", {**replay, "changed": "<perhaps the program>"})


def _allowed(daemon: DaemonProcess, talk: Talk, asking: Talk, facts: dict[str, Any]) -> None:
    """Keys and tokens let in whom they let in, and no further; the client trusts the key that it trusted."""
    web, addresses = Web(daemon.doors["http"], Said()), (daemon.doors["requests"], daemon.doors["events"])
    read = asking.quietly("package.latest", {"symbol": GOLD})
    with Client(*addresses, key=str(key_file(daemon.folder, "night-bot")), trusted=[facts["tokens"]["trusted"]]) as bot:
        assert bot.latest_package(GOLD).package.package_id == read["package"]["package_id"]
    asking.refused("bot-creates", "strategy.create", {**CREATE, "id": "bots"})
    asking.refused("bot-hears-others", "events.snapshot", {"topics": ["rep/cli/"]})
    rule = {"code": "enter_long(close > 1)\nexit_long(close < 1)\n"}
    for name, token in (
        ("desk", facts["tokens"]["desk"]),
        ("web-bot", facts["tokens"]["web-bot"]),
        ("nobody", "tsm_x"),
    ):
        status, told, text = web.fetch(
            "POST",
            "/api/strategies",
            {**rule, "id": f"of-{name}"},
            {"authorization": f"Bearer {token}", "idempotency-key": name},
        )
        talk.said.keep(f"token-{name}", {"status": status, "told": told, "answer": json.loads(text)})
    status, told, text = web.fetch("POST", "/api/strategies", {**rule, "id": "x"}, {"idempotency-key": "none"})
    talk.said.keep("token-none", {"status": status, "told": told, "answer": json.loads(text)})


def _new(talk: Talk, facts: dict[str, Any]) -> None:
    """New work on the stored markets: the same hold-outs, the same ledger."""
    talk.say("new-data-list", "data.list", {"symbol": UNSEEN})
    for symbol in (GOLD, NOISE, FRESH):
        started = talk.say(f"new-{symbol[:4]}", "backtest.start", {"symbol": symbol, "strategy_id": RULE})
        talk.ended("backtest.status", {"task_id": started["task_id"]})
        talk.say(f"new-{symbol[:4]}-status", "backtest.status", {"task_id": started["task_id"]})
    asked = {"symbol": NOISE, "strategy_id": RULE, "param_ranges": EDGE, "method": "random", "max_iterations": 20}
    which = {"optimization_id": talk.say("new-search", "optimization.start", asked)["optimization_id"]}
    talk.ended("optimization.status", which)
    talk.say("new-search-results", "optimization.results", {**which, "limit": 5})
    stricter = {"strategy_id": RULE, **which, "approval_criteria": {"min_sharpe": 9.0}}
    second = talk.quietly("strategy.approve", stricter)
    talk.said.keep(
        "second-verdict", [each["reason"] for each in second["checks"] if each["name"] in ("budget", "unseen_holdout")]
    )
    talk.refused("deadline", "optimization.analyze", {**which, "n": 20}, deadline_ms=1)


def _failed(daemon: DaemonProcess, talk: Talk, facts: dict[str, Any]) -> None:
    """A task whose worker dies as often as it may fails, and says so."""
    head = talk.quietly("server.info", {})["head"]
    asked = {"v": 1, "type": "verdict.replay", "id": "to-fail", "deadline_ms": 100}
    talk.send(json.dumps({**asked, "data": {"verdict_id": facts["verdicts"]["proven"]}}).encode())
    talk.receive()  # that it has begun, or that the deadline came first
    [task] = talk.quietly("task.list", {"kind": "replay", "limit": 1})["tasks"]
    which = {"task_id": task["task_id"]}
    while talk.quietly("replay.status", which)["progress"] == 0:
        assert daemon.process is not None
        assert daemon.process.poll() is None
    assert daemon.kill_workers() > 0
    talk.ended("replay.status", which)
    talk.say("failed", "replay.status", which, loose=("progress",))
    [record] = talk.quietly("events.replay", {"topics": ["task/"], "after": head})["events"]
    event = record["event"]
    talk.said.keep("failed-event", {name: event[name] for name in ("type", "subject", "data") if name in event})


def _draining(daemon: DaemonProcess, talk: Talk, facts: dict[str, Any]) -> None:
    """Told to stop while it works: what is asked then, and what was in flight, is answered that it stops."""
    replay = {"v": 1, "type": "verdict.replay", "id": "in-flight", "deadline_ms": 60_000}
    talk.send(json.dumps({**replay, "data": {"verdict_id": facts["verdicts"]["proven"]}}).encode())
    time.sleep(0.1)
    assert daemon.process is not None
    daemon.process.send_signal(signal.SIGTERM)
    ping = json.dumps({"v": 1, "type": "ping", "id": "too-late"}).encode()
    talk.send(ping)
    told: list[dict[str, Any]] = []
    while len(told) < 2:
        reply = json.loads(talk.receive())
        if reply["ok"]:  # it has not heard the signal yet
            assert reply["id"] == "too-late", reply
            talk.send(ping)
        else:
            told.append(reply["error"])
    talk.said.keep("draining", [dict(each) for each in sorted(each.items() for each in told)])
    daemon.process.wait(timeout=90)


def _commands(facts: dict[str, Any]) -> list[list[str]]:
    said = [
        ["keys", "list"],
        ["keys", "tokens"],
        ["keys", "signing", "list"],
        ["packages", "list"],
        ["explain", facts["verdicts"]["unseen"]],
        ["backup", "--list"],
    ]
    return [[*command, "--json"] for command in said]


def signed_by(trusted: str, frame: bytes, signature: bytes) -> None:
    """Raise unless the key on the line `trusted` made `signature` over `frame`."""
    public = base64.b64decode(trusted.split()[1])
    Ed25519PublicKey.from_public_bytes(public).verify(signature, frame)
