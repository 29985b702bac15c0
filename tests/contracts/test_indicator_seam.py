"""An indicator is added from outside the package by one declaration: language, rows and contract follow."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from contracts import indicator_checks as checks
from reference import rules as slow
from reference.random_rules import random_bars
from tunesmith.compute.graph.graph_builder import GraphBuilder
from tunesmith.compute.indicators.declaration import Argument, Indicator, series, window
from tunesmith.compute.indicators.registry import INDICATORS, ROW_FUNCTIONS, register
from tunesmith.compute.indicators.row_functions import RowFunction, windowed
from tunesmith.compute.kernels.compiling import kernel
from tunesmith.compute.language.vocabulary import reference
from tunesmith.compute.rules.binding import bind
from tunesmith.compute.rules.strategy import Strategy
from tunesmith.domain.array_types import Ints, Rows
from tunesmith.errors import Invalid

UNKNOWN = "enter_long(close > reach(close, 5).middle)\n"


@kernel
def reach_middle_nb(x: Rows, source: Ints, window: Ints, out: Rows) -> None:
    """The middle between the largest and the smallest of the last n values; defined from n - 1 on."""
    for j in range(len(window)):
        values = x[source[j]]
        n = window[j]
        for t in range(len(values)):
            out[j, t] = np.nan
            if t >= n - 1:
                low = high = values[t]
                for i in range(t - n + 1, t):
                    low = min(low, values[i])
                    high = max(high, values[i])
                out[j, t] = 0.5 * (low + high)


def reach(g: GraphBuilder, x: int, window: int, smooth: int, factor: int) -> tuple[int, ...]:
    middle = g.row("reach_middle", x, window)
    average = g.row("sma", middle, smooth)
    return middle, average, g.number("mul", factor, g.number("sub", x, average))


REACH = Indicator(
    "reach",
    "toys",
    (series(), window(14), window(3, "smooth"), Argument("factor", "factor", 2)),
    "the middle of the last n values, its average, and how far x is from that",
    look_back="n - 1; average, distance: smooth - 1 more",
    fields=("middle", "average", "distance"),
    rows=(windowed("reach_middle", reach_middle_nb, less=1),),
    formula=reach,
)


def slow_reach(x: list[float], n: int, smooth: int, factor: float) -> dict[str, list[float]]:
    middle = slow.ta.windows(x, n, lambda values: (max(values) + min(values)) / 2)
    average = slow.ta.sma(middle, smooth)
    distance = [factor * (v - a) for v, a in zip(x, average, strict=True)]
    return {"middle": middle, "average": average, "distance": distance}


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> Iterator[Indicator]:
    monkeypatch.setitem(slow.SERIES, "reach", slow_reach)
    monkeypatch.setitem(slow.ARGUMENTS, "reach", (("x", "window", "smooth", "factor"), {"factor": 2.0}))
    yield register(REACH)
    del INDICATORS["reach"], ROW_FUNCTIONS["reach_middle"]


def test_before_it_is_registered_it_is_unknown() -> None:
    with pytest.raises(Invalid, match="unknown function 'reach'"):
        Strategy.parse(UNKNOWN)


def test_it_stands_in_the_reference_and_its_name_is_taken(registered: Indicator) -> None:
    word = reference()[-1]
    assert (word.group, word.signature) == ("toys", "reach(x, window=14, smooth=3, factor=2)")
    assert word.meaning == f"{REACH.doc}; parts: .middle, .average, .distance"
    with pytest.raises(Invalid, match="'reach' is a word of the rule language"):
        Strategy.parse("reach = close\nenter_long(reach > 1)\n")
    with pytest.raises(ValueError, match="'reach'"):
        register(REACH)
    with pytest.raises(ValueError, match="'sma'"):
        register(Indicator("other", "toys", (), "x", "0", rows=(RowFunction("sma", print, len),)))


def test_its_arguments_are_checked(registered: Indicator) -> None:
    for wrong, text in (
        ("reach(close, 0).middle", "window of reach"),
        ("reach(5).middle", "must change from bar to bar"),
        ("reach(close, 5, factor=close).middle", "must be a number or a parameter"),
        ("reach(close, 5)", "take one part: .middle, .average, .distance"),
        ("reach(close, 5).upper", "middle, average, distance"),
    ):
        with pytest.raises(Invalid) as refused:
            Strategy.parse(f"enter_long(close > {wrong})\n")
        assert text in str([each.message for each in refused.value.errors]), wrong


def test_it_keeps_every_law_of_the_contract(registered: Indicator) -> None:
    for check in (
        checks.check_declaration,
        checks.check_look_back,
        checks.check_against_reference,
        checks.check_no_look_ahead,
        checks.check_company,
    ):
        check(registered)


def test_a_rule_that_uses_it_means_its_text(registered: Indicator) -> None:
    code = (
        "n = Int(5, 2, 20)\n"
        "middle, average, distance = reach(close, n, 4)\n"
        "enter_long(crossed_above(close, average) and distance < 9)\n"
        "exit_long(close < middle)\n"
        "stop_loss(average)\n"
    )
    bars = random_bars(300, 2)
    points = np.array([[5.0], [9.0]])
    signals = bind(Strategy.parse(code), bars, points).signals(0, 2)
    for i, n in enumerate((5, 9)):
        reading = slow.read(code, bars, {"n": n})
        assert signals.enter_long is not None
        assert signals.exit_long is not None
        assert signals.enter_long[i].tolist() == [int(v) for v in reading.conditions["enter_long"]]
        assert signals.exit_long[i].tolist() == [int(v) for v in reading.conditions["exit_long"]]
        assert signals.stop_loss is not None
        assert signals.stop_loss.price is not None
        np.testing.assert_allclose(signals.stop_loss.price[i], reading.levels["stop_loss"], rtol=1e-12)
    assert signals.enter_long.sum() > 5
