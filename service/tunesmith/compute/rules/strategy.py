"""A strategy: its code, its parameters, and which points it allows."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np

from tunesmith.compute.codegen.rule_plan import Plan, make_plan
from tunesmith.compute.language.level_checks import SIDES, wrong_kind, wrong_side
from tunesmith.compute.language.points import satisfied
from tunesmith.compute.language.program import Rule, read_rule
from tunesmith.compute.stepping import Stepped
from tunesmith.domain.array_types import Flags, Floats
from tunesmith.domain.parameters import Parameter, ParamValues
from tunesmith.domain.trading import AskedDirection, Direction
from tunesmith.errors import Invalid


@dataclass(frozen=True)
class Strategy:
    """A parsed strategy.

    `kind` is rule (written in the language, `rule` holds its graph) or kernel (compiled: a part of the product, or with
    `stepped`, the declaration in a module that the operator installed). A point is a row of codes float64[p], one
    column for each of `parameters` in their order (see `domain.space.encode`). Needs no compiler and no market data.
    """

    id: str
    name: str
    version: str
    code: str
    kind: Literal["rule", "kernel"]
    doc: str
    parameters: tuple[Parameter, ...]
    rule: Rule | None = field(default=None, repr=False, compare=False)
    stepped: Stepped | None = field(default=None, repr=False, compare=False)

    @classmethod
    def parse(
        cls, code: str, *, id: str = "strategy", name: str | None = None, version: str = "1.0", is_stored: bool = False
    ) -> Strategy:
        """The strategy that `code` says in the rule language; of one that `is_stored` no stop is looked at anew.

        Raises `Invalid` with path /data/code; each error names line, column, what was found and the nearest right name.
        """
        rule = read_rule(code, is_stored=is_stored)
        return cls(id, name or id, version, code, "rule", rule.doc, rule.parameters, rule)

    @property
    def code_hash(self) -> str:
        """sha256 of the code."""
        return hashlib.sha256(self.code.encode()).hexdigest()

    @property
    def defaults(self) -> ParamValues:
        """The declared default of each parameter."""
        return {parameter.name: parameter.default for parameter in self.parameters}

    @property
    def orders(self) -> tuple[str, ...]:
        """The orders that a rule gives: enter_long, exit_long, …, stop_loss, …, max_holding; empty for a kernel."""
        if self.rule is None:
            return ()
        named = [name for name, _ in (*self.rule.conditions, *self.rule.levels)]
        return (*named, "max_holding") if self.rule.max_holding is not None else tuple(named)

    @property
    def has_long(self) -> bool:
        """Whether it can open long positions."""
        return self.kind == "kernel" or "enter_long" in self.orders

    @property
    def has_short(self) -> bool:
        """Whether it can open short positions."""
        return self.stepped is not None or "enter_short" in self.orders

    def direction(self, asked: AskedDirection) -> Direction:
        """The sides to trade: those asked for, or with `auto` every side that it enters."""
        if asked != "auto":
            return asked
        if self.has_long and self.has_short:
            return "both"
        return "long" if self.has_long else "short"

    def never_entered(self, direction: Direction) -> str | None:
        """What is to be said of a direction that names a side which the strategy never enters; None for nothing."""
        can = {"long": self.has_long, "short": self.has_short}
        traded = [side for side in SIDES if can[side] and direction in (side, "both")]
        idle = [side for side in SIDES if not can[side] and direction in (side, "both")]
        if not idle:
            return None
        what = f"it traded {traded[0]} alone" if traded else "nothing can be traded"
        return f"The strategy {self.id} never enters {idle[0]}: with the direction {direction} {what}."

    def check_levels(self, direction: Direction, path: str) -> None:
        """Raise `Invalid` at `path` for a stop or target that is no price, or on the wrong side of a traded position.

        What a rule's text alone shows is refused where it is read; this looks at stored rules and at the direction.
        """
        if self.rule is None:
            return
        sides = [side for side in SIDES if direction in (side, "both") and f"enter_{side}" in self.orders]
        for order, number in self.rule.levels:
            wrong = wrong_kind(self.rule.nodes, order, number, sides)
            if wrong is not None:
                raise Invalid(f"the rule {self.id} cannot be traded: {wrong}", path=path)
            wrong = wrong_side(self.rule.nodes, order, number, sides)
            if wrong is not None:
                hint = "; name a direction for which it is right, or give each side its own price by where(…)"
                raise Invalid(f"the rule {self.id} cannot be traded {direction}: {wrong}{hint}", path=path)

    @cached_property
    def plan(self) -> Plan:
        """How the rule is computed; raises `Invalid` for a kernel."""
        if self.rule is None:
            raise Invalid(f"{self.id} is not written in the rule language")
        return make_plan(self.rule)

    def valid(self, points: Floats) -> Flags:
        """Which of `points` float64[n, p] fulfil every require(…); bool[n]."""
        if self.rule is None or not self.rule.requires:
            return np.ones(len(points), np.bool_)
        return satisfied(self.rule.nodes, self.parameters, self.rule.requires, points)
