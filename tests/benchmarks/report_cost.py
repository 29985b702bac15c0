"""What one backtest with its report costs, beside vectorbt's own `from_signals` and `stats()` in the same run.

    python tests/benchmarks/report_cost.py [--runs 15]

The market is ../shared/data's BTC/USDT, 71,769 bars of five minutes. Both sides trade the same signals of the same
rule, warm, in turns; vectorbt gets an index without a time zone and the signals as they are. Ours simulates, traces
every order, has vectorbt replay the orders, compares all numbers and makes the whole report. The exit code is 1 when a
median ratio is above 3.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pandas as pd

import tunesmith as ts
from tunesmith.compute.engines.vectorbt_loading import load_vectorbt
from tunesmith.compute.rules.binding import bind
from tunesmith.domain.space import encode_points

CANDLES = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "spot" / "BTC_USDT-5m.parquet"
MUST_RATIO = 3.0
FEE_RATE = 0.001
CASES: dict[str, dict[str, float]] = {"few trades": {}, "many trades": {"signal_threshold": 0.0}}


def theirs(rule: ts.Strategy, bars: ts.Bars, params: dict[str, float]) -> Callable[[], Any]:
    """vectorbt's own account and statistics of the rule's signals, filled at the next open."""
    vectorbt = load_vectorbt()
    signals = bind(rule, bars, encode_points(rule.parameters, params)).signals(0, 1)
    index = pd.to_datetime(bars.timestamp, unit="ms")
    entries, exits = (
        pd.Series(np.concatenate([[False], values[0, :-1] != 0]), index=index)
        for values in (signals.enter_long, signals.exit_long)
    )
    close, price = pd.Series(bars.close, index=index), pd.Series(bars.open, index=index)
    year = pd.Timedelta(365, "D")

    def run() -> Any:
        portfolio = vectorbt.Portfolio.from_signals(
            close, entries=entries, exits=exits, price=price, fees=FEE_RATE, init_cash=10_000.0, freq="5min"
        )
        return portfolio.stats(settings={"year_freq": year})

    return run


def seconds_of(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=15, help="of each side, in turns")
    runs = parser.parse_args().runs
    bars = ts.Bars.read(CANDLES, symbol="BTC/USDT", timeframe="5m")
    rule = ts.strategy("ma_cross_v1.0")
    worst = 0.0
    print(f"one backtest with its report on {len(bars):,} bars, median of {runs} warm runs of each side in turns")
    for name, params in CASES.items():
        stats = theirs(rule, bars, params)

        def report(params: dict[str, float] = params) -> Any:
            return ts.backtest(rule, bars, params, costs=ts.Costs(fee_rate=FEE_RATE), use_holdout=True)

        told, full = stats(), report()
        if int(told["Total Closed Trades"]) != full.stats["Total Closed Trades"] or full.disagreements:
            print(f"  {name}: the two sides do not trade alike: {full.disagreements}")
            return 1
        for work in (stats, report):
            work()
        pairs = [(seconds_of(stats), seconds_of(report)) for _ in range(runs)]
        ratio = median(ours / peer for peer, ours in pairs)
        worst = max(worst, ratio)
        print(
            f"  {name:12s} {len(full.trades):5,} trades   vectorbt {median(p for p, _ in pairs) * 1e3:6.0f} ms"
            f"   ours {median(o for _, o in pairs) * 1e3:6.0f} ms   {ratio:.2f} times vectorbt"
        )
    return int(worst > MUST_RATIO)


if __name__ == "__main__":
    sys.exit(main())
