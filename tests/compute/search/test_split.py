"""Where the hold-out begins."""

from __future__ import annotations

import numpy as np

from tunesmith.compute.search.split import default_boundary, split_at
from tunesmith.domain.market.bars import Bars

HOUR = 3_600_000


def hourly(n: int, length: str = "1h", step: int = HOUR) -> Bars:
    flat = np.full(n, 100.0)
    columns = {"open": flat, "high": flat, "low": flat, "close": flat, "volume": flat}
    return Bars.from_arrays(np.arange(n, dtype=np.int64) * step, columns, symbol="A/B", timeframe=length)


def test_the_last_share_of_the_bars_is_held_out() -> None:
    bars = hourly(100)
    split = split_at(bars, default_boundary(bars, 0.3))
    assert (split.in_stop, split.out_start, split.n_in_sample) == (70, 70, 70)


def test_a_bar_across_the_boundary_belongs_to_neither_part() -> None:
    split = split_at(hourly(10, "4h", 4 * HOUR), boundary_ms=18 * HOUR)
    assert split.in_stop == 4  # the bar from 16 to 20 o'clock is open at the boundary
    assert split.out_start == 5


def test_bars_before_the_first_one_only_warm_up() -> None:
    split = split_at(hourly(100), 70 * HOUR, first=20)
    assert split.n_in_sample == 50
    assert split_at(hourly(100), 70 * HOUR, first=80).n_in_sample == 0
    assert split_at(hourly(100), 70 * HOUR, first=80).out_start == 80


def test_a_slice_is_a_copy_without_what_lies_beyond_it() -> None:
    bars = hourly(100)
    part = bars.slice(0, 70)
    assert part.close.base is None
    assert len(part) == 70
    assert part.bars_per_year == bars.bars_per_year
