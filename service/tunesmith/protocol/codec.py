"""Bytes ↔ messages. Needs msgspec alone, so that bots do not install the daemon's libraries.

Numbers are read as they are written: a field of whole numbers takes 42, and neither 42.0 nor "42"; a byte order mark is
refused. Who writes JSON by a library has nothing to do for it.

A request is read in two steps: the envelope (`decode_envelope`), then its `data` as the type says (`decode_data`).
What cannot be read is refused with the error tree; `salvage` finds the type and id that the refusal should repeat.
"""

from __future__ import annotations

import difflib
import json
import re
from codecs import BOM_UTF8
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import msgspec

from tunesmith.errors import BadJson, FieldError, Invalid, TunesmithError, UnknownType, UnsupportedVersion
from tunesmith.plain_text import find_control
from tunesmith.protocol.catalog import MESSAGES, MessageType
from tunesmith.protocol.envelope import VERSION, Envelope, Event, ReplyEnvelope, Request

ERROR_REPLY = "error.reply"
DATA = "/data"
SEARCH_LIMIT = 262_144
"""Bytes up to which a refused entry of an object is looked for; in what is larger the path ends at the object."""
_MULTILINE = ("code", "optimization_target", "constraints", "conditions")
"""Fields of requests that a program reads, so that they may have newlines and tabs."""
_PATH_LIMIT = 512
_MESSAGE_LIMIT = 300

_READABLE = re.compile(r"[A-Za-z0-9_.:-]{1,64}\Z")
_UNKNOWN_FIELD = re.compile(r"Object contains unknown field `(.*)`\Z", re.DOTALL)
_MISSING_FIELD = re.compile(r"Object missing required field `(.*)`\Z", re.DOTALL)
_POINTED = re.compile(r"Expected `int\b.*`, got `float`")
_LOCATED = re.compile(r"(.*) - at `([^`]*)`\Z", re.DOTALL)
_KEY_LOCATED = re.compile(r"(.*) - at `key` in `([^`]*)`\Z", re.DOTALL)
_STEP = re.compile(r"\.([A-Za-z_][A-Za-z0-9_]*)|\[(\d+)\]|(\[\.\.\.\])")

_T = TypeVar("_T")


class _Opening(msgspec.Struct, frozen=True):
    """What can be read of a broken envelope; `Raw` accepts any value, so that one bad field does not hide another."""

    v: msgspec.Raw = msgspec.Raw(b"null")
    type: msgspec.Raw = msgspec.Raw(b"null")
    id: msgspec.Raw = msgspec.Raw(b"null")
    client: msgspec.Raw = msgspec.Raw(b"null")


class _Answer(msgspec.Struct, frozen=True):
    v: int
    type: str
    id: str | None
    ok: bool
    data: Any


class _Refusal(msgspec.Struct, frozen=True):
    v: int
    type: str
    id: str | None
    ok: bool
    error: dict[str, Any]


_encoder = msgspec.json.Encoder()
_envelope_decoder = msgspec.json.Decoder(Envelope)
_opening_decoder = msgspec.json.Decoder(_Opening)
_raw_decoder = msgspec.json.Decoder(msgspec.Raw)
_reply_decoder = msgspec.json.Decoder(ReplyEnvelope)
_event_decoder = msgspec.json.Decoder(Event)
_decoders: dict[Any, msgspec.json.Decoder[Any]] = {}


def decode_envelope(body: bytes) -> Envelope:
    """The envelope of a request, its `data` still bytes.

    Raises `BadJson`, `UnsupportedVersion`, or `Invalid` with the path of the field. Whether the type exists is not
    looked at here: `message_type` does.
    """
    try:
        envelope = _decode(_envelope_decoder, body)
    except msgspec.ValidationError as error:
        _refuse_version(body)
        raise _invalid(error, body, Envelope, "") from None
    if envelope.v != VERSION:
        raise _unsupported(envelope.v)
    return envelope


def message_type(name: str, known: Iterable[str] = MESSAGES) -> MessageType:
    """The catalog's row for `name`; raises `UnknownType` with the nearest of the `known` names."""
    if name in known and name in MESSAGES:
        return MESSAGES[name]
    near = difflib.get_close_matches(name[:64], list(known), 1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise UnknownType(f"there is no message type {name[:64]!r}{hint}", path="/type")


def decode_data(request: type[Request], data: bytes | msgspec.Raw, root: str = DATA) -> Any:
    """`data` as a request; raises `Invalid` with a JSON Pointer below `root`, or `BadJson`.

    Text with control characters is refused, for whoever is shown it later; rules and expressions may have newlines.
    """
    body = bytes(data)
    value = decode_at(request, body, root)
    if not body.isascii() or b"\\" in body or b"\x7f" in body:
        _refuse_control(msgspec.to_builtins(value), root)
    return value


def decode_at(kind: type[_T], body: bytes, root: str) -> _T:
    """`body` as a value of `kind`; raises `Invalid` with a JSON Pointer below `root`, or `BadJson`."""
    try:
        value: _T = _decode(_decoder(kind), body)
    except msgspec.ValidationError as error:
        raise _invalid(error, body, kind, root) from None
    return value


def convert_query(request: type[Request], values: Mapping[str, str]) -> Any:
    """A request from text values, as a query string has them; numbers and truth values are read from their text.

    Raises `Invalid` with the path of the field.
    """
    try:
        return msgspec.convert(dict(values), request, strict=False)
    except msgspec.ValidationError as error:
        raise _invalid(error, b"null", request, DATA) from None


def salvage(body: bytes) -> tuple[str, str | None]:
    """The reply type and id with which to refuse `body`: its own where they can be read and keep the pattern."""
    opening = _open(body)
    kind = _readable(opening.type)
    return (f"{kind}.reply" if kind else ERROR_REPLY), _readable(opening.id)


def addressee(body: bytes) -> tuple[str | None, str | None]:
    """The client that `body` names and its id, each None where it cannot be read or breaks the pattern."""
    opening = _open(body)
    return _readable(opening.client), _readable(opening.id)


def is_id(text: str) -> bool:
    """Whether `text` may stand as an id or a client's name."""
    return _READABLE.match(text) is not None


def encode(value: Any) -> bytes:
    """`value` as JSON; NaN and infinities become null."""
    return _encoder.encode(value)


def encode_request(
    type: str, data: Any, id: str, *, deadline_ms: int | None = None, client: str | None = None
) -> bytes:
    """A request as it goes on the wire."""
    envelope = {"v": VERSION, "type": type, "id": id, "data": data}
    if deadline_ms is not None:
        envelope["deadline_ms"] = deadline_ms
    if client is not None:
        envelope["client"] = client
    return _encoder.encode(envelope)


def encode_reply(type: str, id: str | None, data: Any) -> bytes:
    """The reply to a request of `type`; `data` is a reply struct, or `msgspec.Raw` that is encoded already."""
    return _encoder.encode(_Answer(VERSION, f"{type}.reply", id, True, data))


def encode_error(error: TunesmithError, reply_type: str = ERROR_REPLY, id: str | None = None) -> bytes:
    """The reply that refuses a request."""
    return _encoder.encode(_Refusal(VERSION, reply_type, id, False, error.problem(instance(id))))


def instance(id: str | None) -> str | None:
    """The URI with which a problem object names the request that it answers."""
    return None if id is None else f"urn:tunesmith:request:{id}"


def decode_reply(body: bytes) -> ReplyEnvelope:
    """A reply as a client reads it, unknown fields ignored; raises `BadJson`."""
    return _foreign(_reply_decoder, body)


def decode_event(frame: bytes) -> Event:
    """An event as a client reads it, unknown fields ignored; raises `BadJson`."""
    return _foreign(_event_decoder, frame)


def pointer(*steps: str | int) -> str:
    """A JSON Pointer (RFC 6901) of these steps, `~` and `/` escaped."""
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in steps)


def _decode(decoder: msgspec.json.Decoder[_T], body: bytes) -> _T:
    """`decoder`'s value; what is malformed anywhere is `BadJson`, also where a wrong type comes before it."""
    try:
        if not body.isascii():
            body.decode()
            if body.startswith(BOM_UTF8):
                raise BadJson("the body begins with a byte order mark, which JSON on a wire has none of: leave it out")
        try:
            return decoder.decode(body)
        except msgspec.ValidationError:
            _raw_decoder.decode(body)
            raise
    except RecursionError:
        raise Invalid("the body is nested too deeply", path="") from None
    except msgspec.ValidationError:
        raise
    except ValueError as error:
        raise BadJson(f"the body is not JSON in UTF-8: {_cut(str(error), _MESSAGE_LIMIT)}") from None


def _foreign(decoder: msgspec.json.Decoder[_T], body: bytes) -> _T:
    try:
        return decoder.decode(body)
    except (ValueError, RecursionError) as error:
        raise BadJson(f"what came is no message: {_cut(str(error), _MESSAGE_LIMIT)}") from None


def _decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    decoder = _decoders.get(kind)
    if decoder is None:
        decoder = _decoders[kind] = msgspec.json.Decoder(kind)
    return decoder


def _open(body: bytes) -> _Opening:
    try:
        if not body.isascii():
            body.decode()
        return _opening_decoder.decode(body)
    except (ValueError, RecursionError):
        return _Opening()


def _readable(raw: msgspec.Raw) -> str | None:
    try:
        text = msgspec.json.decode(raw)
    except (ValueError, RecursionError):
        return None
    return text if isinstance(text, str) and is_id(text) else None


def _refuse_version(body: bytes) -> None:
    """A later version may have other fields, so its number counts before they do."""
    try:
        version = msgspec.json.decode(_opening_decoder.decode(body).v)
    except (ValueError, RecursionError):
        return
    if type(version) is int and version != VERSION:
        raise _unsupported(version)


def _refuse_control(value: Any, path: str, multiline: bool = False) -> None:
    """Raise `Invalid` at the first text below `path` with a control character, a key or a value."""
    if isinstance(value, str):
        found = find_control(value, multiline=multiline)
        if found is not None:
            detail = f"text must not hold the character {found}, which terminals and logs obey"
            raise Invalid(f"{_cut(path, _PATH_LIMIT)}: {detail}", path=_cut(path, _PATH_LIMIT))
    elif isinstance(value, dict):
        for key, each in value.items():
            _refuse_control(key, path)
            _refuse_control(each, path + pointer(key), multiline or key in _MULTILINE)
    elif isinstance(value, list):
        for i, each in enumerate(value):
            _refuse_control(each, path + pointer(i), multiline)


def _unsupported(version: int) -> UnsupportedVersion:
    return UnsupportedVersion(f"version {version} is not spoken here; version {VERSION} is", path="/v")


def _invalid(error: msgspec.ValidationError, body: bytes, kind: Any, root: str) -> Invalid:
    """msgspec's message as `Invalid` with the path of the field as a JSON Pointer below `root`."""
    what, location, of_key = _split(str(error))
    path = root + pointer(*_steps(location, body, kind))
    if of_key:
        what = f"a key: {what}"
    for pattern, wording in ((_UNKNOWN_FIELD, "unknown field"), (_MISSING_FIELD, "required field is missing")):
        if found := pattern.fullmatch(what):
            path, what = path + pointer(found[1]), wording
    if _POINTED.fullmatch(what):
        what += "; a whole number is written without point and exponent: 42, not 42.0"
    refused = FieldError(_cut(path, _PATH_LIMIT), _cut(what, _MESSAGE_LIMIT))
    return Invalid(f"{refused.path or 'the body'}: {refused.message}", errors=(refused,))


def _split(message: str) -> tuple[str, str, bool]:
    """What is wrong, where (msgspec's `$.a[0][...]`), and whether a dict's key rather than its value is meant."""
    if found := _KEY_LOCATED.fullmatch(message):
        return found[1], found[2], True
    if found := _LOCATED.fullmatch(message):
        return found[1], found[2], False
    return message, "$", False


def _steps(location: str, body: bytes, kind: Any) -> list[str | int]:
    """The steps of msgspec's location; `[...]` stands for some key of a dict, which is found by trying."""
    matches = list(_STEP.finditer(location))
    steps: list[str | int] = []
    unnamed = [i for i, match in enumerate(matches) if match[3]]
    tree = _untyped(body) if unnamed and len(body) <= SEARCH_LIMIT else None
    for i, match in enumerate(matches):
        if match[3]:
            key = _failing_key(tree, steps, kind, location)
            if key is None:
                break
            steps.append(key)
        else:
            steps.append(match[1] if match[1] is not None else int(match[2]))
        if tree is not None and i >= unnamed[-1]:
            tree = None
    return steps


def _failing_key(tree: Any, steps: list[str | int], kind: Any, location: str) -> str | None:
    """The key below `steps` whose value msgspec refuses at `location`.

    Entries are checked one by one, so half of them fail by themselves exactly when the bad one is among them:
    bisection finds it while it decodes no more than about twice what came.
    """
    below = _walk(tree, steps)
    if not isinstance(below, dict):
        return None

    def fails(keys: list[str]) -> bool:
        kept = _along(tree, steps, {key: below[key] for key in keys})
        try:
            _decoder(kind).decode(_encoder.encode(kept))
        except msgspec.ValidationError as error:
            return _split(str(error))[1] == location
        return False

    keys = list(below)
    if not fails(keys):
        return None
    while len(keys) > 1:
        middle = len(keys) // 2
        keys = keys[:middle] if fails(keys[:middle]) else keys[middle:]
    return str(keys[0])


def _untyped(body: bytes) -> Any:
    """`body` as plain values, its numbers kept as they are written: no float or int may hold them."""
    try:
        return json.loads(body, parse_float=_literal, parse_int=_literal)
    except (ValueError, RecursionError):
        return None


def _literal(text: str) -> msgspec.Raw:
    return msgspec.Raw(text.encode())


def _walk(tree: Any, steps: list[str | int]) -> Any:
    for step in steps:
        try:
            tree = tree[step]
        except (KeyError, IndexError, TypeError):
            return None
    return tree


def _along(tree: Any, steps: list[str | int], value: Any) -> Any:
    """`tree` with the value below `steps` replaced, without the other members of the objects on the way."""
    if not steps:
        return value
    step, rest = steps[0], steps[1:]
    if isinstance(tree, dict):
        return {step: _along(tree[step], rest, value)}
    return [_along(item, rest, value) if i == step else item for i, item in enumerate(tree)]


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"
