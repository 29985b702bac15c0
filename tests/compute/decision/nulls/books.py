"""Books of searches for tests: small ranges of two texts on markets without an edge."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from benchmarks.made_markets import walk
from tunesmith.compute.decision.nulls.counted_search import CountedSearch, Ground
from tunesmith.compute.decision.nulls.null_plan import Counted, SearchTest, count_searches, run_inline, search_p_value
from tunesmith.compute.decision.nulls.null_vectors import USUAL_CUT, Cut, Nulls
from tunesmith.compute.rules.strategy import Strategy
from tunesmith.compute.search.search import Market
from tunesmith.compute.simulation.execution import Execution
from tunesmith.domain.array_types import Floats
from tunesmith.domain.search.search_plan import SearchPlan
from tunesmith.domain.trading import Costs

AVERAGES = """
fast = Int(5, 2, 60)
slow = Int(30, 5, 200)
require(fast < slow)
enter_long(crossed_above(sma(close, fast), sma(close, slow)))
exit_long(crossed_below(sma(close, fast), sma(close, slow)))
"""
FILTERED = """
fast = Int(5, 2, 60)
slow = Int(30, 5, 200)
strength = Int(0, 0, 100)
require(fast < slow)
enter_long(crossed_above(sma(close, fast), sma(close, slow)) and rsi(close, 14) >= strength)
exit_long(crossed_below(sma(close, fast), sma(close, slow)))
"""
RULE = Strategy.parse(AVERAGES, id="averages")
OTHER = Strategy.parse(FILTERED, id="filtered")
EXECUTION = Execution(Costs(fee_rate=0.001))
CHEAP = Execution(Costs(fee_rate=0.0))

WIDE = {"fast": {"min": 2, "max": 8, "step": 2}, "slow": {"min": 5, "max": 17, "step": 4}}
NARROW = {"fast": {"min": 2, "max": 4, "step": 2}, "slow": {"min": 7, "max": 11, "step": 2}}


def ground(n_bars: int = 260, seed: int = 7, n_markets: int = 1, *, first: int = 0, aggregate: Any = "mean") -> Ground:
    """Markets without an edge, daily, that move independently of one another."""
    rng = np.random.default_rng(seed)
    markets = tuple(Market(f"M{i}", walk(rng, n_bars), EXECUTION, first) for i in range(n_markets))
    return Ground({"1d": markets}, aggregate, b"a key of thirty-two bytes, secret", 1_700_000_000_000)


def searched(name: str, ranges: dict[str, Any], seen: Iterable[str] = (), **more: Any) -> CountedSearch:
    """A search that was made; `more` are members of the search or of its plan."""
    members = {key: more.pop(key) for key in ("rule", "execution", "draws_only_p", "era_ms", "n_made") if key in more}
    plan = SearchPlan(**{"target": "sharpe", "method": "grid", "n_trials": 10_000, "ranges": ranges, **more})
    rule, execution = members.pop("rule", RULE), members.pop("execution", EXECUTION)
    n_made = members.pop("n_made", plan.n_trials)
    return CountedSearch(name, rule, plan, execution, "1d", n_made, seen=frozenset(seen), **members)


def tried(
    name: str, points: Sequence[Sequence[float]] | Floats, seen: Iterable[str] = (), **more: Any
) -> CountedSearch:
    """Single backtests that were made."""
    rule, execution = more.pop("rule", RULE), more.pop("execution", EXECUTION)
    listed = np.array(points, np.float64)
    return CountedSearch(name, rule, None, execution, "1d", len(listed), listed, frozenset(seen), **more)


def counted(book: Sequence[CountedSearch], on: Ground, known: Nulls | None = None, cut: Cut = USUAL_CUT) -> Counted:
    """The book, counted here and now."""
    return run_inline(count_searches(book, known or {}, cut), book, on)


def p_value_of(
    book: Sequence[CountedSearch],
    on: Ground,
    made: Counted,
    asked_id: str,
    *,
    point: Floats | None = None,
    t: float | None = None,
    n_draws: int = 99,
    stop_at: int = 1000,
) -> SearchTest:
    """The p-value of the best trial of a search, or of another point."""
    best = made.nulls[asked_id]
    x = best.best_point if point is None else point
    plan = search_p_value(book, made, x, asked_id, best.best if t is None else t, n_draws, stop_at)
    return run_inline(plan, book, on)
