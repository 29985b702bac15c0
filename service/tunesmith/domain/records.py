"""Records that have fields in common: a reply and its row, a payload and the window that it is about."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

JsonObject = dict[str, Any]
"""The fields of a message, a report or a row of JSON text, by name."""

T = TypeVar("T", bound=msgspec.Struct)

_ABSENT = object()
"""Stands for the value of a field that a source does not have."""


def build(kind: type[T], *sources: object, **fields: Any) -> T:
    """A `kind` with these fields; every other one is that of the first of the `sources` that has one of its name.

    What none of them has is the kind's default; raises `TypeError` where it has none.
    """
    for name in kind.__struct_fields__:
        if name not in fields:
            for source in sources:
                found = getattr(source, name, _ABSENT)
                if found is not _ABSENT:
                    fields[name] = found
                    break
    return kind(**fields)
