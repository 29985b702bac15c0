"""The strategies that come with the product: files in the rule language beside this one, and compiled ones.

To add a rule: its file, and its line in `_RULES`. Rules are read when they are first asked for.
"""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import NamedTuple

from tunesmith.compute.language.mistakes import nearest
from tunesmith.compute.rules.strategy import Strategy
from tunesmith.compute.strategies.compiled import KERNELS
from tunesmith.errors import NotFound


class _Entry(NamedTuple):
    file: str
    name: str
    version: str


_RULES: dict[str, _Entry] = {
    "ma_cross_v1.0": _Entry("ma_cross.rule", "Moving Average Cross Strategy", "1.0"),
    "ema_atr_v1.0": _Entry("ema_atr.rule", "EMA Cross with ATR Stops", "1.0"),
    "rsi_reversion": _Entry("rsi_reversion.rule", "RSI Reversion Strategy", "1.0"),
    "bollinger_reversion": _Entry("bollinger_reversion.rule", "Bollinger Reversion Strategy", "1.0"),
    "bollinger_breakout": _Entry("bollinger_breakout.rule", "Bollinger Breakout Strategy", "1.0"),
    "donchian_breakout": _Entry("donchian_breakout.rule", "Donchian Breakout Strategy", "1.0"),
    "macd": _Entry("macd.rule", "MACD Strategy", "1.0"),
    "supertrend": _Entry("supertrend.rule", "Supertrend Strategy", "1.0"),
    "momentum": _Entry("momentum.rule", "Momentum Strategy", "1.0"),
}

BUILTIN_IDS: tuple[str, ...] = (*_RULES, *KERNELS)
"""Ids of all built-in strategies."""


@cache
def builtin(id: str) -> Strategy:
    """The built-in strategy of this id; raises `NotFound`, with the nearest id, for another."""
    if id in KERNELS:
        return KERNELS[id]
    if id not in _RULES:
        raise NotFound(f"there is no built-in strategy {id[:64]!r}{nearest(id, BUILTIN_IDS)}")
    entry = _RULES[id]
    code = resources.files(__package__).joinpath(entry.file).read_text(encoding="utf-8")
    return Strategy.parse(code, id=id, name=entry.name, version=entry.version)
