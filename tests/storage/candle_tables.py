"""Tables of candles, and stores that they are brought into."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd

from tunesmith.protocol.messages.markets import ImportReport
from tunesmith.storage.market.market_store import MarketStore

HOUR = 3_600_000
START = 1_704_067_200_000
NAMES: dict[str, Any] = {"symbol": "BTC/USDT", "timeframe": "1h"}


def table(hours: range = range(48), seed: int = 0) -> pd.DataFrame:
    """Candles of these hours; the same hour has the same candle in every table of a seed."""
    rng = np.random.default_rng(seed)
    opened, close = 100 + rng.random((2, 1000))[:, hours.start : hours.stop]
    return pd.DataFrame(
        {
            "date": pd.to_datetime(START + HOUR * np.array(hours), unit="ms", utc=True),
            "open": opened,
            "high": np.maximum(opened, close) + 1,
            "low": np.minimum(opened, close) - 1,
            "close": close,
            "volume": 1.0,
        }
    )


def write(path: Path, frame: pd.DataFrame) -> Path:
    if ".csv" in path.name:
        frame.to_csv(path, index=False)
    elif path.suffix == ".parquet":
        frame.to_parquet(path)
    else:
        frame.to_feather(path)
    return path


def bring(store: MarketStore, frame: pd.DataFrame, **more: Any) -> ImportReport:
    with TemporaryDirectory() as folder:
        path = write(Path(folder) / "import.parquet", frame.reset_index(drop=True))
        return store.import_file(path, **{**NAMES, **more})


def without(frame: pd.DataFrame, *rows: int) -> pd.DataFrame:
    return frame.drop(index=list(rows))
