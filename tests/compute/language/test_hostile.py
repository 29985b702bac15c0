"""Code from the network: whatever it is, it parses or is refused as `Invalid`, quickly, and is never executed.

`tests/benchmarks/hostile_code.py` sends tens of thousands of such samples.
"""

from __future__ import annotations

import random
import time

import pytest

from reference.hostile import HOSTILE, kinds, parsed_in_s
from reference.slowness import is_quick
from tunesmith.compute.rules.strategy import Strategy
from tunesmith.compute.strategies import BUILTIN_IDS, builtin
from tunesmith.errors import Invalid

LIMIT_S = 0.05


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
    assert is_quick(lambda: refused_in_s(HOSTILE[name]), LIMIT_S)


def test_doubling_names_stay_linear() -> None:
    code = "x0 = close - open\n" + "".join(f"x{i + 1} = x{i} * x{i} + x{i}\n" for i in range(250))
    code += "enter_long(x250 > 0)\n"
    strategy = Strategy.parse(code)
    assert is_quick(lambda: parsed_in_s(code)[0], 5 * LIMIT_S)
    assert strategy.rule is not None
    assert len(strategy.rule.nodes) < 600


RULES = [builtin(id).code for id in BUILTIN_IDS if builtin(id).kind == "rule"]


@pytest.mark.parametrize("kind", kinds(RULES))
def test_whatever_is_sent_parses_or_is_refused_in_50_ms(kind: str) -> None:
    chance = random.Random(20240601)
    make = kinds(RULES)[kind]
    refused = 0
    for _ in range(60 if kind == "long texts" else 400):
        code = make(chance)
        took, refusal = parsed_in_s(code)
        assert took < LIMIT_S or is_quick(lambda code=code: parsed_in_s(code)[0], LIMIT_S), code[:300]
        refused += refusal is not None
        if refusal is not None:
            assert refusal.path == "/data/code"
            assert len(refusal.message) < 500
    assert refused > 30
