"""What the journeys with sessions share: two markets, a session over both, and its whole table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from journeys.conftest import SAMPLE
from journeys.daemon import Dealer, wait_until
from tunesmith.storage.market.market_folder import MarketFolder

SMALL_CHUNKS = {"TUNESMITH_WORKERS__CHUNK_TRIALS": "50"}
SMALL: dict[str, Any] = {
    "symbols": ["BTC/USDT", "ETH/USDT"],
    "strategies": ["ma_cross_v1.0", "rsi_reversion"],
    "mode": "exhaustive",
    "param_ranges": {
        "ma_cross_v1.0": {"fast_period": [3, 5, 8], "slow_period": {"min": 20, "max": 40}, "signal_threshold": 0.0},
        "rsi_reversion": {"period": {"min": 5, "max": 25}, "oversold": [20, 30], "stop": 0.05},
    },
    "constraints": ["n_trades >= 5"],
}
LONG: dict[str, Any] = {
    "symbols": ["BTC/USDT", "ETH/USDT"],
    "strategies": ["ma_cross_v1.0"],
    "mode": "exhaustive",
    "param_ranges": {
        "ma_cross_v1.0": {
            "fast_period": {"min": 2, "max": 60},
            "slow_period": {"min": 61, "max": 200},
            "signal_threshold": 0.0,
        }
    },
}


def import_two_markets(folder: Path) -> None:
    """The real sample, and the same bars under another name from the 300th on."""
    store = MarketFolder(folder / "market")
    store.import_file(SAMPLE, symbol="BTC/USDT", timeframe="1h", venue="demo")
    bars = store.load("demo", "BTC/USDT", "1h").slice(300, 10**9)
    columns = [getattr(bars, name).tolist() for name in ("timestamp", "open", "high", "low", "close", "volume")]
    rows = list(zip(*columns, strict=True))
    store.import_rows(rows, symbol="ETH/USDT", timeframe="1h", venue="demo")


def generate(dealer: Dealer, request: dict[str, Any] = SMALL) -> str:
    made: str = dealer.data("session.generate", request)["session_id"]
    return made


def execute(dealer: Dealer, session_id: str, **more: Any) -> dict[str, Any]:
    """Execute a session and wait for its end."""
    dealer.data("session.execute", {"session_id": session_id, **more})
    return dealer.until_done("session.status", {"session_id": session_id, "detailed": True})


def wait_for_trials(dealer: Dealer, session_id: str, n_trials: int = 1) -> None:
    """Wait until so many trials are stored."""
    status: dict[str, Any] = {}

    def begun() -> bool:
        status.update(dealer.data("session.status", {"session_id": session_id}))
        return bool(status["n_done"] >= n_trials)

    wait_until(begun, 60.0, lambda: f"it did not come that far: {status}")


def table_of(dealer: Dealer, session_id: str) -> list[dict[str, Any]]:
    """Every trial of every search in their order, without the searches' ids, and how each search ended."""
    status = dealer.data("session.status", {"session_id": session_id, "detailed": True})
    table: list[dict[str, Any]] = []
    for item in status["items"]:
        told = ("number", "symbol", "strategy_id", "n_trials", "n_done", "status", "best_score", "best_params")
        table.append({name: item[name] for name in told})
        offset, total = 0, 1
        while offset < total:
            asked = {"optimization_id": item["optimization_id"], "sort": "index", "limit": 1000, "offset": offset}
            page = dealer.data("optimization.results", asked)
            offset, total = offset + 1000, page["total"]
            table += page["trials"]
    return table
