"""Expressions over metrics, such as "profit_factor * sharpe * (1 - max_drawdown)": text → program → float64[n].

    sum      product { ("+" | "-") product }
    product  signed { ("*" | "/") signed }
    signed   ("-" | "+") signed | power
    power    atom [ "**" signed ]
    atom     number | metric | function "(" sum { "," sum } ")" | "(" sum ")"

Signs bind as in Python: -x ** 2 is -(x ** 2), and 2 ** 3 ** 2 is 2 ** 9. What is undefined or infinite anywhere makes
the whole undefined: NaN.

Tokens, mistakes and the meaning of each operation are those of the rule language. The grammar is not: rules are parsed
by Python's own parser, whose messages for a missing bracket or operator name neither the bracket nor the operator.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, NamedTuple

import numpy as np

from tunesmith.compute.graph.elementwise import NUMBERS
from tunesmith.compute.language.mistakes import Mistake
from tunesmith.compute.language.tokenizer import Token, tokens
from tunesmith.domain.array_types import Floats
from tunesmith.domain.metrics import METRICS, TARGET_ALIASES
from tunesmith.errors import Invalid

MAX_LENGTH = 500
MAX_DEPTH = 32

_MANY = 16


class _Function(NamedTuple):
    """A function of `fewest` to `most` arguments.

    With one argument it is one operation of the rule language. With several, the first of `ops` takes the first two,
    the second takes that result and the next argument, and the last of `ops` takes whatever remains in the same way.
    """

    fewest: int
    most: int
    ops: tuple[str, ...]


FUNCTIONS = {
    **{name: _Function(1, 1, (name,)) for name in ("abs", "sqrt", "log", "exp")},
    **{name: _Function(2, _MANY, (name,)) for name in ("min", "max")},
    "clip": _Function(3, 3, ("max", "min")),
}
"""Functions by name; `log` is the natural one."""

_OPERATORS = {"+": "add", "-": "sub", "*": "mul", "/": "div", "**": "pow"}
_TOKEN = re.compile(
    r"(?P<blank>[ \t]+)|(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)"
    r"|(?P<name>[A-Za-z_]\w*)|(?P<sign>\*\*|[-+*/(),])",
    re.ASCII,
)


class Step(NamedTuple):
    """One step of a program in postfix order: a number, a metric's name, or an operation on the last `n` results.

    The operations are those of `elementwise.NUMBERS`.
    """

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
        except Mistake as mistake:
            raise Invalid(f"column {mistake.column}: {mistake.text}", path=path) from None
        metrics = tuple(dict.fromkeys(str(step.value) for step in program if step.kind == "metric"))
        if not metrics:
            raise Invalid(f"{text[:80]!r} names no metric", path=path)
        return cls(text, program, metrics)

    def evaluate(self, metrics: Mapping[str, Floats]) -> Floats:
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
                    value = NUMBERS[str(step.value)](*arguments)
                stack.append(np.where(np.isfinite(value), value, np.nan))
        return np.asarray(stack.pop(), np.float64)


def _mistake(at: int, text: str) -> Mistake:
    return Mistake(1, at + 1, text)


def _tokens(text: str) -> list[Token]:
    return [*(token for token in tokens(_TOKEN, text, _strange) if token.kind != "blank"), Token("end", "", len(text))]


def _strange(text: str, at: int) -> Mistake:
    hint = "; powers are written **" if text[at] == "^" else ""
    return _mistake(at, f"{text[at]!r} does not belong to an expression{hint}")


def _shown(token: Token) -> str:
    return "the end" if token.kind == "end" else repr(token.text)


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
            raise _mistake(self._token.at, f"an operator is missing before {_shown(self._token)}")
        return self._program

    @property
    def _token(self) -> Token:
        return self._tokens[self._next]

    def _take(self, *texts: str) -> Token | None:
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
            self._program.append(Step("operation", _OPERATORS[operator.text], 2))

    def _signed(self) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise _mistake(self._token.at, f"the expression is nested more than {MAX_DEPTH} deep")
        if sign := self._take("-", "+"):
            self._signed()
            if sign.text == "-":
                self._program.append(Step("operation", "neg", 1))
        else:
            self._atom()
            if self._take("**"):
                self._signed()
                self._program.append(Step("operation", _OPERATORS["**"], 2))
        self._depth -= 1

    def _atom(self) -> None:
        token = self._token
        self._next += 1
        if token.kind == "number":
            if not math.isfinite(float(token.text)):
                raise _mistake(token.at, f"{token.text} is too large a number")
            self._program.append(Step("number", float(token.text)))
        elif token.kind == "name":
            self._name(token)
        elif token.text == "(" and token.kind == "sign":
            self._sum()
            self._close(token)
        else:
            raise _mistake(token.at, f"a number, a metric or a bracket is missing before {_shown(token)}")

    def _name(self, token: Token) -> None:
        if token.text in FUNCTIONS:
            self._call(token)
            return
        metric = TARGET_ALIASES.get(token.text, token.text)
        if metric not in METRICS:
            near = get_close_matches(token.text[:64], [*METRICS, *TARGET_ALIASES, *FUNCTIONS], 1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; functions are {', '.join(FUNCTIONS)}"
            raise _mistake(token.at, f"{token.text[:80]!r} is no metric and no function{hint}")
        self._program.append(Step("metric", metric))

    def _call(self, name: Token) -> None:
        bracket = self._take("(")
        if bracket is None:
            raise _mistake(name.at, f"{name.text} is a function; write {name.text}(…)")
        function = FUNCTIONS[name.text]
        n = 1
        self._sum()
        while self._take(","):
            self._sum()
            self._program.append(Step("operation", function.ops[min(n, len(function.ops)) - 1], 2))
            n += 1
        self._close(bracket)
        if not function.fewest <= n <= function.most:
            fewest, most = function.fewest, function.most
            wanted = f"{fewest}" if fewest == most else f"{fewest} to {most}"
            raise _mistake(name.at, f"{name.text} takes {wanted} arguments, got {n}")
        if n == 1:
            self._program.append(Step("operation", function.ops[0], 1))

    def _close(self, bracket: Token) -> None:
        if not self._take(")"):
            raise _mistake(
                self._token.at, f"')' is missing before {_shown(self._token)}; it closes column {bracket.at + 1}"
            )
