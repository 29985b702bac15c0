"""The strategies that come with the product: files in the rule language beside this one, and compiled ones.

To add a rule: its file, and its line in `BUILTINS`; from outside the package, `register`. Rules are read when they are
first asked for.
"""

from __future__ import annotations

from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from typing import NamedTuple

from tunesmith.compute.language.mistakes import nearest
from tunesmith.compute.rules.strategy import Strategy
from tunesmith.compute.strategies.compiled import KERNELS
from tunesmith.errors import NotFound


class RuleFile(NamedTuple):
    """A file in the rule language, with the name and version that it is listed under."""

    file: Traversable
    name: str
    version: str = "1.0"


_HERE = resources.files(__package__)

BUILTINS: dict[str, RuleFile | Strategy] = {
    "ma_cross_v1.0": RuleFile(_HERE / "ma_cross.rule", "Moving Average Cross Strategy"),
    "ema_atr_v1.0": RuleFile(_HERE / "ema_atr.rule", "EMA Cross with ATR Stops"),
    "rsi_reversion": RuleFile(_HERE / "rsi_reversion.rule", "RSI Reversion Strategy"),
    "bollinger_reversion": RuleFile(_HERE / "bollinger_reversion.rule", "Bollinger Reversion Strategy"),
    "bollinger_breakout": RuleFile(_HERE / "bollinger_breakout.rule", "Bollinger Breakout Strategy"),
    "donchian_breakout": RuleFile(_HERE / "donchian_breakout.rule", "Donchian Breakout Strategy"),
    "macd": RuleFile(_HERE / "macd.rule", "MACD Strategy"),
    "supertrend": RuleFile(_HERE / "supertrend.rule", "Supertrend Strategy"),
    "momentum": RuleFile(_HERE / "momentum.rule", "Momentum Strategy"),
    **KERNELS,
}
"""Every built-in strategy by its id: the file of a rule, or a compiled strategy."""

BUILTIN_IDS = BUILTINS.keys()
"""Ids of all built-in strategies, registered ones included."""


def register(id: str, rule: RuleFile) -> None:
    """Add a rule to the built-in strategies. Raises `ValueError` where its id is taken."""
    if id in BUILTINS:
        raise ValueError(f"there is a built-in strategy {id!r} already")
    BUILTINS[id] = rule


@cache
def builtin(id: str) -> Strategy:
    """The built-in strategy of this id; raises `NotFound`, with the nearest id, for another."""
    if id not in BUILTINS:
        raise NotFound(f"there is no built-in strategy {id[:64]!r}{nearest(id, BUILTIN_IDS)}")
    found = BUILTINS[id]
    if isinstance(found, Strategy):
        return found
    return Strategy.parse(found.file.read_text(encoding="utf-8"), id=id, name=found.name, version=found.version)
