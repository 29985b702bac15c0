"""A session from a file and from options, and the example with 436,800 points."""

from __future__ import annotations

from math import prod
from pathlib import Path
from typing import Any

import msgspec
import pytest
import typer

from tunesmith.cli.search.session_files import read_session, session_request, words
from tunesmith.compute.strategies import builtin
from tunesmith.domain.parameters import RangeSpec
from tunesmith.domain.space import build_space
from tunesmith.errors import Invalid
from tunesmith.protocol.messages.sessions import GenerateSession

EXAMPLE = Path(__file__).resolve().parents[3] / "configs" / "session_436800.toml"
TWO = {"symbols": ["BTC/USDT"], "strategies": ["ma_cross_v1.0", "macd"]}


def test_the_example_has_exactly_436_800_points() -> None:
    data = read_session(EXAMPLE)
    request = msgspec.convert(data, GenerateSession)
    assert (request.mode, request.symbols, request.strategies) == ("exhaustive", ["BTC/USDT"], ["rsi_reversion"])
    ranges = msgspec.convert(data["param_ranges"]["rsi_reversion"], dict[str, RangeSpec])
    space = build_space(builtin("rsi_reversion").parameters, ranges)
    assert space.size == prod((40, 15, 13, 8, 7)) == 436_800


def test_options_go_over_the_file_and_ranges_over_its_ranges() -> None:
    request = session_request(EXAMPLE, {"mode": "sobol", "size": 100, "constraints": None}, ["period=5:9"])
    assert (request["mode"], request["size"], request["timeframe"]) == ("sobol", 100, "1h")
    assert request["constraints"] == ["n_trades >= 30", "max_drawdown <= 0.35"]
    ranges = request["param_ranges"]["rsi_reversion"]
    assert (ranges["period"], ranges["longest"]) == ({"min": 5, "max": 9}, {"min": 24, "max": 168, "step": 24})


def test_another_strategy_drops_the_files_ranges() -> None:
    assert session_request(EXAMPLE, {"strategies": ["macd"]}, [])["param_ranges"] == {}


def test_ranges_name_their_strategy_where_there_are_several() -> None:
    request = session_request(None, TWO, ["ma_cross_v1.0.fast_period=5:9", "macd.fast=3,5"])
    assert request["param_ranges"] == {"ma_cross_v1.0": {"fast_period": {"min": 5, "max": 9}}, "macd": {"fast": [3, 5]}}


@pytest.mark.parametrize(
    ("given", "ranges", "says"),
    [
        ({}, [], "needs --symbol"),
        ({"symbols": ["BTC/USDT"]}, [], "needs --strategy"),
        (TWO, ["fast=3:5"], r"name the strategy, as in -r ma_cross_v1.0.fast=3:5"),
        (TWO, ["macdd.fast=3:5"], "macdd is not among the strategies ma_cross_v1.0, macd"),
        (TWO, ["macd.fast"], "is not NAME=RANGE"),
        (TWO, ["macd.fast=a:5"], "is no range"),
    ],
)
def test_what_is_no_session_is_refused(given: dict[str, Any], ranges: list[str], says: str) -> None:
    with pytest.raises(typer.BadParameter, match=says):
        session_request(None, given, ranges)


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("a.json", "[]", "must hold the fields of a session"),
        ("a.toml", "param_ranges = {period = 3}", "one table for each strategy"),
        ("a.toml", "symbols = [", "a.toml: "),
        ("a.toml", "symbol = 'BTC/USDT'", "a.toml: symbol: there is no such name; did you mean symbols?"),
    ],
)
def test_a_file_that_is_no_session_is_refused(tmp_path: Path, name: str, text: str, says: str) -> None:
    file = tmp_path / name
    file.write_text(text)
    with pytest.raises(Invalid, match=says):
        read_session(file)


def test_options_may_be_repeated_or_hold_several() -> None:
    assert words(["BTC/USDT, ETH/USDT", "XRP/USDT"]) == ["BTC/USDT", "ETH/USDT", "XRP/USDT"]
    assert words(None) == []


@pytest.mark.parametrize(("name", "text"), [("a.toml", "symbols = ['A/B']"), ("a.json", '{"symbols": ["A/B"]}')])
def test_an_editors_byte_order_mark_is_no_part_of_a_file(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert read_session(tmp_path / name)["symbols"] == ["A/B"]
