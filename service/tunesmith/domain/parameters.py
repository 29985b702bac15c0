"""Parameters: what a strategy declares, and the ranges that a search asks for."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

import msgspec

Scalar = bool | int | float | str
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
            return None if isinstance(value, bool) else f"{value!r} is not true or false"
        if self.kind == "choice":
            if any(type(value) is type(c) and value == c for c in self.choices):
                return None
            return f"{value!r} is none of {', '.join(map(repr, self.choices))}"
        if isinstance(value, bool) or not isinstance(value, int | float):
            return f"{value!r} is not a number"
        if not math.isfinite(value):
            return f"{value!r} is not finite"
        if self.kind == "int" and value != int(value):
            return f"{value!r} is not a whole number"
        if self.low is not None and value < self.low:
            return f"{value!r} is below the least value {self.low:g}"
        if self.high is not None and value > self.high:
            return f"{value!r} is above the greatest value {self.high:g}"
        return None


class Range(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A range as a request writes it: `min` and `max` with `step` or `log`, or a list of `values`."""

    min: float | None = None
    max: float | None = None
    step: Annotated[float, msgspec.Meta(gt=0)] | None = None
    log: bool = False
    values: Annotated[list[Scalar], msgspec.Meta(min_length=1, max_length=10_000)] | None = None


RangeSpec = Range | Annotated[list[Scalar], msgspec.Meta(min_length=1, max_length=10_000)] | bool | int | float | str
"""A range object, a bare list of values, or one fixed value."""
