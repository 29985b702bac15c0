"""Approval criteria as bounds on metrics."""

from __future__ import annotations

import math
from typing import NamedTuple

from tunesmith.domain.messages.verdicts import ApprovalCriteria


class Bound(NamedTuple):
    """`metric` must be at least `limit`, or at most; `name` is the criterion's name in a request."""

    name: str
    metric: str
    limit: float
    at_least: bool


CRITERIA: tuple[tuple[str, str, bool], ...] = (
    ("min_trades", "n_trades", True),
    ("min_return", "total_return", True),
    ("min_sharpe", "sharpe", True),
    ("max_drawdown", "max_drawdown", False),
    ("min_win_rate", "win_rate", True),
    ("min_profit_factor", "profit_factor", True),
)
"""Criterion, the metric that it bounds, and whether from below."""

DEFAULT_CRITERIA = ApprovalCriteria(
    min_sharpe=0.5, max_drawdown=0.35, min_return=0.0, min_trades=10, min_win_rate=0.0, min_profit_factor=1.0
)
"""What an approval asks where nobody says; the section `decision` of the settings has the same defaults."""

HOLDOUT_SHARE = 0.3
"""Share of the bars, the newest, that no search receives, where nobody says."""

MIN_BARS = 50
"""Bars that a decision needs on either side of the hold-out's boundary, where nobody says."""


def search_floor(approval: ApprovalCriteria) -> ApprovalCriteria:
    """What a search asks of a trial when the request does not say, of what an approval asks by default.

    It is the number of trades: too few make any statistic meaningless.
    """
    return ApprovalCriteria(min_trades=approval.min_trades)


def bounds(criteria: ApprovalCriteria) -> list[Bound]:
    """The bounds that `criteria` sets, in the table's order."""
    return [
        Bound(name, metric, float(limit), at_least)
        for name, metric, at_least in CRITERIA
        if (limit := getattr(criteria, name)) is not None
    ]


def keeps(bound: Bound, value: float | None) -> bool:
    """Whether a metric's value keeps the bound; an undefined one does not."""
    if value is None or math.isnan(value):
        return False
    return value >= bound.limit if bound.at_least else value <= bound.limit


def merge(asked: ApprovalCriteria | None, defaults: ApprovalCriteria) -> ApprovalCriteria:
    """`asked`, with the defaults where it is silent."""
    if asked is None:
        return defaults
    values = {name: getattr(asked, name) for name in ApprovalCriteria.__struct_fields__}
    return ApprovalCriteria(
        **{name: getattr(defaults, name) if value is None else value for name, value in values.items()}
    )
