"""All that is recorded of a daemon on an empty data directory: one run, some seconds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import zmq

from golden import commands
from golden.conversation import Listener, Said, Talk
from golden.documents import gathered
from golden.placeholders import Placeholders
from golden.refusals import refuse, refuse_late
from golden.scenario import ENVIRON, GOLD, RULE, converse
from golden.web import Web, browse
from journeys.daemon import DaemonProcess

Recordings = dict[str, Any]


def record_fresh(folder: Path) -> Recordings:
    """Run a daemon on `folder`, which is empty, say everything, and return what is recorded, by the file's name."""
    daemon = DaemonProcess(folder, ENVIRON)
    daemon.start()
    try:
        with zmq.Context() as context:
            found = _talk(context, daemon)
    finally:
        code = daemon.stop()
    assert code == 0, daemon.log()[-3000:]
    return found


def _talk(context: zmq.Context[Any], daemon: DaemonProcess) -> Recordings:
    said, refused, web = Said(), Said(), Said()
    listener = Listener(context, daemon, "")
    with Talk(context, daemon, said) as talk:
        version = talk.quietly("ping", {})["version"]
        converse(talk)
        ids = _ids(said)
        replies = _inbox(context, daemon, listener)
        replayed = talk.quietly("events.replay", {"topics": ["pkg/", "task/"], "limit": 1000})["events"]
        events = _events(listener, replayed)
        browse(Web(daemon.doors["http"], web), ids, GOLD, RULE)
        told = commands.run(daemon.folder, _commands(ids), {})
        with Talk(context, daemon, refused) as refusing:
            refusing.quiet = "quiet-refusing"
            refuse(refusing)
            refuse_late(refusing, ids["search"])
        documents = _documents(talk, daemon)
    listener.close()
    recordings = {
        "conversation": said.steps,
        "events": {**events, "inbox": replies},
        "web": web.steps,
        "refusals": refused.steps,
        "commands": told,
        "documents": documents,
    }
    placeholders = Placeholders(version, str(daemon.folder))
    return dict(placeholders.replaced(recordings))


def _ids(said: Said) -> dict[str, str]:
    def data(step: str) -> dict[str, Any]:
        found: dict[str, Any] = said.steps[step]["reply"]["data"]
        return found

    return {
        "backtest": data("backtest-start")["task_id"],
        "small": data("backtest-vectorbt-start")["task_id"],
        "search": data("grid-start")["optimization_id"],
        "other": data("random-start")["optimization_id"],
        "session": data("session-generate")["session_id"],
        "rejected": data("reject")["verdict_id"],
        "package": data("approve")["parameter_package"]["package_id"],
    }


def _inbox(context: zmq.Context[Any], daemon: DaemonProcess, listener: Listener) -> Any:
    """Requests that are published, and the replies on the events door."""
    socket = context.socket(zmq.PUB)
    socket.setsockopt(zmq.LINGER, 0)
    socket.connect(daemon.doors["inbox"])
    asked = {"v": 1, "type": "data.list", "data": {"venue": "none"}, "client": "bot-7"}

    def answered(topic: bytes) -> bool:
        listener.until(lambda heard: True)
        return any(frames[0].startswith(topic) for frames in listener.heard)

    n = 0
    while not answered(b"rep/bot-7/first-"):  # until the connection stands
        n += 1
        socket.send_multipart([b"req/", json.dumps({**asked, "id": f"first-{n}"}).encode()])
        listener.until(lambda heard: True)
    replies = {}
    for name, body in (
        ("reply", {**asked, "id": "i1"}),
        ("refused", {**asked, "id": "i2", "data": {"typo": 1}}),
        ("broken", {**asked, "id": "a b"}),
    ):
        before = len(listener.heard)
        socket.send_multipart([b"req/", json.dumps(body).encode()])

        def came(heard: list[list[bytes]], before: int = before) -> bool:
            return any(frames[0].startswith(b"rep/") and b"first" not in frames[0] for frames in heard[before:])

        heard = listener.until(came)[before:]
        [frames] = [each for each in heard if each[0].startswith(b"rep/") and b"first" not in each[0]]
        replies[name] = {"asked": body, "heard": [frame.decode() for frame in frames]}
    socket.close()
    return replies


def _events(listener: Listener, replayed: list[dict[str, Any]]) -> Any:
    """Durable events as they were heard, which are those of the replay; of others, the topic and the fields."""
    durable = [
        each for each in listener.heard if each[0].startswith((b"pkg/", b"task/")) and b"/progress/" not in each[0]
    ]
    events = [{"topic": topic.decode(), "event": json.loads(frame)} for topic, frame in durable]
    assert events == replayed, "what was heard is what can be replayed"
    shapes = {}
    for frames in listener.heard:
        topic = frames[0].decode()
        event = json.loads(frames[1])
        if event.get("type") in ("task.progress", "heartbeat"):
            kind = event["type"]
            parts = topic.split("/")
            shown = "/".join("<task>" if i == 1 and kind == "task.progress" else part for i, part in enumerate(parts))
            shapes[kind] = {"n_frames": len(frames), "topic": shown, **_shape(event)}
    assert shapes.keys() == {"task.progress", "heartbeat"}, "both kinds were heard"
    return {"first_of_each_type": _first_frames(durable), "shapes": dict(sorted(shapes.items()))}


def _first_frames(durable: list[list[bytes]]) -> dict[str, list[str]]:
    """The text of the first event of each type, character by character."""
    first: dict[str, list[str]] = {}
    for frames in durable:
        first.setdefault(json.loads(frames[1])["type"], [frame.decode() for frame in frames])
    return first


def _shape(event: dict[str, Any]) -> dict[str, list[str]]:
    return {"fields": list(event), "data": list(event["data"])}


def _documents(talk: Talk, daemon: DaemonProcess) -> Any:
    web = Web(daemon.doors["http"], Said())
    openapi, asyncapi = (json.loads(web.fetch("GET", f"/{name}.json", None, {})[2]) for name in ("openapi", "asyncapi"))
    return gathered(talk.quietly("schema.get", {}), openapi, asyncapi)


def _commands(ids: dict[str, str]) -> list[list[str]]:
    said = [
        ["status", "--limit", "3"],
        ["status", ids["search"]],
        ["status", ids["rejected"]],
        ["status", "opt-0"],
        ["logs", ids["search"]],
        ["results", ids["search"], "--limit", "2"],
        ["results", ids["small"]],
        ["analyze", ids["search"]],
        ["compare", ids["search"], ids["other"]],
        ["data", "list"],
        ["strategies", "list"],
        ["strategies", "show", RULE],
        ["session", "list"],
        ["session", "status", ids["session"]],
        ["session", "results", ids["session"], "--top", "2"],
        ["schedules", "list"],
        ["packages", "list", "--limit", "1"],
        ["packages", "show", ids["package"]],
        ["explain", ids["rejected"]],
        ["replay", ids["rejected"]],
        ["audit", "--limit", "3"],
    ]
    return [[*command, "--json"] for command in said] + [["packages", "show", "0" * 64], ["backtest"], ["nonsense"]]
