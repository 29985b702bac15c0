"""Canonical JSON against the values of RFC 8785 and against Node where it is there."""

from __future__ import annotations

import json
import math
import shutil
import struct
import subprocess

import pytest
import rfc8785
from hypothesis import example, given
from hypothesis import strategies as st

from tunesmith.errors import Invalid
from tunesmith.protocol.canonical import canonical_hash, canonical_json

RFC_8785_APPENDIX_B = {
    "0000000000000000": "0",
    "8000000000000000": "0",
    "0000000000000001": "5e-324",
    "8000000000000001": "-5e-324",
    "7fefffffffffffff": "1.7976931348623157e+308",
    "4340000000000000": "9007199254740992",
    "c340000000000000": "-9007199254740992",
    "4430000000000000": "295147905179352830000",
    "44b52d02c7e14af5": "9.999999999999997e+22",
    "44b52d02c7e14af6": "1e+23",
    "44b52d02c7e14af7": "1.0000000000000001e+23",
    "444b1ae4d6e2ef4e": "999999999999999700000",
    "444b1ae4d6e2ef4f": "999999999999999900000",
    "444b1ae4d6e2ef50": "1e+21",
    "3eb0c6f7a0b5ed8c": "9.999999999999997e-7",
    "3eb0c6f7a0b5ed8d": "0.000001",
    "41b3de4355555553": "333333333.3333332",
    "becbf647612f3696": "-0.0000033333333333333333",
    "43143ff3c1cb0959": "1424953923781206.2",
}


@pytest.mark.parametrize(("bits", "text"), RFC_8785_APPENDIX_B.items())
def test_numbers_of_the_standard(bits: str, text: str) -> None:
    [value] = struct.unpack(">d", bytes.fromhex(bits))
    assert canonical_json(value).decode() == text


def test_members_are_sorted_by_utf16_code_units() -> None:
    value = {"\u20ac": 1, "\r": 2, "\ufb33": 3, "1": 4, "\U0001f600": 5, "\x80": 6, "\xf6": 7}
    assert list(json.loads(canonical_json(value)).values()) == [2, 4, 6, 7, 1, 5, 3]


def test_undefined_numbers_are_null_and_equal_values_have_one_text() -> None:
    assert canonical_json([math.nan, math.inf, 1.0, 1, True]) == b"[null,null,1,1,true]"
    assert canonical_hash({"a": 1.0, "b": [2]}) == canonical_hash({"b": [2.0], "a": 1})


@given(st.recursive(st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(), st.lists))
def test_it_reads_back_as_the_same_value(value: object) -> None:
    assert json.loads(canonical_json(value), parse_int=float) == value


SCALARS = (
    st.none()
    | st.booleans()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.floats(-1e17, 1e17).map(round).map(float)
    | st.integers(1 - 2**53, 2**53 - 1)
    | st.text()
)
NAMES = st.text('ab"\\\n\x7f', max_size=3) | st.text(max_size=3)
TREES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(NAMES, inner), max_leaves=12)


@given(TREES)
@example([1e-4, 9.999e-5, 1e15 + 0.5, 2.0**53, 2.0**53 + 2, 1e16, 1e21, -0.0, (1.0, [True, False])])
@example({"\U0001f600": 1.0, "\ufb33": {"z": 0.5, "Z": [], "a\u2028\x1f/": "\u2028\x1f\b\x7f/"}})
def test_every_text_is_the_one_of_the_reference(value: object) -> None:
    assert canonical_json(value) == rfc8785.dumps(value)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [2**53 + 1, -(2**53) - 1, {"a": [2**70]}, "\ud800", {"\ud800": 1}, {1: 2}, {3}])
def test_what_has_no_text_of_its_own_is_refused(value: object) -> None:
    with pytest.raises(Invalid):
        canonical_hash(value)


def test_neighbours_at_the_limit_have_hashes_of_their_own() -> None:
    assert len({canonical_hash(2**53 - n) for n in range(8)}) == 8


def test_node_writes_the_same_numbers() -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    values = [s * m * 10.0**e for s in (1, -1) for m in (1, 1.5, 123456.789, 2 / 3) for e in range(-30, 31)]
    script = "process.stdout.write(JSON.stringify(JSON.parse(require('fs').readFileSync(0, 'utf8'))))"
    said = subprocess.run([node, "-e", script], input=json.dumps(values), capture_output=True, text=True, check=True)
    assert canonical_json(values).decode() == said.stdout
