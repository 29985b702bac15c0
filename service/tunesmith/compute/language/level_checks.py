"""Whether what a rule gives as a stop or target can be one: a price where it changes, on the right side of the close.

A level that is the same at every bar is a fraction of the entry price; one that changes is a price, read at the bar of
the signal. A price below the close is no stop for a short: it would be closed as soon as it is opened.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Literal

from tunesmith.compute.graph.nodes import Node
from tunesmith.compute.language.measures import measures_of

Side = Literal["long", "short"]
Place = Literal["below", "above"]

_Where = Literal["below", "above", "at"] | None
_Places = dict[int, _Where]

SIDES: tuple[Side, ...] = ("long", "short")

_FORMS = {"share": ("close * (1 - …)", "close * (1 + …)"), "distance": ("close - …", "close + …")}
_FORMS["foreign"] = _FORMS["distance"]
_FOUND = {
    "share": "a fraction that changes from bar to bar",
    "distance": "a distance between prices",
    "foreign": "no price",
}


def right_place(order: str, side: Side) -> Place:
    """Where a level of the order must lie, seen from the entry price."""
    below = (side == "long") != (order == "take_profit")
    return "below" if below else "above"


def wrong_kind(nodes: Sequence[Node], order: str, number: int, sides: Collection[Side]) -> str | None:
    """What is wrong with a level that changes from bar to bar and is no price, and how to write it; None for nothing.

    `sides` are those that the rule enters.
    """
    if not nodes[number].varies:
        return None
    measures = measures_of(nodes)
    values = [measures[n] for n in _values(nodes, number)]
    kinds = [None if measure is None else measure.unlike_price for measure in values]
    kind = next((kind for kind in kinds if kind is not None), None)
    if kind is None:
        return None
    which = "this is" if set(kinds) == {kind} else "a value of its where(…) is"
    below, above = _FORMS[kind]
    form = {side: below if right_place(order, side) == "below" else above for side in ("long", "short")}
    written = form["long"] if "long" in sides else form["short"]
    if {"long", "short"} <= set(sides):
        written = f"where(the condition that enters long, {form['long']}, {form['short']})"
    return (
        f"{order}() takes one fraction of the entry price for all bars, or a price at each bar; "
        f"{which} {_FOUND[kind]}: write the price, {written}"
    )


def _values(nodes: Sequence[Node], number: int) -> list[int]:
    """The values of which a level is one at each bar: those that where(…) chooses from, but a 0, which is none."""
    found, waiting = [], [number]
    while waiting:
        n = waiting.pop(0)
        node = nodes[n]
        if node.op == "where":
            waiting = [*node.args[1:], *waiting]
        elif not (node.op == "const" and node.value == 0.0):
            found.append(n)
    return found


def wrong_side(nodes: Sequence[Node], order: str, number: int, sides: Collection[Side]) -> str | None:
    """What is wrong with a price that lies on the wrong side of the close at every bar; None where that is not known.

    `sides` are those that are traded: one of them for which it is wrong is enough.
    """
    place = place_of(nodes, number)
    wrong = [side for side in sides if place is not None and place != right_place(order, side)]
    if not wrong or place is None:
        return None
    what = "target" if order == "take_profit" else "stop"
    needed = "above" if place == "below" else "below"
    return (
        f"{order}() is a price {place} the close at every bar: the {what} of a {wrong[0]} lies {needed} it, and this "
        "one would close the position as soon as it is opened"
    )


def place_of(nodes: Sequence[Node], number: int) -> Place | None:
    """Where a price lies at every bar: never above the close, or never below it; None where that is not known."""
    places: _Places = {}
    for n, node in enumerate(nodes[: number + 1]):
        places[n] = _place(nodes, node, places)
    found = places[number]
    return None if found == "at" else found


def _place(nodes: Sequence[Node], node: Node, places: _Places) -> _Where:
    if node.frame is not None or not node.varies:
        return None
    if node.op == "column":
        known: dict[object, _Where] = {"low": "below", "high": "above", "close": "at"}
        return known.get(node.value)
    if node.op in ("add", "sub"):
        a, b = node.args
        if node.op == "add" and places[a] is None:
            a, b = b, a
        return _moved(places[a], "above" if node.op == "add" else "below") if _is_positive(nodes, b) else None
    if node.op == "mul":
        a, b = node.args if places[node.args[0]] is not None else reversed(node.args)
        return _moved(places[a], _scale(nodes, b))
    if node.op in ("lowest", "highest"):
        return _moved(places[node.args[0]], "below" if node.op == "lowest" else "above")
    if node.op in ("min", "max", "where"):
        return _chosen(node.op, [places[a] for a in node.args[-2:]])
    return None


def _moved(place: _Where, to: Place | None) -> Place | None:
    """Where something at `place` comes to lie when it is moved that way."""
    return to if place in (to, "at") else None


def _chosen(op: str, found: list[_Where]) -> Place | None:
    for place in ("below", "above"):
        fits = [each in (place, "at") for each in found]
        if all(fits) and set(found) != {"at"}:
            return place
        if any(fits) and (op, place) in (("min", "below"), ("max", "above")) and set(found) != {"at"}:
            return place
    return None


def _scale(nodes: Sequence[Node], number: int) -> Place | None:
    """Whether a factor makes a price smaller or larger; None where it is not known."""
    node = nodes[number]
    if not node.varies:
        return "below" if node.low >= 0.0 and node.high <= 1.0 else "above" if node.low >= 1.0 else None
    if node.op in ("add", "sub"):
        a, b = node.args
        first, second = nodes[a], nodes[b]
        if not first.varies and first.low == first.high == 1.0 and _is_positive(nodes, b):
            return "above" if node.op == "add" else "below"
        if node.op == "add" and not second.varies and second.low == second.high == 1.0 and _is_positive(nodes, a):
            return "above"
    return None


_POSITIVE = frozenset(("abs", "sqrt", "stddev", "true_range", "since", "rsi", "adx", "plus_di", "minus_di"))
_PASSED_ON = frozenset(("sma", "ema", "wma", "wilder", "highest", "lowest", "shift", "prev", "at"))


def _is_positive(nodes: Sequence[Node], number: int) -> bool:
    """Whether a number is never below 0."""
    waiting = [number]
    while waiting:
        node = nodes[waiting.pop()]
        if not node.varies:
            if node.kind != "number" or not node.low >= 0.0:
                return False
        elif node.op in _PASSED_ON:
            waiting.append(node.args[0])
        elif node.op in ("add", "mul", "div", "min", "max"):
            waiting.extend(node.args)
        elif node.op == "where":
            waiting.extend(node.args[1:])
        elif node.op not in _POSITIVE and node.op != "column":
            return False
    return True
