"""Parameter declarations: `name = Int(5, 2, 100, doc="…")` from the syntax tree to a checked `Parameter`."""

from __future__ import annotations

import ast
import math
from typing import Any

from tunesmith.compute.language.mistakes import mistake_at, nearest
from tunesmith.compute.language.vocabulary import PARAMETER_KINDS
from tunesmith.domain.parameters import Kind, Parameter, Scalar

MAX_CHOICES = 100
MAX_TEXT = 64
MAX_INT = 10**9
MAX_NUMBER = 1e12

_MEMBERS: dict[str, tuple[str, ...]] = {
    "Int": ("default", "low", "high", "step", "log", "doc"),
    "Float": ("default", "low", "high", "step", "log", "doc"),
    "Choice": ("default", "choices", "doc"),
    "Bool": ("default", "doc"),
}
_POSITIONAL = {"Int": 3, "Float": 3, "Choice": 2, "Bool": 1}


def is_declaration(value: ast.expr) -> bool:
    """Whether this is a call of Int, Float, Choice or Bool."""
    return isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id in PARAMETER_KINDS


def declare(name: str, call: ast.Call) -> Parameter:
    """The parameter that `name = call` declares; raises `Mistake` at what is wrong with it."""
    word = call.func.id  # type: ignore[attr-defined]
    given = _members(word, call)
    if "default" not in given:
        raise mistake_at(call, f"{word} needs a default: {PARAMETER_KINDS[word][0]}")
    values = {member: _literal(member, place) for member, place in given.items()}
    doc = values.get("doc", "")
    if not isinstance(doc, str) or len(doc) > 500:
        raise mistake_at(given["doc"], "doc must be a text of at most 500 characters")
    if word == "Bool":
        return _checked(name, "bool", values, given)
    if word == "Choice":
        return _choice(name, call, values, given)
    return _number(name, word, call, values, given)


def _members(word: str, call: ast.Call) -> dict[str, ast.expr]:
    names = _MEMBERS[word]
    if len(call.args) > _POSITIONAL[word]:
        raise mistake_at(call.args[_POSITIONAL[word]], f"too many values; the form is {PARAMETER_KINDS[word][0]}")
    given = dict(zip(names, call.args, strict=False))
    for item in call.keywords:
        if item.arg not in names:
            hint = nearest(item.arg or "**", names)
            raise mistake_at(item, f"{word} has no {item.arg or '**'!r}{hint}")
        if item.arg in given:
            raise mistake_at(item, f"{item.arg} is given twice")
        given[item.arg] = item.value
    return given


def _literal(member: str, place: ast.expr) -> Any:
    """The value of a literal: a number with or without a minus, a text, True, False, or a list of those."""
    if isinstance(place, ast.List | ast.Tuple) and member == "choices":
        return tuple(_literal("choice", item) for item in place.elts)
    value = place
    negative = isinstance(value, ast.UnaryOp) and isinstance(value.op, ast.USub)
    if isinstance(value, ast.UnaryOp) and isinstance(value.op, ast.USub | ast.UAdd):
        value = value.operand
    if isinstance(value, ast.Constant) and isinstance(value.value, bool | int | float | str):
        found = value.value
        if isinstance(found, str | bool) and value is place:
            return found
        if not isinstance(found, str | bool):
            if abs(found) > MAX_NUMBER or math.isnan(found):
                raise mistake_at(place, f"{member} is too large; at most {MAX_NUMBER:g}")
            return -found if negative else found
    raise mistake_at(place, f'{member} must be a plain value, such as 20 or "text", found an expression')


def _number(name: str, word: str, call: ast.Call, values: dict[str, Any], given: dict[str, ast.expr]) -> Parameter:
    for member in ("low", "high"):
        if member not in given:
            raise mistake_at(call, f"{word} needs {member}: {PARAMETER_KINDS[word][0]}")
    for member in ("default", "low", "high", "step"):
        value = values.get(member, 1)
        if isinstance(value, bool | str):
            raise mistake_at(given[member], f"{member} must be a number, found {value!r}")
        if word == "Int" and (value != int(value) or abs(value) > MAX_INT):
            raise mistake_at(given[member], f"{member} of an Int must be a whole number up to 1e9, found {value!r}")
    log = values.get("log", False)
    if not isinstance(log, bool):
        raise mistake_at(given["log"], f"log must be True or False, found {log!r}")
    if values["low"] > values["high"]:
        raise mistake_at(given["low"], f"low {values['low']:g} is above high {values['high']:g}")
    if log and values["low"] <= 0:
        raise mistake_at(given["low"], "a log range needs low > 0")
    if "step" in values and (log or values["step"] <= 0):
        raise mistake_at(given["step"], "a log range has no step" if log else "step must be above 0")
    return _checked(name, "int" if word == "Int" else "float", values, given)


def _choice(name: str, call: ast.Call, values: dict[str, Any], given: dict[str, ast.expr]) -> Parameter:
    choices = values.get("choices")
    if not isinstance(choices, tuple) or not 1 <= len(choices) <= MAX_CHOICES:
        raise mistake_at(given.get("choices", call), f"Choice needs a list of 1 to {MAX_CHOICES} values")
    texts = [isinstance(c, str) for c in choices]
    if any(isinstance(c, bool) for c in choices) or any(texts) != all(texts):
        raise mistake_at(given["choices"], "the values of a Choice must be all text or all numbers")
    if any(len(c) > MAX_TEXT for c in choices if isinstance(c, str)):
        raise mistake_at(given["choices"], f"a choice has at most {MAX_TEXT} characters")
    if not all(texts) and any(isinstance(c, float) for c in choices):
        choices = tuple(float(c) for c in choices)
        values["default"] = _as_float(values["default"])
    if len(set(choices)) != len(choices):
        raise mistake_at(given["choices"], "a value is listed twice")
    values["choices"] = choices
    return _checked(name, "choice", values, given)


def _as_float(value: Any) -> Any:
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _checked(name: str, kind: Kind, values: dict[str, Any], given: dict[str, ast.expr]) -> Parameter:
    low, high, step = (None if values.get(m) is None else float(values[m]) for m in ("low", "high", "step"))
    default: Scalar = values["default"]
    if kind in ("int", "float") and not isinstance(default, bool | str):
        default = int(default) if kind == "int" else float(default)
    parameter = Parameter(
        name=name,
        kind=kind,
        default=default,
        low=low,
        high=high,
        step=step,
        log=bool(values.get("log", False)),
        choices=values.get("choices", ()),
        doc=values.get("doc", ""),
    )
    wrong = parameter.check(default)
    if wrong:
        raise mistake_at(given["default"], f"the default {wrong}")
    return parameter
