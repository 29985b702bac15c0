"""Check: every search that counts, on permuted markets; how often one of them finds something as good there.

Searches count, not verdicts: whoever searches wide, narrows down and asks for the winner has made all of these tries.
"""

from __future__ import annotations

import math
from typing import Any

from tunesmith.compute.decision.checks.check_declaration import (
    DecisionCheck,
    Explanation,
    Requests,
    Work,
    ask_by_symbol,
    line,
    number,
)
from tunesmith.compute.decision.checks.search_permutations import SYMBOLS
from tunesmith.compute.decision.inputs import DecisionInputs, Findings, WorkRequest
from tunesmith.compute.decision.statistics.levels import draws_of, least_level, level_of
from tunesmith.compute.decision.statistics.record_clock import TRY
from tunesmith.domain.approval import Check

WAIT_FOR_BARS = (
    "Searching more on this market makes it harder: every further search counts as another try, and ranges around an "
    "earlier winner do not make a weaker claim. What helps is more bars: a longer history, or new ones as they close."
)


def judge(inputs: DecisionInputs, findings: Findings) -> Requests:
    """Judge whether enough of the market's error budget is left, then the winner's p-value among all searches."""
    limits = inputs.thresholds
    counted = yield WorkRequest(COUNTED.name)
    ticks, look = counted["ticks"], inputs.ledger.look
    level = level_of(ticks, look, limits.combined)
    n_draws = draws_of(level, limits.n_permutations, limits.max_permutations)
    findings.evidence["limit"] = {"level": level, "n_draws": n_draws, "look": look, "ticks": ticks}
    budget = _budget(counted, look, level, least_level(n_draws))
    if not budget.passed:
        return [budget]
    real = number(counted["t"])
    by_symbol = yield from ask_by_symbol(inputs, SYMBOLS)
    found = yield WorkRequest(SEARCHES.name, n_draws, limits.stop_at, real, by_symbol)
    p = found["p"]
    reason = (
        f"on {found['n_reached']:,} of {found['n']:,} shuffled versions of this market one of these searches found "
        f"something as good (p = {p:.3g}, limit {limits.search:g})"
    )
    if found["n_foreign"]:
        reason += (
            f"; {found['n_foreign']:,} of somebody else that tried these parameters, or nearly so, had a say in it"
        )
    asks = "none of the searches that count finds anything as good in permuted markets"
    return [budget, line("searches", "in_sample", asks, p, limits.search, p <= limits.search, reason)]


def say_searches(counted: dict[str, Any]) -> str:
    """How many searches count on a market, whose they are, and what they amount to."""
    parts = [f"{counted['n_own']:,} of yours"]
    if counted["n_opened"]:
        parts.append(f"{counted['n_opened']:,} whose results you opened")
    if counted["n_related"]:
        parts.append(f"{counted['n_related']:,} on markets that move like this one")
    n = counted["n"]
    tries = math.ceil(10 * counted["ticks"] / TRY) / 10
    noun, counts = ("search", "counts") if n == 1 else ("searches", "count")
    amount = "one independent try" if tries == 1.0 else f"{tries:g} independent tries"
    they = "it counts as" if n == 1 else "they count as"
    return f"{n:,} {noun} on this market {counts} ({', '.join(parts)}); {they} {amount}"


def _budget(counted: dict[str, Any], look: int, level: float, least: float) -> Check:
    tries = counted["ticks"] / TRY
    reason = f"{say_searches(counted)}; at look {look} at this hold-out an approval asks for p <= {level:.2g} in all"
    passed = level >= least
    if not passed:
        reason += (
            f", and its draws can show no less than {least:.2g}: the error budget of this market is spent for you; "
            "bars that close from now on renew the hold-out, not the count"
        )
    return line("tries", "in_sample", "some of the market's error budget is left", tries, None, passed, reason)


COUNTED = Work(name="counted", segment="in_sample", kept_in="evidence", of_searches=True, progress_share=0.2)
SEARCHES = Work(
    name="searches",
    segment="in_sample",
    kept_in="evidence",
    p_value="search",
    of_searches=True,
    progress_share=0.8,
)

CHECK = DecisionCheck(
    name="searches",
    question="every search that counts, on permuted markets",
    segment="in_sample",
    judge=judge,
    works=(COUNTED, SEARCHES),
    limits=("search", "combined", "n_permutations", "max_permutations", "stop_at"),
    evidence=("limit",),
    explanations={
        "tries": Explanation("the first permuted markets, for each search once", WAIT_FOR_BARS),
        "searches": Explanation("every search that counts, on every permuted market", WAIT_FOR_BARS),
    },
    editions=frozenset({2}),
    summary=lambda findings: f"search p = {findings.p['search']:.3g}",
)
