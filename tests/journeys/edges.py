"""Markets with an edge that is really there, each test's own: what is asked of one counts against the next verdict."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from journeys.daemon import Dealer
from tunesmith.cli.demo.planted import planted_market
from tunesmith.domain.market.bars import Bars
from tunesmith.storage.market.market_folder import MarketFolder

RULE = "ma_cross_v1.0"
EDGE = {"fast_period": {"min": 2, "max": 20}, "slow_period": {"min": 10, "max": 60, "step": 5}, "signal_threshold": 0.0}
"""Ranges in which the planted edge lies: 191 points."""
KEPT = {"fast_period": 4, "slow_period": 20, "signal_threshold": 0.0}
"""Parameters that keep the default criteria in sample and on the hold-out."""
SEED = 20240611
BEGIN = datetime(2019, 1, 1, tzinfo=UTC)
_DEEP = {
    2, 6, 7, 8, 13, 14, 18, 19, 22, 23, 27, 28, 29, 33, 36, 37, 39, 41, 42, 45, 49, 56, 63, 64, 67, 71, 73, 77, 81, 84,
    90, 96,
}  # fmt: skip
"""Seeds whose noise makes the drawdown of `KEPT` nearly as deep as the default criteria allow."""
_numbers = itertools.filterfalse(_DEEP.__contains__, itertools.count(1))


def plant(folder: Path, symbol: str | None = None, *, venue: str = "demo") -> str:
    """Store the planted market's candles, 2,000 days, in a daemon's folder; its symbol, a new one unless it is given.

    Another symbol is another lineage: nobody has asked for a verdict on it, and nobody has seen its hold-out. Its bars
    lie some days later and are disturbed, as the same ones would be known again.
    """
    number = 0 if symbol else next(_numbers)
    name = symbol or f"PLANTED{number}/USDT"
    file = folder / f"planted-{venue}-{name.replace('/', '-')}.csv"
    file.write_text(planted_market(n_bars=2000, seed=SEED, start=BEGIN + number * timedelta(days=1)))
    bars = Bars.read(file, symbol=name, timeframe="1d")
    file.unlink()
    store(folder, disturbed(bars, number) if number else bars, venue=venue)
    return name


def store(folder: Path, bars: Bars, *, venue: str = "demo") -> None:
    """Store bars in a daemon's folder under their symbol."""
    columns = [getattr(bars, name).tolist() for name in ("timestamp", "open", "high", "low", "close", "volume")]
    rows = list(zip(*columns, strict=True))
    MarketFolder(folder / "market").import_rows(rows, symbol=bars.symbol, timeframe=bars.timeframe, venue=venue)


def disturbed(bars: Bars, seed: int) -> Bars:
    """Another market with the same edge: each price is off by noise that leaves no trace in the next.

    The noise adds a quarter of the usual move to each: the moves of both correlate at .97, those of two such at .94.
    """
    size = 0.27 * np.diff(np.log(bars.close)).std() / np.sqrt(2.0)
    after = np.exp(np.random.default_rng(seed).normal(0.0, size, len(bars)))
    before = np.concatenate([[1.0], after[:-1]])
    columns = {
        "open": bars.open * before,
        "high": np.maximum(bars.high * before, bars.high * after),
        "low": np.minimum(bars.low * before, bars.low * after),
        "close": bars.close * after,
        "volume": bars.volume,
    }
    return Bars.from_arrays(bars.timestamp, columns, symbol=bars.symbol, timeframe=bars.timeframe)


def searched(dealer: Dealer, symbol: str, **asked: Any) -> dict[str, Any]:
    """The status of a completed grid search over `EDGE`."""
    request = {"symbol": symbol, "strategy_id": RULE, "param_ranges": EDGE, "method": "grid", **asked}
    started = dealer.data("optimization.start", request)
    found = dealer.until_done("optimization.status", {"optimization_id": started["optimization_id"]})
    assert found["status"] == "completed", found
    return found


def judged(dealer: Dealer, symbol: str) -> dict[str, Any]:
    """The verdict on a search of the planted market: a package of the grade "tested"."""
    asked = {"strategy_id": RULE, "optimization_id": searched(dealer, symbol)["optimization_id"]}
    verdict: dict[str, Any] = dealer.verdict(asked)
    assert (verdict["approved"], verdict["grade"]) == (True, "tested"), verdict["reason"]
    return verdict


def kept(dealer: Dealer, symbol: str, **asked: Any) -> dict[str, Any]:
    """The verdict on a new lone backtest of the planted market: a package of the grade "criteria", quickly made."""
    backtest = {"symbol": symbol, "strategy_id": RULE, "params": KEPT, **asked}
    started = dealer.data("backtest.start", backtest)
    dealer.until_done("backtest.status", {"task_id": started["task_id"]})
    verdict: dict[str, Any] = dealer.verdict({"strategy_id": RULE, "backtest_id": started["task_id"]})
    assert (verdict["approved"], verdict["grade"]) == (True, "criteria"), verdict["reason"]
    return verdict
