"""Mistakes in rule code: where, what was found, and the nearest right name."""

from __future__ import annotations

import ast
import difflib
from collections.abc import Iterable

from tunesmith.errors import FieldError, Invalid

CODE_PATH = "/data/code"
MAX_REPORTED = 8


class Mistake(Exception):
    """One mistake at a place in the code; `line` and `column` count from 1."""

    def __init__(self, line: int, column: int, text: str) -> None:
        super().__init__(text)
        self.line, self.column, self.text = line, column, text

    def __str__(self) -> str:
        return f"line {self.line}, column {self.column}: {self.text}"


def mistake_at(place: ast.AST, text: str) -> Mistake:
    """A mistake at a node of the syntax tree; its column counts UTF-8 bytes, as `ast` does."""
    return Mistake(getattr(place, "lineno", 1), getattr(place, "col_offset", 0) + 1, text)


def refusal(mistakes: list[Mistake]) -> Invalid:
    """The error that reports these mistakes (the first few of them, in the order of the code)."""
    ordered = sorted(mistakes, key=lambda m: (m.line, m.column))[:MAX_REPORTED]
    return Invalid(str(ordered[0]), errors=tuple(FieldError(CODE_PATH, str(m)) for m in ordered))


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint with the nearest of the known names, or nothing."""
    near = difflib.get_close_matches(name[:64].lower(), list(known), 1, 0.6)
    return f"; did you mean {near[0]!r}?" if near else ""
