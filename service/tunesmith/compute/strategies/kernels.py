"""Compiled strategies: their names, what they trade, their parameters. The kernels stand beside this file.

These are declarations only, so that listing and checking strategies loads no compiler.
"""

from __future__ import annotations

from tunesmith.compute.rules.strategy import Strategy
from tunesmith.domain.parameters import Parameter

_GRID_DOC = """Grid trading, long: buys in equal lots on the way down and sells each a step above its price.

A grid starts whenever nothing is held: the cash is split into grid_num lots and the first is bought at once. While lots
are left, the next is bought profit_ratio below the lowest one held; each lot is sold profit_ratio above its own price.
When the price falls by stop_loss below the lowest level, everything is sold.
"""

_GRID = Strategy(
    id="grid_v1.2",
    name="Grid Trading Strategy",
    version="1.2",
    code=f'"""{_GRID_DOC}"""\n# Compiled into the product.\n',
    kind="kernel",
    doc=_GRID_DOC,
    parameters=(
        Parameter(name="grid_num", kind="int", default=10, low=2, high=100, doc="number of lots and levels"),
        Parameter(
            name="profit_ratio",
            kind="float",
            default=0.01,
            low=0.001,
            high=0.2,
            doc="distance between levels, and each lot's gain, as a fraction",
        ),
        Parameter(
            name="stop_loss",
            kind="float",
            default=0.05,
            low=0.0,
            high=0.5,
            doc="distance of the stop below the lowest level, as a fraction",
        ),
    ),
)

KERNELS: dict[str, Strategy] = {strategy.id: strategy for strategy in (_GRID,)}
"""Every compiled strategy by its id."""
