"""What is said of sound candles at import: splits, two markets in one file, stretches without trade."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tunesmith.domain.market.candle_warnings import warnings_of

DAY = 86_400_000
N = 1000


def candles(scale: Any = 1.0, volume: Any = 1.0) -> tuple[Any, dict[str, Any]]:
    """Daily candles around 100, each price times `scale`."""
    rng = np.random.default_rng(3)
    close = 100.0 * np.exp(np.cumsum(rng.normal(0, 0.01, N))) * scale
    opened = close * np.exp(rng.normal(0, 0.002, N))
    columns = {"open": opened, "high": np.maximum(opened, close), "low": np.minimum(opened, close), "close": close}
    return 1_577_836_800_000 + DAY * np.arange(N), {**columns, "volume": np.ones(N) * volume}


AFTER = np.where(np.arange(N) < 400, 1.0, 0.25)
STACKED = np.where(np.arange(N) < 500, 1.0, 37.3)
QUIET = np.where((np.arange(N) >= 100) & (np.arange(N) < 150), 0.0, 1.0)


@pytest.mark.parametrize(
    ("scale", "volume", "said"),
    [
        (1.0, 1.0, []),
        (AFTER, 1.0, ["at 2021-02-04 00:00 the price falls to 1/", "of the close before: a split of 4 that is not"]),
        (STACKED, 1.0, ["at 2021-05-15 00:00 the price rises to 37", "two markets in one, or a wrong price?"]),
        (1.0, QUIET, ["50 bars in a row have no volume, from 2020-04-10 00:00 to 2020-05-29 00:00"]),
        (1.0, 0.0, ["the volume is 0 in every bar"]),
    ],
    ids=["nothing", "a split", "two markets", "silence", "no volume"],
)
def test_what_is_odd_is_said_once_with_its_place(scale: Any, volume: Any, said: list[str]) -> None:
    found = warnings_of(*candles(scale, volume))
    assert len(found) == bool(said), found
    assert all(words in found[0] for words in said), found


def test_real_crashes_are_no_splits(shared_data: Any) -> None:
    import pandas as pd

    files = sorted((shared_data / "spot16").rglob("*.parquet")) + sorted((shared_data / "spot").glob("*-1h.parquet"))
    loud = []
    for file in files:
        frame = pd.read_parquet(file)
        if {"open", "close", "volume"} <= set(frame.columns):
            stamps = np.arange(len(frame), dtype=np.int64) * DAY
            columns = {name: frame[name].to_numpy(float) for name in ("open", "high", "low", "close", "volume")}
            loud += [f"{file.name}: {each}" for each in warnings_of(stamps, columns)]
    # Binance's LINK/USDT did have a low of 0.0001 on one day: a price that nobody can rely on
    assert [each for each in loud if "the low is 1.99e+04 times below open and close" not in each] == []
    assert len(loud) == 1


def test_a_high_or_low_far_from_open_and_close_is_said() -> None:
    stamps, columns = candles()
    columns["high"] = columns["high"] * np.where(np.arange(N) == 9, 100.0, 1.0)
    columns["low"] = columns["low"] / np.where(np.isin(np.arange(N), (20, 30)), 10.0, 1.0)
    assert warnings_of(stamps, columns) == [
        "at 2020-01-10 00:00 the high is 100 times open and close: a wrong price?",
        "at 2020-01-21 00:00 the low is 10 times below open and close, and so in 1 more: a wrong price?",
    ]
