"""The gates against what nobody can trade, through the daemon's handlers: what is kept, published, and not spent."""

from __future__ import annotations

import asyncio
from pathlib import Path

from services.decision_house import decided, grow, open_court, searched
from services.verdicts.test_several_symbols import n_looks
from tunesmith.protocol.canonical import canonical_hash


def test_the_package_tells_the_spread_that_its_verdict_was_made_with(tmp_path: Path) -> None:
    async def main() -> None:
        grow(tmp_path, "EDGE/USDT", 7, 0.8)
        async with open_court(tmp_path) as house:
            verdict = await decided(house, optimization_id=await searched(house, "EDGE/USDT"))
            assert verdict["approved"], verdict["reason"]
            estimate = verdict["evidence"]["spread"]["estimates"]["EDGE/USDT"]
            assert set(estimate) == {"estimate", "error", "least_told", "used", "roll", "first_alone"}
            package = verdict["parameter_package"]
            assert package["spread"] == estimate["used"]
            assert package["costs"]["fee_rate"] == 0.001
            assert package["package_id"] == canonical_hash({k: v for k, v in package.items() if k != "package_id"})
            assert (await house.ask("package.latest", symbol="EDGE/USDT"))["package"] == package
            late = verdict["evidence"]["delay"]
            in_time = verdict["evidence"]["metrics"]["in_sample"]
            assert 0.4 * in_time["timing_sharpe"] <= late["timing_sharpe"] != in_time["timing_sharpe"]
            told = verdict["explanations"]["delay_timing_sharpe"]
            assert told["question"] == "it still earns when orders come one bar later"

    asyncio.run(main())


def test_a_search_that_fills_at_the_close_is_refused_and_spends_no_look(tmp_path: Path) -> None:
    async def main() -> None:
        grow(tmp_path, "EDGE/USDT", 7, 0.8)
        async with open_court(tmp_path) as house:
            verdict = await decided(house, optimization_id=await searched(house, "EDGE/USDT", fill="close"))
            assert verdict["verdict"] == "rejected"
            assert "search again with fill: next_open, or ask for approval by criteria" in verdict["reason"]
            assert "in_sample" not in verdict["evidence"]["metrics"]
            assert await n_looks(house) == {}

    asyncio.run(main())
