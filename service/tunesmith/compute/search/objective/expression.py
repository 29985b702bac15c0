"""Expressions over metrics, such as "profit_factor * sharpe * (1 - max_drawdown)": text → program → float64[n].

    sum      product { ("+" | "-") product }
    product  signed { ("*" | "/") signed }
    signed   ("-" | "+") signed | power
    power    atom [ "**" signed ]
    atom     number | metric | function "(" sum { "," sum } ")" | "(" sum ")"

Signs bind as in Python: -x ** 2 is -(x ** 2), and 2 ** 3 ** 2 is 2 ** 9. What is undefined or infinite anywhere makes
the whole undefined: NaN.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import reduce
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tunesmith.domain.metrics import METRICS, TARGET_ALIASES
from tunesmith.errors import Invalid

MAX_LENGTH = 500
MAX_DEPTH = 32

_MANY = 16
FUNCTIONS: dict[str, tuple[int, int, Callable[..., Any]]] = {
    "abs": (1, 1, np.abs),
    "sqrt": (1, 1, np.sqrt),
    "log": (1, 1, np.log),
    "exp": (1, 1, np.exp),
    "min": (2, _MANY, lambda *values: reduce(np.minimum, values)),
    "max": (2, _MANY, lambda *values: reduce(np.maximum, values)),
    "clip": (3, 3, lambda value, low, high: np.minimum(np.maximum(value, low), high)),
}
"""Functions by name: fewest and most arguments, and what they compute; `log` is the natural one."""

_OPERATORS: dict[str, Callable[..., Any]] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": np.divide,
    "**": np.power,
}
_NEGATE = "negate"
_TOKEN = re.compile(
    r"(?P<blank>[ \t]+)|(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)"
    r"|(?P<name>[A-Za-z_]\w*)|(?P<sign>\*\*|[-+*/(),])",
    re.ASCII,
)


class Step(NamedTuple):
    """One step of a program in postfix order: a number, a metric's name, or an operation on the last `n` results."""

    kind: str
    value: float | str
    n: int = 0


@dataclass(frozen=True, slots=True)
class Expression:
    """A parsed expression: its text, its program and the metrics that it reads, in the order of their appearance."""

    text: str
    program: tuple[Step, ...]
    metrics: tuple[str, ...]

    @classmethod
    def parse(cls, text: str, path: str) -> Expression:
        """Parse; raises `Invalid` at `path` with the column, what was found there and the nearest right name."""
        if len(text) > MAX_LENGTH:
            raise Invalid(f"an expression has at most {MAX_LENGTH} characters, got {len(text):,}", path=path)
        try:
            program = tuple(_Parser(text).whole())
        except _Mistake as mistake:
            raise Invalid(str(mistake), path=path) from None
        metrics = tuple(dict.fromkeys(str(step.value) for step in program if step.kind == "metric"))
        if not metrics:
            raise Invalid(f"{text[:80]!r} names no metric", path=path)
        return cls(text, program, metrics)

    def evaluate(self, metrics: Mapping[str, NDArray[np.float64]]) -> NDArray[np.float64]:
        """The value for each of n trials; float64[n]."""
        stack: list[Any] = []
        with np.errstate(all="ignore"):
            for step in self.program:
                if step.kind == "number":
                    value: Any = np.float64(step.value)
                elif step.kind == "metric":
                    value = metrics[str(step.value)]
                else:
                    arguments = stack[-step.n :]
                    del stack[-step.n :]
                    value = _operation(str(step.value))(*arguments)
                stack.append(np.where(np.isfinite(value), value, np.nan))
        return np.asarray(stack.pop(), np.float64)


def _operation(name: str) -> Callable[..., Any]:
    if name == _NEGATE:
        return np.negative
    return _OPERATORS[name] if name in _OPERATORS else FUNCTIONS[name][2]


class _Mistake(Exception):
    def __init__(self, at: int, text: str) -> None:
        super().__init__(f"column {at + 1}: {text}")


class _Token(NamedTuple):
    kind: str
    text: str
    at: int

    def __str__(self) -> str:
        return "the end" if self.kind == "end" else repr(self.text)


def _tokens(text: str) -> list[_Token]:
    found = []
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            hint = "; powers are written **" if text[at] == "^" else ""
            raise _Mistake(at, f"{text[at]!r} does not belong to an expression{hint}")
        if match.lastgroup != "blank":
            found.append(_Token(str(match.lastgroup), match.group(), at))
        at = match.end()
    return [*found, _Token("end", "", at)]


class _Parser:
    """Recursive descent over the grammar above; `_program` grows in postfix order."""

    def __init__(self, text: str) -> None:
        self._tokens = _tokens(text)
        self._next = 0
        self._depth = 0
        self._program: list[Step] = []

    def whole(self) -> list[Step]:
        self._sum()
        if self._token.kind != "end":
            raise _Mistake(self._token.at, f"an operator is missing before {self._token}")
        return self._program

    @property
    def _token(self) -> _Token:
        return self._tokens[self._next]

    def _take(self, *texts: str) -> _Token | None:
        token = self._token
        if token.kind != "sign" or token.text not in texts:
            return None
        self._next += 1
        return token

    def _sum(self) -> None:
        self._chain(self._product, "+", "-")

    def _product(self) -> None:
        self._chain(self._signed, "*", "/")

    def _chain(self, part: Callable[[], None], *operators: str) -> None:
        part()
        while operator := self._take(*operators):
            part()
            self._program.append(Step("operation", operator.text, 2))

    def _signed(self) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise _Mistake(self._token.at, f"the expression is nested more than {MAX_DEPTH} deep")
        if sign := self._take("-", "+"):
            self._signed()
            if sign.text == "-":
                self._program.append(Step("operation", _NEGATE, 1))
        else:
            self._atom()
            if self._take("**"):
                self._signed()
                self._program.append(Step("operation", "**", 2))
        self._depth -= 1

    def _atom(self) -> None:
        token = self._token
        self._next += 1
        if token.kind == "number":
            if not math.isfinite(float(token.text)):
                raise _Mistake(token.at, f"{token.text} is too large a number")
            self._program.append(Step("number", float(token.text)))
        elif token.kind == "name":
            self._name(token)
        elif token.text == "(" and token.kind == "sign":
            self._sum()
            self._close(token)
        else:
            raise _Mistake(token.at, f"a number, a metric or a bracket is missing before {token}")

    def _name(self, token: _Token) -> None:
        if token.text in FUNCTIONS:
            self._call(token)
            return
        metric = TARGET_ALIASES.get(token.text, token.text)
        if metric not in METRICS:
            near = get_close_matches(token.text[:64], [*METRICS, *TARGET_ALIASES, *FUNCTIONS], 1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; functions are {', '.join(FUNCTIONS)}"
            raise _Mistake(token.at, f"{token.text[:80]!r} is no metric and no function{hint}")
        self._program.append(Step("metric", metric))

    def _call(self, name: _Token) -> None:
        bracket = self._take("(")
        if bracket is None:
            raise _Mistake(name.at, f"{name.text} is a function; write {name.text}(…)")
        n = 1
        self._sum()
        while self._take(","):
            self._sum()
            n += 1
        self._close(bracket)
        fewest, most, _ = FUNCTIONS[name.text]
        if not fewest <= n <= most:
            wanted = f"{fewest}" if fewest == most else f"{fewest} to {most}"
            raise _Mistake(name.at, f"{name.text} takes {wanted} arguments, got {n}")
        self._program.append(Step("operation", name.text, n))

    def _close(self, bracket: _Token) -> None:
        if not self._take(")"):
            raise _Mistake(self._token.at, f"')' is missing before {self._token}; it closes column {bracket.at + 1}")
