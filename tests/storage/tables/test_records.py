"""Reports, searches, verdicts, stored replies and hold-outs."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.opened import add_optimization, add_report, add_task, add_verdict, over_database
from tunesmith.errors import Internal, NotFound
from tunesmith.storage.sqlite.database import Database
from tunesmith.storage.tables import holdout_table, optimization_table, reply_table, report_table, verdict_table
from tunesmith.storage.tables.optimization_table import Best
from tunesmith.storage.timestamps import iso, now

KEY = ("ann", "bot", "req-1")


@over_database
async def test_a_report_comes_back_whole_and_its_summary_without_the_large_parts(database: Database) -> None:
    report = await database.write(lambda conn: add_report(conn, "r1", task_id="t1"))
    assert await report_table.get(database, "r1") == report
    summary = await report_table.summary(database, "r1")
    assert summary is not None
    assert {name: getattr(report, name) for name in summary.__struct_fields__} == {
        name: getattr(summary, name) for name in summary.__struct_fields__
    }
    assert await report_table.of_task(database, "t1") == summary
    assert await report_table.get(database, "r2") is None
    columns = await database.fetch_one("SELECT sharpe_ratio, max_drawdown, total_return FROM backtest_reports")
    assert columns is not None
    assert tuple(columns) == (1.5, 0.2, 0.4)


@over_database
async def test_reports_are_listed_newest_first_by_what_they_are_of(database: Database) -> None:
    await database.write(lambda conn: add_optimization(conn, "o1"))
    await database.write(lambda conn: add_report(conn, "r1"))
    await database.write(lambda conn: add_report(conn, "r2", symbol="ETH/USDT"))
    await database.write(lambda conn: add_report(conn, "r3", optimization_id="o1"))
    rows, total = await report_table.listing(database)
    assert ([row.id for row in rows], total) == (["r3", "r2", "r1"], 3)
    rows, total = await report_table.listing(database, symbol="BTC/USDT", limit=1)
    assert ([row.id for row in rows], total) == (["r3"], 2)
    rows, total = await report_table.listing(database, optimization_id="o1", strategy_id="ma_cross_v1.0")
    assert ([row.id for row in rows], total) == (["r3"], 1)


@over_database
async def test_a_report_must_name_a_known_strategy_version(database: Database) -> None:
    with pytest.raises(Internal, match="FOREIGN KEY"):
        await database.write(lambda conn: add_report(conn, "r1", strategy_version="9"))


@over_database
async def test_a_search_its_result_and_what_came_of_it(database: Database) -> None:
    await database.write(lambda conn: add_optimization(conn, "o1"))
    await database.write(lambda conn: optimization_table.link(conn, "o1", report_id="r1"))
    await database.write(lambda conn: optimization_table.link(conn, "o1", verdict_id="v1"))
    search = await optimization_table.get(database, "o1")
    assert search is not None
    assert search.n_done == 0
    assert (search.report_id, search.verdict_id) == ("r1", "v1")
    assert search.param_ranges == {"fast_period": {"min": 5, "max": 60}}
    with pytest.raises(NotFound):
        await database.write(lambda conn: optimization_table.link(conn, "o2", report_id="r1"))
    assert await optimization_table.result(database, "o1") is None
    for score in (1.0, 2.0):
        await database.write(
            lambda conn, s=score: optimization_table.set_result(conn, "o1", Best({"fast_period": 7}, s, 3))
        )
    result = await optimization_table.result(database, "o1")
    assert result is not None
    assert (result.best_params, result.best_score, result.best_index) == ({"fast_period": 7}, 2.0, 3)


@over_database
async def test_a_search_needs_its_task(database: Database) -> None:
    await database.write(lambda conn: add_optimization(conn, "o1"))
    with pytest.raises(Internal, match="FOREIGN KEY"):
        await database.write(lambda conn: conn.execute("DELETE FROM tasks WHERE id = 'o1'"))


@over_database
async def test_verdicts(database: Database) -> None:
    await database.write(lambda conn: add_optimization(conn, "o1"))
    first = await database.write(lambda conn: add_verdict(conn, "v1", optimization_id="o1"))
    await database.write(lambda conn: add_verdict(conn, "v2", verdict="approved", grade="criteria", symbol="ETH/USDT"))
    assert await verdict_table.get(database, "v1") == first
    assert await verdict_table.get(database, "v3") is None
    rows, total = await verdict_table.listing(database, limit=1)
    assert ([row.id for row in rows], total) == (["v2"], 2)
    rows, total = await verdict_table.listing(database, symbol="BTC/USDT", strategy_id="ma_cross_v1.0", venue="local")
    assert (rows, total) == ([first], 1)
    with pytest.raises(Internal, match="CHECK"):
        await database.write(lambda conn: add_verdict(conn, "v3", verdict="perhaps"))


@over_database
async def test_a_reply_is_stored_once(database: Database) -> None:
    assert await reply_table.lookup(database, *KEY) is None
    await database.write(lambda conn: reply_table.store(conn, KEY, "backtest.start", "hash", '{"a":1}'))
    first = await reply_table.lookup(database, *KEY)
    assert first is not None
    assert (first.type, first.body_hash, first.reply) == ("backtest.start", "hash", '{"a":1}')
    await database.write(lambda conn: reply_table.store(conn, KEY, "backtest.start", "other", '{"a":2}'))
    assert await reply_table.lookup(database, *KEY) == first
    assert await reply_table.lookup(database, "bob", "bot", "req-1") is None
    assert await reply_table.lookup(database, "ann", "", "req-1") is None


@over_database
async def test_old_replies_are_forgotten(database: Database) -> None:
    await database.write(lambda conn: reply_table.store(conn, KEY, "x", "hash", "{}"))
    assert await database.write(lambda conn: reply_table.forget(conn, "2020-01-01T00:00:00.000Z")) == 0
    assert await database.write(lambda conn: reply_table.forget(conn, "2999-01-01T00:00:00.000Z")) == 1
    assert await reply_table.lookup(database, *KEY) is None


@over_database
async def test_a_hold_out_s_boundary_never_moves(database: Database) -> None:
    assert await holdout_table.boundary(database, "local", "BTC/USDT") is None
    assert await database.write(lambda conn: holdout_table.set_boundary(conn, "local", "BTC/USDT", 1000)) == 1000
    assert await database.write(lambda conn: holdout_table.set_boundary(conn, "local", "BTC/USDT", 2000)) == 1000
    assert await database.write(lambda conn: holdout_table.set_boundary(conn, "binance", "BTC/USDT", 3000)) == 3000
    assert await holdout_table.boundary(database, "local", "BTC/USDT") == 1000


HELD_OUT = set(range(20, 100))


def bars(span: tuple[int, int]) -> set[int]:
    return set(range(*span))


spans = st.tuples(st.integers(0, 40), st.integers(1, 20)).map(lambda s: (s[0], s[0] + s[1]))


@settings(max_examples=30, deadline=None)
@given(st.lists(spans, max_size=6), spans)
def test_looks_are_recorded_as_far_as_they_reach_into_the_hold_out(
    seen: list[tuple[int, int]], asked: tuple[int, int]
) -> None:
    boundary = min(HELD_OUT)

    @over_database
    async def main(database: Database) -> None:
        await database.write(lambda conn: holdout_table.set_boundary(conn, "local", "BTC/USDT", boundary))
        for span in seen:
            look = await database.write(
                lambda conn, s=span: holdout_table.record_look(conn, "local", "BTC/USDT", s, "ann", "backtest", None)
            )
            assert (look is not None) == bool(bars(span) & HELD_OUT)
        found = await holdout_table.looks(database, [("local", "BTC/USDT")], *asked)
        expected = [(max(a, boundary), b) for a, b in seen if bars((a, b)) & HELD_OUT & bars(asked)]
        assert [(look.start_ms, look.end_ms) for look in found] == expected
        assert {look.boundary_ms for look in found} <= {boundary}
        assert await holdout_table.looks(database, [("binance", "BTC/USDT")], *asked) == []

    with tempfile.TemporaryDirectory() as folder:
        main(Path(folder))


@over_database
async def test_without_a_boundary_there_is_nothing_to_look_at(database: Database) -> None:
    span = (0, 100)
    look = await database.write(
        lambda conn: holdout_table.record_look(conn, "local", "BTC/USDT", span, "ann", "verdict", None)
    )
    assert look is None


def test_times_are_iso_8601_with_milliseconds() -> None:
    assert iso(0) == "1970-01-01T00:00:00.000Z"
    assert iso(1_704_067_200_123) == "2024-01-01T00:00:00.123Z"
    assert iso(0) < now() < iso(32_503_680_000_000)


@over_database
async def test_sqlite_s_own_times_look_like_ours(database: Database) -> None:
    await database.write(lambda conn: add_task(conn, "t1"))
    row = await database.fetch_one("SELECT strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), created_at FROM tasks")
    assert row is not None
    assert len(row[0]) == len(row[1])
    assert row[0] >= row[1]
