"""Parameters: what a strategy declares, the codes of their values, and the ranges that a search asks for."""

from __future__ import annotations

import difflib
import reprlib
import sys
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

import msgspec

from tunesmith.errors import Invalid

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
            if _place_of(self, value) is not None:
                return None
            quoted = "; give the text, in quotes" if str(value) in self.choices else ""
            return f"{shown(value)} is none of {', '.join(map(repr, self.choices))}{quoted}"
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

    def require(self, value: Any, path: str) -> None:
        """Raise `Invalid` at `path` where something is wrong with `value`."""
        wrong = self.check(value)
        if wrong:
            raise Invalid(wrong, path=path)


def encode(parameter: Parameter, value: Any) -> float:
    """The code of a checked value: numbers are themselves, a bool is 0 or 1, a choice is its index."""
    if parameter.kind == "choice":
        return float(_place_of(parameter, value) or 0)
    return float(value)


def _place_of(parameter: Parameter, value: Any) -> int | None:
    """Which of a Choice's values this is; None for none.

    The same in type and value comes first. Else numbers are the same when they are equal, as in JSON, whose 1 is 1.0; a
    text is no number, and true is no 1.
    """
    same = [i for i, c in enumerate(parameter.choices) if type(c) is type(value) and c == value]
    equal = [i for i, c in enumerate(parameter.choices) if _is_number(c) and _is_number(value) and c == value]
    return next(iter(same + equal), None)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def decode(parameter: Parameter, code: float) -> Scalar:
    """The value of a code, in the parameter's own type."""
    if parameter.kind == "choice":
        return parameter.choices[int(code)]
    if parameter.kind == "bool":
        return bool(code)
    return int(code) if parameter.kind == "int" else float(code)


def decode_point(parameters: Iterable[Parameter], codes: Iterable[float]) -> ParamValues:
    """One point's values by parameter name; `codes` float64[p]."""
    return {p.name: decode(p, float(code)) for p, code in zip(parameters, codes, strict=True)}


def encode_point(parameters: Iterable[Parameter], params: Mapping[str, Scalar], path: str) -> list[float]:
    """The codes of one point, in declared order; the unnamed take defaults.

    Raises `Invalid` with the field's path for unknown names and values out of bounds.
    """
    parameters = tuple(parameters)
    refuse_unknown(parameters, params, path)
    codes = []
    for parameter in parameters:
        if parameter.name in params:
            parameter.require(params[parameter.name], f"{path}/{parameter.name}")
        codes.append(encode(parameter, params.get(parameter.name, parameter.default)))
    return codes


def refuse_unknown(parameters: Iterable[Parameter], given: Iterable[str], path: str) -> None:
    """Raise `Invalid`, with the nearest right name, for the first of the `given` names that no parameter has."""
    names = [parameter.name for parameter in parameters]
    for name in given:
        if name not in names:
            near = difflib.get_close_matches(pointer_step(name)[:64], names, 1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; it has {', '.join(names) or 'no parameters'}"
            raise Invalid(f"the strategy has no parameter {shown(name)}{hint}", path=f"{path}/{pointer_step(name)}")


def pointer_step(name: object) -> str:
    """A name as a step of a JSON Pointer (RFC 6901)."""
    text = name if isinstance(name, str) else shown(name)
    return text.replace("~", "~0").replace("/", "~1")


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
