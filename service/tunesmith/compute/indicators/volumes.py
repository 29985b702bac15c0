"""Indicators of volume."""

from __future__ import annotations

from tunesmith.compute.graph.graph_builder import GraphBuilder
from tunesmith.compute.indicators.declaration import Indicator, window
from tunesmith.compute.indicators.formulas import share, typical_price
from tunesmith.compute.indicators.row_functions import of_bars
from tunesmith.compute.indicators.window_sums import two_sum_nb
from tunesmith.compute.kernels.compiling import kernel
from tunesmith.domain.array_types import Row


@kernel
def obv_nb(close: Row, volume: Row, out: Row) -> None:
    """On-balance volume: volume added on a higher close, taken off on a lower one; starts with the first (TA-Lib OBV).

    All float64[T]; defined from bar 0 on. Summed in double-double, so that it does not drift.
    """
    total = volume[0]
    rest = 0.0
    out[0] = total
    for t in range(1, len(close)):
        change = volume[t] if close[t] > close[t - 1] else -volume[t] if close[t] < close[t - 1] else 0.0
        total, error = two_sum_nb(total, change)
        rest += error
        out[t] = total + rest


def _mfi(g: GraphBuilder, window: int) -> int:
    typical = typical_price(g)
    before = g.previous(typical)
    flow = g.number("mul", typical, g.column("volume"))
    zero = g.const(0)
    up = g.row("sma", g.number("where", g.condition("gt", typical, before), flow, zero), window)
    down = g.row("sma", g.number("where", g.condition("lt", typical, before), flow, zero), window)
    return share(g, up, g.number("add", up, down))


DECLARED = (
    Indicator(
        "obv",
        "volume",
        (),
        "on-balance volume",
        look_back="0",
        inputs=("close", "volume"),
        rows=(of_bars("obv", obv_nb, 0, "volume"),),
    ),
    Indicator(
        "mfi",
        "volume",
        (window(14),),
        "money flow index, 0 to 100: the share of volume at rising typical prices",
        look_back="n",
        formula=_mfi,
    ),
)
