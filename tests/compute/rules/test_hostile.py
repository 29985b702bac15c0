"""Code from the network: whatever it is, it parses or is refused as `Invalid`, quickly, and is never executed."""

from __future__ import annotations

import contextlib
import random
import time

import pytest

from tunesmith.compute.rules.scanner import MAX_CODE, MAX_NESTING
from tunesmith.compute.rules.strategy import Strategy
from tunesmith.compute.strategies import BUILTIN_IDS, builtin
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


def refused_in_s(code: str) -> float:
    start = time.process_time()
    with pytest.raises(Invalid) as caught:
        Strategy.parse(code)
    took = time.process_time() - start
    assert caught.value.path == "/data/code"
    assert caught.value.message.startswith("line ")
    assert len(caught.value.message) < 500
    return took


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_code_is_refused_in_50_ms(name: str) -> None:
    assert min(refused_in_s(HOSTILE[name]) for _ in range(3)) < 0.05


def test_doubling_names_stay_linear() -> None:
    code = "x0 = close - open\n" + "".join(f"x{i + 1} = x{i} * x{i} + x{i}\n" for i in range(250))
    start = time.process_time()
    strategy = Strategy.parse(code + "enter_long(x250 > 0)\n")
    assert time.process_time() - start < 0.25
    assert strategy.rule is not None
    assert len(strategy.rule.nodes) < 600


SCRAPS = """( ( [ { ) ] } , , : = == < + - * ** % and or not x close sma 5 2.5 'a' . a @ := -> enter_long Int True ~ !
// ; | & if for lambda in *a **k a= 0x 1e ... match " \' # \\ $ é"""
WORDS = [*SCRAPS.split(), "\n", "\n", " ", "\t", "'''"]


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


def test_whatever_is_sent_parses_or_is_refused() -> None:
    chance = random.Random(20240601)
    rules = [builtin(id).code for id in BUILTIN_IDS if builtin(id).kind == "rule"]
    accepted = 0
    slowest = 0.0
    for i in range(4_000):
        if i % 2:
            code = " ".join(chance.choice(WORDS) for _ in range(chance.randint(1, 200)))
        else:
            code = mutated(chance.choice(rules), chance)
        start = time.process_time()
        with contextlib.suppress(Invalid):
            accepted += bool(Strategy.parse(code).parameters)
        slowest = max(slowest, time.process_time() - start)
    assert 20 < accepted < 2_000
    assert slowest < 0.25
