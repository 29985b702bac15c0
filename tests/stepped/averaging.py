"""Cost averaging: buys more, in growing lots, each time the price has fallen far enough below the average paid.

A position begins at once whenever the account is flat. Each further entry is `growth` times the one before, once the
close lies `drop` below the average price. All is sold when the close lies `gain` above it; a stop lies `risk` below.
"""

from __future__ import annotations

from tunesmith.compute.stepping import Sizing, Stepped, enter_long, hold, leave
from tunesmith.domain.parameters import Parameter

FAR_BELOW = 1.0


def below(price, fraction):
    return price * (FAR_BELOW - fraction)


def step(state, account, bar, point):
    drop, gain, growth, risk = point[0], point[1], point[2], point[3]
    if account.position == 0.0:
        state[0] = 1.0
        return enter_long(stop=below(bar.close, risk))
    stop = below(account.average_price, risk)
    if bar.close > account.average_price * (1.0 + gain):
        return leave()
    if bar.close < below(account.average_price, drop) and account.n_entries > state[1]:
        state[0] *= growth
        state[1] = account.n_entries
        return enter_long(state[0], stop)
    if account.n_entries == 1.0:
        state[1] = 0.0
    return hold(stop)


STRATEGY = Stepped(
    id="averaging_v1.0",
    version="1.0",
    name="Cost Averaging",
    parameters=(
        Parameter(name="drop", kind="float", default=0.02, low=0.001, high=0.2, doc="fall before the next entry"),
        Parameter(name="gain", kind="float", default=0.01, low=0.001, high=0.2, doc="rise at which all is sold"),
        Parameter(name="growth", kind="float", default=1.5, low=1.0, high=3.0, doc="each entry over the one before"),
        Parameter(name="risk", kind="float", default=0.2, low=0.01, high=0.9, doc="the stop below the average price"),
        Parameter(name="entries", kind="int", default=4, low=1, high=10, doc="entries of one position at most"),
        Parameter(name="share", kind="float", default=0.1, low=0.01, high=1.0, doc="of the equity, in the first entry"),
    ),
    step=step,
    sizing=Sizing("fraction", "share"),
    max_entries="entries",
)
