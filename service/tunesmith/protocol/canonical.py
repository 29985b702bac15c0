"""Canonical JSON, RFC 8785: one text for one value, in every language, so that its hash can name it."""

from __future__ import annotations

import hashlib
import math
from typing import Any

import rfc8785

from tunesmith.errors import Invalid

_LARGEST = 2**53
"""The largest integer that keeps its text: no other integer that is let in has the same double."""


def canonical_json(value: Any) -> bytes:
    """Write `value` (None, bool, numbers, text, lists, dicts) as RFC 8785 text in UTF-8; NaN and infinities as null.

    Raises `Invalid` for integers beyond ± 2⁵³, whose neighbours have the same double, and for text that is not Unicode.
    """
    try:
        return rfc8785.dumps(_without_undefined(value))
    except rfc8785.IntegerDomainError as error:
        raise Invalid(f"an integer is too large to be told from its neighbours in JSON: {error}") from error
    except rfc8785.CanonicalizationError as error:
        raise Invalid(f"this cannot be written as JSON: {error}") from error


def canonical_hash(value: Any) -> str:
    """sha256 of the canonical JSON, in hexadecimal."""
    return hashlib.sha256(canonical_json(value)).hexdigest()


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
