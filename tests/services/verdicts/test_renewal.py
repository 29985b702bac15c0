"""A hold-out that was used up, and what newer bars change: the whole way from the market to the verdict."""

from __future__ import annotations

import asyncio
from pathlib import Path

from services.decision_house import N_BARS, RULE, decided, grow, open_court, searched
from storage.opened import made_as_they_closed
from tunesmith.services.market.market_windows import boundary_of
from tunesmith.storage.timestamps import iso

SYMBOL = "M/USDT"


def test_what_was_used_up_can_be_proven_on_newer_bars_alone(tmp_path: Path) -> None:
    async def main() -> None:
        grow(tmp_path, SYMBOL, 7, 0.8)
        async with open_court(tmp_path) as house:
            old = await searched(house, SYMBOL)
            first = await decided(house, optimization_id=old)
            assert (first["verdict"], first["evidence"]["ledger"]["look"]) == ("approved", 1), first["reason"]
            before = (await house.ask("data.list"))["data"][0]["withheld_from"]
            looked = await house.ask("backtest.start", symbol=SYMBOL, strategy_id=RULE, use_holdout=True)
            await house.ended(looked["task_id"])
            other = await searched(house, SYMBOL, optimization_target="return")
            burnt = await decided(house, optimization_id=other)
            assert burnt["verdict"] == "insufficient_data"
            assert "used up" in burnt["reason"]
            await house.context.database.write(made_as_they_closed)
            grow(tmp_path, SYMBOL, 7, 0.8, (N_BARS, N_BARS + 99))
            status = await house.ask("optimization.status", optimization_id=await searched(house, SYMBOL))
            assert status["withheld_from"] == before, "one bar is missing"
            grow(tmp_path, SYMBOL, 7, 0.8, (N_BARS + 99, N_BARS + 220))
            again = await decided(house, optimization_id=other)
            assert again["evidence"]["ledger"] == {"look": 1, "burnt": None}
            assert again["verdict"] != "insufficient_data", again["reason"]
            begins = iso(await boundary_of(house.context, "local", SYMBOL))
            [listed] = (await house.ask("data.list"))["data"]
            newer = await house.ask("optimization.status", optimization_id=await searched(house, SYMBOL))
            assert listed["withheld_from"] == newer["withheld_from"] == begins > before
            held_out = {check["name"]: check["value"] for check in again["checks"]}["holdout_bars"]
            assert held_out == 220.0
            for verdict in (first, again):
                replay = await house.ask("verdict.replay", verdict_id=verdict["verdict_id"])
                await house.ended(replay["task_id"])
                found = await house.ask("replay.status", task_id=replay["task_id"])
                assert found["equal"], found

    asyncio.run(main())
