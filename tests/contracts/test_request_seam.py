"""A request added from outside the package: a model, a handler, its row in ROUTES; every socket and document has it."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Annotated, Any

import msgspec
import pytest

from contracts.real_daemon import Doors, client_of, with_daemon
from tunesmith.errors import Invalid
from tunesmith.protocol.catalog import MESSAGES, Call, MessageType
from tunesmith.protocol.codec import decode_data, decode_envelope, encode_reply
from tunesmith.protocol.envelope import Reply, Request
from tunesmith.protocol.message_schema import asyncapi, message_schemas
from tunesmith.routes import ROUTES, handlers
from tunesmith.services.requests.handlers import Route
from tunesmith.services.requests.idempotency import Change
from tunesmith.services.runtime.context import Context
from tunesmith.storage.sqlite.connections import Connection
from tunesmith.transport.http.openapi import openapi


class MoonPhase(Request, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`moon.phase`: how full the moon is on a day of its month."""

    day: Annotated[int, msgspec.Meta(ge=0, le=28)]


class MoonReply(Reply, frozen=True, kw_only=True):
    """`full` from 0 to 1."""

    full: float


class NameMoon(Request, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`moon.name`: give the moon a name; operators alone may."""

    name: str


class MoonNamed(Reply, frozen=True, kw_only=True):
    name: str
    n_changes: int


NAMED: list[str] = []


def _phase(context: Context, request: MoonPhase, call: Call) -> MoonReply:
    return MoonReply(full=1.0 - abs(14 - request.day) / 14)


def _name(context: Context, request: NameMoon, call: Call) -> Change:
    async def apply(conn: Connection) -> MoonNamed:
        NAMED.append(request.name)
        return MoonNamed(name=request.name, n_changes=len(NAMED))

    return Change(apply)


@pytest.fixture(autouse=True)
def moon(monkeypatch: pytest.MonkeyPatch) -> None:
    NAMED.clear()
    monkeypatch.setitem(MESSAGES, "moon.phase", MessageType("moon.phase", MoonPhase, MoonReply))
    monkeypatch.setitem(MESSAGES, "moon.name", MessageType("moon.name", NameMoon, MoonNamed, True, "operator"))
    monkeypatch.setitem(ROUTES, "moon.phase", Route(_phase))
    monkeypatch.setitem(ROUTES, "moon.name", Route(_name))


def test_every_socket_answers_it(tmp_path: Path) -> None:
    def scene(doors: Doors) -> None:
        with client_of(doors) as client:
            assert client.request("moon.phase", {"day": 7}) == {"full": 0.5}
            assert "moon.phase" in client.request("schema.get", {})["messages"]
            with pytest.raises(Invalid) as refused:
                client.request("moon.phase", {"day": 99})
            assert refused.value.path == "/data/day"
        assert _post(doors, "moon.phase", {"day": 14}) == (200, {"full": 1.0})
        assert _post(doors, "moon.phase", {"night": 14})[0] == 422

    with_daemon(tmp_path, scene)


def test_one_that_changes_something_is_done_once_and_entered_in_the_audit_log(tmp_path: Path) -> None:
    def scene(doors: Doors) -> None:
        with client_of(doors) as client:
            first = client.request("moon.name", {"name": "Luna"}, id="n1")
            assert first == client.request("moon.name", {"name": "Luna"}, id="n1") == {"name": "Luna", "n_changes": 1}
            entries = client.request("audit.list", {"type": "moon.name"})["entries"]
        assert [(entry["outcome"], entry["request_id"]) for entry in entries] == [("ok", "n1")]
        assert NAMED == ["Luna"]

    with_daemon(tmp_path, scene)


def test_its_bytes_and_its_documents_follow_from_the_model() -> None:
    body = b'{"v":1,"type":"moon.phase","id":"1","data":{"day":7}}'
    assert decode_data(MoonPhase, decode_envelope(body).data) == MoonPhase(day=7)
    reply = encode_reply("moon.phase", "1", MoonReply(full=0.5))
    assert reply == b'{"v":1,"type":"moon.phase.reply","id":"1","ok":true,"data":{"full":0.5}}'
    assert "moon.phase" in str(message_schemas("moon.phase"))
    assert asyncapi()["operations"]["moon.phase"]["summary"] == "how full the moon is on a day of its month."
    assert openapi()["components"]["schemas"]["MoonPhase"]["properties"]["day"]["maximum"] == 28
    assert "/api/messages/moon.name" in openapi()["paths"]


def test_it_is_handled_like_the_others() -> None:
    context: Any = type("Parts", (), {"database": None})()
    made = handlers(context)
    assert set(made) == set(MESSAGES)
    call = Call("moon.phase", "1", "ann", "bot", "requests", 0.0)
    assert made["moon.phase"](MoonPhase(day=0), call) == MoonReply(full=0.0)


def _post(doors: Doors, message_type: str, data: dict[str, Any]) -> tuple[int, Any]:
    asked = urllib.request.Request(
        f"http://{doors['http']}/api/messages/{message_type}",
        data=json.dumps(data).encode(),
        headers={"Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(asked, timeout=90) as reply:
            return reply.status, json.loads(reply.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())
