"""Tunesmith tunes trading-strategy parameters, proves them, and delivers those that pass to bots over ZeroMQ.

The names below load on first use, so that `import tunesmith` in a bot stays light. `Client` and `AsyncClient` need the
base install; the rest needs `tunesmith[service]`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_FACE = {
    "AsyncClient": "tunesmith.client",
    "Client": "tunesmith.client",
    "Bars": "tunesmith.domain.market.bars",
    "Costs": "tunesmith.domain.trading",
    "Strategy": "tunesmith.compute.rules.strategy",
    "TunesmithError": "tunesmith.errors",
    "analyze": "tunesmith.notebook.study",
    "backtest": "tunesmith.notebook.backtesting",
    "evaluate": "tunesmith.notebook.backtesting",
    "judge": "tunesmith.notebook.judging",
    "optimize": "tunesmith.notebook.study",
    "strategy": "tunesmith.notebook.backtesting",
}

__all__ = [
    "AsyncClient",
    "Bars",
    "Client",
    "Costs",
    "Strategy",
    "TunesmithError",
    "__version__",
    "analyze",
    "backtest",
    "evaluate",
    "judge",
    "optimize",
    "strategy",
]

if TYPE_CHECKING:
    from tunesmith.client import AsyncClient, Client
    from tunesmith.compute.rules.strategy import Strategy
    from tunesmith.domain.market.bars import Bars
    from tunesmith.domain.trading import Costs
    from tunesmith.errors import TunesmithError
    from tunesmith.notebook.backtesting import backtest, evaluate, strategy
    from tunesmith.notebook.judging import judge
    from tunesmith.notebook.study import analyze, optimize


def __getattr__(name: str) -> Any:
    if name not in _FACE:
        raise AttributeError(f"module 'tunesmith' has no attribute {name!r}")
    return getattr(importlib.import_module(_FACE[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
