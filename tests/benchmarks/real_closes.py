"""Closes of real markets in ../shared/data, by file, and which of them are one market."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from benchmarks.alterations import Closes

FOLDERS = {
    "spot": None,
    "perpetual": "1h",
    "binance15/perp_8h": "8h",
    "binance15/spot_8h": "8h",
    "freqtrade_results/songjong/candles": "5m",
    "spot16/spot_1d": "1d",
    "spot16/spot_1h": "1h",
    "xvenue7/perp_1h/binance": "1h",
    "xvenue7/perp_1h/bybit": "1h",
    "xvenue7/perp_close_1h/okx": "1h",
}
"""Folder → the length of the bars in it; None where the file's name says it."""


def files_of(shared: Path) -> dict[str, str]:
    """The name of each file with closes in these folders, and the length of its bars."""
    found = {}
    for folder, timeframe in FOLDERS.items():
        for path in sorted((shared / folder).glob("*.parquet")):
            found[str(path.relative_to(shared))] = timeframe or path.stem.rpartition("-")[2]
    return found


def closes_of(shared: Path, name: str, timeframe: str) -> Closes:
    """The closes of a file."""
    frame = pd.read_parquet(shared / name)
    times = pd.to_datetime(frame.iloc[:, 0]).astype("datetime64[ms, UTC]").astype("int64").to_numpy()
    return Closes(times, frame["close"].to_numpy(), timeframe)


def coin_of(name: str) -> str:
    """The coin whose price in dollars a file has: BTC of BTC_USDT-5m and of BTCUSDT."""
    return Path(name).stem.split("_")[0].split("-")[0].removesuffix("USDT")
