"""The registry of checks, in the order in which a decision makes them: cheap first.

The plan, the workers, the evidence of a verdict, the notebook and `explain` read it and know no check by name.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from tunesmith.compute.decision.checks import (
    better_than_holding,
    candle_age,
    combined_p_value,
    counted_searches,
    data_gate,
    error_budget,
    fill_price,
    held_out_bars,
    higher_costs,
    late_fills,
    neighbours,
    package_in_force,
    search_permutations,
    spread_costs,
    symbols_alone,
    trial_bootstrap,
    user_bounds,
    vectorbt_agreement,
)
from tunesmith.compute.decision.checks.check_declaration import DecisionCheck, Explanation, Work
from tunesmith.compute.decision.inputs import EDITION
from tunesmith.compute.decision.reported_statistics import report_of
from tunesmith.domain.thresholds import Thresholds
from tunesmith.errors import Internal

REPORT = Work(name="report", segment="in_sample", run=lambda winner, inputs: report_of(winner), kept_in="evidence")
"""Classical statistics beside a decision that is not refused; none of them is judged."""

_CHECKS: list[DecisionCheck] = []


class ShownNames(NamedTuple):
    """Names within a verdict's evidence that may be shown before an approval."""

    evidence: frozenset[str]
    metrics: frozenset[str]
    p: frozenset[str]


def register(check: DecisionCheck, *, before: str | None = None) -> None:
    """Add a check before the one of that name, or after all others.

    Raises `ValueError` for a name that is taken, a limit that `Thresholds` does not have, work on the hold-out in a
    check whose figures are shown before an approval, and a status `insufficient_data`, whose reason is shown, for
    anything but the data.
    """
    names = [each.name for each in _CHECKS]
    works = {work.name for work in _works()}
    lines = {name for each in _CHECKS for name in each.explanations}
    taken = [
        *({check.name} & set(names)),
        *({work.name for work in check.works} & works),
        *(set(check.explanations) & lines),
    ]
    if taken:
        raise ValueError(f"the check {check.name!r} uses names that are taken: {', '.join(taken)}")
    unknown = set(check.limits) - set(Thresholds.__struct_fields__)
    if unknown:
        raise ValueError(f"the check {check.name!r} names limits that Thresholds lacks: {', '.join(sorted(unknown))}")
    if check.shown and any(work.sees_holdout for work in check.works):
        raise ValueError(f"the check {check.name!r} sees the hold-out; its segment must be 'holdout' or 'all'")
    if check.fails_as == "insufficient_data" and check.segment != "data":
        raise ValueError(f"the check {check.name!r} may not fail as insufficient_data, which shows its reason")
    _CHECKS.insert(len(_CHECKS) if before is None else names.index(before), check)


def unregister(name: str) -> None:
    """Take a check out again. Raises `KeyError`."""
    _CHECKS.remove(check_named(name))


def registered(edition: int = EDITION) -> tuple[DecisionCheck, ...]:
    """Every check of a decision of that edition, in order."""
    return tuple(check for check in _CHECKS if edition in check.editions)


def check_named(name: str) -> DecisionCheck:
    """The check of that name. Raises `KeyError`."""
    for check in _CHECKS:
        if check.name == name:
            return check
    raise KeyError(name)


def work_named(name: str) -> Work:
    """The work of that name. Raises `Internal` where no check of this process declares it."""
    for work in _works():
        if work.name == name:
            return work
    raise Internal(f"no registered check declares the work {name!r}")


def check_of_line(name: str) -> DecisionCheck | None:
    """The check that a line of a verdict belongs to; None where it is not registered (any more)."""
    return next((check for check in _CHECKS if name in check.explanations), None)


def explanation_of(name: str) -> Explanation | None:
    """What a person is told of a line of a verdict; None where its check is not registered (any more)."""
    check = check_of_line(name)
    return None if check is None else check.explanations[name]


def shown_before_approval() -> ShownNames:
    """What of a verdict's evidence may be shown before an approval: what no work on the hold-out has a part in."""
    works = [work for work in _works() if not work.sees_holdout]
    checks = [check for check in _CHECKS if check.shown]
    return ShownNames(
        evidence=frozenset(
            [work.name for work in works if work.kept_in == "evidence"]
            + [name for check in checks for name in check.evidence]
        ),
        metrics=frozenset(work.name for work in works if work.kept_in == "metrics"),
        p=frozenset(
            [work.p_value for work in works if work.p_value is not None]
            + [name for check in checks for name in check.p_values]
        ),
    )


def progress_within(work: Work, edition: int = EDITION) -> tuple[float, float]:
    """Where a decision's progress stands when the work begins, from 0 to 1, and the work's share of it."""
    shares = {each.name: each.progress_share for check in registered(edition) for each in check.works}
    total = sum(shares.values())
    names = list(shares)
    before = sum(shares[name] for name in names[: names.index(work.name)])
    return before / total, shares[work.name] / total


def _works() -> Iterator[Work]:
    for check in _CHECKS:
        yield from check.works
    yield REPORT


for _check in (
    data_gate.CHECK,
    candle_age.CHECK,
    fill_price.CHECK,
    user_bounds.CHECK,
    better_than_holding.CHECK,
    higher_costs.CHECK,
    neighbours.CHECK,
    spread_costs.CHECK,
    late_fills.CHECK,
    trial_bootstrap.CHECK,
    search_permutations.CHECK,
    counted_searches.CHECK,
    held_out_bars.CHECK,
    combined_p_value.CHECK,
    error_budget.CHECK,
    symbols_alone.CHECK,
    package_in_force.CHECK,
    vectorbt_agreement.CHECK,
):
    register(_check)
