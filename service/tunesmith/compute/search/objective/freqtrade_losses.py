"""The loss functions of freqtrade's hyperopt by name: functions of closed trades, smaller is better.

Formulas are those of freqtrade 2024.10 (`MaxDrawDownPerPairHyperOptLoss`: 2025.1), drawdowns those of 2026.9. Symbols,
over the m closed trades of a point in the order of closing:

p_j, r_j    net profit in cash, and as a fraction of what the entry cost
B           starting balance; P = sum(p)
d           days from the first bar to the last, rounded down, at least 1
c_j, h_j    profit so far, p_1 + … + p_j, and the highest so far, max(0, c_1 … c_j): the loss of the first trade counts.
            Searches that were stored before it did are made again without it, as freqtrade was until 2025
D, R        greatest drawdown max(h_j - c_j) in cash, the first of equals, and (h_j - c_j) / (B + h_j) at that trade
s_i         sum of r - 0.0005 over the trades closed on UTC day i, for each of N days from the first bar's to the last's

freqtrade keeps a loss of 100000 where there are too few trades to ask; without any trade a loss is NaN here. A position
open at the end is no trade here, while freqtrade closes it. Deviations that are only rounding count as 0.

`guarded` is our own variant of each, for searches: the originals punish what has no losing trade (Calmar, Sortino and
Sharpe give it +100), reward a loser for more risk, and MultiMetric prefers an all-loser to a slight one. There

- drawdowns count from the starting balance, and R is the greatest relative one, at most 1;
- no risk is smaller than one loss of 1 % of the balance would make it;
- a loss-making result is multiplied by its risk instead of divided (Israelsen 2005, "A refinement to the Sharpe ratio
  and information ratio"), and earns nothing by its other merits.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from tunesmith.domain.array_types import Floats
from tunesmith.domain.closed_trades import ClosedTrades

_DAY_MS = 86_400_000
_DAYS = 365
_SLIPPAGE = 0.0005
_NO_RISK = -100.0
_NO_DAILY_RISK = -20.0
_ROUNDING = 1e-12
_ONE_LOSS = 0.01
"""The loss, as a fraction of the starting balance, that guarded risks are never smaller for."""

_TARGET_TRADES, _EXPECTED_PROFIT, _LONGEST_MINUTES = 600, 3.0, 300.0
_MULTI_TRADES, _MULTI_DRAWDOWN, _PROFIT_DRAWDOWN = 50, 0.055, 0.075
_MOST_RATIO = 10.0
_PAIR_FLOOR, _PAIR_PENALTY = 1.0, 20.0


class Loss(NamedTuple):
    """A loss function as freqtrade has it, and guarded. Both are NaN without trades."""

    original: Callable[[ClosedTrades], float]
    guarded: Callable[[ClosedTrades], float]


def drawdown(trades: ClosedTrades) -> tuple[float, float, float]:
    """D, R and the greatest relative drawdown, as freqtrade counts them; zeros without a drawdown."""
    least = 0.0 if trades.first_loss_counts else -math.inf
    return _drawdown(np.cumsum(trades.profit_abs), trades.initial_cash, least)


def _drawdown(profit: Floats, balance: float, least: float) -> tuple[float, float, float]:
    """The same of the profit so far, whose highest is `least` at least."""
    high = np.maximum(np.maximum.accumulate(profit), least)
    fall = high - profit
    relative = fall / (balance + high)
    at = int(np.argmax(fall))
    return float(fall[at]), float(relative[at]), float(relative.max())


def _guarded_drawdown(trades: ClosedTrades) -> tuple[float, float]:
    """Greatest drawdowns from the balance on, of the starting balance and of the highest: at least one loss, R <= 1."""
    fall, _, relative = _drawdown(np.cumsum(trades.profit_abs), trades.initial_cash, 0.0)
    return max(fall / trades.initial_cash, _ONE_LOSS), min(max(relative, _ONE_LOSS), 1.0)


def _per_risk(reward: float, risk: float) -> float:
    return reward / risk if reward >= 0.0 else reward * risk


def _profit(trades: ClosedTrades) -> float:
    return float(trades.profit_abs.sum())


def _daily_mean(trades: ClosedTrades) -> float:
    """Profit a day as a fraction of the starting balance."""
    days = max(1, (trades.last_ms - trades.first_ms) // _DAY_MS)
    return _profit(trades) / trades.initial_cash / days


def _is_instant(trades: ClosedTrades) -> bool:
    return trades.first_ms == trades.last_ms


def _deviation(values: Floats) -> float:
    """Population standard deviation, 0 where it is rounding; NaN of nothing."""
    if not len(values):
        return math.nan
    deviation = float(values.std())
    return deviation if deviation > _ROUNDING * float(np.abs(values).max()) else 0.0


def _by_day(trades: ClosedTrades) -> Floats:
    first, last = trades.first_ms // _DAY_MS, trades.last_ms // _DAY_MS
    days = trades.closed_ms // _DAY_MS - first
    sums = np.bincount(days, trades.profit_ratio - _SLIPPAGE, minlength=last - first + 1)
    return np.asarray(sums, np.float64)


def only_profit(trades: ClosedTrades) -> float:
    """-P."""
    return -_profit(trades)


def short_trade_duration(trades: ClosedTrades) -> float:
    """1 - 0.25 exp(-(m - 600)^2 / 10^5.8) + max(0, 1 - sum(r) / 3) + 0.4 min(mean minutes held / 300, 1)."""
    bonus = 0.25 * math.exp(-((len(trades) - _TARGET_TRADES) ** 2) / 10**5.8)
    profit = max(0.0, 1.0 - float(trades.profit_ratio.sum()) / _EXPECTED_PROFIT)
    return 1.0 - bonus + profit + 0.4 * _share_of_longest(trades)


def short_trade_duration_guarded(trades: ClosedTrades) -> float:
    """The same with no end to profit and no punishment beyond 600 trades; a loser earns nothing by number or haste."""
    total = float(trades.profit_ratio.sum())
    profit = 1.0 - total / _EXPECTED_PROFIT
    if total <= 0.0:
        return 1.0 + profit + 0.4
    missing = min(len(trades) - _TARGET_TRADES, 0)
    return 1.0 - 0.25 * math.exp(-(missing**2) / 10**5.8) + profit + 0.4 * _share_of_longest(trades)


def _share_of_longest(trades: ClosedTrades) -> float:
    minutes = float(((trades.closed_ms - trades.opened_ms) // 60_000).mean())
    return min(minutes / _LONGEST_MINUTES, 1.0)


def sharpe(trades: ClosedTrades) -> float:
    """-(P / B / d) / std(p / B) sqrt(365), std with n; 100 where std is 0, 0 for a range of one bar."""
    if _is_instant(trades):
        return 0.0
    deviation = _deviation(trades.profit_abs / trades.initial_cash)
    return -(_daily_mean(trades) / deviation * math.sqrt(_DAYS) if deviation > 0.0 else _NO_RISK)


def sharpe_guarded(trades: ClosedTrades) -> float:
    """The same with (sum of squared deviations + 0.01^2) / m for the variance."""
    profits = trades.profit_abs / trades.initial_cash
    risk = math.sqrt(float(profits.var()) + _ONE_LOSS**2 / len(profits))
    return -_per_risk(_daily_mean(trades), risk) * math.sqrt(_DAYS)


def sharpe_daily(trades: ClosedTrades) -> float:
    """-mean(s) / std(s) sqrt(365), std with N - 1; 20 where std is 0, NaN for a single day."""
    daily = _by_day(trades)
    if len(daily) < 2:
        return math.nan
    deviation = _deviation(daily) * math.sqrt(len(daily) / (len(daily) - 1))
    return -(float(daily.mean()) / deviation * math.sqrt(_DAYS) if deviation > 0.0 else _NO_DAILY_RISK)


def sharpe_daily_guarded(trades: ClosedTrades) -> float:
    """The same with (sum of squared deviations + 0.01^2) / N for the variance."""
    daily = _by_day(trades)
    risk = math.sqrt(float(daily.var()) + _ONE_LOSS**2 / len(daily))
    return -_per_risk(float(daily.mean()), risk) * math.sqrt(_DAYS)


def sortino(trades: ClosedTrades) -> float:
    """-(P / B / d) / std(p / B of the losing trades) sqrt(365), std with n; 100 where that is 0 or there is none."""
    if _is_instant(trades):
        return 0.0
    losses = trades.profit_abs[trades.profit_abs < 0.0] / trades.initial_cash
    deviation = _deviation(losses)
    return -(_daily_mean(trades) / deviation * math.sqrt(_DAYS) if deviation > 0.0 else _NO_RISK)


def sortino_guarded(trades: ClosedTrades) -> float:
    """The same with sqrt((sum(min(p / B, 0)^2) + 0.01^2) / m) for the deviation."""
    losses = np.minimum(trades.profit_abs / trades.initial_cash, 0.0)
    return -_per_risk(_daily_mean(trades), _downside(losses)) * math.sqrt(_DAYS)


def sortino_daily(trades: ClosedTrades) -> float:
    """-mean(s) / sqrt(mean(min(s, 0)^2)) sqrt(365); 20 where no day loses."""
    daily = _by_day(trades)
    downside = math.sqrt(float((np.minimum(daily, 0.0) ** 2).mean()))
    return -(float(daily.mean()) / downside * math.sqrt(_DAYS) if downside > 0.0 else _NO_DAILY_RISK)


def sortino_daily_guarded(trades: ClosedTrades) -> float:
    """The same with sqrt((sum(min(s, 0)^2) + 0.01^2) / N) for the deviation."""
    daily = _by_day(trades)
    return -_per_risk(float(daily.mean()), _downside(np.minimum(daily, 0.0))) * math.sqrt(_DAYS)


def _downside(losses: Floats) -> float:
    return math.sqrt((float((losses**2).sum()) + _ONE_LOSS**2) / len(losses))


def calmar(trades: ClosedTrades) -> float:
    """-(100 P / B / d) / R sqrt(365); 100 where R is 0, 0 for a range of one bar."""
    if _is_instant(trades):
        return 0.0
    _, relative, _ = drawdown(trades)
    return -(100.0 * _daily_mean(trades) / relative * math.sqrt(_DAYS) if relative > 0.0 else _NO_RISK)


def calmar_guarded(trades: ClosedTrades) -> float:
    """The same with guarded R."""
    _, relative = _guarded_drawdown(trades)
    return -_per_risk(100.0 * _daily_mean(trades), relative) * math.sqrt(_DAYS)


def max_drawdown(trades: ClosedTrades) -> float:
    """-P / D; -P where D is 0."""
    deepest, _, _ = drawdown(trades)
    return -_profit(trades) / (deepest if deepest > 0.0 else 1.0)


def max_drawdown_guarded(trades: ClosedTrades) -> float:
    """The same with P / B and guarded D / B."""
    deepest, _ = _guarded_drawdown(trades)
    return -_per_risk(_profit(trades) / trades.initial_cash, deepest)


def max_drawdown_relative(trades: ClosedTrades) -> float:
    """-P / D / max((h - c) / (B + h)); -P where D is 0."""
    deepest, _, relative = drawdown(trades)
    return -_profit(trades) / (deepest * relative if deepest > 0.0 else 1.0)


def max_drawdown_relative_guarded(trades: ClosedTrades) -> float:
    """The same with P / B, guarded D / B and guarded R."""
    deepest, relative = _guarded_drawdown(trades)
    return -_per_risk(_profit(trades) / trades.initial_cash, deepest * relative)


def max_drawdown_per_pair(trades: ClosedTrades) -> float:
    """-x, or -(x - 20) where x < 1, with x = P / D, or P where D is 0. freqtrade takes the worst symbol's."""
    return -_penalized(-max_drawdown(trades))


def max_drawdown_per_pair_guarded(trades: ClosedTrades) -> float:
    """The same with the guarded x of `MaxDrawDownHyperOptLoss`."""
    return -_penalized(-max_drawdown_guarded(trades))


def _penalized(ratio: float) -> float:
    return ratio if ratio >= _PAIR_FLOOR else ratio - _PAIR_PENALTY


def profit_drawdown(trades: ClosedTrades) -> float:
    """-P (1 - 0.925 R)."""
    _, relative, _ = drawdown(trades)
    return -_profit(trades) * (1.0 - (1.0 - _PROFIT_DRAWDOWN) * relative)


def profit_drawdown_guarded(trades: ClosedTrades) -> float:
    """The same with guarded R; -P (1 + 0.925 R) where P < 0."""
    return -_after_drawdown(trades, _PROFIT_DRAWDOWN)


def _after_drawdown(trades: ClosedTrades, kept: float) -> float:
    _, relative = _guarded_drawdown(trades)
    profit = _profit(trades)
    return profit * (1.0 - math.copysign(1.0 - kept, profit) * relative)


def multi_metric(trades: ClosedTrades) -> float:
    """-P (1 - 0.945 R) log(F + 1) log(E + 2) log(1.2 + W) min(max(m / 50, 0.1), 1).

    F = sum(p, p > 0) / (-sum(p, p < 0) + 1e-6); W the share of p > 0; E = (1 + mean win / mean loss) W - 1, and 100
    where the mean loss is 0; log(1.01) stands for log(E + 2) where E > 10.
    """
    _, relative, _ = drawdown(trades)
    factor, ratio = _profit_factor(trades), _expectancy_ratio(trades)
    expectancy = math.log(1.01) if ratio > _MOST_RATIO else math.log(ratio + 2.0)
    kept = _profit(trades) * (1.0 - (1.0 - _MULTI_DRAWDOWN) * relative)
    return -kept * math.log(factor + 1.0) * expectancy * _winning_and_often(trades)


def multi_metric_guarded(trades: ClosedTrades) -> float:
    """The same with guarded R, F and E at most 10; -P (1 + 0.945 R) where P < 0."""
    kept = _after_drawdown(trades, _MULTI_DRAWDOWN)
    if kept <= 0.0:
        return -kept
    factor, ratio = (min(v, _MOST_RATIO) for v in (_profit_factor(trades), _expectancy_ratio(trades)))
    return -kept * math.log(factor + 1.0) * math.log(ratio + 2.0) * _winning_and_often(trades)


def _profit_factor(trades: ClosedTrades) -> float:
    p = trades.profit_abs
    return float(p[p > 0.0].sum()) / (abs(float(p[p < 0.0].sum())) + 1e-6)


def _expectancy_ratio(trades: ClosedTrades) -> float:
    p = trades.profit_abs
    wins, losses = p[p > 0.0], p[p < 0.0]
    if not len(losses):
        return 100.0
    per_loss = float(wins.mean()) / -float(losses.mean()) if len(wins) else 0.0
    return (1.0 + per_loss) * len(wins) / len(p) - 1.0


def _winning_and_often(trades: ClosedTrades) -> float:
    win_rate = float((trades.profit_abs > 0.0).mean())
    return math.log(1.2 + win_rate) * min(max(len(trades) / _MULTI_TRADES, 0.1), 1.0)


LOSSES: dict[str, Loss] = {
    "ShortTradeDurHyperOptLoss": Loss(short_trade_duration, short_trade_duration_guarded),
    "OnlyProfitHyperOptLoss": Loss(only_profit, only_profit),
    "SharpeHyperOptLoss": Loss(sharpe, sharpe_guarded),
    "SharpeHyperOptLossDaily": Loss(sharpe_daily, sharpe_daily_guarded),
    "SortinoHyperOptLoss": Loss(sortino, sortino_guarded),
    "SortinoHyperOptLossDaily": Loss(sortino_daily, sortino_daily_guarded),
    "CalmarHyperOptLoss": Loss(calmar, calmar_guarded),
    "MaxDrawDownHyperOptLoss": Loss(max_drawdown, max_drawdown_guarded),
    "MaxDrawDownRelativeHyperOptLoss": Loss(max_drawdown_relative, max_drawdown_relative_guarded),
    "MaxDrawDownPerPairHyperOptLoss": Loss(max_drawdown_per_pair, max_drawdown_per_pair_guarded),
    "ProfitDrawDownHyperOptLoss": Loss(profit_drawdown, profit_drawdown_guarded),
    "MultiMetricHyperOptLoss": Loss(multi_metric, multi_metric_guarded),
}
"""Every loss by freqtrade's name."""


def loss_of(name: str, trades: ClosedTrades | None, *, guarded: bool) -> float:
    """The loss of that name; NaN without trades, for a point that may not be tried, and where it is not finite."""
    if trades is None or not len(trades):
        return math.nan
    with np.errstate(all="ignore"):
        value = LOSSES[name].guarded(trades) if guarded else LOSSES[name].original(trades)
    return value if math.isfinite(value) else math.nan
