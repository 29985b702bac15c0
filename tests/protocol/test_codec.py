from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunesmith.errors import BadJson, Busy, Invalid, TunesmithError, UnknownType, UnsupportedVersion, from_problem
from tunesmith.protocol.catalog import MESSAGES
from tunesmith.protocol.codec import (
    addressee,
    convert_query,
    decode_data,
    decode_envelope,
    decode_event,
    decode_reply,
    encode_error,
    encode_reply,
    encode_request,
    message_type,
    pointer,
    salvage,
)
from tunesmith.protocol.messages.optimizations import StartOptimization
from tunesmith.protocol.messages.server import EventsReplay, Ping, Pong

GOOD = b'{"v":1,"type":"ping","id":"a","data":{}}'


def search(**data: Any) -> bytes:
    return msgspec.json.encode({"symbol": "BTC/USDT", "strategy_id": "s", **data})


def test_an_envelope_keeps_its_data_as_bytes() -> None:
    envelope = decode_envelope(b'{"v":1,"type":"ping","id":"a","data":{"x": [1]},"deadline_ms":5,"client":"b"}')
    assert (envelope.type, envelope.id, envelope.deadline_ms, envelope.client) == ("ping", "a", 5, "b")
    assert bytes(envelope.data) == b'{"x": [1]}'


def test_data_may_be_left_out() -> None:
    assert decode_data(Ping, decode_envelope(b'{"v":1,"type":"ping","id":"a"}').data) == Ping()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"hello",
        b"{",
        GOOD + b" x",
        b"\xef\xbb\xbf" + GOOD,
        b'{"v":1,"type":"ping","id":"a","data":{"x":NaN}}',
        b'{"v":1,"type":"ping","id":"a","data":{"x":Infinity}}',
        b'{"v":1,"type":"ping","id":"a","data":{"x":01}}',
        b'{"v":1,"type":"ping","id":"a","data":{"x":"\xff"}}',
        b'{"v":1,"type":"ping","id":"a","data":{"\xff":1}}',
        b'{"v":1,"type":"ping","id":"\xc3","data":{}}',
        b'{"v":1,"type":"ping","id":"a","data":{"x":"\\ud800"}}',
        b"\x00\x01\x02",
        b'["not an object", oops]',
        b'{"v":"wrong type first", then no JSON}',
        b'{"v":2, then no JSON}',
        GOOD.decode().encode("utf-16"),
    ],
)
def test_what_is_no_json_in_utf8_is_bad_json_and_names_no_request(body: bytes) -> None:
    with pytest.raises(BadJson):
        decode_envelope(body)
    assert salvage(body) == ("error.reply", None)


@pytest.mark.parametrize(
    ("body", "path", "told"),
    [
        (b"[]", "", "expected `object`"),
        (b'"x"', "", "expected `object`"),
        (b"null", "", "expected `object`"),
        (b"{}", "/v", "required"),
        (b'{"v":1,"id":"a"}', "/type", "required"),
        (b'{"v":1,"type":"ping"}', "/id", "required"),
        (b'{"v":"1","type":"ping","id":"a"}', "/v", "expected `int`"),
        (b'{"v":1,"type":7,"id":"a"}', "/type", "expected `str`"),
        (b'{"v":1,"type":"","id":"a"}', "/type", "length"),
        (b'{"v":1,"type":"ping","id":""}', "/id", "matching"),
        (b'{"v":1,"type":"ping","id":"a b"}', "/id", "matching"),
        (b'{"v":1,"type":"ping","id":"a\\n"}', "/id", "matching"),
        (b'{"v":1,"type":"ping","id":null}', "/id", "expected `str`"),
        (b'{"v":1,"type":"ping","id":"' + b"x" * 65 + b'"}', "/id", "matching"),
        (b'{"v":1,"type":"ping","id":"a","deadline_ms":0}', "/deadline_ms", ">= 1"),
        (b'{"v":1,"type":"ping","id":"a","deadline_ms":1e999}', "/deadline_ms", "out of range"),
        (b'{"v":1,"type":"ping","id":"a","client":"a/b"}', "/client", "matching"),
        (b'{"v":1,"type":"ping","id":"a","what":1}', "/what", "unknown field"),
        (b'{"v":1,"type":"ping","id":"a","a/b~c":1}', "/a~1b~0c", "unknown field"),
    ],
)
def test_a_broken_envelope_is_invalid_with_the_path(body: bytes, path: str, told: str) -> None:
    with pytest.raises(Invalid) as refused:
        decode_envelope(body)
    assert refused.value.path == path
    assert told in refused.value.errors[0].message.lower()


@pytest.mark.parametrize("version", [0, 2, -1, 10**30])
def test_another_version_counts_before_fields_that_it_may_have(version: int) -> None:
    with pytest.raises(UnsupportedVersion, match=str(version)):
        decode_envelope(b'{"v":%d,"type":"ping","id":"a","new_in_two":1}' % version)
    with pytest.raises(UnsupportedVersion):
        decode_envelope(b'{"v":%d,"type":"ping","id":"a"}' % version)


def test_deep_nesting_is_refused() -> None:
    with pytest.raises(Invalid, match="nested"):
        decode_envelope(b'{"v":1,"type":"ping","id":"a","data":' + b"[" * 100_000 + b"]" * 100_000 + b"}")
    with pytest.raises(Invalid, match="nested"):
        decode_envelope(b"[" * 1_000_000 + b"x")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"v":1,"type":"ping","id":"a","what":1}', ("ping.reply", "a")),
        (b'{"v":1,"type":"no.such","id":"a"}', ("no.such.reply", "a")),
        (b'{"v":1,"type":7,"id":"a"}', ("error.reply", "a")),
        (b'{"v":1,"type":"ping","id":"a b"}', ("ping.reply", None)),
        (b'{"v":1,"type":"ping","id":7}', ("ping.reply", None)),
        (b'{"v":1,"type":"a\\nb","id":{"id":"a"}}', ("error.reply", None)),
        (b"[1]", ("error.reply", None)),
    ],
)
def test_a_refusal_repeats_what_can_be_read(body: bytes, expected: tuple[str, str | None]) -> None:
    assert salvage(body) == expected


def test_the_addressee_of_a_broken_request() -> None:
    assert addressee(b'{"client":"bot","id":"a","v":[]}') == ("bot", "a")
    assert addressee(b'{"client":"bot/1","id":"a/b"}') == (None, None)
    assert addressee(b"\xff") == (None, None)


@pytest.mark.parametrize(
    ("data", "path", "told"),
    [
        (b"null", "/data", "expected `object`"),
        (b"[]", "/data", "expected `object`"),
        (search(foo=1), "/data/foo", "unknown field"),
        (b'{"symbol":"BTC/USDT"}', "/data/strategy_id", "required"),
        (search(symbol="BTC USDT"), "/data/symbol", "matching"),
        (search(param_ranges={"ok": {"min": 1}, "fast": {"min": "a"}}), "/data/param_ranges/fast/min", "float"),
        (search(param_ranges={"a/b~": {"min": []}}), "/data/param_ranges/a~1b~0/min", "float"),
        (search(param_ranges={"": {"min": []}}), "/data/param_ranges//min", "float"),
        (search(param_ranges={"x": {"bogus": 1}}), "/data/param_ranges/x/bogus", "unknown field"),
        (search(param_ranges={"a": 1, "x": [1, 2, {}]}), "/data/param_ranges/x/2", "got `object`"),
        (search(param_ranges={"x": {"values": [1, None]}}), "/data/param_ranges/x/values/1", "got `null`"),
        (search(param_ranges={"x": {"step": 0}}), "/data/param_ranges/x/step", "> 0"),
        (search(param_ranges=[]), "/data/param_ranges", "expected `object`"),
        (search(param_ranges={str(i): 1 for i in range(65)}), "/data/param_ranges", "length"),
        (search(approve={"max_drawdown": 2}), "/data/approve/max_drawdown", "<= 1"),
        (search(seed=1.5), "/data/seed", "int"),
        (search(max_iterations=True), "/data/max_iterations", "int"),
        (b'{"symbol":"A","strategy_id":"s","seed":1e999}', "/data/seed", "out of range"),
        (b'{"symbol":"A","strategy_id":"s","seed":' + b"9" * 5000 + b"}", "/data/seed", "out of range"),
        (b'{"param_ranges":{"a":1.50,"b":{"min":1e999}}}', "/data/param_ranges/b/min", "out of range"),
        (b'{"param_ranges":{"b":{"min":' + b"9" * 5000 + b"}}}", "/data/param_ranges/b/min", "out of range"),
        (b'{"initial_cash":' + b"9" * 400 + b"}", "/data/initial_cash", "out of range"),
    ],
)
def test_refused_data_names_the_field_from_the_root(data: bytes, path: str, told: str) -> None:
    with pytest.raises(Invalid) as refused:
        decode_data(StartOptimization, data)
    assert refused.value.path == path
    assert told in refused.value.errors[0].message.lower()
    assert path in refused.value.message


def test_the_bad_key_is_found_among_many_in_a_few_decodings() -> None:
    ranges: dict[str, Any] = {f"p{i}": {"min": i} for i in range(10_000)}
    ranges["p7001"] = {"min": "x"}
    with pytest.raises(Invalid) as refused:
        decode_data(StartOptimization, search(param_ranges=ranges))
    assert refused.value.path == "/data/param_ranges/p7001/min"


def test_in_a_huge_body_the_path_ends_at_the_object() -> None:
    ranges: dict[str, Any] = {f"p{i}": {"min": "x"} for i in range(50_000)}
    with pytest.raises(Invalid) as refused:
        decode_data(StartOptimization, search(param_ranges=ranges))
    assert refused.value.path == "/data/param_ranges"


@given(st.text(min_size=1, max_size=20), st.lists(st.text(max_size=5), max_size=8, unique=True))
def test_any_key_makes_a_pointer_that_finds_it(bad: str, others: list[str]) -> None:
    ranges: dict[str, Any] = {name: 1 for name in others if name != bad}
    ranges[bad] = {"min": {}}
    tree = {"symbol": "A", "strategy_id": "s", "param_ranges": ranges}
    with pytest.raises(Invalid) as refused:
        decode_data(StartOptimization, msgspec.json.encode(tree))
    found: Any = {"data": tree}
    for step in (refused.value.path or "").split("/")[1:]:
        found = found[step.replace("~1", "/").replace("~0", "~")]
    assert found == {}


def test_data_alone_is_checked_as_a_whole_too() -> None:
    for data in (b"", b'{"a":1', b"[1, oops]", b'{"a":"\xff"}'):
        with pytest.raises(BadJson):
            decode_data(Ping, data)


def test_a_huge_name_does_not_come_back_whole() -> None:
    with pytest.raises(Invalid) as refused:
        decode_data(Ping, msgspec.json.encode({"x" * 500_000: 1}))
    assert len(encode_error(refused.value)) < 4_000


def test_an_unknown_type_is_told_the_nearest_one() -> None:
    with pytest.raises(UnknownType, match=r"backtest\.start") as refused:
        message_type("backtest.strat")
    assert refused.value.path == "/type"
    with pytest.raises(UnknownType):
        message_type("optimization.start", known=["ping"])
    assert message_type("ping") is MESSAGES["ping"]


def test_a_query_becomes_a_typed_request() -> None:
    assert convert_query(MESSAGES["package.list"].request, {"limit": "7", "in_force": "true"}) == MESSAGES[
        "package.list"
    ].request(limit=7, in_force=True)
    with pytest.raises(Invalid) as refused:
        convert_query(MESSAGES["package.list"].request, {"limit": "many"})
    assert refused.value.path == "/data/limit"
    with pytest.raises(Invalid) as refused:
        convert_query(MESSAGES["package.list"].request, {"colour": "red"})
    assert refused.value.path == "/data/colour"


def test_a_reply_has_the_members_of_the_protocol_and_nan_is_null() -> None:
    pong = Pong(version="1", protocol=1, time="t", uptime_s=float("nan"))
    assert json.loads(encode_reply("ping", "a", pong)) == {
        "v": 1,
        "type": "ping.reply",
        "id": "a",
        "ok": True,
        "data": {"version": "1", "protocol": 1, "time": "t", "uptime_s": None},
    }


def test_an_error_survives_the_way_to_the_client() -> None:
    reply = decode_reply(encode_error(Busy("later", retry_after_ms=50), "ping.reply", "a"))
    assert (reply.ok, reply.type, reply.id) == (False, "ping.reply", "a")
    assert reply.error["instance"] == "urn:tunesmith:request:a"
    error = from_problem(reply.error)
    assert isinstance(error, Busy)
    assert (error.message, error.retry_after_ms, error.retryable) == ("later", 50, True)


def test_what_is_encoded_is_decoded_again() -> None:
    request = encode_request("events.replay", EventsReplay(topics=["pkg/"], after=3), "a", deadline_ms=9, client="b")
    envelope = decode_envelope(request)
    assert (envelope.deadline_ms, envelope.client) == (9, "b")
    assert decode_data(EventsReplay, envelope.data) == EventsReplay(topics=["pkg/"], after=3)


def test_a_client_refuses_what_is_no_message() -> None:
    for body in (b"", b"{}", b"\xff", b"[" * 100_000, b'{"v":1}'):
        with pytest.raises(BadJson):
            decode_reply(body)
        with pytest.raises(BadJson):
            decode_event(body)


def test_a_pointer_escapes_its_steps() -> None:
    assert pointer("a/b", 0, "~1") == "/a~1b/0/~01"


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_in_the_error_tree(body: bytes) -> None:
    with pytest.raises(TunesmithError) as refused:
        decode_envelope(body)
    reply = decode_reply(encode_error(refused.value, *salvage(body)))
    assert not reply.ok


@pytest.mark.parametrize(
    ("envelope", "path"),
    [({"v": 1.0}, "/v"), ({"deadline_ms": 5e3}, "/deadline_ms")],
)
def test_a_whole_number_with_a_point_is_refused_in_the_envelope(envelope: dict[str, Any], path: str) -> None:
    body = json.dumps({"v": 1, "type": "ping", "id": "a", **envelope}).encode()
    with pytest.raises(Invalid, match=r"written without point and exponent: 42, not 42\.0") as refused:
        decode_envelope(body)
    assert refused.value.path == path


def test_a_whole_number_with_a_point_is_refused_in_the_data_and_a_number_of_any_kind_is_not() -> None:
    search = {"symbol": "BTC/USDT", "strategy_id": "s"}
    for field in ("seed", "max_iterations"):
        with pytest.raises(Invalid, match=r"Expected `int`, got `float`; a whole number is written without") as refused:
            decode_data(StartOptimization, json.dumps({**search, field: 42.0}).encode())
        assert refused.value.path == f"/data/{field}"
    cash = decode_data(StartOptimization, json.dumps({**search, "initial_cash": 5000}).encode()).initial_cash
    assert cash == 5000.0


def test_a_byte_order_mark_is_refused_by_name() -> None:
    with pytest.raises(BadJson, match="begins with a byte order mark"):
        decode_envelope(b'\xef\xbb\xbf{"v": 1, "type": "ping", "id": "a"}')
