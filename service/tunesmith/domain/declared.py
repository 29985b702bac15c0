"""Values made in Python, held to what their types declare: msgspec checks only what it decodes."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

import msgspec
import numpy as np

from tunesmith.domain.parameters import shown
from tunesmith.errors import Invalid


def as_declared(value: Any, kind: Any, path: str) -> Any:
    """`value` as its declared type or struct, NumPy's scalars as Python's own.

    Raises `Invalid` with `path`, and the field's where `kind` is a struct, for what breaks a declared bound.
    """
    if isinstance(value, msgspec.Struct):
        plain: Any = {name: _plain(getattr(value, name)) for name in value.__struct_fields__}
    else:
        plain = _plain(value)
    try:
        return msgspec.convert(plain, kind)
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at ")
        field = where.strip("`$.").replace(".", "/")
        found = getattr(value, field, value)
        raise Invalid(
            f"{shown(found)}: {what[:1].lower()}{what[1:]}", path=f"{path}/{field}" if field else path
        ) from None


def one_of(value: Any, known: Iterable[str], what: str, path: str) -> None:
    """Refuse, with the nearest right name, a `value` that is not among the `known` names of a `what`."""
    names = list(known)
    if not isinstance(value, str) or value not in names:
        near = difflib.get_close_matches(value[:64].lower(), names, 1) if isinstance(value, str) else []
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(names)}"
        raise Invalid(f"{shown(value)} is no {what}; {hint}", path=path)


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value
