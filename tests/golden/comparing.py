"""Recorded values beside those of today: what was recorded must still be there; what came in addition is listed."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

TOLERANCE = 1e-9
"""Relative: other processors round the last bits of sums and of transcendental functions otherwise."""

_GROWING = frozenset({"types", "methods", "metrics", "enum"})
"""Fields with lists that may get longer: of names, or of objects with a name."""


@dataclass
class Compared:
    """`differences` break the contract; `additions` are what later editions may make."""

    differences: list[str] = field(default_factory=list)
    additions: list[str] = field(default_factory=list)


def compare(recorded: Any, found: Any) -> Compared:
    """Compare two JSON values; every field, entry and value of `recorded` must be in `found`."""
    compared = Compared()
    _compare(recorded, found, "", compared)
    return compared


def _compare(recorded: Any, found: Any, path: str, to: Compared) -> None:
    if isinstance(recorded, dict) and isinstance(found, dict):
        for key, value in recorded.items():
            if key in found:
                _compare(value, found[key], f"{path}/{key}", to)
            else:
                to.differences.append(f"{path}/{key}: is gone; it was {_short(value)}")
        to.additions += [f"{path}/{key}: {_short(found[key])}" for key in found if key not in recorded]
    elif isinstance(recorded, list) and isinstance(found, list):
        _compare_lists(recorded, found, path, to)
    elif not same(recorded, found):
        to.differences.append(f"{path}: was {_short(recorded)}, is {_short(found)}")


def _compare_lists(recorded: list[Any], found: list[Any], path: str, to: Compared) -> None:
    if path.rpartition("/")[2] in _GROWING and path.rpartition("/")[2]:
        left = list(found)
        for each in recorded:
            match = next((other for other in left if not compare(each, other).differences), None)
            if match is None:
                to.differences.append(f"{path}: {_short(each)} is gone")
            else:
                left.remove(match)
        to.additions += [f"{path}: {_short(each)}" for each in left]
        return
    if len(recorded) != len(found):
        to.differences.append(f"{path}: had {len(recorded)} entries, has {len(found)}: {_short(found)}")
    for i, (was, now) in enumerate(zip(recorded, found, strict=False)):
        _compare(was, now, f"{path}/{i}", to)


def same(recorded: Any, found: Any) -> bool:
    """Whether two values that are no containers are the same; floats to `TOLERANCE`."""
    if type(recorded) is not type(found):
        return False
    if isinstance(recorded, float):
        return math.isclose(recorded, found, rel_tol=TOLERANCE, abs_tol=1e-12)
    return bool(recorded == found)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}…"
