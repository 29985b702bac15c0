"""What the numbers of a rule measure: prices, distances between prices, shares, volumes.

A stop that changes from bar to bar is read as a price, so what is known to be none must not stand there. Nothing else
is refused by it: conditions may compare whatever they like.

`price` and `volume` are the powers in which these enter: 1 and 0 of a price, 0 and 0 of a share. `weight` says of a
price how many prices it adds up to, as far as that is known: the close has 1, the close less the open 0, and only what
has 0 for certain is a distance. A `plain` number is written by hand, or a parameter: it may stand for a share, or for a
price where one is added to it; `low` and `high` bound it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from tunesmith.compute.graph.nodes import Node
from tunesmith.compute.indicators.registry import ROW_FUNCTIONS


@dataclass(frozen=True, slots=True)
class Measure:
    """What one node measures; see the module's docstring. None stands for what is not known."""

    price: float = 0.0
    volume: float = 0.0
    weight: float | None = None
    plain: bool = False
    low: float = -math.inf
    high: float = math.inf

    @property
    def unlike_price(self) -> Literal["share", "distance", "foreign"] | None:
        """What it certainly is instead of a price; None for a price, and for what may be one.

        A share is an angle, a rank or a ratio too, and a plain number below 1; foreign is volume, or prices squared.
        """
        powers = (self.price, self.volume)
        if self.plain:
            return "share" if self.low > -1.0 and self.high < 1.0 else None
        if powers == (1.0, 0.0):
            return "distance" if self.weight == 0.0 else None
        return "share" if powers == (0.0, 0.0) else "foreign"


PRICE, DISTANCE, SHARE, VOLUME = Measure(1.0, weight=1.0), Measure(1.0, weight=0.0), Measure(), Measure(volume=1.0)
_OF_ROWS = {"price": PRICE, "distance": DISTANCE, "share": SHARE, "volume": VOLUME}


def measures_of(nodes: Sequence[Node]) -> list[Measure | None]:
    """What each node of a graph measures, None where that is not known; arguments come before what uses them."""
    found: list[Measure | None] = []
    for node in nodes:
        found.append(_measure(node, [found[arg] for arg in node.args], [nodes[arg] for arg in node.args]))
    return found


def _measure(node: Node, args: list[Measure | None], nodes: list[Node]) -> Measure | None:
    if node.kind == "condition":
        return None
    if not node.varies:
        return Measure(plain=True, low=node.low, high=node.high)
    if node.op == "column":
        return VOLUME if node.value == "volume" else PRICE
    if node.op == "at":
        return args[0]
    if node.op in ROW_FUNCTIONS:
        return _of_row(node.op, args)
    rule = _RULES.get(node.op)
    if rule is None:
        return None
    if node.op == "where":
        args, nodes = args[1:], nodes[1:]
    if any(arg is None for arg in args):
        return None
    return rule([arg for arg in args if arg is not None], nodes)


def _of_row(op: str, args: list[Measure | None]) -> Measure | None:
    kind = ROW_FUNCTIONS[op].measures
    first = args[0] if args else None
    if kind == "argument":
        return first
    if kind == "spread":
        return None if first is None or first.plain else replace(first, weight=0.0 if first.price == 1.0 else None)
    return _OF_ROWS.get(kind)


def _plain(ends: list[float]) -> Measure:
    """A plain number between the least and the greatest of these; of any size where one is not known."""
    if not ends or any(math.isnan(end) for end in ends):
        return Measure(plain=True)
    return Measure(plain=True, low=min(ends), high=max(ends))


def _sum(sign: float) -> Callable[[list[Measure], list[Node]], Measure | None]:
    def rule(args: list[Measure], nodes: list[Node]) -> Measure | None:
        a, b = args
        if a.plain and b.plain:
            return _plain([x + sign * y for x in (a.low, a.high) for y in (b.low, b.high)])
        if a.plain or b.plain:
            return replace(b if a.plain else a, weight=None)
        if (a.price, a.volume) != (b.price, b.volume):
            return None
        known = a.weight is not None and b.weight is not None
        return replace(a, weight=_exact((a.weight or 0.0) + sign * (b.weight or 0.0)) if known else None)

    return rule


def _product(args: list[Measure], nodes: list[Node]) -> Measure | None:
    a, b = args
    if a.plain and b.plain:
        return _plain([x * y for x in (a.low, a.high) for y in (b.low, b.high)])
    if b.plain:
        return replace(a, weight=_scaled(a.weight, nodes[1]))
    if a.plain:
        return replace(b, weight=_scaled(b.weight, nodes[0]))
    return _powers(a, b, 1.0)


def _quotient(args: list[Measure], nodes: list[Node]) -> Measure | None:
    a, b = args
    if a.plain and b.plain:
        is_apart = b.low > 0.0 or b.high < 0.0
        return _plain([x / y for x in (a.low, a.high) for y in (b.low, b.high)] if is_apart else [])
    if b.plain:
        value = nodes[1].value
        if isinstance(value, float) and value != 0.0 and nodes[1].op == "const" and a.weight is not None:
            return replace(a, weight=_exact(a.weight / value))
        return replace(a, weight=0.0 if a.weight == 0.0 else None)
    return _powers(SHARE if a.plain else a, b, -1.0)


def _powers(a: Measure, b: Measure, sign: float) -> Measure:
    """A product or quotient; over a distance anything may come out: (close * range) / range is a price again."""
    no_level = a.weight == 0.0 and b.weight != 0.0 if sign < 0.0 else 0.0 in (a.weight, b.weight)
    powers = _exact(a.price + sign * b.price), _exact(a.volume + sign * b.volume)
    return Measure(*powers, 0.0 if no_level else None)


def _alike(args: list[Measure], nodes: list[Node]) -> Measure | None:
    """What min, max and where choose between; a zero stands for none and says nothing."""
    telling = [arg for arg, node in zip(args, nodes, strict=True) if not (node.op == "const" and node.value == 0.0)]
    if not telling:
        return args[0]
    if all(arg.plain for arg in telling):
        return Measure(plain=True, low=min(a.low for a in args), high=max(a.high for a in args))
    named = [arg for arg in telling if not arg.plain]
    if any((arg.price, arg.volume) != (named[0].price, named[0].volume) for arg in named):
        return None
    same = len(named) == len(telling) and all(arg.weight == named[0].weight for arg in named)
    return named[0] if same else replace(named[0], weight=None)


def _power(args: list[Measure], nodes: list[Node]) -> Measure | None:
    base, exponent = args[0], nodes[1].value
    if base.plain:
        return Measure(plain=True)
    if (base.price, base.volume) == (0.0, 0.0):
        return SHARE
    if nodes[1].op != "const" or not isinstance(exponent, float):
        return None
    return Measure(
        _exact(base.price * exponent), _exact(base.volume * exponent), base.weight if exponent == 1.0 else None
    )


def _root(args: list[Measure], nodes: list[Node]) -> Measure | None:
    return Measure(plain=True) if args[0].plain else Measure(args[0].price / 2.0, args[0].volume / 2.0)


def _negative(args: list[Measure], nodes: list[Node]) -> Measure | None:
    (a,) = args
    if a.plain:
        return Measure(plain=True, low=-a.high, high=-a.low)
    return a if a.weight is None else replace(a, weight=_exact(-a.weight))


def _size(args: list[Measure], nodes: list[Node]) -> Measure | None:
    (a,) = args
    return Measure(plain=True) if a.plain else replace(a, weight=0.0 if a.weight == 0.0 else None)


def _scaled(weight: float | None, by: Node) -> float | None:
    if weight is None or weight == 0.0:
        return weight
    return _exact(weight * by.value) if by.op == "const" and isinstance(by.value, float) else None


def _exact(value: float) -> float:
    """Sums of decimal weights and powers, such as 0.7 + 0.3 - 1, without rounding."""
    return round(value, 9) + 0.0


_RULES: dict[str, Callable[[list[Measure], list[Node]], Measure | None]] = {
    "add": _sum(1.0),
    "sub": _sum(-1.0),
    "mul": _product,
    "div": _quotient,
    "pow": _power,
    "sqrt": _root,
    "neg": _negative,
    "abs": _size,
    "min": _alike,
    "max": _alike,
    "where": _alike,
    "prev": lambda args, nodes: args[0],
    "log": lambda args, nodes: SHARE,
}
"""Of operations that read one bar; what is not named, such as `exp`, measures something unknown."""
