"""The book of a verdict: what counts in it, in which order, and who had seen what when a search began."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from services.book_house import importing, open_book, pair
from services.verdict_house import EDGE, NOISE
from tunesmith.errors import NotFound
from tunesmith.services.verdicts.search_book import book_again, book_of, evidence_of, null_keys
from tunesmith.storage.sqlite.connections import Connection
from tunesmith.storage.tables import counted_table, optimization_table

NARROW = {"param_ranges": {"fast": [9, 10, 11], "slow": [58, 60]}}


def test_a_search_has_seen_what_was_visible_before_it_began(tmp_path: Path) -> None:
    async def main() -> None:
        async with open_book(tmp_path) as house:
            await house.begin("wide")
            await house.begin("blind", seed=1)  # nothing of the first was visible yet
            await house.trials("wide", 1)
            await house.begin("seeing", seed=2)
            await house.trials("wide", 5, start=1)
            await house.trials("seeing", 6)
            await house.trials("blind", 6)
            await house.ended("last", **NARROW)
            await house.begin("no trial yet", seed=3)
            book = await house.book("last")
            assert house.seen(book) == {
                "wide": [],
                "blind": [],
                "seeing": ["wide"],
                "last": ["wide", "blind", "seeing"],
            }
            assert house.told(book.by_user["ann"]) == ["wide", "blind", "seeing", "last"]
            assert house.told([book.asked_id]) == ["last"]
            assert [search.n_made for search in book.searches] == [6] * 4
            assert (book.n_opened, book.n_related, book.foreign) == (0, 0, [])

    asyncio.run(main())


def test_all_planned_trials_of_a_search_count_that_was_cancelled_or_goes_on(tmp_path: Path) -> None:
    async def main() -> None:
        async with open_book(tmp_path) as house:
            task_id = await house.begin("cut short")
            await house.trials("cut short", 2, start=2)  # two workers: the second was faster
            assert await house.context.tasks.cancel(task_id)
            await house.ended("last", **NARROW)
            book = await house.book("last")
            assert [search.n_made for search in book.searches] == [6, 6]
            await house.begin("goes on", seed=1)
            await house.trials("goes on", 1)
            assert [search.n_made for search in (await house.book("goes on")).searches] == [6, 6, 6]


@pytest.mark.parametrize(
    ("stopped_by", "n_counted"), [("time_budget", 4), ("target_reached", 6), ("no_improvement", 6)]
)
def test_all_planned_trials_count_unless_the_clock_ended_the_search(
    tmp_path: Path, stopped_by: str, n_counted: int
) -> None:
    async def main() -> None:
        async with open_book(tmp_path) as house:
            task_id = await house.begin("ended early")
            await house.trials("ended early", 4)

            async def end(conn: Connection) -> None:
                best = optimization_table.Best({"fast": 9, "slow": 58}, 1.0, 0)
                await optimization_table.set_result(conn, task_id, best, None, stopped_by)
                await conn.execute("UPDATE tasks SET status = 'completed' WHERE id = ?", (task_id,))

            await house.context.database.write(end)
            await house.ended("last", **NARROW)
            book = await house.book("last")
            assert [search.n_made for search in book.searches] == [n_counted, 6]

    asyncio.run(main())


def test_single_backtests_of_one_text_and_execution_are_one_search(tmp_path: Path) -> None:
    async def main() -> None:
        async with open_book(tmp_path) as house:
            await house.ended("wide")
            await house.point("first", 7)
            await house.ended("between", **NARROW)
            await house.point("again", 7)
            await house.point("second", 8)
            await house.point("dear", 8, costs={"fee_rate": 0.01})
            refused = await house.house.ask("backtest.start", user="ann", symbol=NOISE, strategy_id="averages")
            await house.house.context.tasks.cancel(refused["task_id"])
            book = await house.book("between")
            assert house.told(book.by_user["ann"]) == ["wide", "first", "between", "dear"]
            pool = book.searches[1]
            assert (pool.plan, pool.n_made) == (None, 2)
            assert pool.listed == [{"fast": 7, "slow": 50}, {"fast": 8, "slow": 50}]
            assert house.told(pool.tasks) == ["first", "again", "second"]
            assert house.told(pool.seen) == ["wide"]
            assert house.told(book.searches[2].seen) == ["wide", "first"]

    asyncio.run(main())


def test_the_same_search_again_is_one_line(tmp_path: Path) -> None:
    async def main() -> None:
        async with open_book(tmp_path) as house:
            await house.ended("first", method="random", max_iterations=6)
            await house.ended("again", method="random", max_iterations=6)
            await house.ended("for return", method="random", max_iterations=6, optimization_target="total_return")
            await house.ended("other seed", method="random", max_iterations=6, seed=1)
            await house.ended("bob's", "bob", method="random", max_iterations=6)
            await house.ended("learns", method="genetic", max_iterations=6)
            await house.ended("learns for return", method="genetic", max_iterations=6, optimization_target="calmar")
            book = await house.book("again")
            assert house.told([search.search_id for search in book.counted]) == [
                "first",
                "other seed",
                "learns",
                "learns for return",
            ]
            assert house.told(book.searches[0].tasks) == ["first", "again", "for return"]
            assert house.told([book.asked_id]) == ["first"]

    asyncio.run(main())


def test_results_of_another_count_from_when_they_were_opened(tmp_path: Path) -> None:
    async def main() -> None:
        async with open_book(tmp_path) as house:
            hidden = await house.ended("bob's", "bob")
            await house.ended("before")
            database = house.context.database
            assert await database.write(lambda conn: counted_table.open_for(conn, "ann", [hidden])) == [hidden]
            await house.ended("after", **NARROW)
            book = await house.book("after")
            assert house.seen(book) == {"bob's": [], "before": [], "after": ["bob's", "before"]}
            assert house.told(book.by_user["ann"]) == ["before", "bob's", "after"]
            assert (book.n_opened, book.foreign) == (1, [])
            both = await house.book("after", "bob", "ann")
            assert house.told(both.by_user["bob"]) == ["bob's"]
            assert house.told(both.by_user["ann"]) == ["before", "bob's", "after"]
            assert both.n_opened == 0

    asyncio.run(main())


def test_searches_of_others_are_foreign_if_they_were_visible_before(tmp_path: Path) -> None:
    async def main() -> None:
        async with open_book(tmp_path) as house:
            await house.ended("before", "bob")
            await house.ended("other market", "bob", EDGE)
            await house.begin("while", "carl")
            await house.begin("asked", **NARROW)
            await house.trials("asked", 6)
            await house.trials("while", 6)
            await house.ended("after", "bob", seed=4)
            book = await house.book("asked")
            assert house.told([search.search_id for search in book.counted]) == ["asked"]
            assert house.told([search.search_id for search in book.foreign]) == ["before"]
            assert book.by_user == {"ann": [house.names["asked"]]}
            assert book.foreign[0].seen == []

    asyncio.run(main())


@pytest.mark.parametrize(("correlation", "counts"), [(0.9, True), (-0.9, True), (0.4, False)])
def test_searches_on_a_related_market_count(tmp_path: Path, correlation: float, counts: bool) -> None:
    async def main() -> None:
        async with open_book(tmp_path) as house:
            for symbol, bars in zip(("ONE", "TWO"), pair(correlation), strict=True):
                importing(house.house, symbol, bars)
            await house.ended("elsewhere", symbol="TWO")
            await house.point("point elsewhere", 7, symbol="TWO")
            await house.ended("hidden", "bob", symbol="TWO")
            await house.ended("unrelated", symbol=EDGE)
            await house.ended("asked", symbol="ONE", **NARROW)
            book = await house.book("asked")
            expected = ["elsewhere", "point elsewhere", "asked"] if counts else ["asked"]
            assert house.told([search.search_id for search in book.counted]) == expected
            assert house.told([search.search_id for search in book.foreign]) == ["hidden"] * counts
            assert book.n_related == 2 * counts

    asyncio.run(main())


def test_the_market_counts_under_its_other_names_and_on_other_bars_of_the_time_only(tmp_path: Path) -> None:
    async def main() -> None:
        async with open_book(tmp_path) as house:
            bars, _ = pair(0.0)
            importing(house.house, "ONE", bars)
            importing(house.house, "COPY", bars)
            await house.ended("copy", symbol="COPY")
            await house.ended("slow bars", symbol="ONE", timeframe="2d")
            await house.ended("long ago", symbol="ONE", end_date="2011-01-01")
            await house.ended("foreign copy", "bob", symbol="COPY")
            await house.ended("asked", symbol="ONE", start_date="2011-06-01", **NARROW)
            book = await house.book("asked")
            assert house.told([search.search_id for search in book.counted]) == ["copy", "slow bars", "asked"]
            assert house.told([search.search_id for search in book.foreign]) == ["foreign copy"]
            assert [search.timeframe for search in book.counted] == ["1d", "2d", "1d"]

    asyncio.run(main())


def test_a_book_is_made_again_from_evidence_whatever_was_searched_since(tmp_path: Path) -> None:
    async def main() -> None:
        async with open_book(tmp_path) as house:
            await house.ended("foreign", "bob")
            await house.begin("unfinished")
            await house.trials("unfinished", 2)
            await house.point("point", 7)
            await house.ended("asked", **NARROW)
            book = await house.book("asked")
            kept, keys = evidence_of(book), null_keys(book.searches)
            await house.trials("unfinished", 4, start=2)
            await house.point("another point", 8)
            await house.ended("later", seed=9)
            assert await book_again(house.context, kept) == book
            later = null_keys((await house.book("asked")).searches)
            same = {name: later[task_id] == keys[task_id] for name, task_id in house.names.items() if task_id in keys}
            assert same == {"foreign": True, "unfinished": True, "point": False, "asked": False}

    asyncio.run(main())


def test_the_null_of_a_search_is_known_by_what_it_is_and_what_it_saw(tmp_path: Path) -> None:
    async def main() -> None:
        async with open_book(tmp_path) as house:
            await house.ended("ann's")
            await house.ended("bob's", "bob")
            await house.ended("ann's narrow", **NARROW)
            await house.ended("carl's narrow", "carl", **NARROW)
            asked = (("ann's", "ann"), ("bob's", "bob"), ("ann's narrow", "ann"), ("carl's narrow", "carl"))
            of = {name: null_keys((await house.book(name, user)).searches)[house.names[name]] for name, user in asked}
            assert of["ann's"] == of["bob's"]
            assert of["ann's narrow"] != of["carl's narrow"], "she had seen what hers follows"

    asyncio.run(main())


def test_there_is_no_book_for_a_search_that_is_not_there(tmp_path: Path) -> None:
    async def main() -> None:
        async with open_book(tmp_path) as house:
            await house.ended("asked")
            with pytest.raises(NotFound, match="there is no optimization 'opt-0'"):
                await book_of(house.context, ["ann"], [await house.window("asked")], "opt-0")

    asyncio.run(main())


def test_a_cleaned_session_keeps_its_searches_in_the_book(tmp_path: Path) -> None:
    async def main() -> None:
        async with open_book(tmp_path) as house:
            asked = {"strategies": ["averages"], "symbols": [NOISE], "mode": "random", "size": 4, "direction": "both"}
            session = await house.house.ask("session.generate", user="ann", **asked)
            done = await house.house.execute(session["session_id"], user="ann")
            house.names["of session"] = done["items"][0]["optimization_id"]
            walked = await house.house.ask(
                "walkforward.start", user="ann", symbol=NOISE, strategy_id="averages", method="random",
                max_iterations=3, train_bars=400, test_bars=200,
            )  # fmt: skip
            await house.house.ended(walked["walkforward_id"])
            house.names["walked"] = walked["walkforward_id"]
            await house.ended("asked", **NARROW)
            before = await house.book("asked")
            cleaned = await house.house.ask("session.clean", user="ann", session_id=session["session_id"])
            assert cleaned["n_trials"] == 4
            book = await house.book("asked")
            assert book == before
            assert house.told([search.search_id for search in book.counted]) == ["of session", "walked", "asked"]
            assert [search.n_made for search in book.counted] == [4, 3 * walked["n_windows"], 6]

    asyncio.run(main())
