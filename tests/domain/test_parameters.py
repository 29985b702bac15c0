"""Parameters as schema: what a form or a bot reads is what the product accepts."""

from __future__ import annotations

import json
import math
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from tunesmith.domain.parameters import Parameter, decode, encode, parameters_schema

PARAMETERS = (
    Parameter(name="window", kind="int", default=20, low=2.0, high=100.0, step=2.0, doc="bars of the average"),
    Parameter(name="width", kind="float", default=2.0, low=-0.5, high=4.0, log=False),
    Parameter(name="share", kind="float", default=0.01, low=0.001, high=1.0, log=True),
    Parameter(name="mode", kind="choice", default="fast", choices=("fast", "slow")),
    Parameter(name="level", kind="choice", default=20, choices=(20, 50)),
    Parameter(name="part", kind="choice", default=1.0, choices=(0.5, 1.0)),
    Parameter(name="digit", kind="choice", default="1", choices=("1", "true")),
    Parameter(name="use", kind="bool", default=True),
)
SCHEMA = parameters_schema(PARAMETERS)


def test_it_is_a_schema_with_names_ranges_defaults_and_docs() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert list(SCHEMA["properties"]) == [p.name for p in PARAMETERS]
    assert SCHEMA["properties"]["window"] == {
        "type": "integer",
        "minimum": 2,
        "maximum": 100,
        "x-step": 2,
        "default": 20,
        "description": "bars of the average",
    }
    assert SCHEMA["properties"]["share"] == {
        "type": "number",
        "minimum": 0.001,
        "maximum": 1.0,
        "x-log": True,
        "default": 0.01,
    }
    assert SCHEMA["properties"]["mode"] == {"enum": ["fast", "slow"], "default": "fast"}
    assert SCHEMA["properties"]["use"] == {"type": "boolean", "default": True}
    assert json.loads(json.dumps(SCHEMA)) == msgspec.json.decode(msgspec.json.encode(SCHEMA)) == SCHEMA
    validator = Draft202012Validator(SCHEMA)
    assert validator.is_valid({p.name: p.default for p in PARAMETERS})
    assert validator.is_valid({})
    assert not validator.is_valid({"other": 1})


VALUES = st.one_of(
    st.integers(-10, 110),
    st.sampled_from(
        [20, 50, 20.0, 1, 1.0, "1", "true", "fast", "slow", "Fast", True, False, None, [], 0.001, 4.0, -0.5, 2.5, 2**60]
    ),
    st.floats(-2, 5).filter(math.isfinite),
)


@pytest.mark.parametrize("parameter", PARAMETERS, ids=lambda p: p.name)
@given(value=VALUES)
def test_it_accepts_what_the_parameter_accepts(parameter: Parameter, value: Any) -> None:
    accepted = Draft202012Validator(SCHEMA).is_valid({parameter.name: value})
    assert accepted == (parameter.check(value) is None), value


def test_a_numeric_choice_takes_equal_numbers_as_json_has_no_others() -> None:
    share, digit = PARAMETERS[5], PARAMETERS[6]
    assert [decode(share, encode(share, value)) for value in (1, 1.0, 0.5)] == [1.0, 1.0, 0.5]
    assert share.check("1") == "'1' is none of 0.5, 1.0"
    assert share.check(True) == "True is none of 0.5, 1.0"
    assert encode(digit, "true") == 1.0
    assert digit.check(1) == "1 is none of '1', 'true'; give the text, in quotes"
