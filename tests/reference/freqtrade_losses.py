"""freqtrade's losses once more, from the formulas and by way of pandas: slow, and independent of the product's."""

from __future__ import annotations

import numpy as np
import pandas as pd


def frame_of(
    profits: list[float],
    ratios: list[float],
    opened_ms: list[int],
    closed_ms: list[int],
    balance: float,
    *,
    first_loss_counts: bool = True,
) -> pd.DataFrame:
    """Closed trades as rows; the running account is part of the table."""
    frame = pd.DataFrame(
        {
            "profit": profits,
            "ratio": ratios,
            "opened": pd.to_datetime(opened_ms, unit="ms", utc=True),
            "closed": pd.to_datetime(closed_ms, unit="ms", utc=True),
        }
    )
    frame["account"] = frame["profit"].cumsum()
    frame["peak"] = frame["account"].cummax().clip(lower=0.0 if first_loss_counts else None)
    frame["fall"] = frame["peak"] - frame["account"]
    frame["relative"] = frame["fall"] / (balance + frame["peak"])
    return frame


def days_between(first_ms: int, last_ms: int) -> int:
    return max(1, (pd.Timestamp(last_ms, unit="ms") - pd.Timestamp(first_ms, unit="ms")).days)


def daily_sums(frame: pd.DataFrame, first_ms: int, last_ms: int) -> pd.Series:
    days = pd.date_range(
        pd.Timestamp(first_ms, unit="ms", tz="UTC").normalize(),
        pd.Timestamp(last_ms, unit="ms", tz="UTC").normalize(),
        freq="D",
    )
    after = frame["ratio"] - 0.0005
    return after.groupby(frame["closed"].dt.normalize()).sum().reindex(days, fill_value=0.0)


def expected_losses(frame: pd.DataFrame, balance: float, first_ms: int, last_ms: int) -> dict[str, float]:
    """Every loss by freqtrade's name."""
    profit = frame["profit"].sum()
    losing = frame.loc[frame["profit"] < 0, "profit"]
    winning = frame.loc[frame["profit"] > 0, "profit"]
    a_day = profit / balance / days_between(first_ms, last_ms)
    deepest = frame["fall"].max()
    at_deepest = frame.loc[frame["fall"].idxmax(), "relative"]
    daily = daily_sums(frame, first_ms, last_ms)
    year = np.sqrt(365)

    def per(reward: float, risk: float, instead: float) -> float:
        return -(reward / risk * year if risk > 0 else instead)

    in_drawdown = profit / deepest if deepest > 0 else profit
    win_rate = len(winning) / len(frame)
    expectancy = 100.0
    if len(losing):
        expectancy = win_rate * (1 + (winning.mean() if len(winning) else 0.0) / losing.abs().mean()) - 1
    minutes = ((frame["closed"] - frame["opened"]).dt.total_seconds() // 60).mean()
    return {
        "ShortTradeDurHyperOptLoss": (1 - 0.25 * np.exp(-((len(frame) - 600) ** 2) / 10**5.8))
        + max(0.0, 1 - frame["ratio"].sum() / 3.0)
        + 0.4 * min(minutes / 300, 1.0),
        "OnlyProfitHyperOptLoss": -profit,
        "SharpeHyperOptLoss": per(a_day, (frame["profit"] / balance).std(ddof=0), -100.0),
        "SharpeHyperOptLossDaily": per(daily.mean(), daily.std(), -20.0) if len(daily) > 1 else np.nan,
        "SortinoHyperOptLoss": per(a_day, (losing / balance).std(ddof=0) if len(losing) else 0.0, -100.0),
        "SortinoHyperOptLossDaily": per(daily.mean(), np.sqrt((daily.clip(upper=0) ** 2).mean()), -20.0),
        "CalmarHyperOptLoss": per(100 * a_day, at_deepest, -100.0),
        "MaxDrawDownHyperOptLoss": -in_drawdown,
        "MaxDrawDownRelativeHyperOptLoss": -(in_drawdown / frame["relative"].max() if deepest > 0 else profit),
        "MaxDrawDownPerPairHyperOptLoss": -(in_drawdown if in_drawdown >= 1 else in_drawdown - 20),
        "ProfitDrawDownHyperOptLoss": -(profit - at_deepest * profit * (1 - 0.075)),
        "MultiMetricHyperOptLoss": -(profit - at_deepest * profit * (1 - 0.055))
        * np.log(winning.sum() / (losing.abs().sum() + 1e-6) + 1.0)
        * (np.log(1.01) if expectancy > 10 else np.log(expectancy + 2.0))
        * np.log(1.2 + win_rate)
        * (max(1 - (50 - len(frame)) / 50, 0.1) if len(frame) < 50 else 1.0),
    }
