"""The fused conditions of a rule as the source of one compiled function.

The function writes, for the points lo to hi, one bit a bar for each condition and the price levels where they count:

    conditions(rows f8[M + R * T + M], rough f4[R * 64 W], known u8[R, W], index i8[n, L], values f8[n, Q],
               (T, lo, hi, everywhere), scratch f8[K, 64], words u8[C, m, W], prices f8[P, m, T])

m = hi - lo. `index[i]` says which row each leaf of point i is, `values[i]` holds its scalars. Rows stand one after the
other between margins, so that 64 bars may be read wherever one of them is a bar. Comparisons make words of 64 bars (see
`mask_comparisons`); a condition one bar back is the same word shifted by one. Two rows of which both are looked for,
where the one and where the other is below, are compared in half the time as the rounded ones that `rough` holds (see
`single_precision`): what is below when rounded is below, and words with a tie are compared again. Numbers that are
compared and are no row are computed 64 at a time into `scratch`. Prices are computed at the bars that enter, where
alone they are read, or `everywhere`. A rule that reads a number one bar back leaves bar 0 to its caller. Long series
are cut into tiles that stay in the processor's cache while the block's points pass over them; from the last tile to the
first, because a tile begins with the word before its own, for what is shifted out of that, and so leaves a word that
the next one rewrites.

A condition is emitted as "known true" or "known false" (three-valued logic resolved here, at no cost): comparisons with
NaN are neither. Every name in the source is made of node numbers, every constant is the `repr` of a float: nothing of
the user's text gets in.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from tunesmith.compute.graph.nodes import Node
from tunesmith.compute.kernels.masks import BITS

TILE = 4096
_TILE_WORDS = TILE // BITS
MARGIN = 128

Part = tuple[int, int, str]
"""What is needed: a node, how many bars back, and n (number), t (known true) or f (known false)."""

_COMPARE = {
    "lt": ("{0} < {1}", "{0} >= {1}"),
    "le": ("{0} <= {1}", "{0} > {1}"),
    "gt": ("{0} > {1}", "{0} <= {1}"),
    "ge": ("{0} >= {1}", "{0} < {1}"),
    "eq": ("{0} == {1}", "({0} < {1}) | ({0} > {1})"),
    "ne": ("({0} < {1}) | ({0} > {1})", "{0} == {1}"),
}
_MASKS = {
    "lt": ("less_nb({0}, {1})", "at_most_nb({1}, {0})"),
    "le": ("at_most_nb({0}, {1})", "less_nb({1}, {0})"),
    "gt": ("less_nb({1}, {0})", "at_most_nb({0}, {1})"),
    "ge": ("at_most_nb({1}, {0})", "less_nb({0}, {1})"),
    "eq": ("equal_nb({0}, {1})", "less_nb({0}, {1}) | less_nb({1}, {0})"),
    "ne": ("less_nb({0}, {1}) | less_nb({1}, {0})", "equal_nb({0}, {1})"),
}
_BELOW = {
    "lt": ("{0}", "~{0} & {2}"),
    "le": ("~{1} & {2}", "{1}"),
    "gt": ("{1}", "~{1} & {2}"),
    "ge": ("~{0} & {2}", "{0}"),
    "eq": ("~{0} & ~{1} & {2}", "{0} | {1}"),
    "ne": ("{0} | {1}", "~{0} & ~{1} & {2}"),
}
"""A comparison as a formula of three masks: the left below, the right below, both defined."""

_NUMBERS = {
    "add": "{0} + {1}",
    "sub": "{0} - {1}",
    "mul": "{0} * {1}",
    "div": "{0} / {1} if {1} != 0.0 else nan",
    "floordiv": "np.floor({0} / {1}) if {1} != 0.0 else nan",
    "mod": "{0} - {1} * np.floor({0} / {1}) if {1} != 0.0 else nan",
    "pow": "nan if ({0} == 0.0) & ({1} < 0.0) else {0} ** {1}",
    "neg": "-{0}",
    "abs": "abs({0})",
    "min": "{0} if ({0} <= {1}) | ({0} != {0}) else {1}",
    "max": "{0} if ({0} >= {1}) | ({0} != {0}) else {1}",
    "sqrt": "np.sqrt({0})",
    "log": "np.log({0}) if {0} > 0.0 else nan",
    "exp": "np.exp({0})",
}

_HEAD = f'''"""Conditions of one rule, generated from its expression graph."""

from functools import partial

import numpy as np

from tunesmith.compute.kernels.compiling import kernel
from tunesmith.compute.kernels.mask_comparisons import at_most_nb, equal_nb, less_nb, lowest_bit_nb

nan = np.nan
zero, one, last, bits = np.uint64(0), np.uint64(1), np.uint64(63), np.uint64(64)
ones = np.uint64(2**64 - 1)


@partial(kernel, beside=True)
def conditions(rows, rough, known, index, values, extent, scratch, words, prices):
    n_bars, lo, hi, everywhere = extent
    n_words = (n_bars + 63) // 64
    tail = ones >> np.uint64(64 * n_words - n_bars)
    for tile in range((n_words - 1) // {_TILE_WORDS} * {_TILE_WORDS}, -1, -{_TILE_WORDS}):
        for point in range(lo, hi):
            at = point - lo
'''


class Fused(NamedTuple):
    """What is to be emitted; all are node numbers. `entries` says which of the conditions enter."""

    nodes: Sequence[Node]
    leaves: Sequence[int]
    scalars: Sequence[int]
    conditions: Sequence[int]
    entries: Sequence[bool]
    prices: Sequence[int]


class Emitted(NamedTuple):
    """The source; for each leaf how many bars back it is read at most; whether bar 0 is left out; rows of scratch;
    whether rounded rows are read."""

    source: str
    lags: tuple[int, ...]
    looks_back: bool
    n_scratch: int
    reads_rough: bool


def emit(fused: Fused) -> Emitted:
    """The source of the fused conditions."""
    words = _Words(fused)
    conditions = [(node, 0, "t") for node in fused.conditions]
    prices = [(node, 0, "n") for node in fused.prices]
    formulas = words.lines(conditions)
    lines = _HEAD.rstrip("\n").split("\n")
    for i, number in enumerate(fused.scalars):
        lines += _indented(3, _scalar(fused.nodes[number], number, i))
    lines += _indented(3, [f"b{n} = np.uint64({MARGIN} + index[point, {i}] * n_bars)" for i, n in _count(fused.leaves)])
    for i, number in _count(fused.leaves):
        if number in words.rough:
            start = f"a{number} = np.uint64({BITS} * index[point, {i}] * n_words)"
            lines += _indented(3, [start, f"d{number} = known[index[point, {i}]]"])
    lines += _indented(3, [f"{_scratch(part)} = scratch[{i}]" for i, part in _count(words.scratch)])
    lines += _indented(3, [f"c{i} = words[{i}, at]" for i, _ in _count(conditions)])
    lines += _indented(3, [f"p{i} = prices[{i}, at]" for i, _ in _count(prices)])
    lines += _indented(3, [f"h{mask} = zero" for mask in words.shifted])
    lines += [
        f"            for word in range(max(tile - 1, 0), min(tile + {_TILE_WORDS}, n_words)):",
        "                first = np.uint64(64 * word)",
        "                inside = ones if word + 1 < n_words else tail",
    ]
    lines += _indented(4, [f"i{n} = b{n} + first" for n in fused.leaves])
    lines += _indented(4, [f"j{n} = a{n} + first" for n in fused.leaves if n in words.rough])
    lines += _indented(4, [line for pair in words.pairs for line in _pair(*pair)])
    if words.scratch:
        lines.append("                for k in range(zero, bits):")
        lines += _indented(5, _values(fused, words.scratch))
        lines += _indented(5, [f"{_scratch(part)}[k] = {_name(fused, part)}" for part in words.scratch])
    lines += _indented(4, formulas)
    lines += _indented(4, [f"c{i}[word] = inside & {words.name(part)}" for i, part in _count(conditions)])
    lines += _indented(4, [f"h{mask} = {mask} >> last" for mask in words.shifted])
    if prices:
        entries = " | ".join(f"c{i}[word]" for i, enters in _count(fused.entries) if enters)
        lines += [
            f"                wanted = inside if everywhere else {entries}",
            "                while wanted != zero:",
            "                    k = np.uint64(lowest_bit_nb(wanted))",
            "                    wanted &= wanted - one",
        ]
        lines += _indented(5, _values(fused, prices))
        lines += _indented(5, [f"p{i}[first + k] = {_name(fused, part)}" for i, part in _count(prices)])
    read = _needed(fused, [*conditions, *prices])
    lags = tuple(max(back for n, back, _ in read if n == leaf) for leaf in fused.leaves)
    looks_back = words.reads_back or any(back for _, back, _ in _needed(fused, [*words.scratch, *prices]))
    return Emitted("\n".join(lines) + "\n", lags, looks_back, len(words.scratch), bool(words.pairs))


class _Words:
    """Conditions as formulas of words. `lines` says what numbers they need in `scratch`, which masks `shifted`, and
    which `pairs` of rows are compared rounded, whose members are `rough`."""

    def __init__(self, fused: Fused) -> None:
        self._fused = fused
        self._masks: dict[str, str] = {}
        self.scratch: list[Part] = []
        self.shifted: list[str] = []
        self.reads_back = False
        self._told = 0
        self.pairs: list[tuple[int, int]] = []
        self.rough: set[int] = set()

    def lines(self, targets: Sequence[Part]) -> list[str]:
        """The formulas of all conditions that `targets` are made of, each after what it reads."""
        lines = []
        parts = _needed(self._fused, targets, is_word=True)
        self._find_pairs(parts)
        for part in parts:
            if self._fused.nodes[part[0]].varies:
                formula = self._formula(part)
                lines += [f"{mask} = {known}" for known, mask in list(self._masks.items())[self._told :]]
                self._told = len(self._masks)
                lines.append(f"{self.name(part)} = {formula}")
        return lines

    def name(self, part: Part) -> str:
        number, back, form = part
        node = self._fused.nodes[number]
        if node.op == "const":
            return "ones" if (node.value == 1.0) == (form == "t") else "zero"
        return f"w{number}_{back}{form}" if node.varies else f"z{number}{form}"

    def _formula(self, part: Part) -> str:
        node, form = self._fused.nodes[part[0]], part[2]
        names = [self.name(read) for read in _reads(self._fused, part, is_word=True)]
        if node.op in ("prev", "not"):
            return names[0]
        if node.op in ("and", "or"):
            return f"{names[0]} {'&' if (node.op == 'and') == (form == 't') else '|'} {names[1]}"
        operands = [self._operand(arg, part[1]) for arg in node.args]
        backs = {back for number, back in operands if self._fused.nodes[number].varies}
        shift = min(backs)
        if backs != {shift}:
            shift = 0
        numbers = (operands[0][0], operands[1][0])
        if backs == {operands[0][1]} and {numbers, numbers[::-1]} & set(self.pairs):
            low, high = sorted(numbers)
            less, more, both = f"l{low}_{high}", f"g{low}_{high}", f"k{low}_{high}"
            sides = (less, more) if numbers == (low, high) else (more, less)
            mask = self._mask(_BELOW[node.op][form == "f"].format(*sides, both))
        else:
            a, b = (self._values((number, back - shift, "n")) for number, back in operands)
            mask = self._mask(_MASKS[node.op][form == "f"].format(a, b))
        if not shift:
            return mask
        if mask not in self.shifted:
            self.shifted.append(mask)
        return f"{mask} << one | h{mask}"

    def _find_pairs(self, parts: Sequence[Part]) -> None:
        """Find the rows that are compared both ways, at one bar."""
        found: dict[tuple[int, int], set[int]] = {}
        for number, back, form in parts:
            node = self._fused.nodes[number]
            if node.op in _BELOW:
                (a, a_back), (b, b_back) = (self._operand(arg, back) for arg in node.args)
                if a_back == b_back and a != b and {a, b} <= set(self._fused.leaves):
                    formula = _BELOW[node.op][form == "f"]
                    sides = {side for side, name in enumerate("01") if f"{{{name}}}" in formula}
                    found.setdefault((min(a, b), max(a, b)), set()).update(sides if a < b else {1 - x for x in sides})
        self.pairs = [pair for pair, sides in found.items() if len(sides) == 2]
        self.rough = {number for pair in self.pairs for number in pair}

    def _operand(self, number: int, back: int) -> tuple[int, int]:
        node = self._fused.nodes[number]
        while node.op == "prev":
            number, back = node.args[0], back + 1
            node = self._fused.nodes[number]
        return number, back

    def _values(self, part: Part) -> str:
        number, back, _ = part
        if not self._fused.nodes[number].varies:
            return f"{_name(self._fused, (number, 0, 'n'))}, zero"
        if number in self._fused.leaves:
            self.reads_back |= back > 0
            return f"rows, i{number} - one" if back else f"rows, i{number}"
        if part not in self.scratch:
            self.scratch.append(part)
        return f"{_scratch(part)}, zero"

    def _mask(self, comparison: str) -> str:
        return self._masks.setdefault(comparison, f"m{len(self._masks)}")


def _count(items: Sequence[Any]) -> list[tuple[int, Any]]:
    return list(enumerate(items))


def _indented(depth: int, lines: Sequence[str]) -> list[str]:
    return [f"{'    ' * depth}{line}" for line in lines]


def _pair(low: int, high: int) -> list[str]:
    """Where row `low` is below, where it is above `high`, and where both are defined."""
    less, more, both = f"l{low}_{high}", f"g{low}_{high}", f"k{low}_{high}"
    return [
        f"{less} = less_nb(rough, j{low}, rough, j{high})",
        f"{more} = less_nb(rough, j{high}, rough, j{low})",
        f"{both} = d{low}[word] & d{high}[word]",
        f"if ~({less} | {more}) & {both} != zero:",
        f"    {less} = less_nb(rows, i{low}, rows, i{high})",
        f"    {more} = less_nb(rows, i{high}, rows, i{low})",
    ]


def _scratch(part: Part) -> str:
    return f"x{part[0]}_{part[1]}"


def _needed(fused: Fused, targets: Sequence[Part], *, is_word: bool = False) -> list[Part]:
    """All parts that `targets` are made of, each after what it reads; of words, down to the comparisons alone."""
    found: set[Part] = set()
    waiting = list(targets)
    while waiting:
        part = waiting.pop()
        if part not in found:
            found.add(part)
            waiting.extend(_reads(fused, part, is_word=is_word))
    return sorted(found, key=lambda part: (part[0], -part[1], part[2]))


def _reads(fused: Fused, part: Part, *, is_word: bool = False) -> list[Part]:
    number, back, form = part
    node = fused.nodes[number]
    if number in fused.leaves or not node.varies or (is_word and node.op in _COMPARE):
        return []
    if node.op == "prev":
        return [(node.args[0], back + 1, form)]
    if node.op == "not":
        return [(node.args[0], back, _opposite(form))]
    if node.op == "where":
        condition, a, b = node.args
        return [(condition, back, "t"), (condition, back, "f"), (a, back, "n"), (b, back, "n")]
    return [(arg, back, form if node.op in ("and", "or") else "n") for arg in node.args]


def _opposite(form: str) -> str:
    return "f" if form == "t" else "t"


def _scalar(node: Node, number: int, i: int) -> list[str]:
    if node.kind == "number":
        return [f"s{number}n = values[point, {i}]"]
    return [
        f"s{number}t = values[point, {i}] > 0.5",
        f"s{number}f = values[point, {i}] < 0.5",
        f"z{number}t = ones if s{number}t else zero",
        f"z{number}f = ones if s{number}f else zero",
    ]


def _values(fused: Fused, targets: Sequence[Part]) -> list[str]:
    """What `targets` are made of, for one bar."""
    parts = [part for part in _needed(fused, targets) if fused.nodes[part[0]].varies]
    return [f"{_name(fused, part)} = {_expression(fused, part)}" for part in parts]


def _name(fused: Fused, part: Part) -> str:
    number, back, form = part
    node = fused.nodes[number]
    if node.op == "const":
        if node.kind == "condition":
            return str((node.value == 1.0) == (form == "t"))
        return f"({float(node.value)!r})"  # type: ignore[arg-type]
    return f"v{number}_{back}{form}" if node.varies else f"s{number}{form}"


def _expression(fused: Fused, part: Part) -> str:
    number, back, form = part
    node = fused.nodes[number]
    if number in fused.leaves:
        return f"rows[i{number} + k - one]" if back else f"rows[i{number} + k]"
    names = [_name(fused, read) for read in _reads(fused, part)]
    if node.op in ("prev", "not"):
        return names[0]
    if node.op in ("and", "or"):
        return f"{names[0]} {'&' if (node.op == 'and') == (form == 't') else '|'} {names[1]}"
    if node.op == "where":
        true, false, a, b = names
        return f"{a} if {true} else ({b} if {false} else nan)"
    if node.op in _COMPARE:
        return _COMPARE[node.op][form == "f"].format(*names)
    return _NUMBERS[node.op].format(*names)
