"""What the kernels read and write: tuples of arrays of one type each, and the columns of their rows.

Notation: n points, T bars. Tuples of equal members compile quickly and cost nothing to unpack.
"""

from __future__ import annotations

from typing import NamedTuple

from tunesmith.domain.array_types import Floats, Ints, Words


class Market(NamedTuple):
    """Prices, float64[T] each."""

    open: Floats
    high: Floats
    low: Floats
    close: Floats


class Conditions(NamedTuple):
    """Signals of n points, uint64[n, W] each: one bit a bar (see `masks`), W = ceil(T / 64), no bits after T.

    A side that is not traded may be uint64[0, 0].
    """

    enter_long: Words
    exit_long: Words
    enter_short: Words
    exit_short: Words


class Limits(NamedTuple):
    """Per point, float64[n] each: distances as fractions of the entry price (NaN: none), and bars (0: no limit)."""

    stop_loss: Floats
    take_profit: Floats
    trailing_stop: Floats
    max_holding: Floats


class LimitPrices(NamedTuple):
    """Absolute levels read at the bar of the signal, float64[n, T] each (NaN: none); float64[0, 0] where unused.

    Bars that do not enter may hold anything.
    """

    stop_loss: Floats
    take_profit: Floats
    trailing_stop: Floats


class Block(NamedTuple):
    """Everything that a block of n points asks for."""

    conditions: Conditions
    limits: Limits
    prices: LimitPrices


class Terms(NamedTuple):
    """Costs and rules of filling, float64 each.

    Flags are 0 or 1: `at_open` fills at the next bar's open, else at the close; `trades_long`, `trades_short`; `skips`
    jumps over stretches without orders. `start` is the first bar whose signals count. `ruin` is the cash at which an
    account that holds nothing is ruined: it opens no position any more (see `domain.trading.RUIN`).
    """

    fee_rate: float
    slippage_rate: float
    fixed_fee: float
    initial_cash: float
    at_open: float
    trades_long: float
    trades_short: float
    skips: float
    start: float
    ruin: float


class Sides(NamedTuple):
    """Which sides may be traded, 1 or 0."""

    long: float
    short: float


class FilledOrder(NamedTuple):
    """One filled order: a row of `Results.orders`."""

    bar: float
    side: float
    size: float
    price: float
    fee: float
    reason: float


class Fill(NamedTuple):
    """Where an order of a point is filled: the bar of its signals, and that of the fill."""

    point: int
    signal_bar: int
    bar: int


class Stretch(NamedTuple):
    """Bars `first` to `stop` - 1 on which nothing is ordered; `start` is the first bar of the account."""

    first: int
    stop: int
    start: int


class TrailingLevels(NamedTuple):
    """What closes a position with a trailing stop; the fraction and the distance are NaN where there is none."""

    stop: float
    target: float
    fraction: float
    distance: float


class Trades(NamedTuple):
    """Trades found before they are accounted for: `times` int64[m, 2], bar of entry and of exit (T: still open), and
    the price that each sells at before slippage, `sales` float64[m]."""

    times: Ints
    sales: Floats


class Tables(NamedTuple):
    """Range queries over one market of T bars; see `range_tables` for their use.

    A node is a row (max, min, drawdown) over a stretch of closes. B = T / 16 blocks, B / 16 pages.
    sums        float64[T + 1, 8]   prefix sums of returns, squares and negative squares, each as a float and what
                                    rounding took from it; one cache line a row
    head, tail  float64[T, 3]       node from the block's first bar to this one, and from this one to its last
    ranges      float64[B, 2]       lowest low and highest high
    blocks      float64[B, 3]       node of the block
    block_head, block_tail  float64[B, 3]   node from the page's first block to this one, and from this one to its last
    pages       float64[B / 16, 3]  node of the page
    covers      float64[7, 2 B]     row k: max and min of the 2^k blocks from each block on
    lows, highs  float64[T + 64]    of each bar, and then NaN: 64 may be read from any bar on
    changes      float64[T]         return of the closes over each bar, 0 over the first
    """

    sums: Floats
    head: Floats
    tail: Floats
    ranges: Floats
    blocks: Floats
    block_head: Floats
    block_tail: Floats
    pages: Floats
    covers: Floats
    lows: Floats
    highs: Floats
    changes: Floats


class Results(NamedTuple):
    """Filled by the kernels. `totals` float64[n, N_TOTALS] is always written, its columns are named below;
    float64[n, N_TIMED_TOTALS] has the sums of timing returns written too.

    `orders` float64[m, N_ORDER_FIELDS] takes the orders of all points in the order of filling, while it has room.
    `marks` float64[2, T - start] takes equity and position at each bar's close, of the last point; float64[2, 0]: not
    kept. `ambiguous` float64[1, k] takes the ambiguous bars while it has room. `state` float64[N_STATE] is the account
    that the kernel works on, see `account`.
    """

    totals: Floats
    orders: Floats
    marks: Floats
    ambiguous: Floats
    state: Floats


(
    FINAL_EQUITY,
    SUM_RETURNS,
    SUM_SQUARES,
    SUM_DOWNSIDE_SQUARES,
    MAX_DRAWDOWN,
    N_TRADES,
    N_WINS,
    GROSS_PROFIT,
    GROSS_LOSS,
    N_EXPOSED,
    N_AMBIGUOUS,
    N_ORDERS,
) = range(12)
N_TOTALS = 12

SUM_WEIGHTS, SUM_PRODUCTS = range(12, 14)
N_TIMED_TOTALS = 14
"""Two columns more for who asks for timing returns. SUM_WEIGHTS adds up the position's value as a share of equity at
each close, below 0 when short; SUM_PRODUCTS the net return times the market's, whose first is 0: nothing is held before
the first close."""

ORDER_BAR, ORDER_SIDE, ORDER_SIZE, ORDER_PRICE, ORDER_FEE, ORDER_REASON = range(6)
N_ORDER_FIELDS = 6
"""Side is +1 for a buy and -1 for a sale; price is what was paid, with slippage; fee is all fees in cash."""

REASONS = ("entry", "exit", "max_holding", "stop_loss", "trailing_stop", "take_profit", "liquidation")
ENTRY, EXIT, MAX_HOLDING, STOP_LOSS, TRAILING_STOP, TAKE_PROFIT, LIQUIDATION = range(7)
