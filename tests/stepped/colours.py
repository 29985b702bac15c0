"""Long after a rising bar, short after a falling one; flat in its place where `both` is off."""

from __future__ import annotations

from tunesmith.compute.stepping import Stepped, enter_long, enter_short, hold, leave
from tunesmith.domain.parameters import Parameter


def step(state, account, bar, point):
    if bar.close > bar.open:
        return enter_long()
    if bar.close < bar.open:
        return enter_short() if point[0] == 1.0 else leave()
    return hold()


STRATEGY = Stepped(
    id="colours", version="1", parameters=(Parameter(name="both", kind="bool", default=True),), step=step
)
