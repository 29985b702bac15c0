"""Canonical JSON, RFC 8785: one text for one value, in every language, so that its hash can name it."""

from __future__ import annotations

import hashlib
import json
import math
from typing import Any

_quoted = json.JSONEncoder(ensure_ascii=False).encode
"""A string as JSON; json.dumps would make an encoder for each."""


def canonical_json(value: Any) -> str:
    """`value` (None, bool, numbers, text, lists, dicts) as RFC 8785 text; undefined numbers become null.

    Members are sorted by their UTF-16 code units (section 3.2.3), numbers are written as ECMAScript does (3.2.2.3).
    """
    if isinstance(value, dict):
        members = sorted(value.items(), key=_by_code_units)
        return "{" + ",".join([f"{_quoted(name)}:{canonical_json(member)}" for name, member in members]) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(canonical_json, value)) + "]"
    if isinstance(value, str):
        return _quoted(value)
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return _number(float(value))


def canonical_hash(value: Any) -> str:
    """sha256 of the canonical JSON in UTF-8, in hexadecimal."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def _by_code_units(member: tuple[str, Any]) -> bytes:
    return member[0].encode("utf-16-be")


def _number(value: float) -> str:
    if not math.isfinite(value):
        return "null"
    if value == 0:
        return "0"
    text = repr(value)
    if "e" not in text:  # from 1e-4 up to 1e16 Python writes what ECMAScript does, but for the end of whole numbers
        return text.removesuffix(".0")
    sign = "-" if value < 0 else ""
    mantissa, _, exponent = text.removeprefix("-").partition("e")
    digits, point = mantissa.replace(".", ""), int(exponent) + 1
    if 0 < point <= 21:
        return sign + digits + "0" * (point - len(digits))
    if -6 < point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    tail = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{sign}{digits[0]}{tail}e{point - 1:+d}"
