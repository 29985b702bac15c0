from __future__ import annotations

import json
import re
from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator

from tunesmith.errors import UnknownType
from tunesmith.protocol.catalog import MESSAGES
from tunesmith.protocol.codec import encode_error, encode_reply, encode_request
from tunesmith.protocol.message_schema import REPLY_TOPIC, asyncapi, message_schemas
from tunesmith.protocol.messages.events import EVENTS
from tunesmith.protocol.topics import HEARTBEAT, done_topic, package_topic, progress_topic, reply_topic


def references(document: Any) -> set[str]:
    return set(re.findall(r'"\$ref": "(#[^"]+)"', json.dumps(document)))


def resolve(document: Any, reference: str) -> Any:
    for step in reference.removeprefix("#/").split("/"):
        document = document[step]
    return document


def test_every_message_has_valid_schemas_and_every_reference_leads_somewhere() -> None:
    reply = msgspec.to_builtins(message_schemas())
    assert set(reply["messages"]) == set(MESSAGES)
    for definition in reply["definitions"].values():
        Draft202012Validator.check_schema(definition)
    for reference in references(reply):
        assert resolve(reply, reference)


def test_one_message_brings_only_its_own_definitions() -> None:
    reply = message_schemas("optimization.start")
    assert set(reply.messages) == {"optimization.start"}
    assert "Range" in reply.definitions
    assert "CreateStrategy" not in reply.definitions
    with pytest.raises(UnknownType, match=r"optimization\.start"):
        message_schemas("optimization.strat")


def test_the_envelope_schema_agrees_with_the_codec() -> None:
    validator = Draft202012Validator(message_schemas("ping").definitions["Envelope"])
    assert validator.is_valid(json.loads(encode_request("ping", {}, "a", deadline_ms=5, client="b")))
    for wrong in ({"v": 2}, {"id": "a b"}, {"type": ""}, {"deadline_ms": 0}, {"more": 1}):
        assert not validator.is_valid({"v": 1, "type": "ping", "id": "a", **wrong})


def test_asyncapi_names_every_type_event_and_topic() -> None:
    document = asyncapi()
    operations = document["operations"]
    assert set(operations) == {*MESSAGES, *EVENTS, "inbox"}
    assert {operation["action"] for operation in operations.values()} == {"receive", "send"}
    for reference in references(document):
        assert resolve(document, reference)
    addresses = {channel["address"] for channel in document["channels"].values()}
    assert addresses == {None, REPLY_TOPIC, *(event.topic for event in EVENTS.values())}


def test_asyncapi_messages_accept_what_the_codec_writes() -> None:
    document = asyncapi()

    def validator(name: str) -> Draft202012Validator:
        payload = document["components"]["messages"][name]["payload"]
        return Draft202012Validator({**payload, "components": document["components"]})

    ping = json.loads(encode_request("ping", {}, "a"))
    assert validator("ping").is_valid(ping)
    assert not validator("server.info").is_valid(ping)
    pong = {"version": "1", "protocol": 1, "time": "t", "uptime_s": 1.0}
    assert validator("ping.reply").is_valid(json.loads(encode_reply("ping", "a", pong)))
    refusal = encode_error(UnknownType("no"), "ping.reply", "a")
    assert validator("ping.reply").is_valid(json.loads(refusal))
    assert not validator("ping.reply").is_valid({**json.loads(refusal), "ok": True})


def test_the_topics_of_events_are_those_that_are_made() -> None:
    made = {
        "package.approved": package_topic("BTC/USDT", "1h", "s"),
        "task.completed": done_topic("t"),
        "task.progress": progress_topic("t"),
        "heartbeat": HEARTBEAT,
    }
    values = {"symbol": "BTC/USDT", "timeframe": "1h", "strategy_id": "s", "task_id": "t", "client": "c", "id": "i"}
    for name, topic in made.items():
        assert EVENTS[name].topic.format(**values) == topic
    assert REPLY_TOPIC.format(**values) == reply_topic("c", "i")
