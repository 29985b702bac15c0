"""What holds for every indicator, whoever declares it. One call a law; the expression's arguments are constants."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.random_rules import random_bars
from reference.rules import read, spread
from tunesmith.compute.indicators.declaration import Argument, Indicator
from tunesmith.compute.language.vocabulary import is_reserved, reference
from tunesmith.compute.rules.binding import bind
from tunesmith.compute.rules.strategy import Strategy
from tunesmith.domain.market.bars import Bars

Values = NDArray[np.float64]

SAMPLES = {
    "series": "close",
    "number": "close - low",
    "any": "close",
    "condition": "close > low",
    "factor": "1.5",
    "timeframe": '"4h"',
}
WINDOWS = ((7, 3, 5), (2, 9, 4), (12, 12, 2))
"""Values for the windows of an indicator, in their order."""

WITHOUT_LOOK_BACK = {"at"}
"""The look-back of what is computed on longer bars is that of its argument, in longer bars."""


def moving_bars(n: int) -> Bars:
    """Bars on which every value differs from the one before, so that no indicator divides by zero."""
    random = np.random.default_rng(8)
    close = 100 + np.cumsum(random.normal(0, 1, n))
    columns = {
        "open": close + 0.25,
        "high": close + random.uniform(0.5, 1.0, n),
        "low": close - random.uniform(0.5, 1.0, n),
        "close": close,
        "volume": random.uniform(1, 5, n),
    }
    return Bars.from_arrays(np.arange(n, dtype=np.int64) * 3_600_000, columns, symbol="T/U", timeframe="1h")


def expressions(indicator: Indicator, windows: tuple[int, ...]) -> Iterator[tuple[str, str, dict[str, int]]]:
    """(field or "", expression, the value of each window) for the indicator and these windows."""
    given = dict(zip((a.name for a in indicator.arguments if a.kind == "window"), windows, strict=False))
    for argument in indicator.arguments:
        if argument.kind == "window":
            given[argument.name] = min(max(given[argument.name], argument.least), argument.most)
    call = f"{indicator.name}({', '.join(_written(argument, given) for argument in indicator.arguments)})"
    for field in indicator.fields or ("",):
        yield field, f"{call}.{field}" if field else call, given


def _written(argument: Argument, windows: Mapping[str, Any]) -> str:
    return str(windows.get(argument.name, SAMPLES.get(argument.kind)))


def values_of(expression: str, bars: Bars) -> tuple[Values, int]:
    """The expression's values float64[T], conditions as 1 and 0, and the first bar that it says is defined."""
    for written in (expression, f"where({expression}, 1, 0)"):
        code = f"enter_long(close > 0)\ntake_profit({written})\n"
        try:
            strategy = Strategy.parse(code, is_stored=True)
        except Exception:  # a condition is no level
            if written != expression:
                raise
            continue
        assert strategy.rule is not None
        bound = bind(strategy, bars, np.zeros((1, 0)))
        leaf = strategy.plan.leaves.index(dict(strategy.rule.levels)["take_profit"])
        return bound.rows[bound.index[0, leaf]], int(bound.warmup[0])
    raise AssertionError(expression)


def check_declaration(indicator: Indicator) -> None:
    """It is explained, its names are names, and the language's reference lists it."""
    assert len(indicator.doc) > 4
    assert indicator.look_back
    assert is_reserved(indicator.name)
    names = [argument.name for argument in indicator.arguments]
    for each in ([indicator.name], names, list(indicator.fields)):
        assert len(set(each)) == len(each)
        assert all(name.isidentifier() for name in each)
    assert all(a.most >= 1 and a.least <= a.most for a in indicator.arguments)
    (word,) = [word for word in reference() if word.signature == indicator.signature]
    assert word.group == indicator.group
    assert word.warm_up == indicator.look_back
    assert word.meaning.startswith(indicator.doc)
    assert all(f".{field}" in word.meaning for field in indicator.fields)


def look_back_of(indicator: Indicator, field: str, windows: Mapping[str, int]) -> int:
    """The look-back that the reference prints, computed for these windows."""
    known = {**windows, "n": next(iter(windows.values()), 0), "sqrt": math.isqrt, "max": max, "min": min}
    base, *others = indicator.look_back.split("; ")
    total = _evaluated(base, known)
    for other in others:
        fields, _, text = other.partition(": ")
        assert set(fields.split(", ")) <= set(indicator.fields), other
        if field in fields.split(", "):
            total = _evaluated(text.removesuffix(" more"), known) + (total if text.endswith(" more") else 0)
    return total


def _evaluated(text: str, known: Mapping[str, Any]) -> int:
    return int(eval(re.sub(r"(\d) (?=[a-z(])", r"\1 * ", text), {"__builtins__": {}}, dict(known)))


def check_look_back(indicator: Indicator) -> None:
    """Undefined before the look-back that the reference prints, defined from it on; nowhere in a series too short."""
    bars = moving_bars(90)
    for windows in (*WINDOWS, (200, 200, 200)):
        for field, expression, given in expressions(indicator, windows):
            found, first = values_of(expression, bars)
            expected = look_back_of(indicator, field, given)
            assert first == min(expected, len(bars)), f"{expression}: defined from {first} on, declared {expected}"
            # a condition may be known to be false before all of it is defined
            assert indicator.group == "conditions" or np.isnan(found[:expected]).all(), expression
            assert np.isfinite(found[expected:]).all(), expression


def check_against_reference(indicator: Indicator) -> None:
    """Equal, to nine digits, to the slow and obvious function in tests/reference."""
    for seed, windows in enumerate(WINDOWS):
        bars = random_bars(80, seed)
        for _, expression, _ in expressions(indicator, windows):
            reading = read(f"take_profit({expression})\n", bars, {})
            slow = [math.nan if v is None else float(v) for v in spread(reading.levels["take_profit"], len(bars))]
            found, _ = values_of(expression, bars)
            scale = max([1.0, *(abs(v) for v in slow if math.isfinite(v))])
            np.testing.assert_allclose(found, slow, rtol=1e-9, atol=1e-9 * scale, err_msg=expression)


def check_no_look_ahead(indicator: Indicator) -> None:
    """A bar's value is the same to the bit whatever comes after it."""
    bars = random_bars(90, 5)
    for _, expression, _ in expressions(indicator, WINDOWS[0]):
        whole, _ = values_of(expression, bars)
        for cut in (1, 2, 31, 64):
            part, _ = values_of(expression, bars.slice(0, cut))
            if indicator.name not in WITHOUT_LOOK_BACK:
                np.testing.assert_array_equal(part, whole[:cut], err_msg=f"{expression} on {cut} bars")


def check_company(indicator: Indicator) -> None:
    """Rows of many windows computed together, on one thread or two, are those of each alone, to the bit."""
    if not any(argument.kind == "window" for argument in indicator.arguments):
        return
    bars = random_bars(9_000, 6)
    points = np.arange(2.0, 24.0)[:, np.newaxis]
    for field in indicator.fields or ("",):
        written = ", ".join(
            "n" if argument.kind == "window" else SAMPLES[argument.kind] for argument in indicator.arguments
        )
        expression = f"{indicator.name}({written})" + (f".{field}" if field else "")
        code = f"n = Int(2, 2, 30)\nenter_long(close > {expression})\n"
        strategy = Strategy.parse(code if field or indicator.group != "conditions" else code.replace("close > ", ""))
        together = bind(strategy, bars, points)
        threads = bind(strategy, bars, points, n_threads=2)
        np.testing.assert_array_equal(threads.rows, together.rows, err_msg=expression)
        for i, point in enumerate(points):
            alone = bind(strategy, bars, point[np.newaxis])
            np.testing.assert_array_equal(
                alone.rows[alone.index[0]], together.rows[together.index[i]], err_msg=f"{expression}, n = {point[0]:g}"
            )
