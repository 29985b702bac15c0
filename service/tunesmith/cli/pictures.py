"""Numbers as pictures of text: bars, curves, maps."""

from __future__ import annotations

from collections.abc import Sequence

_STEPS = "▁▂▃▄▅▆▇█"
_SHADES = "░▒▓█"
_NOTHING = "·"


def bar(share: float, width: int = 24) -> str:
    """A share from 0 to 1 as a bar of at most `width` characters; what is not nothing shows."""
    return "█" * max(round(share * width), int(share > 0))


def curve(values: Sequence[float | None], width: int = 24) -> str:
    """A line of at most `width` characters, each as high as its values are on average; a dot where there is none."""
    return _drawn(_grouped(values, width), _STEPS)


def shades(rows: Sequence[Sequence[float | None]], *, minimized: bool) -> list[str]:
    """A character for each cell, the darker the better; all rows have one scale. A dot where there is none."""
    sign = -1.0 if minimized else 1.0
    cells = [None if value is None else sign * value for row in rows for value in row]
    drawn = _drawn(cells, _SHADES)
    width = len(rows[0]) if rows else 0
    return [drawn[i : i + width] for i in range(0, len(drawn), width)] if width else []


def _grouped(values: Sequence[float | None], width: int) -> list[float | None]:
    n = min(width, len(values))
    groups = [values[i * len(values) // n : (i + 1) * len(values) // n] for i in range(n)]
    known = [[value for value in group if value is not None] for group in groups]
    return [sum(group) / len(group) if group else None for group in known]


def _drawn(values: Sequence[float | None], characters: str) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return _NOTHING * len(values)
    low, span = min(known), max(known) - min(known)
    last = len(characters) - 1
    return "".join(
        _NOTHING if value is None else characters[round((value - low) / span * last) if span else last // 2]
        for value in values
    )
