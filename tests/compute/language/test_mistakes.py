"""Every mistake is answered with its line and column, what was found, and the nearest right name."""

from __future__ import annotations

import pytest

from tunesmith.compute.rules.strategy import Strategy
from tunesmith.errors import Invalid

ENTER = "enter_long(close > open)\n"


def messages(code: str) -> list[str]:
    with pytest.raises(Invalid) as caught:
        Strategy.parse(code)
    assert {error.path for error in caught.value.errors} == {"/data/code"}
    assert caught.value.message == caught.value.errors[0].message
    return [error.message for error in caught.value.errors]


@pytest.mark.parametrize(
    ("code", "place", "fragment"),
    [
        ("x = smaa(close, 5)\n", (1, 5), "unknown function 'smaa'; did you mean 'sma'?"),
        ("enter_long(close > opne)\n", (1, 20), "unknown name 'opne'; did you mean 'open'?"),
        ("\n\nx = sma(close, lenght)\nlength = Int(3, 1, 9)\n", (3, 16), "unknown name 'lenght'"),
        ("enter_lnog(close > open)\n", (1, 1), "found 'enter_lnog'; did you mean 'enter_long'?"),
        ("n = Int(5, 1, 9, stp=2)\n", (1, 18), "Int has no 'stp'; did you mean 'step'?"),
        ("x = ema(close, windw=5)\n", (1, 16), "ema() has no argument 'windw'; did you mean 'window'?"),
        ("x = macd(close).lines\n", (1, 5), "macd() has no .lines; it has line, signal, hist"),
        ('m = Choice("slow", ["slow", "fast"])\nx = m == "fats"\n', (2, 10), "never 'fats'; did you mean 'fast'?"),
        ("x = sma(close, 2.5)\n", (1, 16), "must be an Int parameter or a whole constant, found the number 2.5"),
        ("n = Float(5, 1, 9)\nx = sma(close, n)\n", (2, 16), "found the Float parameter n"),
        ("x = sma(close, close)\n", (1, 16), "found a value of the bars"),
        ("n = Int(5, 0, 9)\nx = sma(close, n)\n", (2, 16), "must be from 1 to 100,000, found 0 to 9"),
        ("n = Int(5, 1, 9)\nx = sma(close, n - 1)\n", (2, 16), "must be from 1 to 100,000, found 0 to 8"),
        ("x = sma(close, 100001)\n", (1, 16), "must be from 1 to 100,000, found 100001"),
        ("x = shift(close, -1)\n", (1, 18), "must be from 0 to 100,000, found -1"),
        ("x = sma(5, 3)\n", (1, 9), "must change from bar to bar, such as close; found the number 5"),
        ("x = sma(close > 1, 3)\n", (1, 9), "x of sma() must be a number, found a condition"),
        ("x = close + (open > 1)\n", (1, 14), "the right side must be a number, found a condition"),
        ("x = not close\n", (1, 9), "must be a condition, found a value of the bars; compare it with something"),
        ("enter_long(close)\n", (1, 12), "what enter_long() waits for must be a condition, found a value of the bars"),
        ("x = close > open and 5\n", (1, 22), "a side of and must be a condition, found the number 5"),
        ("x = bbands(close) + 1\n", (1, 5), "found all of bbands(); take one part: .upper, .middle, .lower"),
        ("a, b = bbands(close)\n", (1, 1), "bbands() gives upper, middle, lower, in this order"),
        ("a, b = sma(close, 3)\n", (1, 8), "this is one value, not 2"),
        ("x = where(close > 1, 2, open > 1)\n", (1, 5), "must be both numbers or both conditions"),
        ("x = crossed_above(1, 2)\n", (1, 5), "one side of crossed_above() must change from bar to bar"),
        ("x = since(1 > 2)\n", (1, 5), "the condition of since() must change from bar to bar"),
        ("x = bbands(close, 20, close)\n", (1, 23), "must be a number or a parameter, found a value of the bars"),
        ("x = sma(close)\n", (1, 5), "window is missing; the form is sma(x, window)"),
        ("x = sma(close, 3, 4)\n", (1, 19), "too many arguments; the form is sma(x, window)"),
        ("x = sma(close, 3, window=4)\n", (1, 19), "the argument window is given twice"),
        ('x = at("4x", close)\n', (1, 8), "'4x' is no timeframe"),
        ('x = at("4h", at("1d", close))\n', (1, 14), "at() cannot stand inside at()"),
        ('x = at("4h", 5)\n', (1, 14), "must change from bar to bar"),
        ("require(close > 1)\n", (1, 9), "require() compares parameters; this changes from bar to bar"),
        ("n = Int(5, 1, 9)\nrequire(n < 3)\n" + ENTER, (2, 1), "the parameters' defaults do not fulfil this"),
        ("n = Int(5, 9, 2)\n", (1, 12), "low 9 is above high 2"),
        ("n = Int(50, 1, 9)\n", (1, 9), "the default 50 is above the greatest value 9"),
        ("n = Int(5, 1.5, 9)\n", (1, 12), "low of an Int must be a whole number"),
        ("n = Int(5, 1)\n", (1, 5), "Int needs high: Int(default, low, high, step=, log=, doc=)"),
        ("n = Int()\n", (1, 5), "Int needs a default"),
        ("n = Float(1, 0, 9, log=True)\n", (1, 14), "a log range needs low > 0"),
        ("n = Float(1, 1, 9, log=True, step=2)\n", (1, 35), "a log range has no step"),
        ("n = Float(1, 0, 9, step=0)\n", (1, 25), "step must be above 0"),
        ("n = Float(sma, 0, 9)\n", (1, 11), "default must be a plain value"),
        ('m = Choice("a", ["b"])\n', (1, 12), "the default 'a' is none of 'b'"),
        ('m = Choice("a", ["a", 1])\n', (1, 17), "must be all text or all numbers"),
        ('m = Choice("a", ["a", "a"])\n', (1, 17), "a value is listed twice"),
        ("m = Bool(1)\n", (1, 10), "the default 1 is not true or false"),
        ("close = 5\n", (1, 1), "'close' is a word of the rule language; choose another name"),
        ("x = 1\nx = 2\n", (2, 1), "'x' is already defined in line 1"),
        ("x.y = 1\n", (1, 1), "only a plain name can be assigned to"),
        ("x = y = close\n", (1, 5), "one name for one value"),
        ("x += 1\n", (1, 1), "only plain assignments"),
        ("close > open\n", (1, 1), "this does nothing"),
        ("x = (close, open)\n", (1, 5), "several values at once is not part of the rule language"),
        ("x = close[1]\n", (1, 5), "indexing with [ ] (use shift(x, bars)) is not part of the rule language"),
        ("x = close > 1 & open > 1\n", (1, 13), "this operator is not part of the rule language; use and"),
        ("x = 5 if True else 6\n", (1, 7), "'if' is not part of the rule language; use where(condition, a, b)"),
        ("import os\n", (1, 1), "'import' is not part of the rule language; nothing can be imported"),
        ("x = close.real\n", (1, 5), "a value of the bars has no parts; found .real"),
        ("x = ().__class__\n", (1, 8), "the name '__class__' begins with an underscore"),
        ("x = 10 ** 400\n", (1, 5), "this has no finite value"),
        ("x = 1e999\n", (1, 5), "the number is too large"),
        ("x = sma(close 5)\n", (1, 9), "found 'close'"),
        ("stop_loss(5)\n" + ENTER, (1, 11), "0.05 is 5 %; found 5"),
        ("stop_loss(0.1)\nstop_loss(0.2)\n" + ENTER, (2, 1), "stop_loss() is given twice"),
        ("max_holding(2.5)\n" + ENTER, (1, 13), "must be an Int parameter or a whole constant"),
        ("exit_short(close > 1)\n" + ENTER, (1, 1), "the rule has exit_short(…) but never enters short"),
        ("x = 1\n", (1, 1), "the rule never enters; give enter_long(…) or enter_short(…)"),
        ('"été" # é\nx = "é" == smaa\n', (2, 12), "unknown name 'smaa'"),
        ("enter_long(close > 1)\nx = enter_long\n", (2, 5), "enter_long is a statement of its own and has no value"),
        ("x = sma\n", (1, 5), "sma is a function: sma(x, window)"),
    ],
)
def test_a_mistake_is_answered_where_it_stands(code: str, place: tuple[int, int], fragment: str) -> None:
    told = messages(code)
    expected = f"line {place[0]}, column {place[1]}: "
    assert any(message.startswith(expected) and fragment in message for message in told), told


def test_several_mistakes_are_told_at_once_and_none_twice() -> None:
    told = messages("a = smaa(close, 2)\nb = a + 1\nc = emaa(close, 3)\nenter_long(a > b)\nexit_long(high > clsoe)\n")
    assert [message.split(":")[0] for message in told] == ["line 1, column 5", "line 3, column 5", "line 5, column 18"]


def test_no_more_than_a_few_mistakes_are_told() -> None:
    assert len(messages("".join(f"x{i} = nope{i}\n" for i in range(300)))) == 8
