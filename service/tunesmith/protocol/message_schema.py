"""Descriptions of the wire, generated from the message types: JSON Schemas and an AsyncAPI 3.0 document."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from typing import get_type_hints

import msgspec

from tunesmith import __version__
from tunesmith.domain.records import JsonObject
from tunesmith.protocol.catalog import MESSAGES, MessageType
from tunesmith.protocol.codec import ERROR_REPLY, message_type
from tunesmith.protocol.envelope import VERSION, Envelope, Event, Problem, ReplyEnvelope
from tunesmith.protocol.messages.events import EVENTS, EventType
from tunesmith.protocol.messages.server import SchemaReply

DEFINITIONS = "#/definitions/"
COMPONENTS = "#/components/schemas/"
REPLY_TOPIC = "rep/{client}/{id}/"

_HOSTS = {"requests": "127.0.0.1:5555", "events": "127.0.0.1:5556", "inbox": "127.0.0.1:5557"}
_ABOUT = {
    "requests": "ROUTER: REQ and DEALER clients; the last frame is the message, a reply repeats the frames before it.",
    "events": "XPUB: topic, JSON, and an Ed25519 signature where a key is configured.",
    "inbox": "SUB: requests that bots publish; replies go out on the events door.",
}
_PARAMETERS = {
    "symbol": "A market, such as BTC/USDT.",
    "timeframe": "Such as 1h.",
    "strategy_id": "The strategy's id.",
    "task_id": "The task's id.",
    "client": "The name that the request gave.",
    "id": "The request's id, or - when it could not be read.",
}


@functools.cache
def message_schemas(type: str | None = None) -> SchemaReply:
    """The JSON Schemas of every message, or of the one named, and of the envelopes; what `schema.get` answers.

    Raises `UnknownType`.
    """
    messages = list(MESSAGES.values()) if type is None else [message_type(type)]
    definitions = struct_schemas([*_structs(messages), ReplyEnvelope, Event, Problem], DEFINITIONS)
    return SchemaReply(
        messages={m.name: {"request": _ref(m.request), "reply": _ref(m.reply)} for m in messages},
        definitions=definitions | {"Envelope": envelope_schema()},
    )


def struct_schemas(structs: Iterable[type], prefix: str) -> JsonObject:
    """The JSON Schemas of these structs and of all that they hold, by name; references begin with `prefix`."""
    return msgspec.json.schema_components(list(structs), ref_template=prefix + "{name}")[1]


def envelope_schema() -> JsonObject:
    """The JSON Schema of a request's envelope."""
    hints = get_type_hints(Envelope, include_extras=True)
    return {
        "title": "Envelope",
        "type": "object",
        "properties": {name: msgspec.json.schema(hint) for name, hint in hints.items()} | {"v": {"const": VERSION}},
        "required": ["v", "type", "id"],
        "additionalProperties": False,
    }


def asyncapi() -> JsonObject:
    """The ZeroMQ doors as an AsyncAPI 3.0 document, from the daemon's side: it receives requests and sends events."""
    requests = {m.name: _request_message(m) for m in MESSAGES.values()}
    replies = {f"{m.name}.reply": _reply_message(m) for m in MESSAGES.values()}
    replies[ERROR_REPLY] = _message(ERROR_REPLY, "A request that could not be read.", _refusal(ERROR_REPLY))
    events = {event.name: _event_message(event) for event in EVENTS.values()}
    channels = {
        "requests": _channel("requests", None, requests),
        "replies": _channel("requests", None, replies),
        "inbox": _channel("inbox", None, requests),
        "inbox_replies": _channel("events", REPLY_TOPIC, replies),
    }
    for event in EVENTS.values():
        same = {name: message for name, message in events.items() if EVENTS[name].topic == event.topic}
        channels[_channel_name(event)] = _channel("events", event.topic, same)
    structs = [*_structs(MESSAGES.values()), *(event.data for event in EVENTS.values()), Problem]
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Tunesmith",
            "version": __version__,
            "description": "Tunes trading-strategy parameters, proves them, and delivers those that pass to bots.",
            "license": {"name": "MIT"},
        },
        "defaultContentType": "application/json",
        "servers": {
            name: {"host": host, "protocol": "zeromq", "description": _ABOUT[name]} for name, host in _HOSTS.items()
        },
        "channels": channels,
        "operations": _operations(),
        "components": {"schemas": struct_schemas(structs, COMPONENTS), "messages": requests | replies | events},
    }


def _operations() -> JsonObject:
    operations: JsonObject = {}
    for name, message in MESSAGES.items():
        operations[name] = {
            "action": "receive",
            "summary": summary_of(message.request),
            "channel": {"$ref": "#/channels/requests"},
            "messages": [{"$ref": f"#/channels/requests/messages/{name}"}],
            "reply": {
                "channel": {"$ref": "#/channels/replies"},
                "messages": [{"$ref": f"#/channels/replies/messages/{name}.reply"}],
            },
        }
    operations["inbox"] = {
        "action": "receive",
        "summary": "Any request, published; its reply goes out on the events door.",
        "channel": {"$ref": "#/channels/inbox"},
        "reply": {"channel": {"$ref": "#/channels/inbox_replies"}},
    }
    for name, event in EVENTS.items():
        channel = _channel_name(event)
        operations[name] = {
            "action": "send",
            "summary": summary_of(event.data),
            "channel": {"$ref": f"#/channels/{channel}"},
            "messages": [{"$ref": f"#/channels/{channel}/messages/{name}"}],
        }
    return operations


def summary_of(kind: type) -> str:
    """The first line of a message's documentation, without its type."""
    text = (kind.__doc__ or "").strip().partition("\n")[0]
    return re.sub(r"^(`[a-z.]+`( and )?)+:? ?", "", text) or kind.__name__


def _structs(messages: Iterable[MessageType]) -> list[type]:
    return [struct for message in messages for struct in (message.request, message.reply)]


def _ref(struct: type, prefix: str = DEFINITIONS) -> dict[str, str]:
    return {"$ref": prefix + struct.__name__}


def _channel_name(event: EventType) -> str:
    return re.sub(r"/?\{\w+\}/?", ".", event.topic).strip("./").replace("/", ".")


def _channel(server: str, address: str | None, messages: JsonObject) -> JsonObject:
    channel: JsonObject = {
        "address": address,
        "servers": [{"$ref": f"#/servers/{server}"}],
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
    }
    if names := re.findall(r"\{(\w+)\}", address or ""):
        channel["parameters"] = {name: {"description": _PARAMETERS[name]} for name in names}
    return channel


def _message(name: str, summary: str, payload: JsonObject) -> JsonObject:
    return {"name": name, "summary": summary, "contentType": "application/json", "payload": payload}


def _request_message(message: MessageType) -> JsonObject:
    envelope = envelope_schema()
    envelope["title"] = message.name
    envelope["properties"] |= {"type": {"const": message.name}, "data": _ref(message.request, COMPONENTS)}
    return _message(message.name, summary_of(message.request), envelope)


def _reply_message(message: MessageType) -> JsonObject:
    name = f"{message.name}.reply"
    answer = _reply_envelope(name, True, {"data": _ref(message.reply, COMPONENTS)})
    return _message(name, f"The answer to {message.name}.", {"oneOf": [answer, _refusal(name)]})


def _refusal(name: str) -> JsonObject:
    return _reply_envelope(name, False, {"error": _ref(Problem, COMPONENTS)})


def _reply_envelope(name: str, ok: bool, more: JsonObject) -> JsonObject:
    properties = {"v": {"const": VERSION}, "type": {"const": name}, "id": {"type": ["string", "null"]}}
    return {
        "type": "object",
        "properties": properties | {"ok": {"const": ok}} | more,
        "required": ["v", "type", "id", "ok", *more],
    }


def _event_message(event: EventType) -> JsonObject:
    hints = get_type_hints(Event, include_extras=True)
    properties = {name: msgspec.json.schema(hint) for name, hint in hints.items()}
    properties |= {"v": {"const": VERSION}, "type": {"const": event.name}, "data": _ref(event.data, COMPONENTS)}
    required = ["specversion", "v", "id", "source", "type", "time", "epoch", "data"]
    required += ["seq", "prev"] if event.durable else []
    payload = {"type": "object", "title": event.name, "properties": properties, "required": required}
    return _message(event.name, summary_of(event.data), payload)
