"""Approval criteria and constraints as bounds on metrics."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from tunesmith.domain.approval import ApprovalCriteria
from tunesmith.domain.metrics import metric_named
from tunesmith.errors import FieldError, Invalid


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


MAX_CONSTRAINTS = 32
"""How many constraints a search may have."""

_CONSTRAINT = re.compile(r"\s*([A-Za-z_]\w*)\s*(>=|<=)\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*", re.ASCII)


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


def parse_constraint(text: str, path: str) -> Bound:
    """The bound that a text such as "n_trades >= 30" or "drawdown <= 0.3" sets.

    Raises `Invalid` at `path` for another form, an unknown metric and a limit that is not finite.
    """
    match = _CONSTRAINT.fullmatch(text[:256])
    if match is None:
        raise Invalid(f"{text[:80]!r} is no constraint; write a metric, >= or <=, and a number", path=path)
    metric, sign, limit = match.groups()
    if not math.isfinite(float(limit)):
        raise Invalid(f"{limit[:80]} is too large a limit", path=path)
    return Bound(" ".join(match.groups()), metric_named(metric, path), float(limit), sign == ">=")


def parse_constraints(texts: Sequence[str], path: str = "/data/constraints") -> tuple[Bound, ...]:
    """The bounds of a list of constraints on any metrics, each as `parse_constraint` takes it; all must be kept.

    Raises `Invalid` with a path for each refused text.
    """
    if len(texts) > MAX_CONSTRAINTS:
        raise Invalid(f"at most {MAX_CONSTRAINTS} constraints are allowed, got {len(texts)}", path=path)
    found: list[Bound] = []
    errors: list[FieldError] = []
    for i, text in enumerate(texts):
        try:
            found.append(parse_constraint(text, f"{path}/{i}"))
        except Invalid as error:
            errors.extend(error.errors)
    if errors:
        raise Invalid(errors[0].message, errors=tuple(errors))
    return tuple(found)


def trial_bounds(
    given: ApprovalCriteria | Sequence[str] | None, approval: ApprovalCriteria, path: str = "/data/constraints"
) -> list[Bound]:
    """What a trial must keep: as `given`, and `approval`'s least number of trades where nothing is said of it."""
    floor = search_floor(approval)
    if given is None or isinstance(given, ApprovalCriteria):
        return bounds(merge(given, floor))
    asked = parse_constraints(given, path)
    own = {bound.metric for bound in asked}
    return [*asked, *(bound for bound in bounds(floor) if bound.metric not in own)]


def keeps(bound: Bound, value: float | None) -> bool:
    """Whether a metric's value keeps the bound; an undefined one does not."""
    if value is None or math.isnan(value):
        return False
    return value >= bound.limit if bound.at_least else value <= bound.limit


def is_lossless(metrics: Mapping[str, float | None]) -> bool:
    """Whether trades were closed and every one of them won: the profit factor is then infinite, and NaN in the table.

    Of several markets the metrics are those that were made one: only where all won is the share of winners 1.
    """
    factor, n, won = (metrics.get(name) for name in ("profit_factor", "n_trades", "win_rate"))
    undefined = factor is None or math.isnan(factor)
    return undefined and n is not None and n > 0.0 and won == 1.0


def merge(asked: ApprovalCriteria | None, defaults: ApprovalCriteria) -> ApprovalCriteria:
    """`asked`, with the defaults where it is silent."""
    if asked is None:
        return defaults
    values = {name: getattr(asked, name) for name in ApprovalCriteria.__struct_fields__}
    return ApprovalCriteria(
        **{name: getattr(defaults, name) if value is None else value for name, value in values.items()}
    )
