"""Canonical JSON, RFC 8785: one text for one value, in every language, so that its hash can name it.

Python's own JSON is many times faster than `rfc8785`, and writes the same text for most values. So it writes those, and
`rfc8785` writes every value that holds a number with an exponent, a key beyond ASCII, or anything else that may differ.
"""

from __future__ import annotations

import hashlib
import json
import math
from typing import Any

import rfc8785

from tunesmith.errors import Invalid

_LARGEST = 2**53
"""The largest integer that keeps its text: no other integer that is let in has the same double."""

_NO_EXPONENT = 1e-4
"""The smallest number that Python and RFC 8785 both write without an exponent, in the same digits."""

_python_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode


class _MayDiffer(Exception):
    """Python's JSON of a value may be other than RFC 8785's."""


def canonical_json(value: Any) -> bytes:
    """Write `value` (None, bool, numbers, text, lists, dicts) as RFC 8785 text in UTF-8; NaN and infinities as null.

    Raises `Invalid` for integers beyond ± 2⁵³, whose neighbours have the same double, and for text that is not Unicode.
    """
    try:
        return _python_json(_as_python_writes(value)).encode()
    except (_MayDiffer, UnicodeEncodeError):
        return _by_rfc8785(value)


def canonical_hash(value: Any) -> str:
    """sha256 of the canonical JSON, in hexadecimal."""
    return hashlib.sha256(canonical_json(value)).hexdigest()


def _as_python_writes(value: Any) -> Any:
    """Change `value` so that Python's JSON of it is RFC 8785's: whole floats become integers; or raise `_MayDiffer`."""
    kind = type(value)
    if value is None or kind is str or kind is bool:
        return value
    if kind is float:
        if _NO_EXPONENT <= abs(value) <= _LARGEST or value == 0:
            return int(value) if value.is_integer() else value
        if not math.isfinite(value):
            return None
    elif kind is int:
        if abs(value) <= _LARGEST:
            return value
    elif kind is dict:
        if all(type(name) is str and name.isascii() for name in value):
            return {name: _as_python_writes(member) for name, member in value.items()}
    elif kind is list or kind is tuple:
        return [_as_python_writes(member) for member in value]
    raise _MayDiffer


def _by_rfc8785(value: Any) -> bytes:
    try:
        return rfc8785.dumps(_without_undefined(value))
    except rfc8785.IntegerDomainError as error:
        raise Invalid(f"an integer is too large to be told from its neighbours in JSON: {error}") from error
    except (rfc8785.CanonicalizationError, UnicodeEncodeError) as error:
        raise Invalid(f"this cannot be written as JSON: {error}") from error


def _without_undefined(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, int) and abs(value) == _LARGEST:
        return float(value)
    if isinstance(value, dict):
        return {name: _without_undefined(member) for name, member in value.items()}
    if isinstance(value, list | tuple):
        return [_without_undefined(member) for member in value]
    return value
