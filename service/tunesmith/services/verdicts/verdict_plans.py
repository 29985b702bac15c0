"""Plans: what a search or a verdict takes, and what a search costs every later verdict, told before it begins."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from tunesmith.compute.decision.checks.candle_age import judge_age
from tunesmith.compute.decision.nulls.counted_search import n_listed
from tunesmith.compute.decision.statistics.levels import draws_of, level_of
from tunesmith.compute.decision.statistics.record_clock import N_DRAWS, TRY
from tunesmith.domain.approval import DataAge
from tunesmith.domain.trading import OWN_ENGINE
from tunesmith.protocol.catalog import Call
from tunesmith.protocol.messages.plans import PlanSearch, PlanVerdict, SearchPlanReply, VerdictPlanReply
from tunesmith.protocol.task_types import OPTIMIZATION
from tunesmith.services.market.market_windows import Window, on_newest_holdout
from tunesmith.services.runtime.context import Context
from tunesmith.services.searches.search_tasks import OptimizationTask, make_search, n_bars_of
from tunesmith.services.strategies.strategy_requests import parse_ref
from tunesmith.services.tasks.task_kinds import load, request_of
from tunesmith.services.verdicts import ledger
from tunesmith.services.verdicts.search_book import book_of, n_counted
from tunesmith.storage.timestamps import milliseconds, now
from tunesmith.workers.chunks.null_payloads import CountedRef


async def plan_search(context: Context, request: PlanSearch, call: Call) -> SearchPlanReply:
    """What a search would take, and cost later verdicts. `not_found`, `invalid` as for the search itself."""
    made = await make_search(context, request)
    task, limits = made.task, context.settings.statistics
    windows = [task.window, *task.others]
    n_points = await context.aside.run(lambda: n_listed(parse_ref(task.strategy), task.plan, task.plan.n_trials))
    per_draw = n_points * _n_bars(context, windows) * context.speeds.ns(task.strategy, OWN_ENGINE) / 1e9
    n_before = await n_counted(context, call.user, windows)
    worst = per_draw * max(N_DRAWS, limits.n_permutations)
    follows = (
        "Ranges around an earlier winner make no weaker claim: on every permuted market they are moved to its own "
        "winner."
        if n_before
        else "It is the first search that counts on this market."
    )
    told = (
        f"{task.plan.n_trials:,} trials by {task.plan.method.replace('_', ' ')}, which later verdicts count as "
        f"{n_points:,} points: up to one more independent try, and {worst:,.1f} s of a worker at worst. {follows}"
    )
    return SearchPlanReply(
        method=task.plan.method,
        n_trials=task.plan.n_trials,
        n_bars=_n_bars(context, windows),
        seconds=made.seconds,
        n_points=n_points,
        verdict_seconds=worst,
        verdict_seconds_typical=per_draw * N_DRAWS,
        tries=1.0,
        n_counted=n_before,
        told=told,
    )


async def plan_verdict(context: Context, request: PlanVerdict, call: Call) -> VerdictPlanReply:
    """What stands behind a verdict on a search. `not_found`; it counts as no search and no look."""
    row = await load(context, request.optimization_id, OPTIMIZATION, "/data/optimization_id")
    task, limits = request_of(row, OptimizationTask), context.settings.statistics
    windows = [await on_newest_holdout(context, window) for window in (task.window, *task.others)]
    users = list(dict.fromkeys([call.user, row.user]))
    ends = [context.market.find(window.symbol, window.timeframe, window.venue).end_ms for window in windows]
    asked = ledger.Asked(windows=windows, end_ms=min(ends))
    look = await ledger.next_look(context, asked, users)
    book = await book_of(context, users, windows, row.id)
    own = book.counted
    n_parts = {search.search_id: _n_parts(search, windows[0]) for search in own}
    eras = {at for search in own for at in search.boundaries} | {windows[0].boundary_ms}
    tries_at_most = len(own) + sum(n_parts.values()) + len(eras) - 1
    lowest = level_of(TRY * tries_at_most, look.number, limits.combined)
    highest = level_of(TRY, look.number, limits.combined)
    n_draws = draws_of(lowest, limits.n_permutations, limits.max_permutations)
    per_draw = await context.aside.run(lambda: _seconds_of(context, book.searches, n_parts, _n_bars(context, windows)))
    worst = per_draw * max(N_DRAWS, n_draws)
    n_own = len(own) - book.n_opened - book.n_related
    counts = "1 search counts" if len(own) == 1 else f"{len(own):,} searches count"
    told = (
        f"{counts}: {n_own:,} of yours, {book.n_opened:,} whose results you opened, "
        f"{book.n_related:,} on markets that move like this one; {len(book.foreign):,} of somebody else may raise p. "
        f"It would be look {look.number} at this hold-out; an approval asks for p of {lowest:.2g} to {highest:.2g} in "
        f"all. The test takes {per_draw * N_DRAWS:,.1f} s of a worker if it is refused soon, {worst:,.1f} "
        "at worst."
    )
    begin_ms = max(each.boundary_ms for each in windows)
    age = DataAge(asked_ms=milliseconds(now()), end_ms=asked.end_ms, boundary_ms=begin_ms, accepted=False)
    if age.is_old:
        told += f" Without accept_old_data it would be refused: {judge_age(age).reason}."
    return VerdictPlanReply(
        n_searches=len(own),
        n_own=n_own,
        n_opened=book.n_opened,
        n_related=book.n_related,
        n_foreign=len(book.foreign),
        n_trials=sum(search.n_made for search in own),
        look=look.number,
        burnt=look.burnt,
        tries_at_most=tries_at_most,
        level_at_least=lowest,
        level_at_most=highest,
        n_draws=n_draws,
        seconds=worst,
        seconds_typical=per_draw * N_DRAWS,
        told=told,
    )


def _n_bars(context: Context, windows: Iterable[Window]) -> int:
    found = [(context.market.find(each.symbol, each.timeframe, each.venue), each) for each in windows]
    return sum(n_bars_of(series, window) for series, window in found)


def _n_parts(search: CountedRef, asked: Window) -> int:
    """On how many other bars than those of the verdict a search was made: it counts once more on each."""
    whole = asked.start_ms, None if asked.withheld else asked.end_ms
    return len({(start_ms, end_ms) for _, _, start_ms, end_ms in search.spans} - {whole})


def _seconds_of(context: Context, searches: Sequence[CountedRef], n_parts: Mapping[str, int], n_bars: int) -> float:
    """Seconds of a worker for one draw; points that several searches tried are evaluated once, but counted here."""
    total = 0.0
    for search in searches:
        n = len(search.listed)
        if search.plan is not None:
            n = n_listed(parse_ref(search.strategy), search.plan, search.n_made)
        n *= 1 + n_parts.get(search.search_id, 0)
        total += n * n_bars * context.speeds.ns(search.strategy, OWN_ENGINE) / 1e9
    return total
