"""What a rule means: a slow interpreter over the syntax tree, in plain Python. Compiled rules must equal it.

A name is an abbreviation of its expression. A number is a float, or a list of them, one a bar, NaN where undefined. A
condition is True, False or None (unknown), or a list of those; a comparison with NaN is None, and, or, not are
Kleene's. An order's condition counts where it is True.

Rounding may decide a comparison of nearly equal numbers either way: the interpreter raises `NearTie` there when it is
told to, so that tests can tell a wrong condition from a rounded one. Equal numbers are equal.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from reference import indicators as ta
from tunesmith.domain.market.bars import COLUMNS, Bars
from tunesmith.domain.market.timeframes import UNIT_MS, timeframe_ms

NAN = math.nan
DECLARED = ("Int", "Float", "Choice", "Bool")
CONDITIONS = ("enter_long", "exit_long", "enter_short", "exit_short")
LEVELS = ("stop_loss", "take_profit", "trailing_stop")


class NearTie(Exception):
    """Two numbers so near to each other that rounding decides."""


@dataclass(frozen=True)
class Reading:
    """What a rule says: conditions as lists of bool; levels and max_holding as numbers; whether require(…) holds."""

    conditions: dict[str, list[bool]]
    levels: dict[str, Any]
    max_holding: float | None
    valid: bool


def read(code: str, bars: Bars, params: Mapping[str, Any], *, strict: bool = False) -> Reading:
    """What `code` says on `bars` for the parameter values `params`; `strict` raises `NearTie`."""
    rule = Interpreter(bars, params, strict)
    conditions: dict[str, Any] = {}
    levels: dict[str, Any] = {}
    holding, valid = None, True
    for statement in ast.parse(code).body:
        if isinstance(statement, ast.Assign):
            rule.define(statement)
        elif isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
            name, value = statement.value.func.id, rule.value(statement.value.args[0])  # type: ignore[attr-defined]
            if name in CONDITIONS:
                conditions[name] = kleene_or(conditions[name], value) if name in conditions else value
            elif name in LEVELS:
                levels[name] = value
            elif name == "max_holding":
                holding = value
            elif name == "require":
                valid = valid and value is True
    listed = {name: [v is True for v in spread(value, len(bars))] for name, value in conditions.items()}
    return Reading(listed, levels, holding, valid)


class Interpreter:
    def __init__(self, bars: Bars, params: Mapping[str, Any], strict: bool) -> None:
        self.params, self.strict = params, strict
        self.names: dict[str, Callable[[], Any]] = {}
        self.frames = {None: {name: getattr(bars, name).tolist() for name in COLUMNS}}
        self.bars = bars
        self.frame: str | None = None

    def define(self, statement: ast.Assign) -> None:
        target, value = statement.targets[0], statement.value
        if isinstance(target, ast.Tuple):
            for i, item in enumerate(target.elts):
                self.names[item.id] = lambda i=i: list(self.value(value).values())[i]  # type: ignore[attr-defined]
            return
        name = target.id  # type: ignore[attr-defined]
        if isinstance(value, ast.Call) and getattr(value.func, "id", "") in DECLARED:
            self.names[name] = lambda: self.params[name]
        else:
            self.names[name] = lambda: self.value(value)

    def value(self, place: ast.expr) -> Any:
        if isinstance(place, ast.Constant):
            return place.value
        if isinstance(place, ast.Name):
            return self.names[place.id]() if place.id in self.names else self.frames[self.frame][place.id]
        if isinstance(place, ast.Attribute):
            return self.value(place.value)[place.attr]
        if isinstance(place, ast.UnaryOp):
            operand = self.value(place.operand)
            if isinstance(place.op, ast.UAdd):
                return operand
            return each(kleene_not if isinstance(place.op, ast.Not) else lambda a: -a, operand)
        if isinstance(place, ast.BinOp):
            return each(ARITHMETIC[type(place.op)], self.value(place.left), self.value(place.right))
        if isinstance(place, ast.BoolOp):
            combine = kleene_and if isinstance(place.op, ast.And) else kleene_or
            result = self.value(place.values[0])
            for other in place.values[1:]:
                result = combine(result, self.value(other))
            return result
        if isinstance(place, ast.Compare):
            sides = [self.value(side) for side in (place.left, *place.comparators)]
            result = True
            for op, left, right in zip(place.ops, sides, sides[1:], strict=False):
                result = kleene_and(result, self.compare(type(op), left, right))
            return result
        assert isinstance(place, ast.Call)
        return self.call(place)

    def compare(self, op: type, left: Any, right: Any) -> Any:
        def one(a: Any, b: Any) -> bool | None:
            if isinstance(a, str):
                return bool(COMPARE[op](a, b))
            if math.isnan(a) or math.isnan(b):
                return None
            near = abs(a - b) <= 1e-9 * max(abs(a), abs(b), 1.0)
            if self.strict and near and a != b:
                raise NearTie
            return bool(COMPARE[op](a, b))

        return each(one, left, right)

    def call(self, place: ast.Call) -> Any:
        name = place.func.id  # type: ignore[attr-defined]
        if name == "at":
            return self.at(place)
        names, defaults = ARGUMENTS[name]
        given = dict(zip(names, (self.value(arg) for arg in place.args), strict=False))
        given |= {str(item.arg): self.value(item.value) for item in place.keywords}
        return self.function(name, [given.get(n, defaults.get(n)) for n in names])

    def function(self, name: str, args: list[Any]) -> Any:
        if name in ELEMENTWISE:
            return each(ELEMENTWISE[name], *args)
        if name in SERIES:
            return SERIES[name](*args)
        if name in ("crossed_above", "crossed_below"):
            a, b = (spread(arg, self.length()) for arg in args)
            now, before = (ast.Gt, ast.LtE) if name == "crossed_above" else (ast.Lt, ast.GtE)
            earlier = self.compare(before, earlier_of(a), earlier_of(b))
            return kleene_and(self.compare(now, a, b), earlier)
        if name in ("rising", "falling"):
            x, n = args
            limit = ta.highest(x, n) if name == "rising" else ta.lowest(x, n)
            return self.compare(ast.Gt if name == "rising" else ast.Lt, x, ta.shift(limit, 1))
        return self.of_bars(name, args)

    def of_bars(self, name: str, args: list[Any]) -> Any:
        columns = self.frames[self.frame]
        high, low, close, volume = (columns[c] for c in ("high", "low", "close", "volume"))
        typical = [(h + lo + c) / 3 for h, lo, c in zip(high, low, close, strict=True)]
        if name == "true_range":
            return ta.true_range(high, low, close)
        if name == "atr":
            return ta.wilder(ta.true_range(high, low, close), args[0])
        if name in ("adx", "plus_di", "minus_di"):
            return ta.directional(high, low, close, args[0])[("adx", "plus_di", "minus_di").index(name)]
        if name == "obv":
            return ta.obv(close, volume)
        if name == "mfi":
            return ta.mfi(typical, volume, args[0])
        if name == "cci":
            return ta.cci(typical, args[0])
        if name == "vwap":
            traded = each(lambda p, v: p * v, typical, volume)
            return each(divide, ta.sma(traded, args[0]), ta.sma(volume, args[0]))
        if name == "donchian":
            upper, lower = ta.highest(high, args[0]), ta.lowest(low, args[0])
            return {"upper": upper, "middle": each(lambda a, b: (a + b) / 2, upper, lower), "lower": lower}
        if name == "keltner":
            reach = ta.wilder(ta.true_range(high, low, close), args[2])
            return bands(ta.ema(close, args[0]), reach, args[1])
        if name == "supertrend":
            reach = ta.wilder(ta.true_range(high, low, close), args[0])
            return dict(zip(("line", "direction"), ta.supertrend(high, low, close, reach, args[1]), strict=True))
        assert name == "stoch"
        bottom = ta.lowest(low, args[0])
        reach = each(lambda a, b: a - b, ta.highest(high, args[0]), bottom)
        k = ta.sma(ta.share(each(lambda a, b: a - b, close, bottom), reach), args[1])
        return {"k": k, "d": ta.sma(k, args[2])}

    def length(self) -> int:
        return len(self.frames[self.frame]["close"])

    def at(self, place: ast.Call) -> Any:
        """The expression on longer bars, each seen from the first bar on that closes with it or later."""
        timeframe = str(self.value(place.args[0]))
        short, long = timeframe_ms(self.bars.timeframe), timeframe_ms(timeframe)
        origin = 4 * UNIT_MS["d"] if timeframe.endswith("w") else 0
        groups: dict[int, list[int]] = {}
        for t, stamp in enumerate(self.bars.timestamp.tolist()):
            groups.setdefault((stamp - origin) // long, []).append(t)
        full = {key: members for key, members in groups.items() if len(members) == long // short}
        base = self.frames[None]
        self.frames[timeframe] = {
            "open": [base["open"][m[0]] for m in full.values()],
            "high": [max(base["high"][i] for i in m) for m in full.values()],
            "low": [min(base["low"][i] for i in m) for m in full.values()],
            "close": [base["close"][m[-1]] for m in full.values()],
            "volume": [math.fsum(base["volume"][i] for i in m) for m in full.values()],
        }
        self.frame = timeframe
        values = self.value(place.args[1])
        self.frame = None
        closed = [members[-1] for members in full.values()]

        def seen(row: list[Any]) -> list[Any]:
            unknown = None if any(isinstance(v, bool) for v in row) else NAN
            out, count = [], 0
            for t in range(len(self.bars)):
                while count < len(closed) and closed[count] <= t:
                    count += 1
                out.append(row[count - 1] if count else unknown)
            return out

        return {k: seen(v) for k, v in values.items()} if isinstance(values, dict) else seen(values)


def each(function: Callable[..., Any], *args: Any) -> Any:
    """`function` of numbers, or bar by bar where one of them is a list."""
    if not any(isinstance(arg, list) for arg in args):
        return function(*args)
    size = next(len(arg) for arg in args if isinstance(arg, list))
    return [function(*values) for values in zip(*(spread(arg, size) for arg in args), strict=True)]


def spread(value: Any, size: int) -> list[Any]:
    return value if isinstance(value, list) else [value] * size


def earlier_of(x: list[Any]) -> list[Any]:
    """A constant's bar before the first is undefined too: a crossing needs a bar before."""
    return [NAN, *x[:-1]]


def kleene_not(a: Any) -> Any:
    return each(lambda v: None if v is None else not v, a)


def kleene_and(a: Any, b: Any) -> Any:
    return each(lambda x, y: False if x is False or y is False else None if x is None or y is None else True, a, b)


def kleene_or(a: Any, b: Any) -> Any:
    return kleene_not(kleene_and(kleene_not(a), kleene_not(b)))


def divide(a: float, b: float) -> float:
    return NAN if b == 0 else a / b


def floor_divide(a: float, b: float) -> float:
    if isinstance(a, int) and isinstance(b, int):
        return NAN if b == 0 else a // b
    quotient = divide(a, b)
    return float(math.floor(quotient)) if math.isfinite(quotient) else quotient


def power(a: float, b: float) -> float:
    if math.isnan(a) or math.isnan(b) or (a == 0 and b < 0) or (a < 0 and b != int(b)):
        return NAN
    try:
        return float(a**b)
    except OverflowError:
        return math.inf


def where(condition: bool | None, a: Any, b: Any) -> Any:
    if condition is None:
        return None if isinstance(a, bool) or a is None else NAN
    return a if condition else b


def either(pick: Callable[[float, float], float]) -> Callable[[float, float], float]:
    return lambda a, b: NAN if math.isnan(a) or math.isnan(b) else pick(a, b)


def shift(x: Any, n: int) -> Any:
    if not isinstance(x, list):
        return x
    unknown = None if any(isinstance(v, bool) for v in x) else NAN
    return [x[t - n] if t >= n else unknown for t in range(len(x))]


def since(condition: Any) -> list[float]:
    out, count = [], NAN
    for v in condition:
        count = 0.0 if v is True else count + 1
        out.append(count)
    return out


def bands(middle: list[float], reach: list[float], width: float) -> dict[str, list[float]]:
    half = [width * r for r in reach]
    upper = [m + h for m, h in zip(middle, half, strict=True)]
    return {"upper": upper, "middle": middle, "lower": [m - h for m, h in zip(middle, half, strict=True)]}


def dema(x: list[float], n: int) -> list[float]:
    once = ta.ema(x, n)
    return [2 * a - b for a, b in zip(once, ta.ema(once, n), strict=True)]


def tema(x: list[float], n: int) -> list[float]:
    once = ta.ema(x, n)
    twice = ta.ema(once, n)
    return [3 * (a - b) + c for a, b, c in zip(once, twice, ta.ema(twice, n), strict=True)]


def hma(x: list[float], n: int) -> list[float]:
    ahead = [2 * a - b for a, b in zip(ta.wma(x, n // 2), ta.wma(x, n), strict=True)]
    return ta.wma(ahead, math.isqrt(n))


def macd(x: list[float], fast: int, slow: int, signal: int) -> dict[str, list[float]]:
    line = ta.macd_line(x, fast, slow)
    average = ta.ema(line, signal)
    return {"line": line, "signal": average, "hist": [a - b for a, b in zip(line, average, strict=True)]}


def change(x: list[float], n: int) -> list[float]:
    return [now - before for now, before in zip(x, ta.shift(x, n), strict=True)]


def zscore(x: list[float], n: int) -> list[float]:
    return [divide(v - m, s) for v, m, s in zip(x, ta.sma(x, n), ta.stddev(x, n), strict=True)]


ARITHMETIC: dict[type, Callable[[float, float], float]] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.Div: divide,
    ast.FloorDiv: floor_divide,
    ast.Mod: lambda a, b: a - b * floor_divide(a, b),
    ast.Pow: power,
}
COMPARE: dict[type, Callable[[Any, Any], bool]] = {
    ast.Lt: lambda a, b: a < b,
    ast.LtE: lambda a, b: a <= b,
    ast.Gt: lambda a, b: a > b,
    ast.GtE: lambda a, b: a >= b,
    ast.Eq: lambda a, b: a == b,
    ast.NotEq: lambda a, b: a != b,
}
ELEMENTWISE: dict[str, Callable[..., Any]] = {
    "where": where,
    "abs": abs,
    "min": either(min),
    "max": either(max),
    "sqrt": lambda x: math.sqrt(x) if x >= 0 else NAN,
    "log": lambda x: math.log(x) if x > 0 else NAN,
    "exp": lambda x: math.exp(x) if x < 709 else math.inf if x >= 709 else x,
}
SERIES: dict[str, Callable[..., Any]] = {
    "shift": shift,
    "since": since,
    "sma": ta.sma,
    "ema": ta.ema,
    "wma": ta.wma,
    "dema": dema,
    "tema": tema,
    "hma": hma,
    "rsi": ta.rsi,
    "macd": macd,
    "roc": lambda x, n: ta.share(change(x, n), ta.shift(x, n)),
    "mom": change,
    "linreg_slope": ta.linreg_slope,
    "percent_rank": ta.percent_rank,
    "stddev": ta.stddev,
    "zscore": zscore,
    "bbands": lambda x, n, width: bands(ta.sma(x, n), ta.stddev(x, n), width),
    "highest": ta.highest,
    "lowest": ta.lowest,
}
ARGUMENTS: dict[str, tuple[tuple[str, ...], dict[str, float]]] = {
    "where": (("condition", "a", "b"), {}),
    "shift": (("x", "bars"), {"bars": 1}),
    **{name: (("a", "b"), {}) for name in ("min", "max", "crossed_above", "crossed_below")},
    **{name: (("x",), {}) for name in ("abs", "sqrt", "log", "exp")},
    "since": (("condition",), {}),
    **{name: (("x", "window"), {"window": 1}) for name in ("rising", "falling")},
    **{
        name: (("x", "window"), {"window": 14})
        for name in [
            "sma",
            "ema",
            "wma",
            "dema",
            "tema",
            "hma",
            "roc",
            "mom",
            "linreg_slope",
            "percent_rank",
            "stddev",
            "zscore",
            "highest",
            "lowest",
            "rsi",
        ]
    },
    **{name: (("window",), {"window": 14}) for name in ("vwap", "adx", "plus_di", "minus_di", "atr", "mfi")},
    **{name: (("window",), {"window": 20}) for name in ("cci", "donchian")},
    "true_range": ((), {}),
    "obv": ((), {}),
    "stoch": (("window", "smooth", "signal"), {"window": 14, "smooth": 3, "signal": 3}),
    "macd": (("x", "fast", "slow", "signal"), {"fast": 12, "slow": 26, "signal": 9}),
    "bbands": (("x", "window", "width"), {"window": 20, "width": 2}),
    "keltner": (("window", "width", "atr_window"), {"window": 20, "width": 2, "atr_window": 10}),
    "supertrend": (("window", "factor"), {"window": 10, "factor": 3}),
}
