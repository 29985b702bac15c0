"""Expressions: from the syntax tree to graph nodes, every type checked, so that no later step can meet a wrong one."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tunesmith.compute.graph.graph_builder import GraphBuilder, NotFinite
from tunesmith.compute.graph.nodes import Node, reachable
from tunesmith.compute.indicators.declaration import MAX_WINDOW, Argument, Indicator
from tunesmith.compute.indicators.registry import INDICATORS
from tunesmith.compute.language.mistakes import mistake_at, nearest
from tunesmith.compute.language.vocabulary import COLUMNS, STATEMENTS, is_reserved
from tunesmith.domain.market.timeframes import timeframe_ms
from tunesmith.domain.parameters import Parameter
from tunesmith.errors import Invalid

MAX_DEPTH = 80
MAX_CONSTANT = 1e15

_ARITHMETIC: dict[type[ast.operator], str] = {
    ast.Add: "add",
    ast.Sub: "sub",
    ast.Mult: "mul",
    ast.Div: "div",
    ast.FloorDiv: "floordiv",
    ast.Mod: "mod",
    ast.Pow: "pow",
}
_COMPARE: dict[type[ast.cmpop], str] = {
    ast.Lt: "lt",
    ast.LtE: "le",
    ast.Gt: "gt",
    ast.GtE: "ge",
    ast.Eq: "eq",
    ast.NotEq: "ne",
}


@dataclass(frozen=True, slots=True)
class Fields:
    """The parts of a function that has several, by name."""

    function: str
    parts: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class TextParameter:
    """A Choice of texts: can be compared with one of them and nothing else."""

    parameter: Parameter
    column: int


@dataclass(frozen=True, slots=True)
class Broken:
    """A name whose assignment was refused already: what uses it is not reported again."""


class Skipped(Exception):
    """The expression uses a name that is broken."""


Meaning = int | Fields | TextParameter | Broken | str
"""What an expression means: a node's number, several, a Choice of texts, or a text."""


class Expressions:
    """Turns expressions into nodes of one graph; `names` holds what the rule has named so far."""

    def __init__(self, graph: GraphBuilder) -> None:
        self.graph = graph
        self.names: dict[str, Meaning] = {}
        self.parameters: list[Parameter] = []

    def add_parameter(self, parameter: Parameter) -> None:
        """Give the parameter the next column of a point."""
        number = len(self.parameters)
        self.parameters.append(parameter)
        self.names[parameter.name] = self._parameter(parameter, number)

    def number(self, place: ast.expr, what: str, depth: int = 0) -> int:
        """The node of a number; `what` names its role in the answer to a mistake."""
        found = self.meaning(place, depth)
        if isinstance(found, int) and self.graph[found].kind == "number":
            return found
        raise mistake_at(place, f"{what} must be a number, found {self.describe(found)}")

    def condition(self, place: ast.expr, what: str, depth: int = 0) -> int:
        """The node of a condition."""
        found = self.meaning(place, depth)
        if isinstance(found, int) and self.graph[found].kind == "condition":
            return found
        hint = "; compare it with something" if isinstance(found, int) else ""
        raise mistake_at(place, f"{what} must be a condition, found {self.describe(found)}{hint}")

    def whole(self, place: ast.expr, what: str, least: int, most: int = MAX_WINDOW, depth: int = 0) -> int:
        """The node of a whole number of bars, from constants and Int parameters, within least to most."""
        found = self.number(place, what, depth)
        node = self.graph[found]
        if node.varies:
            raise mistake_at(place, f"{what} must be an Int parameter or a whole constant, found a value of the bars")
        if not node.whole:
            raise mistake_at(
                place, f"{what} must be an Int parameter or a whole constant, found {self.describe(found)}"
            )
        if node.low < least or node.high > most:
            found_range = f"{node.low:g}" if node.low == node.high else f"{node.low:g} to {node.high:g}"
            raise mistake_at(place, f"{what} must be from {least} to {most:,}, found {found_range}")
        return found

    def meaning(self, place: ast.expr, depth: int = 0) -> Meaning:
        """What an expression means; raises `Mistake` at the innermost part that is wrong."""
        if depth > MAX_DEPTH:
            raise mistake_at(place, "the expression is nested too deeply; give a part a name of its own")
        handler = _HANDLERS.get(type(place))
        if handler is None:
            raise mistake_at(place, f"{_construct(place)} is not part of the rule language")
        try:
            found = handler(self, place, depth + 1)
        except NotFinite:
            raise mistake_at(place, "this has no finite value") from None
        if isinstance(found, Broken):
            raise Skipped
        return found

    def describe(self, found: Meaning) -> str:
        """What was found, in words."""
        if isinstance(found, str):
            return f"the text {found[:40]!r}"
        if isinstance(found, Fields):
            return f"all of {found.function}(); take one part: {', '.join('.' + name for name in found.parts)}"
        if isinstance(found, TextParameter):
            return f"the Choice {found.parameter.name} of texts; compare it with one of them"
        if isinstance(found, Broken):
            return "a name that is not right"
        node = self.graph[found]
        if node.kind == "condition":
            return "a condition"
        if node.varies:
            return "a value of the bars"
        if node.op == "const":
            return f"the number {node.value:g}"
        if node.op == "param":
            parameter = self.parameters[node.params[0]]
            return f"the {parameter.kind.capitalize()} parameter {parameter.name}"
        return "a number that need not be whole" if not node.whole else "a whole number"

    def _parameter(self, parameter: Parameter, number: int) -> Meaning:
        if parameter.kind == "bool":
            return self.graph.leaf(Node("param", (), None, "condition", False, (number,)))
        if parameter.kind == "choice":
            numbers = tuple(float(c) for c in parameter.choices if not isinstance(c, str))
            if not numbers:
                return TextParameter(parameter, number)
            whole = all(c == int(c) for c in numbers)
            low, high = min(numbers), max(numbers)
            return self.graph.leaf(Node("choice", (), numbers, "number", False, (number,), whole, low, high))
        low, high = float(parameter.low or 0.0), float(parameter.high or 0.0)
        whole = parameter.kind == "int"
        return self.graph.leaf(Node("param", (), None, "number", False, (number,), whole, low, high))

    def _name(self, place: ast.Name, depth: int) -> Meaning:
        if place.id in self.names:
            return self.names[place.id]
        if place.id in COLUMNS:
            return self.graph.column(place.id)
        if place.id in INDICATORS:
            raise mistake_at(place, f"{place.id} is a function: {INDICATORS[place.id].signature}")
        if is_reserved(place.id):
            raise mistake_at(place, f"{place.id} is a statement of its own and has no value")
        known = [*self.names, *COLUMNS, *INDICATORS]
        raise mistake_at(place, f"unknown name {place.id!r}{nearest(place.id, known)}")

    def _constant(self, place: ast.Constant, depth: int) -> Meaning:
        value = place.value
        if isinstance(value, bool):
            return self.graph.truth(value)
        if isinstance(value, str):
            return value
        if isinstance(value, int | float):
            if not abs(value) <= MAX_CONSTANT:
                raise mistake_at(place, f"the number is too large; at most {MAX_CONSTANT:g}")
            return self.graph.const(float(value))
        raise mistake_at(place, f"{str(value)[:40]} is not part of the rule language")

    def _unary(self, place: ast.UnaryOp, depth: int) -> Meaning:
        if isinstance(place.op, ast.Not):
            return self.graph.condition("not", self.condition(place.operand, "what stands after not", depth))
        if isinstance(place.op, ast.Invert):
            raise mistake_at(place, "~ is not part of the rule language; use not")
        value = self.number(place.operand, "what stands after the sign", depth)
        return self.graph.number("neg", value) if isinstance(place.op, ast.USub) else value

    def _binary(self, place: ast.BinOp, depth: int) -> Meaning:
        op = _ARITHMETIC.get(type(place.op))
        if op is None:
            hint = {ast.BitAnd: "; use and", ast.BitOr: "; use or"}.get(type(place.op), "")
            raise mistake_at(place, f"this operator is not part of the rule language{hint}")
        left = self.number(place.left, "the left side", depth)
        return self.graph.number(op, left, self.number(place.right, "the right side", depth))

    def _boolean(self, place: ast.BoolOp, depth: int) -> Meaning:
        op = "and" if isinstance(place.op, ast.And) else "or"
        result = self.condition(place.values[0], f"a side of {op}", depth)
        for value in place.values[1:]:
            result = self.graph.condition(op, result, self.condition(value, f"a side of {op}", depth))
        return result

    def _comparison(self, place: ast.Compare, depth: int) -> Meaning:
        sides = [self.meaning(side, depth) for side in (place.left, *place.comparators)]
        places = [place.left, *place.comparators]
        result: int | None = None
        for i, operator in enumerate(place.ops):
            op = _COMPARE.get(type(operator))
            if op is None:
                raise mistake_at(place, "this comparison is not part of the rule language; use ==, !=, <, <=, >, >=")
            one = self._compare(op, places[i : i + 2], sides[i : i + 2])
            result = one if result is None else self.graph.condition("and", result, one)
        return result if result is not None else self.graph.truth(True)

    def _compare(self, op: str, places: Sequence[ast.expr], sides: Sequence[Meaning]) -> int:
        left, right = sides
        if isinstance(left, TextParameter) and isinstance(right, str):
            return self._is_choice(op, places[1], left, right)
        if isinstance(right, TextParameter) and isinstance(left, str):
            return self._is_choice(op, places[0], right, left)
        for place, side in zip(places, (left, right), strict=True):
            if not isinstance(side, int) or self.graph[side].kind != "number":
                raise mistake_at(place, f"a side of a comparison must be a number, found {self.describe(side)}")
        return self.graph.condition(op, *(side for side in sides if isinstance(side, int)))

    def _is_choice(self, op: str, place: ast.expr, choice: TextParameter, text: str) -> int:
        choices = [str(c) for c in choice.parameter.choices]
        if op not in ("eq", "ne"):
            raise mistake_at(
                place, f"texts are compared with == or !=, as in {choice.parameter.name} == {choices[0]!r}"
            )
        if text not in choices:
            hint = nearest(text, choices) or f"; it is one of {', '.join(map(repr, choices))[:120]}"
            raise mistake_at(place, f"{choice.parameter.name} is never {text[:40]!r}{hint}")
        code = float(choices.index(text))
        found = self.graph.leaf(Node("is_choice", (), code, "condition", False, (choice.column,)))
        return found if op == "eq" else self.graph.condition("not", found)

    def _attribute(self, place: ast.Attribute, depth: int) -> Meaning:
        owner = self.meaning(place.value, depth)
        if not isinstance(owner, Fields):
            raise mistake_at(place, f"{self.describe(owner)} has no parts; found .{place.attr[:40]}")
        if place.attr not in owner.parts:
            parts = ", ".join(owner.parts)
            raise mistake_at(place, f"{owner.function}() has no .{place.attr[:40]}; it has {parts}")
        return owner.parts[place.attr]

    def _call(self, place: ast.Call, depth: int) -> Meaning:
        if not isinstance(place.func, ast.Name):
            raise mistake_at(place.func, "only the functions of the rule language can be called, by name")
        name = place.func.id
        indicator = INDICATORS.get(name)
        if indicator is None:
            if name in STATEMENTS:
                raise mistake_at(place, f"{name}() is a statement of its own and has no value")
            raise mistake_at(place.func, f"unknown function {name!r}{nearest(name, [*INDICATORS, *STATEMENTS])}")
        given = self._given(indicator, place)
        if name == "at":
            return self._at(given, depth)
        numbers = [
            self._argument(indicator, argument, given.get(argument.name), depth) for argument in indicator.arguments
        ]
        wrong = indicator.refusal(self.graph, *numbers) if indicator.refusal is not None else None
        if wrong is not None:
            raise mistake_at(place, wrong)
        made = indicator.nodes(self.graph, numbers)
        return made if isinstance(made, int) else Fields(name, dict(zip(indicator.fields, made, strict=True)))

    def _given(self, indicator: Indicator, place: ast.Call) -> dict[str, ast.expr]:
        names = [argument.name for argument in indicator.arguments]
        if len(place.args) > len(names):
            raise mistake_at(place.args[len(names)], f"too many arguments; the form is {indicator.signature}")
        given = dict(zip(names, place.args, strict=False))
        for item in place.keywords:
            if item.arg not in names:
                hint = nearest(item.arg or "**", names) or f"; the form is {indicator.signature}"
                raise mistake_at(item, f"{indicator.name}() has no argument {item.arg or '**'!r}{hint}")
            if item.arg in given:
                raise mistake_at(item, f"the argument {item.arg} is given twice")
            given[item.arg] = item.value
        for argument in indicator.arguments:
            if argument.name not in given and argument.default is None:
                raise mistake_at(place, f"{argument.name} is missing; the form is {indicator.signature}")
        return given

    def _argument(self, indicator: Indicator, argument: Argument, place: ast.expr | None, depth: int) -> int:
        if place is None:
            return self.graph.const(float(argument.default or 0.0))
        what = f"{argument.name} of {indicator.name}()"
        if argument.kind == "condition":
            return self.condition(place, what, depth)
        if argument.kind == "window":
            return self.whole(place, what, argument.least, argument.most, depth=depth)
        if argument.kind == "any":
            found = self.meaning(place, depth)
            if not isinstance(found, int):
                raise mistake_at(place, f"{what} must be a number or a condition, found {self.describe(found)}")
            return found
        number = self.number(place, what, depth)
        varies = self.graph[number].varies
        if argument.kind == "series" and not varies:
            raise mistake_at(place, f"{what} must change from bar to bar, such as close; found {self.describe(number)}")
        if argument.kind == "factor" and varies:
            raise mistake_at(place, f"{what} must be a number or a parameter, found a value of the bars")
        return number

    def _at(self, given: Mapping[str, ast.expr], depth: int) -> Meaning:
        text = self.meaning(given["timeframe"], depth)
        if not isinstance(text, str):
            raise mistake_at(given["timeframe"], 'the timeframe of at() must be a text such as "4h"')
        try:
            timeframe_ms(text)
        except Invalid as error:
            raise mistake_at(given["timeframe"], error.message) from None
        place = given["x"]
        found = self.meaning(place, depth)
        if isinstance(found, Fields):
            return Fields(found.function, {name: self._longer(place, n, text) for name, n in found.parts.items()})
        if not isinstance(found, int):
            raise mistake_at(place, f"x of at() must be a number or a condition, found {self.describe(found)}")
        return self._longer(place, found, text)

    def _longer(self, place: ast.expr, number: int, timeframe: str) -> int:
        graph = self.graph
        if not graph[number].varies:
            raise mistake_at(place, "x of at() must change from bar to bar")
        if any(graph[n].op == "at" for n in reachable(graph.nodes, [number])):
            raise mistake_at(place, "at() cannot stand inside at()")
        if graph[number].kind == "number":
            return graph.row("at", graph.on_frame(number, timeframe), value=timeframe)
        moved = graph.on_frame(graph.as_number(number), timeframe)
        return graph.condition("gt", graph.row("at", moved, value=timeframe), graph.const(0.5))


_HANDLERS: dict[type[ast.expr], Callable[..., Meaning]] = {
    ast.Name: Expressions._name,
    ast.Constant: Expressions._constant,
    ast.UnaryOp: Expressions._unary,
    ast.BinOp: Expressions._binary,
    ast.BoolOp: Expressions._boolean,
    ast.Compare: Expressions._comparison,
    ast.Attribute: Expressions._attribute,
    ast.Call: Expressions._call,
}


def _construct(place: ast.AST) -> str:
    names = {
        "List": "a list",
        "Tuple": "several values at once",
        "Dict": "a dictionary",
        "Set": "a set",
        "Subscript": "indexing with [ ] (use shift(x, bars))",
        "Starred": "a star",
        "NamedExpr": ":=",
        "Slice": "a slice",
    }
    return names.get(type(place).__name__, f"this ({type(place).__name__})")
