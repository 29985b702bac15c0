"""What a search would cost, said before it starts: points times bars times what one point takes on one bar.

The last factor is measured while searches run, for each strategy's code and engine; until then it is assumed.
"""

from __future__ import annotations

from collections.abc import Sequence

from tunesmith.domain.search.stop_rules import StopRules
from tunesmith.errors import Invalid
from tunesmith.services.market.market_windows import Window
from tunesmith.services.market.payload_building import Assignment
from tunesmith.services.runtime.context import Context


def n_bars_of(context: Context, window: Window) -> int:
    """The bars of a window, as far as that is known without reading them."""
    series = context.market.find(window.symbol, window.timeframe, window.venue)
    return max(1, series.n_bars_from(window.start_ms) - series.n_bars_from(window.end_ms))


def seconds_of(context: Context, of: Assignment, n_trials: int, n_bars: int, stop: StopRules | None = None) -> float:
    """Seconds of one worker for so many trials on so many bars; a search that ends by time takes no longer."""
    seconds = n_trials * n_bars * context.speeds.ns(of.strategy, of.window.engine) / 1e9
    limit = stop.time_budget_s if stop is not None else None
    return seconds if limit is None else min(seconds, limit)


def check_search(
    context: Context, of: Assignment, n_trials: int, n_bars: int, stop: StopRules | None = None, *, path: str
) -> float:
    """The seconds of one worker that a search needs by estimate; raises `Invalid` when they exceed the budget."""
    seconds, budget_s = seconds_of(context, of, n_trials, n_bars, stop), context.settings.limits.search_budget_s
    if seconds <= budget_s:
        return seconds
    speeds, engine = context.speeds, of.window.engine
    how = "measured" if speeds.is_measured(of.strategy, engine) else "assumed"
    raise Invalid(
        f"{n_trials:,} trials on {n_bars:,} bars need about {seconds:,.0f} s of a worker "
        f"({speeds.ns(of.strategy, engine):.3g} ns for a trial and bar, {how}); the budget is {budget_s:,.0f} s: "
        "narrow the ranges, widen the steps, shorten the dates, or use another method with max_iterations",
        path=path,
    )


def check_session(context: Context, seconds: Sequence[float]) -> None:
    """Raise `Invalid` when the searches of a session together need more than its budget."""
    total, budget_s = sum(seconds), context.settings.limits.session_budget_s
    if total > budget_s:
        raise Invalid(
            f"{len(seconds):,} searches need about {total:,.0f} s of a worker; the budget of a session is "
            f"{budget_s:,.0f} s: make it smaller, or several",
            path="/data/size",
        )
