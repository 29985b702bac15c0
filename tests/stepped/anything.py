"""Orders at random, of every kind, that depend on all that a step can see: for comparing simulators."""

from __future__ import annotations

import math

from tunesmith.compute.stepping import Orders, Stepped
from tunesmith.domain.parameters import Parameter


def draw(state):
    """The next number of a generator kept in the state, 0 to 1."""
    state[0] = (state[0] * 1103515245.0 + 12345.0) % 2147483648.0
    return state[0] / 2147483648.0


def step(state, account, bar, point):
    if state[1] == 0.0:
        state[0], state[1] = point[0], 1.0
    state[2] += bar.volume
    leaning = 0.2 if account.last_profit < 0.0 else 0.0
    enter = 0.0
    leave = 0.0
    weight = 1.0
    luck = draw(state)
    if luck < point[1]:
        enter = 1.0 if draw(state) + leaning < 0.6 else -1.0
        weight = math.floor(draw(state) * 4.0) / 2.0
    elif luck < point[1] * 1.7 and account.n_entries > 0.0:
        leave = (0.25, 0.5, 1.0)[int(draw(state) * 3.0)]
    stop = math.nan
    target = math.nan
    distance = point[2] * (1.0 + account.n_trades % 3.0)
    side = 1.0 if account.position + enter >= 0.0 else -1.0
    if draw(state) < 0.6:
        stop = bar.close * (1.0 - side * distance)
    if draw(state) < 0.6 and bar.number % 2.0 == 0.0:
        target = bar.close * (1.0 + side * distance)
    return Orders(enter, weight, leave, stop, target)


STRATEGY = Stepped(
    id="anything",
    version="1",
    parameters=(
        Parameter(name="seed", kind="int", default=1, low=0, high=1_000_000),
        Parameter(name="density", kind="float", default=0.2, low=0.0, high=1.0),
        Parameter(name="distance", kind="float", default=0.02, low=0.0, high=1.0),
    ),
    step=step,
)
