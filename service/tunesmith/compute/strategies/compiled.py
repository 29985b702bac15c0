"""Compiled strategies: their names, what they trade, their parameters. The kernels stand beside this file.

These are declarations only, so that listing and checking strategies loads no compiler.
"""

from __future__ import annotations

import ast
from importlib import resources

from tunesmith.compute.rules.strategy import Strategy
from tunesmith.domain.parameters import Parameter


def _docstring(file: str) -> str:
    """The docstring of the module beside this one that holds a kernel; the module is not imported."""
    source = resources.files(__package__).joinpath(file).read_text(encoding="utf-8")
    return ast.get_docstring(ast.parse(source)) or ""


_GRID_DOC = _docstring("grid_trading.py")

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
