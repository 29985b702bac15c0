"""Path-dependent strategies: what an operator's module declares, and what its step function sees and answers.

A module that the operator installs declares one `Stepped` and registers it under the entry point group
`tunesmith.strategies`; no code comes over the network. The step is plain Python that numba can compile, or compiled by
`numba.njit` already. It stands, with every function that it calls, in the module of its declaration: the hash of that
module's text then says which code it was.

    from tunesmith.compute.stepping import Account, Bar, Orders, Sizing, Stepped, enter_long, hold, leave
    from tunesmith.domain.parameters import Parameter

    def step(state, account, bar, point):
        if account.position == 0.0:
            return enter_long()
        if bar.close < account.average_price * (1.0 - point[0]) and account.n_entries < 5:
            return enter_long(2.0 ** account.n_entries)
        if bar.close > account.average_price * (1.0 + point[1]):
            return leave()
        return hold()

    STRATEGY = Stepped(
        id="dca_v1.0",
        version="1.0",
        parameters=(
            Parameter(name="drop", kind="float", default=0.02, low=0.001, high=0.2),
            Parameter(name="gain", kind="float", default=0.01, low=0.001, high=0.2),
        ),
        step=step,
        sizing=Sizing("fraction", 0.05),
        max_entries=5,
    )

The step is called at the close of every bar, in order, and sees nothing of the bars to come. What it answers holds for
the next bar: orders fill at its open (fill = "next_open") or at this close (fill = "close"), the stop and the target
close the whole position within its range. Before trading starts it is called on the bars that are there, to warm up
what it keeps in `state`: the bar's number is negative then, the account flat, and what it answers is dropped.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np

from tunesmith.domain.array_types import Floats
from tunesmith.domain.parameters import Parameter
from tunesmith.errors import Invalid

MAX_STATE = 100_000
MAX_PARAMETERS = 64

NONE = math.nan
"""No stop, no target."""


class Bar(NamedTuple):
    """The bar that closes now; `number` counts from the first bar that may be traded."""

    number: float
    open: float
    high: float
    low: float
    close: float
    volume: float


class Account(NamedTuple):
    """The account at the close, before any fill there.

    `position` is negative for a short; `average_price` is that of its entries, with slippage; `n_entries` counts them.
    `last_profit` is that of the closed trade before, in cash; `n_trades` counts closed trades. 0 where there is none.
    """

    position: float
    average_price: float
    n_entries: float
    cash: float
    equity: float
    last_profit: float
    n_trades: float


class Orders(NamedTuple):
    """What a step answers. `enter` is 1 (long), -1 (short) or 0; `weight` multiplies the declared size of an entry.

    `leave` is the fraction of the position to close, 0 to 1; it wins over an entry. `stop` and `target` are prices.
    """

    enter: float
    weight: float
    leave: float
    stop: float
    target: float


def hold(stop: float = NONE, target: float = NONE) -> Orders:
    """No order; the position, where there is one, under a stop and a target for the next bar."""
    return Orders(0.0, 0.0, 0.0, float(stop), float(target))


def enter_long(weight: float = 1.0, stop: float = NONE, target: float = NONE) -> Orders:
    """Open a long position or add to it; a short one is closed first, by an order of its own."""
    return Orders(1.0, float(weight), 0.0, float(stop), float(target))


def enter_short(weight: float = 1.0, stop: float = NONE, target: float = NONE) -> Orders:
    """Open a short position or add to it; a long one is closed first, by an order of its own."""
    return Orders(-1.0, float(weight), 0.0, float(stop), float(target))


def leave(fraction: float = 1.0, stop: float = NONE, target: float = NONE) -> Orders:
    """Close that fraction of the position; stop and target are for what is left."""
    return Orders(0.0, 0.0, float(fraction), float(stop), float(target))


@dataclass(frozen=True, slots=True)
class Sizing:
    """What an entry of weight 1 spends, costs included, and never more than is free.

    all_equity: the whole equity. fraction: `amount` of the equity at the fill. cash: `amount` in the quote currency.
    `amount` may be the name of a parameter, which can then be searched.
    """

    kind: Literal["all_equity", "fraction", "cash"] = "all_equity"
    amount: float | str = 1.0


Step = Callable[[Floats, Account, Bar, Floats], Orders]
"""(state float64[n_state] to write on, zero at first; account; bar; point float64[p] of codes) → orders."""


@dataclass(frozen=True)
class Stepped:
    """The declaration of a path-dependent strategy; raises `Invalid` for one that cannot be.

    `doc` is the module's docstring unless given. `max_entries` limits the entries that one position is made of; it may
    be the name of a parameter. A point holds each parameter's code (a choice's is its number, a bool's 0 or 1).
    """

    id: str
    version: str
    parameters: tuple[Parameter, ...]
    step: Step
    name: str = ""
    doc: str = ""
    n_state: int = 16
    sizing: Sizing = Sizing()
    max_entries: int | str = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "parameters", tuple(self.parameters))
        for wrong in _mistakes(self):
            raise Invalid(f"strategy {self.id!r}: {wrong}")
        if not self.doc:
            module = inspect.getmodule(self.plain_step)
            object.__setattr__(self, "doc", inspect.cleandoc(module.__doc__ or "") if module else "")

    @property
    def plain_step(self) -> Any:
        """The step as a Python function, also where it was declared compiled."""
        return getattr(self.step, "py_func", self.step)

    def limits(self, points: Floats) -> Floats:
        """Amount of sizing and most entries of each of `points` float64[n, p]; float64[n, 2]."""
        columns = {parameter.name: points[:, i] for i, parameter in enumerate(self.parameters)}
        found = np.empty((len(points), 2))
        for i, value in enumerate((self.sizing.amount, self.max_entries)):
            found[:, i] = columns[value] if isinstance(value, str) else value
        return found


def _mistakes(declared: Stepped) -> Iterator[str]:
    names = [parameter.name for parameter in declared.parameters]
    numbers = [parameter.name for parameter in declared.parameters if parameter.kind in ("int", "float")]
    if len(set(names)) != len(names) or len(names) > MAX_PARAMETERS:
        yield f"its parameters need names of their own, and there may be {MAX_PARAMETERS}"
    for parameter in declared.parameters:
        if not parameter.name.isidentifier():
            yield f"{parameter.name!r} is no name for a parameter"
        wrong = parameter.check(parameter.default)
        if wrong:
            yield f"the default of {parameter.name}: {wrong}"
        if parameter.kind in ("int", "float") and (parameter.low is None or parameter.high is None):
            yield f"{parameter.name} needs low and high"
    if not inspect.isfunction(declared.plain_step):
        yield "its step is no function"
    if not 0 <= declared.n_state <= MAX_STATE:
        yield f"n_state must be 0 to {MAX_STATE}"
    if declared.sizing.kind not in ("all_equity", "fraction", "cash"):
        yield f"there is no sizing {declared.sizing.kind!r}"
    for what, value in (("sizing", declared.sizing.amount), ("max_entries", declared.max_entries)):
        if isinstance(value, str) and value not in numbers:
            yield f"{what} names a parameter {value!r}, and it has no int or float of that name"
        if not isinstance(value, str) and not value > 0:
            yield f"{what} must be above 0"
