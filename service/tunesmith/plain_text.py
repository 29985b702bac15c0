"""Text that others wrote, and the characters that make a terminal, a log or a table say what nobody wrote.

Control characters (ESC, BEL, newlines, C1), line and paragraph separators, and marks that turn the direction of writing
are refused where text is stored and escaped where it is shown. Code may have newlines and tabs.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

NEWLINES = "\n\t"
"""What text of several lines may hold."""

MULTILINE = ("code", "doc", "text", "message")
"""Fields of replies that are text of several lines."""

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_CONTROL_IN_LINES = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def find_control(text: str, *, multiline: bool = False) -> str | None:
    """The first character that text must not hold, escaped; `multiline` text may hold newlines and tabs."""
    found = (_CONTROL_IN_LINES if multiline else _CONTROL).search(text)
    return _escaped(found) if found else None


def escape(text: str, *, multiline: bool = False) -> str:
    r"""The text with such characters written out, as \x1b or \u202e."""
    if text.isascii() and text.isprintable():
        return text
    return (_CONTROL_IN_LINES if multiline else _CONTROL).sub(_escaped, text)


def escape_all(value: Any, multiline: Collection[str] = MULTILINE, *, lines: bool = False) -> Any:
    """A value of JSON with every text in it escaped, keys too; fields named in `multiline` keep their newlines."""
    if isinstance(value, str):
        return escape(value, multiline=lines)
    if isinstance(value, dict):
        return {escape(str(key)): escape_all(each, multiline, lines=key in multiline) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [escape_all(each, multiline, lines=lines) for each in value]
    return value


def escape_json(text: str) -> str:
    r"""JSON with such characters in its texts written as \uXXXX: the same values, and nothing that a terminal obeys."""
    return _CONTROL_IN_LINES.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _escaped(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape", "surrogatepass").decode()
