"""From rule code to a checked rule: scan, parse with `ast`, check every statement, collect the orders.

The code is never executed. What a `Rule` holds is numbers, names from closed lists and a bounded graph.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tunesmith.compute.graph.graph_builder import GraphBuilder, TooManyNodes
from tunesmith.compute.graph.nodes import Node
from tunesmith.compute.indicators.declaration import MAX_WINDOW
from tunesmith.compute.language.declarations import declare, is_declaration
from tunesmith.compute.language.expressions import Broken, Expressions, Fields, Skipped
from tunesmith.compute.language.level_checks import SIDES, wrong_kind, wrong_side
from tunesmith.compute.language.mistakes import MAX_REPORTED, Mistake, mistake_at, nearest, refusal
from tunesmith.compute.language.points import defaults_point, satisfied
from tunesmith.compute.language.scanner import scan
from tunesmith.compute.language.vocabulary import CONDITION_ORDERS, LEVEL_ORDERS, STATEMENTS, is_reserved
from tunesmith.domain.parameters import Parameter

MAX_NODES = 600
MAX_PARAMETERS = 64
MAX_DOC = 4_000


@dataclass(frozen=True, slots=True)
class Rule:
    """A checked rule. `conditions` and `levels` map orders to nodes; `requires` are conditions on parameters alone."""

    doc: str
    parameters: tuple[Parameter, ...]
    nodes: tuple[Node, ...]
    conditions: tuple[tuple[str, int], ...]
    levels: tuple[tuple[str, int], ...]
    max_holding: int | None
    requires: tuple[int, ...]


def read_rule(code: str, *, is_stored: bool = False) -> Rule:
    """The rule that `code` says; raises `Invalid` with one `FieldError` for each mistake found, path /data/code.

    One that `is_stored` may have stops that were not looked at yet when it was: what was made with it stays readable.
    """
    try:
        scan(code)
        tree = parsed(code)
    except Mistake as mistake:
        raise refusal([mistake]) from None
    program = _Program(is_stored)
    for statement in tree.body:
        if program.goes_on:
            program.read(statement)
    if not program.mistakes:
        program.finish()
    if program.mistakes:
        raise refusal([in_characters(m, code) for m in program.mistakes])
    return program.rule()


def parsed(code: str) -> ast.Module:
    """The syntax tree of code that `scan` let pass; raises `Mistake` where Python's parser refuses it."""
    try:
        return ast.parse(code)
    except SyntaxError as error:
        raise Mistake(error.lineno or 1, error.offset or 1, _syntax(error, code)) from None
    except (ValueError, RecursionError, MemoryError, OverflowError):
        raise Mistake(1, 1, "the code cannot be parsed: it is nested too deeply or holds a number too long") from None


def _syntax(error: SyntaxError, code: str) -> str:
    message = error.msg or "this is not written correctly"
    lines = code.split("\n")
    line = lines[error.lineno - 1] if error.lineno and error.lineno <= len(lines) else ""
    found = re.match(r"\s*(\w+|\S)?", line[(error.offset or 1) - 1 :])
    text = found.group(1) if found and found.group(1) else "the end of the line"
    return f"{message[:120]}, found {text[:40]!r}" if text != "the end of the line" else f"{message[:120]}, at {text}"


def in_characters(mistake: Mistake, code: str) -> Mistake:
    """The same mistake with its column counted in characters: `ast` counts in UTF-8 bytes."""
    lines = code.split("\n")
    line = lines[mistake.line - 1] if mistake.line <= len(lines) else ""
    before = line.encode()[: mistake.column - 1].decode(errors="ignore")
    return Mistake(mistake.line, len(before) + 1, mistake.text)


class _Program:
    """What has been read of a rule so far."""

    def __init__(self, is_stored: bool) -> None:
        self._is_stored = is_stored
        self.graph = GraphBuilder(MAX_NODES)
        self.expressions = Expressions(self.graph)
        self.mistakes: list[Mistake] = []
        self.doc = ""
        self._first = True
        self._outgrown = False
        self._lines: dict[str, int] = {}
        self._conditions: dict[str, int] = {}
        self._levels: dict[str, int] = {}
        self._places: dict[str, ast.expr] = {}
        self._holding: int | None = None
        self._requires: list[tuple[int, ast.stmt]] = []

    @property
    def goes_on(self) -> bool:
        """Whether more statements are worth reading."""
        return len(self.mistakes) < MAX_REPORTED and not self._outgrown

    def read(self, statement: ast.stmt) -> None:
        """Take in one statement; a mistake is kept, and the names that it would have defined are marked as broken."""
        first, self._first = self._first, False
        try:
            if isinstance(statement, ast.Assign):
                self._assign(statement)
            elif isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
                self._order(statement, statement.value)
            elif first and isinstance(statement, ast.Expr) and _is_text(statement.value):
                self.doc = _tidy(statement.value.value)[:MAX_DOC]  # type: ignore[attr-defined]
            else:
                raise mistake_at(statement, _not_a_statement(statement))
        except Mistake as mistake:
            self.mistakes.append(mistake)
            self._break(statement)
        except Skipped:
            self._break(statement)
        except TooManyNodes:
            self.mistakes.append(mistake_at(statement, f"the rule is too large: more than {MAX_NODES} expressions"))
            self._outgrown = True

    def finish(self) -> None:
        """The checks on the whole."""
        start = ast.Constant(None, lineno=1, col_offset=0)
        if not {"enter_long", "enter_short"} & set(self._conditions):
            self.mistakes.append(mistake_at(start, "the rule never enters; give enter_long(…) or enter_short(…)"))
        for side in ("long", "short"):
            if f"exit_{side}" in self._conditions and f"enter_{side}" not in self._conditions:
                self.mistakes.append(mistake_at(start, f"the rule has exit_{side}(…) but never enters {side}"))
        self._check_levels()
        defaults = defaults_point(self.expressions.parameters)
        for node, statement in self._requires:
            if not satisfied(self.graph.nodes, self.expressions.parameters, [node], defaults)[0]:
                self.mistakes.append(mistake_at(statement, "the parameters' defaults do not fulfil this"))

    def _check_levels(self) -> None:
        """Note levels that are no price, and those that lie on the wrong side for every side that the rule enters."""
        sides = [side for side in SIDES if f"enter_{side}" in self._conditions]
        for name, number in () if self._is_stored else self._levels.items():
            wrong = wrong_kind(self.graph.nodes, name, number, sides)
            if wrong is None and len(sides) == 1:
                wrong = wrong_side(self.graph.nodes, name, number, sides)
            if wrong is not None:
                self.mistakes.append(mistake_at(self._places[name], wrong))

    def rule(self) -> Rule:
        return Rule(
            self.doc,
            tuple(self.expressions.parameters),
            tuple(self.graph.nodes),
            tuple(self._conditions.items()),
            tuple(self._levels.items()),
            self._holding,
            tuple(np.unique([node for node, _ in self._requires]).tolist()),
        )

    def _assign(self, statement: ast.Assign) -> None:
        if len(statement.targets) != 1:
            raise mistake_at(statement.targets[1], "one name for one value; write two assignments")
        target, value = statement.targets[0], statement.value
        if isinstance(target, ast.Tuple | ast.List):
            return self._unpack(target, value)
        name = self._new_name(target)
        if is_declaration(value):
            if len(self.expressions.parameters) >= MAX_PARAMETERS:
                raise mistake_at(statement, f"a rule has at most {MAX_PARAMETERS} parameters")
            self.expressions.add_parameter(declare(name, value))  # type: ignore[arg-type]
        else:
            found = self.expressions.meaning(value)
            if isinstance(found, str):
                raise mistake_at(value, "a text has no meaning on its own")
            self.expressions.names[name] = found
        self._lines[name] = statement.lineno
        return None

    def _unpack(self, target: ast.Tuple | ast.List, value: ast.expr) -> None:
        names = [self._new_name(item) for item in target.elts]
        found = self.expressions.meaning(value)
        if not isinstance(found, Fields):
            raise mistake_at(value, f"this is one value, not {len(names)}: {self.expressions.describe(found)}")
        if len(found.parts) != len(names) or len(set(names)) != len(names):
            raise mistake_at(target, f"{found.function}() gives {', '.join(found.parts)}, in this order")
        for name, part in zip(names, found.parts.values(), strict=True):
            self.expressions.names[name] = part
            self._lines[name] = target.lineno

    def _new_name(self, target: ast.expr) -> str:
        if not isinstance(target, ast.Name):
            raise mistake_at(target, "only a plain name can be assigned to")
        if is_reserved(target.id):
            raise mistake_at(target, f"{target.id!r} is a word of the rule language; choose another name")
        if target.id in self._lines:
            raise mistake_at(target, f"{target.id!r} is already defined in line {self._lines[target.id]}")
        return target.id

    def _order(self, statement: ast.Expr, call: ast.Call) -> None:
        name = call.func.id if isinstance(call.func, ast.Name) else ""
        if name not in STATEMENTS:
            hint = nearest(name, STATEMENTS) or "; give it a name: name = …"
            raise mistake_at(statement, f"this is no statement of the rule language, found {name or 'a call'!r}{hint}")
        if len(call.args) != 1 or call.keywords or isinstance(call.args[0], ast.Starred):
            raise mistake_at(call, f"{name}() takes one value: {STATEMENTS[name][0]}")
        read = _READERS.get(name, _Program._level if name in LEVEL_ORDERS else _Program._condition)
        read(self, name, call.args[0], statement)

    def _condition(self, name: str, place: ast.expr, statement: ast.stmt) -> None:
        node = self.expressions.condition(place, f"what {name}() waits for")
        before = self._conditions.get(name)
        self._conditions[name] = node if before is None else self.graph.condition("or", before, node)

    def _level(self, name: str, place: ast.expr, statement: ast.stmt) -> None:
        if name in self._levels:
            raise mistake_at(statement, f"{name}() is given twice")
        found = self.expressions.number(place, f"the level of {name}()")
        node = self.graph[found]
        if not node.varies and name != "take_profit" and node.low >= 1:
            raise mistake_at(place, f"{name}() takes a fraction of the entry price: 0.05 is 5 %; found {node.low:g}")
        if not node.varies and node.high < 0:
            raise mistake_at(place, f"{name}() takes a positive fraction of the entry price, found {node.high:g}")
        self._levels[name], self._places[name] = found, place

    def _hold(self, name: str, place: ast.expr, statement: ast.stmt) -> None:
        if self._holding is not None:
            raise mistake_at(statement, f"{name}() is given twice")
        self._holding = self.expressions.whole(place, "the number of bars of max_holding()", 0, MAX_WINDOW * 10)

    def _require(self, name: str, place: ast.expr, statement: ast.stmt) -> None:
        node = self.expressions.condition(place, "what require() demands")
        if self.graph[node].varies:
            raise mistake_at(place, "require() compares parameters; this changes from bar to bar")
        self._requires.append((node, statement))

    def _break(self, statement: ast.stmt) -> None:
        if not isinstance(statement, ast.Assign):
            return
        for target in statement.targets:
            for item in target.elts if isinstance(target, ast.Tuple | ast.List) else (target,):
                if isinstance(item, ast.Name) and item.id not in self._lines:
                    self._lines[item.id] = statement.lineno
                    self.expressions.names[item.id] = Broken()


_READERS: dict[str, Callable[[_Program, str, ast.expr, ast.stmt], None]] = {
    **dict.fromkeys(CONDITION_ORDERS, _Program._condition),
    "require": _Program._require,
    "max_holding": _Program._hold,
}


def _is_text(value: ast.expr) -> bool:
    return isinstance(value, ast.Constant) and isinstance(value.value, str)


def _tidy(text: str) -> str:
    return "\n".join(line.strip() for line in text.strip().splitlines())


def _not_a_statement(statement: ast.stmt) -> str:
    if isinstance(statement, ast.AugAssign | ast.AnnAssign):
        return "only plain assignments, name = value"
    if isinstance(statement, ast.Expr) and _is_text(statement.value):
        return "a text stands only at the beginning, as the rule's description"
    return "this does nothing; a statement is name = value, or an order such as enter_long(condition)"
