"""Parameters: what a strategy declares, and the ranges that a search asks for."""

from __future__ import annotations

import reprlib
import sys
from collections.abc import Iterable
from typing import Annotated, Any, Literal

import msgspec

EXACT = 2**53
"""Up to here every whole number is a float64 of its own: points are kept as such, and so does JSON elsewhere."""

Integer = Annotated[int, msgspec.Meta(ge=-EXACT, le=EXACT)]
Scalar = bool | Integer | float | str
ParamValues = dict[str, Scalar]
"""Parameters of a strategy, by name."""
"""One parameter value."""

Kind = Literal["int", "float", "choice", "bool"]


class Parameter(msgspec.Struct, frozen=True, kw_only=True):
    """One parameter as its strategy declares it: type, default and range.

    `low`, `high`, `step` and `log` belong to int and float; `choices` to choice. A bool has neither.
    """

    name: str
    kind: Kind
    default: Scalar
    low: float | None = None
    high: float | None = None
    step: float | None = None
    log: bool = False
    choices: tuple[Scalar, ...] = ()
    doc: str = ""

    def check(self, value: Any) -> str | None:
        """What is wrong with `value` for this parameter, or None. Bounds are the declared ones."""
        if self.kind == "bool":
            return None if isinstance(value, bool) else f"{shown(value)} is not true or false"
        if self.kind == "choice":
            if any(type(value) is type(c) and value == c for c in self.choices):
                return None
            return f"{shown(value)} is none of {', '.join(map(repr, self.choices))}"
        wrong = not_finite(value)
        if wrong:
            return wrong
        if self.kind == "int" and value != int(value):
            return f"{shown(value)} is not a whole number"
        if self.low is not None and value < self.low:
            return f"{shown(value)} is below the least value {self.low:g}"
        if self.high is not None and value > self.high:
            return f"{shown(value)} is above the greatest value {self.high:g}"
        if self.kind == "int" and abs(value) > EXACT:
            return f"{shown(value)} is beyond 2^53, up to which whole numbers are exact"
        return None


def parameters_schema(parameters: Iterable[Parameter]) -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of an object with values for `parameters`, for forms and bots to be made from.

    Absent ones take their default. The order is the declared one. `x-step` and `x-log` say how a search walks along a
    parameter: a value between two steps is right too. What require(…) asks of values together is not in it.
    """
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {parameter.name: _value_schema(parameter) for parameter in parameters},
        "additionalProperties": False,
    }


def _value_schema(parameter: Parameter) -> dict[str, Any]:
    schema: dict[str, Any] = {}
    if parameter.kind == "bool":
        schema["type"] = "boolean"
    elif parameter.kind == "choice":
        schema["enum"] = list(parameter.choices)
    else:
        whole = parameter.kind == "int"
        schema["type"] = "integer" if whole else "number"
        bounds = {"minimum": parameter.low, "maximum": parameter.high, "x-step": parameter.step}
        schema |= {name: int(value) if whole else value for name, value in bounds.items() if value is not None}
        if parameter.log:
            schema["x-log"] = True
    schema["default"] = parameter.default
    if parameter.doc:
        schema["description"] = parameter.doc
    return schema


class Range(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A range as a request writes it: `min` and `max` with `step` or `log`, or a list of `values`."""

    min: float | None = None
    max: float | None = None
    step: Annotated[float, msgspec.Meta(gt=0)] | None = None
    log: bool = False
    values: Annotated[list[Scalar], msgspec.Meta(min_length=1, max_length=10_000)] | None = None


RangeSpec = Range | Annotated[list[Scalar], msgspec.Meta(min_length=1, max_length=10_000)] | Scalar
"""A range object, a bare list of values, or one fixed value."""


class _Shown(reprlib.Repr):
    """Python refuses to write integers of thousands of digits."""

    def __init__(self) -> None:
        super().__init__()
        self.maxstring = self.maxother = 80

    def repr_int(self, x: int, level: int) -> str:
        return super().repr_int(x, level) if x.bit_length() <= 1024 else f"an integer of {x.bit_length()} bits"


_SHOWN = _Shown()


def shown(value: Any) -> str:
    """`value` as a refusal quotes it, whatever it is: like its repr, but short."""
    return _SHOWN.repr(value)


def not_finite(value: Any) -> str | None:
    """Why `value` is no finite float64, or None when it is one."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return f"{shown(value)} is not a number"
    if abs(value) <= sys.float_info.max:
        return None
    return f"{shown(value)} is {'too large' if isinstance(value, int) else 'not finite'}"
