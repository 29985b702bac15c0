"""The one table of indicators; the language, the row functions and the reference are read from it.

To add an indicator to the product, declare it in the `DECLARED` of a module here; from elsewhere, call `register`.
"""

from __future__ import annotations

from tunesmith.compute.graph.nodes import ELEMENTWISE
from tunesmith.compute.indicators import (
    averages,
    conditions,
    direction,
    elementary,
    extremes,
    momentum,
    volatility,
    volumes,
)
from tunesmith.compute.indicators.declaration import Indicator
from tunesmith.compute.indicators.row_functions import RowFunction

INDICATORS: dict[str, Indicator] = {}
"""Every function of the rule language, by name."""

ROW_FUNCTIONS: dict[str, RowFunction] = {}
"""Every row function by the operation of its nodes."""

_OTHER_OPS = ELEMENTWISE | {"const", "param", "choice", "is_choice", "column", "at"}


def register(indicator: Indicator) -> Indicator:
    """Add an indicator to the table. Raises `ValueError` where its name or one of its operations is taken."""
    if indicator.name in INDICATORS or not indicator.name.isidentifier():
        raise ValueError(f"an indicator cannot be named {indicator.name!r}: the name is taken or is no name")
    for row in indicator.rows:
        if row.op in ROW_FUNCTIONS or row.op in _OTHER_OPS:
            raise ValueError(f"the row function {row.op!r} of {indicator.name} is there already")
    INDICATORS[indicator.name] = indicator
    ROW_FUNCTIONS.update({row.op: row for row in indicator.rows})
    return indicator


for _module in (elementary, conditions, averages, momentum, direction, volatility, extremes, volumes):
    for _declared in _module.DECLARED:
        register(_declared)
