"""The comparison that the golden bytes rest on: it sees every change, and tells additions from differences."""

from __future__ import annotations

from typing import Any

import pytest

from golden.comparing import compare
from golden.documents import compare_documents
from golden.placeholders import Placeholders

RECORDED: dict[str, Any] = {"a": 1, "b": [1.5, {"c": None}], "types": ["x", "y"]}


@pytest.mark.parametrize(
    ("found", "where"),
    [
        ({**RECORDED, "a": 1.0}, "/a"),
        ({**RECORDED, "a": True}, "/a"),
        ({**RECORDED, "b": [1.5 + 1e-8, {"c": None}]}, "/b/0"),
        ({**RECORDED, "b": [1.5, {"c": 0}]}, "/b/1/c"),
        ({**RECORDED, "b": [1.5, {}]}, "/b/1/c"),
        ({**RECORDED, "b": [1.5, {"c": None}, 2]}, "/b"),
        ({**RECORDED, "types": ["x"]}, "/types"),
        ({"b": RECORDED["b"], "types": RECORDED["types"]}, "/a"),
    ],
)
def test_a_change_is_a_difference(found: Any, where: str) -> None:
    [difference] = compare(RECORDED, found).differences
    assert difference.startswith(f"{where}:")


def test_additions_and_last_bits_are_none() -> None:
    found = {**RECORDED, "new": 1, "b": [1.5000000000000002, {"c": None, "d": 1}], "types": ["z", "y", "x"]}
    compared = compare(RECORDED, found)
    assert compared.differences == []
    assert [each.partition(":")[0] for each in compared.additions] == ["/b/1/d", "/types", "/new"]


def _documents(name: str, properties: Any, required: list[str]) -> Any:
    schemas = {"ping": {"request": {"$ref": f"schema:{name}"}}}
    definition = {"type": "object", "properties": properties, "required": required}
    return {"schemas": schemas, "openapi": {}, "asyncapi": {}, "definitions": {name: definition}}


def test_a_definition_may_be_called_otherwise_and_not_ask_for_more() -> None:
    recorded = _documents("Ping", {"a": {"type": "integer"}}, ["a"])
    renamed = _documents("AskPing", {"a": {"type": "integer"}, "b": {"type": "string"}}, ["a"])
    assert compare_documents(recorded, renamed).differences == []
    assert compare_documents(recorded, renamed).additions == ["/schemas/ping/request/properties/b"]
    other = _documents("Ping", {"a": {"type": "number"}}, ["a"])
    assert compare_documents(recorded, other).differences != []
    asks_more = _documents("Ping", {"a": {"type": "integer"}, "b": {"type": "string"}}, ["a", "b"])
    assert compare_documents(recorded, asks_more).differences != []


def test_the_same_id_has_the_same_placeholder_and_what_is_kept_stays() -> None:
    first, second, kept = "bt-" + "0" * 16, "bt-" + "1" * 16, "bt-" + "2" * 16
    said = {"x": [first, second, f"of {first}", kept], "time": "2031-01-01T00:00:00.000Z", "seconds": 1.5, "n": 3}
    replaced = Placeholders("0.1.0", "/nowhere", [kept]).replaced(said)
    assert replaced["x"] == ["<bt 1>", "<bt 2>", "of <bt 1>", kept]
    assert (replaced["time"], replaced["seconds"], replaced["n"]) == ("<time>", "<measured>", 3)
