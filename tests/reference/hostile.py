"""Hostile code: samples that were made to hurt a parser, and a generator of more of every kind."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

from tunesmith.compute.indicators.registry import INDICATORS
from tunesmith.compute.language.scanner import MAX_CODE, MAX_NESTING
from tunesmith.compute.rules.strategy import Strategy
from tunesmith.errors import Invalid

HOSTILE = {
    "a megabyte": "x = 1\n" * 170_000,
    "a megabyte in one name": "x" * 1_000_000,
    "brackets": "(" * 60_000,
    "brackets to the limit": "x = " + "(" * MAX_NESTING + "a b" + ")" * MAX_NESTING,
    "open brackets": "[{" * (MAX_NESTING // 2) + "a:b",
    "calls in calls": "x = " + "sma(" * 5_000 + "close",
    "calls of calls": "x = close" + "()" * 1_400,
    "signs": "x = " + "-" * 60_000 + "1",
    "nots": "x = " + "not " * 15_000 + "True",
    "powers": "x = " + "2**" * 20_000 + "2",
    "a long sum": "x = " + "close + " * 1_400 + "close",
    "a long comparison": "x = " + "1 < " * 1_400 + "1",
    "a long and": "x = " + "True and " * 1_400 + "True",
    "attributes": "x = close" + ".a" * 1_400,
    "indices": "x = close" + "[0]" * 950,
    "assignments": "a = " * 1_400 + "1",
    "lambdas": "x = " + "lambda: " * 8_000 + "1",
    "conditionals": "x = " + "1 if 1 else " * 5_000 + "1",
    "f-strings": "x = " + 'f"{' * 10_000,
    "decorators": "@x\n" * 1_400,
    "newlines": "\n" * (MAX_CODE - 1),
    "spaces and newlines": " \n" * (MAX_CODE // 2),
    "comments": "#\n" * (MAX_CODE // 2),
    "quotes": '"' * 60_001,
    "mixed quotes": "\"'" * 30_000,
    "parameters": "".join(f"p{i} = Int(1, 1, 2)\n" for i in range(270)),
    "names": "".join(f"x{i} = close + {i}\n" for i in range(590)),
    "mistakes": "".join(f"x{i} = nope{i}\n" for i in range(900)),
    "choices": "m = Choice(1, [" + ", ".join(map(str, range(1_400))) + "])",
    "a huge window": "enter_long(close > sma(close, 10**400))",
    "a huge whole number": "x = 1" + "0" * 60_000,
    "a number that is too large": "x = 1e999",
    "not a number": 'x = float("nan")',
    "dunder": "x = ().__class__.__bases__[0].__subclasses__()",
    "import": "__import__('os').system('true')",
    "exec": "exec('1')",
    "eval": "x = eval('1')",
    "open a file": 'x = open("/etc/passwd")',
    "walrus": "(x := close)",
    "stars": "x = sma(*[close, 3])",
    "star stars": "x = sma(**{})",
    "a null": "x = 1\0",
    "a lone surrogate": 'x = "\ud800"',
    "other letters": "ｅnter_long(close > 1)",
    "a carriage return": "x = 1\rimport os",
    "a backslash": 'x = "\\N{BULLET}"',
}

SCRAPS = """( ( [ { ) ] } , , : = == < + - * ** % and or not x close sma 5 2.5 'a' . a @ := -> enter_long Int True ~ !
// ; | & if for lambda in *a **k a= 0x 1e ... match " \' # \\ $ é"""
WORDS = [*SCRAPS.split(), "\n", "\n", " ", "\t", "'''"]
UNLISTED = [
    *("eval", "exec", "compile", "open", "__import__", "getattr", "setattr", "globals", "locals", "vars"),
    *("dir", "input", "print", "breakpoint", "help", "type", "object", "super", "property", "memoryview"),
    *("bytes", "bytearray", "map", "filter", "iter", "next", "range", "zip", "sorted", "os", "sys"),
    *("subprocess", "sma_", "SMA", "Close", "lookahead", "future", "next_close", "shift_back", "rolling"),
    *("apply", "lambda_"),
]
DUNDERS = [
    *("__class__", "__bases__", "__subclasses__", "__globals__", "__builtins__", "__dict__", "__mro__"),
    *("__code__", "__getattribute__", "__init__", "__reduce__", "__import__", "__loader__", "__spec__"),
    *("__func__", "__self__"),
]
STRANGE = [
    *("\u202e", "\u200b", "\ufeff", "\u00a0", "\u2028", "\x00", "\x0c", "\x1b[2J", "\ud800", "\U0001f4a9", "ⅽlose"),
    *("ｃlose", "сlose", "clοse", "ﬁ", "ª", "x̂", "١", "²", "Ａ", "“", "−", "＝", "（"),
]


def mutated(code: str, chance: random.Random) -> str:
    signs = list(code)
    for _ in range(chance.randint(1, 8)):
        i = chance.randrange(len(signs))
        kind = chance.random()
        if kind < 0.4:
            signs[i] = chance.choice(WORDS)
        elif kind < 0.6:
            del signs[i : i + chance.randint(1, 30)]
            signs.append("\n")
        else:
            signs.insert(i, chance.choice(WORDS) * chance.randint(1, 30))
    return "".join(signs)


def nested(chance: random.Random) -> str:
    """Deep nesting of one or two kinds, closed, half closed or not at all."""
    pairs = [
        ("(", ")"),
        ("[", "]"),
        ("{", "}"),
        ("sma(", ", 3)"),
        ("abs(", ")"),
        ("where(True, ", ", 1)"),
        ("not ", ""),
    ]
    pairs += [("-", ""), ("lambda: ", ""), ("x if 1 else ", ""), ("close + (", ")"), ("2 ** ", ""), ('f"{', '}"')]
    chosen = [chance.choice(pairs) for _ in range(chance.randint(1, 2))]
    depth = int(10 ** chance.uniform(0.5, 4.7))
    layers = [chance.choice(chosen) for _ in range(min(depth, 50_000))]
    closing = [end for _, end in reversed(layers)][: chance.choice([0, depth // 2, depth])]
    return "enter_long(" + "".join(start for start, _ in layers) + "close" + "".join(closing) + " > 1)"


def long(chance: random.Random) -> str:
    """Up to two megabytes of one thing over and over."""
    units = [
        "x = 1\n",
        "x",
        "(",
        '"',
        "'" * 3,
        "#\n",
        "\\\n",
        " \n",
        "\t",
        "close + ",
        "a.",
        "a,",
        "1,",
        "é",
        "enter_long(True)\n",
    ]
    units += [f"x{chance.randint(0, 9)} = sma(close, 5)\n", "y = y + 1\n", "_", "0", "9" * 9, ";", "p = Int(1, 1, 2)\n"]
    unit = chance.choice(units)
    return unit * max(1, int(10 ** chance.uniform(2, 6.3)) // len(unit))


def reaching(chance: random.Random) -> str:
    """Names with two underscores, and ways around the closed list."""
    chain = "".join(
        "." + chance.choice(DUNDERS) + chance.choice(["", "()", "[0]"]) for _ in range(chance.randint(1, 6))
    )
    start = chance.choice(["close", "()", "''", "sma", "enter_long", "(1).real", "True", "[]", "macd(close).line", "x"])
    form = chance.choice(
        ["x = {}", "enter_long({})", "{} = 1", "sma(close, {})", "sma(close, window={})", "@{}\nx = 1"]
    )
    return form.format(start + chain)


def unlisted(chance: random.Random) -> str:
    """Calls of what is not listed, beside what is."""
    name = (
        chance.choice(UNLISTED)
        if chance.random() < 0.7
        else "".join(chance.choices("abcdefgs_", k=chance.randint(1, 70)))
    )
    args = ", ".join(
        chance.choice(["close", "5", "'os'", "x=1", "*close", "**{}", "open"]) for _ in range(chance.randint(0, 5))
    )
    form = chance.choice(
        ["x = {}", "enter_long({})", "x = sma({}, 5)", "x = close + {}", "enter_long(True)\n{}", "n = Int({}, 1, 2)"]
    )
    return form.format(f"{name}({args})")


def huge(chance: random.Random) -> str:
    """Windows, numbers and counts that are too large."""
    number = chance.choice(
        ["10**400", "9" * 5_000, "1e999", "1e308 * 10", "2**2**2**2**2", "-1", "0", "1.5", "100001", "0x7fffffff"]
    )
    number = number if chance.random() < 0.7 else str(chance.randint(100_001, 10**30))
    name = chance.choice(sorted(INDICATORS))
    forms = [
        "enter_long({f}(close, {n}) > 1)",
        "enter_long({f}({n}) > 1)",
        "n = Int({n}, 1, {n})\nenter_long(sma(close, n) > 1)",
    ]
    forms += [
        "enter_long(shift(close, {n}) > 1)",
        "enter_long(True)\nmax_holding({n})",
        "enter_long(close > close ** {n})",
    ]
    forms += ["n = Int(5, 1, 10**9)\nenter_long(sma(close, n * {n}) > 1)", 'enter_long(at("{n}h", close) > 1)']
    return chance.choice(forms).format(f=name, n=number)


def strange(chance: random.Random, rule: str) -> str:
    """A rule with signs that look like others, or like nothing."""
    signs = list(rule)
    for _ in range(chance.randint(1, 5)):
        signs.insert(chance.randrange(len(signs)), chance.choice(STRANGE))
    return "".join(signs)


def scraps(chance: random.Random) -> str:
    """Words of the language and of Python in any order."""
    return " ".join(chance.choice(WORDS) for _ in range(chance.randint(1, 200)))


def kinds(rules: list[str]) -> dict[str, Callable[[random.Random], str]]:
    """The generators by name; `rules` are what some of them spoil."""
    return {
        "deep nesting": nested,
        "long texts": long,
        "dunder names": reaching,
        "unlisted calls": unlisted,
        "huge numbers": huge,
        "strange signs": lambda chance: strange(chance, chance.choice(rules)),
        "scraps": scraps,
        "mutated rules": lambda chance: mutated(chance.choice(rules), chance),
    }


def parsed_in_s(code: str) -> tuple[float, Invalid | None]:
    """Processor time to parse or refuse `code`, and the refusal. Anything but `Invalid` is a fault, and raised."""
    start = time.process_time()
    try:
        Strategy.parse(code)
    except Invalid as refusal:
        return time.process_time() - start, refusal
    return time.process_time() - start, None
