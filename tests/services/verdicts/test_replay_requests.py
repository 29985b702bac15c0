"""Verdicts made again from their evidence: the same to the bit, and what is said where they are not."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest

from services.decision_house import decided, grow, open_court, searched
from services.search_house import House
from tunesmith.errors import Conflict, Invalid, NotFound
from tunesmith.services.verdicts import evidence, replay_requests
from tunesmith.storage.tables import holdout_table, verdict_table


async def replayed(house: House, **which: str) -> dict[str, Any]:
    """What the replay came to."""
    asked = await house.ask("verdict.replay", **which)
    await house.ended(asked["task_id"])
    found = await house.ask("replay.status", task_id=asked["task_id"])
    assert found["status"] == "completed", found
    return found


def test_ten_verdicts_are_equal_to_the_bit_on_another_number_of_workers(tmp_path: Path) -> None:
    async def main() -> None:
        made: list[dict[str, Any]] = []
        async with open_court(tmp_path, n_workers=2) as house:
            for seed, edge in enumerate([0.0, 0.0, 0.0, 0.3, 0.3, 0.6, 0.6, 0.6]):
                symbol = f"M{seed}/USDT"
                grow(tmp_path, symbol, seed, edge)
                search = await searched(house, symbol)
                made.append(await decided(house, optimization_id=search))
                if edge == 0.6 and len(made) < 10:
                    made.append(await decided(house, optimization_id=search, approval_criteria={"min_sharpe": 50.0}))
            looks = await house.context.database.fetch_all("SELECT * FROM holdout_looks")
        assert len(made) >= 10
        assert {"approved", "rejected"} <= {verdict["verdict"] for verdict in made}
        async with open_court(tmp_path, n_workers=1) as house:
            for verdict in made:
                found = await replayed(house, verdict_id=verdict["verdict_id"])
                assert (found["equal"], found["differences"], found["changed"]) == (True, [], []), verdict["reason"]
                assert found["n_compared"] > 50
            assert await house.context.database.fetch_all("SELECT * FROM holdout_looks") == looks
            assert (await house.ask("verdict.list"))["total"] == len(made)

    asyncio.run(main())


def test_a_package_is_replayed_by_its_verdict_and_so_is_one_by_criteria(tmp_path: Path) -> None:
    async def main() -> None:
        grow(tmp_path, "M/USDT", 7, 0.8)
        async with open_court(tmp_path) as house:
            tested = await decided(house, optimization_id=await searched(house, "M/USDT"))
            assert tested["grade"] == "tested", tested["reason"]
            found = await replayed(house, package_id=tested["parameter_package"]["package_id"])
            assert (found["equal"], found["verdict_id"]) == (True, tested["verdict_id"])
            backtest = await house.ask("backtest.start", symbol="M/USDT", strategy_id="ma_cross_v1.0")
            await house.ended(backtest["task_id"])
            kept = await decided(house, backtest_id=backtest["task_id"])
            before = await holdout_table.last_seen(house.context.database, [("local", "M/USDT")], 0)
            again = await replayed(house, verdict_id=kept["verdict_id"])
            assert again["equal"], again
            assert await holdout_table.last_seen(house.context.database, [("local", "M/USDT")], 0) == before
            [n_looks] = await house.context.database.fetch_all(
                "SELECT count(*) FROM holdout_looks WHERE task_id = ?", (kept["verdict_id"],)
            )
            assert n_looks[0] <= 2

    asyncio.run(main())


def test_other_numbers_are_listed_and_those_of_the_hold_out_only_as_far_as_they_may_be_shown(tmp_path: Path) -> None:
    async def main() -> None:
        grow(tmp_path, "M/USDT", 7, 0.8)
        async with open_court(tmp_path, holdout=0.001) as house:
            verdict = await decided(house, optimization_id=await searched(house, "M/USDT"))
            assert not verdict["approved"]
            shown = verdict["evidence"]
            assert (set(shown["p"]), shown["limit"]["look"]) == ({"search"}, 1)
            assert set(shown["metrics"]) == {"in_sample", "costs"}
            assert {"holdout_permutations", "incumbent"} & set(shown) == set()
            assert [check["value"] for check in shown["checks"] if check["segment"] in ("holdout", "all")] == [None]
            listed = (await house.ask("verdict.list"))["verdicts"]
            assert [each["evidence"] for each in listed] == [None]
            row = await verdict_table.get(house.context.database, verdict["verdict_id"])
            assert row is not None
            other = msgspec.json.decode(msgspec.json.encode(row.evidence))
            other["p"]["search"] = 0.5
            other["metrics"]["holdout"]["sharpe"] = 99.0
            other["engine"] = "0" * 64
            text = msgspec.json.encode(other).decode()
            sql = "UPDATE verdicts SET evidence = ? WHERE id = ?"
            await house.context.database.write(lambda conn: conn.execute(sql, (text, row.id)))
            found = await replayed(house, verdict_id=row.id)
            assert not found["equal"]
            told = {each["path"]: (each["was"], each["found"]) for each in found["differences"]}
            assert told == {
                "/p/search": (0.5, row.evidence["p"]["search"]),
                "/metrics/holdout/sharpe": (None, None),
            }
            assert ["program" in line for line in found["changed"]] == [True]

    asyncio.run(main())


def test_on_other_bars_nothing_is_compared(tmp_path: Path) -> None:
    async def main() -> None:
        grow(tmp_path, "M/USDT", 7, 0.0)
        async with open_court(tmp_path) as house:
            verdict = await decided(house, optimization_id=await searched(house, "M/USDT"))
            grow(tmp_path, "M/USDT", 7, 0.0, (1200, 1300))
            assert (await replayed(house, verdict_id=verdict["verdict_id"]))["equal"], "newer bars change nothing"
            store = house.context.market
            series = store.find("M/USDT", "1d", "local")
            bars = store.load("local", "M/USDT", "1d")
            row = (int(bars.timestamp[3]), 90.0, 91.0, 89.0, 90.5, 1.0)
            store.import_rows([row], symbol="M/USDT", timeframe="1d", venue=series.venue, replace=True)
            found = await replayed(house, verdict_id=verdict["verdict_id"])
            assert not found["equal"]
            assert {each["path"] for each in found["differences"]} == {"/data_hash", "/in_sample_hash"}
            assert "not those" in found["changed"][0]

    asyncio.run(main())


def test_what_cannot_be_replayed_is_refused(tmp_path: Path) -> None:
    async def main() -> None:
        grow(tmp_path, "M/USDT", 7, 0.0)
        async with open_court(tmp_path) as house:
            with pytest.raises(Invalid, match="either"):
                await house.ask("verdict.replay")
            with pytest.raises(NotFound):
                await house.ask("verdict.replay", verdict_id="vd-1")
            with pytest.raises(NotFound):
                await house.ask("verdict.replay", package_id="0" * 64)
            with pytest.raises(NotFound):
                await house.ask("replay.status", task_id=await searched(house, "M/USDT"))
            verdict = await decided(house, optimization_id=await searched(house, "M/USDT"))
            sql = "UPDATE verdicts SET evidence = '{}' WHERE id = ?"
            await house.context.database.write(lambda conn: conn.execute(sql, (verdict["verdict_id"],)))
            with pytest.raises(Conflict, match="earlier version"):
                await house.ask("verdict.replay", verdict_id=verdict["verdict_id"])

    asyncio.run(main())


def test_comparing_tells_kinds_signs_and_what_is_missing() -> None:
    was = {"a": 1.0, "b": [0.0, None], "c": {}, "version": "1"}
    assert evidence.compare(was, dict(was, version="2")).differences == []
    found = evidence.compare(was, {"a": 1, "b": [-0.0, None], "d": 2})
    assert found.n == 5
    assert found.differences == [(("a",), 1.0, 1), (("b", 0), 0.0, -0.0), (("c",), {}, None), (("d",), None, 2)]
    assert replay_requests.KIND.wire.name == "replay"
