"""A freqtrade strategy that trades what the daemon approved for `ma_cross_v1.0`.

Put it into user_data/strategies and run `python -m tunesmith.examples.freqtrade_params` on it beside freqtrade. The
parameters come from the JSON file of the same name; without a package in force it opens nothing.
"""
# mypy: ignore-errors

from __future__ import annotations

from freqtrade.strategy import BooleanParameter, IntParameter, IStrategy, RealParameter
from pandas import DataFrame


class TunedMaCross(IStrategy):
    """Long while the fast average is above the slow one, as in the daemon's rule."""

    INTERFACE_VERSION = 3
    timeframe = "1h"
    can_short = False
    minimal_roi = {"0": 100}
    stoploss = -0.99
    startup_candle_count = 400

    package_in_force = BooleanParameter(default=False, space="buy", optimize=False)
    fast_period = IntParameter(2, 100, default=5, space="buy")
    slow_period = IntParameter(5, 400, default=20, space="buy")
    signal_threshold = RealParameter(0.0, 0.1, default=0.02, space="buy")

    def populate_indicators(self, dataframe: DataFrame, metadata: dict) -> DataFrame:
        """Both averages of closes."""
        dataframe["fast"] = dataframe["close"].rolling(self.fast_period.value).mean()
        dataframe["slow"] = dataframe["close"].rolling(self.slow_period.value).mean()
        return dataframe

    def populate_entry_trend(self, dataframe: DataFrame, metadata: dict) -> DataFrame:
        """The fast average crosses above the slow one by the threshold, while a package is in force."""
        level = dataframe["slow"] * (1 + self.signal_threshold.value)
        crossed = (dataframe["fast"] > level) & (dataframe["fast"].shift() <= level.shift())
        dataframe.loc[crossed & self.package_in_force.value, "enter_long"] = 1
        return dataframe

    def populate_exit_trend(self, dataframe: DataFrame, metadata: dict) -> DataFrame:
        """The fast average crosses below the slow one."""
        fast, slow = dataframe["fast"], dataframe["slow"]
        dataframe.loc[(fast < slow) & (fast.shift() >= slow.shift()), "exit_long"] = 1
        return dataframe
