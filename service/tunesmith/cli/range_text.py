"""What people write for parameters: `fast_period=5:60:5`, `mode=a,b`, `threshold=0.0001:0.1:log`, `fixed=3`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import typer

from tunesmith.domain.records import JsonObject

WHAT_IS_A_RANGE = (
    "A range is MIN:MAX, MIN:MAX:STEP, MIN:MAX:log, or values as A,B,C; text that looks like a number in quotes."
)

_QUOTED = r"\s*(?:\"[^\"]*\"|'[^']*')\s*"
_PIECE = re.compile(rf"({_QUOTED}|[^,]*)(?:,|\Z)")


def parse_ranges(texts: Sequence[str]) -> JsonObject:
    """`param_ranges` of `optimization.start`; raises `typer.BadParameter`."""
    return {
        name: parse_range(name, value) for name, value in (_split(text, "RANGE", "fast_period=5:60") for text in texts)
    }


def parse_params(texts: Sequence[str]) -> JsonObject:
    """`params` of `backtest.start`; raises `typer.BadParameter`."""
    return {name: scalar(value) for name, value in (_split(text, "VALUE", "fast_period=5") for text in texts)}


def ranges_of(table: Mapping[str, Any]) -> JsonObject:
    """Ranges of a file: text as on the command line, everything else as in a message."""
    return {name: parse_range(name, given) if isinstance(given, str) else given for name, given in table.items()}


def scalar(text: str) -> bool | int | float | str:
    """A value as it is meant: true and false, numbers, else text; what stands in quotes is the text within them."""
    if is_quoted(text):
        return text.strip()[1:-1]
    if text in ("true", "false"):
        return text == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def spelt(value: bool | int | float | str) -> str:
    """A value as `scalar` reads it again: a text in quotes where it would be read as something else."""
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, str):
        return str(int(value)) if float(value).is_integer() and abs(value) < 2**53 else str(value)
    plain = value and value == value.strip() and not set(value) & set(",:")
    return value if plain and scalar(value) == value else f"'{value}'" if '"' in value else f'"{value}"'


def is_quoted(text: str) -> bool:
    """Whether a value stands in quotes, so that it is text though it looks like a number: `"1"`, `'true'`."""
    return re.fullmatch(_QUOTED, text) is not None


def _split(text: str, what: str, example: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals and value):
        raise typer.BadParameter(f"{text!r} is not NAME={what}, such as {example}")
    return name.strip(), value.strip()


def parse_range(name: str, text: str) -> Any:
    """One range as a message has it; raises `typer.BadParameter`."""
    pieces = _PIECE.findall(text)[: -1 if not text.endswith(",") else None]
    if len(pieces) > 1:
        return [scalar(part.strip()) for part in pieces]
    parts = text.split(":")
    if len(parts) == 1 or is_quoted(text):
        return scalar(text)
    bounds = [scalar(part) for part in parts[:2]]
    found: JsonObject = {"min": bounds[0], "max": bounds[1]}
    if parts[2:] == ["log"]:
        found["log"] = True
    elif len(parts) == 3:
        found["step"] = scalar(parts[2])
    numbers = [value for key, value in found.items() if key != "log"]
    if len(parts) > 3 or any(isinstance(value, bool | str) for value in numbers):
        raise typer.BadParameter(f"{name}={text} is no range.\n{WHAT_IS_A_RANGE}")
    return found
