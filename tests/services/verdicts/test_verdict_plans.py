"""Plans of searches and verdicts: they tell what counts and what it takes, and store nothing."""

from __future__ import annotations

import asyncio
from pathlib import Path

from services.decision_house import RANGES, RULE, grow, open_court, searched
from tunesmith.compute.decision.statistics.levels import level_of
from tunesmith.compute.decision.statistics.record_clock import TRY

MARKET = "NOISE/USDT"


def test_a_search_and_a_verdict_say_what_counts_before_they_begin(tmp_path: Path) -> None:
    async def main() -> None:
        grow(tmp_path, MARKET, seed=1, edge=0.0)
        async with open_court(tmp_path) as house:
            asked = {"symbol": MARKET, "timeframe": "1d", "strategy_id": RULE, "param_ranges": RANGES, "method": "grid"}
            before = await house.ask("search.plan", **asked)
            assert before["n_counted"] == 0
            assert before["n_points"] == before["n_trials"] > 1
            assert 0.0 < before["verdict_seconds_typical"] <= before["verdict_seconds"]

            first = await searched(house, MARKET)
            learning = {**asked, "method": "tpe", "max_iterations": 5}
            planned = await house.ask("search.plan", **learning)
            assert planned["n_counted"] == 1, "the plan itself was stored, or the search was not"
            assert (planned["n_trials"], planned["n_points"]) == (5, before["n_points"]), "a learner counts as its box"

            one = await house.ask("verdict.plan", optimization_id=first)
            assert (one["n_searches"], one["n_own"], one["look"], one["burnt"]) == (1, 1, 1, None)
            await searched(house, MARKET)
            two = await house.ask("verdict.plan", optimization_id=first)
            limits = house.context.settings.statistics
            assert two["tries_at_most"] == two["n_searches"] == 1, "the same grid again is the same search"
            assert two["level_at_least"] == two["level_at_most"] == level_of(TRY, 1, limits.combined)
            await searched(house, MARKET, start_date="2018-01-01")
            three = await house.ask("verdict.plan", optimization_id=first)
            assert (three["n_searches"], three["tries_at_most"]) == (2, 3), "on other bars it counts once more"
            assert three["level_at_least"] == level_of(3 * TRY, 1, limits.combined) < three["level_at_most"]

    asyncio.run(main())
