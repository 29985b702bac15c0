"""Which sides a request trades: those that it names, else every side that the strategy enters; replies say which.

And which values of its parameters it names, where JSON writes 1 for 1.0.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from services.search_house import House
from services.searches.test_search_driver import in_house
from tunesmith.compute.rules.strategy import Strategy
from tunesmith.domain.records import build
from tunesmith.errors import Invalid
from tunesmith.protocol.codec import decode_data
from tunesmith.protocol.messages.backtests import StartBacktest
from tunesmith.services.schedules import schedule_requests
from tunesmith.storage.tables import schedule_table, strategy_table, task_table
from tunesmith.storage.tables.strategy_table import StrategyText

ASKED: dict[str, Any] = {"symbol": "A/USDT", "strategy_id": "macd"}
TERMS = {"costs": {"fee_rate": 0.001, "slippage_rate": 0.0, "fixed_fee": 0.0}, "initial_cash": 10_000.0}


async def report_of(house: House, **data: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    started = await house.ask("backtest.start", **ASKED, params={"with_trend": False}, **data)
    await house.ended(started["task_id"])
    status = await house.ask("backtest.status", task_id=started["task_id"])
    assert {name: status[name] for name in (*TERMS, "direction")} == {**TERMS, "direction": started["direction"]}
    return started, await house.ask("report.get", report_id=status["report_id"])


@in_house()
async def test_a_rule_with_short_entries_trades_both_sides_where_nobody_names_one(house: House, folder: Path) -> None:
    asked, by_default = await report_of(house)
    both, named = await report_of(house, direction="both")
    only, long = await report_of(house, direction="long")
    assert (asked["direction"], both["direction"], only["direction"]) == ("both", "both", "long")
    assert {name: asked[name] for name in TERMS} == TERMS
    assert (by_default["direction"], by_default["initial_cash"]) == ("both", 10_000.0)
    assert by_default["metrics"] == named["metrics"]
    assert {trade["side"] for trade in by_default["trades"]} == {"long", "short"}
    assert {trade["side"] for trade in long["trades"]} == {"long"}
    task = await task_table.get(house.context.database, asked["task_id"])
    assert task is not None
    assert msgspec.json.decode(task.request)["window"]["direction"] == "both"


@in_house()
async def test_searches_sessions_and_walk_forwards_say_which_sides_they_trade(house: House, folder: Path) -> None:
    ranges = {"fast": [10, 12]}
    search = await house.search(**ASKED, param_ranges=ranges, constraints=["n_trades >= 0"])
    assert (search["direction"], search["initial_cash"]) == ("both", 10_000.0)
    walked = await house.ask("walkforward.start", **ASKED, param_ranges=ranges, train_bars=300, test_bars=100)
    assert walked["direction"] == "both"
    await house.ended(walked["walkforward_id"])
    plan = await house.ask(
        "session.plan", symbols=["A/USDT"], strategies=["macd", "ma_cross_v1.0"], mode="random", size=4
    )
    assert [item["direction"] for item in plan["items"]] == ["both", "long"]
    assert (plan["direction"], plan["initial_cash"]) == (None, 10_000.0)
    short = "fast = Int(5, 2, 20)\nenter_short(close < sma(close, fast))\nexit_short(close > sma(close, fast))\n"
    await house.ask("strategy.create", id="falls", code=short)
    started = await house.ask("backtest.start", symbol="A/USDT", strategy_id="falls")
    assert started["direction"] == "short"
    await house.ended(started["task_id"])


@in_house()
async def test_a_schedule_of_the_settings_keeps_the_direction_that_it_had(house: House, folder: Path) -> None:
    file = folder / "schedules.json"
    entry = {"schedule_id": "nightly", "every": "1d", "search": ASKED}
    file.write_text(json.dumps([{**entry, "search": {**ASKED, "direction": "long"}}]))
    settings = msgspec.structs.replace(house.context.settings.schedules, file=str(file))
    house.context.settings = msgspec.structs.replace(house.context.settings, schedules=settings)

    async def direction() -> Any:
        await schedule_requests.load(house.context)
        row = await schedule_table.get(house.context.database, "nightly")
        return row and row.search["direction"]

    assert await direction() == "long"
    file.write_text(json.dumps([entry, {**entry, "schedule_id": "new"}]))
    assert await direction() == "long"
    new = await schedule_table.get(house.context.database, "new")
    assert new is not None
    assert new.search["direction"] == "auto"
    file.write_text(json.dumps([{**entry, "search": {**ASKED, "direction": "auto"}}]))
    assert await direction() == "auto"


CHANGING = "enter_short(crossed_below(close, sma(close, 9)))\nexit_short(close > sma(close, 9))\n"


@in_house()
async def test_a_stop_that_cannot_be_one_is_refused_where_it_is_created_and_where_it_was_stored(
    house: House, folder: Path
) -> None:
    code = f"{CHANGING}stop_loss(2 * atr(14) / close)\n"
    with pytest.raises(Invalid, match=r"line 3, column 11: .* write the price, close \* \(1 \+ …\)") as refused:
        await house.ask("strategy.create", id="short", code=code)
    assert refused.value.path == "/data/code"
    stored = Strategy.parse(code, id="short", is_stored=True)
    text = build(StrategyText, stored, default_params={})
    await house.context.database.write(lambda conn: strategy_table.create(conn, text))
    for asked in ("backtest.start", "optimization.start"):
        with pytest.raises(Invalid, match="the rule short cannot be traded: stop_loss") as refused:
            await house.ask(asked, symbol="A/USDT", strategy_id="short")
        assert refused.value.path == "/data/direction"
    assert (await house.ask("strategy.get", id="short"))["code"] == code


@in_house()
async def test_stops_that_closed_positions_at_once_are_told_with_the_result(house: House, folder: Path) -> None:
    await house.ask("strategy.create", id="short", code=f"{CHANGING}stop_loss(sma(close, 9) - 30)\n")
    started = await house.ask("backtest.start", symbol="A/USDT", strategy_id="short")
    await house.ended(started["task_id"])
    status = await house.ask("backtest.status", task_id=started["task_id"])
    report = await house.ask("report.get", report_id=status["report_id"])
    n = len(report["trades"])
    assert n > 5
    assert status["metrics"]["win_rate"] == 0.0
    [warning] = status["warnings"]
    assert warning.startswith(f"{n} of {n} short entries had their stop_loss on the wrong side")
    assert report["warnings"] == [warning]
    assert f"A/USDT: {warning}" in await house.log_of(started["task_id"])
    search = await house.search(symbol="A/USDT", strategy_id="short", constraints=["n_trades >= 0"])
    assert search["warnings"] == [warning]


@in_house()
async def test_a_side_that_the_rule_never_enters_is_told_with_the_result(house: House, folder: Path) -> None:
    asked = {"symbol": "A/USDT", "strategy_id": "ma_cross_v1.0"}
    never = "The strategy ma_cross_v1.0 never enters short: with the direction"
    short, both = f"{never} short nothing can be traded.", f"{never} both it traded long alone."
    for direction, told in (("short", short), ("both", both), ("long", None)):
        started = await house.ask("backtest.start", **asked, direction=direction)
        await house.ended(started["task_id"])
        status = await house.ask("backtest.status", task_id=started["task_id"])
        assert status["warnings"] == ([told] if told else [])
    search = await house.search(**asked, direction="short", param_ranges={"fast_period": [5]})
    assert (search["best_params"], search["warnings"]) == (None, [short])
    assert search["warnings"][0] in await house.log_of(search["optimization_id"])


@in_house()
async def test_numbers_and_texts_of_a_choice_are_taken_as_json_writes_them(house: House, folder: Path) -> None:
    code = (
        'scale = Choice(1.5, [0.5, 1.0, 1.5])\nmode = Choice("1", ["1", "true"])\nn = Int(9, 1, 1000, log=True)\n'
        'enter_long(close > sma(close, n) * scale and mode == "1")\n'
    )
    await house.ask("strategy.create", id="chosen", code=code)

    async def params(text: str) -> Any:
        body = f'{{"symbol":"A/USDT","strategy_id":"chosen","params":{text}}}'
        asked = msgspec.to_builtins(decode_data(StartBacktest, body.encode()))
        started = await house.ask("backtest.start", **asked)
        await house.ended(started["task_id"])
        status = await house.ask("backtest.status", task_id=started["task_id"])
        return (await house.ask("report.get", report_id=status["report_id"]))["params"]

    assert await params('{"scale":1}') == await params('{"scale":1.0}') == {"scale": 1.0, "mode": "1", "n": 9}
    for text, path in (
        ('{"mode":1}', "mode"),
        ('{"mode":true}', "mode"),
        ('{"scale":"1"}', "scale"),
        ('{"n":9.5}', "n"),
    ):
        with pytest.raises(Invalid) as refused:
            await params(text)
        assert refused.value.path == f"/data/params/{path}"
    search = await house.search(
        symbol="A/USDT", strategy_id="chosen", method="grid", constraints=["n_trades >= 0"],
        param_ranges={"n": {"min": 1, "max": 100, "log": True}, "scale": [1]},
    )  # fmt: skip
    assert search["n_trials"] == 100
