"""What a verdict that is made today says otherwise than the release's did, which decided by the first edition.

What passes a verdict is called tested. What the release called proven is superseded by such a package, which is
compared with nothing. The lines of a verdict are compared by their names: those that both editions have are the same,
those that only the first one had are gone, and those of the second one came in addition. Whatever else differs is named
here, with why.
"""

from __future__ import annotations

import json
import re
from typing import Any

_ONLY_OF_THE_FIRST = frozenset({"budget", "reality_check", "permutations", "combined"})
_OTHERWISE = {"timing": ("asks", "reason"), "holdout": ("value", "reason")}
"""Fields that differ in lines that stay: another wording of the same, and a test that takes another number of draws."""

_LINES = '"checks":['
_NEW_IN_PACKAGES = re.compile(
    r',"(spread|data_end|holdout_from|registered_at|accepted_old_data|budget|funding|initial_cash)":'
    r'(null|true|false|[\d.e+-]+|"[^"]*"|{[^{}]*})'
)
"""What the text of a package has in addition."""
_TESTED, _PROVEN = '"grade":"tested"', '"grade":"proven"'
"""How a text calls what passes a verdict, and how the release called it."""

_ENTERED_NOW = ("backtest.start", "optimization.start")
"""Types whose requests the audit log has in addition, where an operator used what bots may not: `use_holdout`, a better
priority, `approve`. The numbers and the count of all entries are larger by them."""

_WORDS = r"shuffled versions of this market (the same search|one of these searches) found something as good"
_SYMBOL = re.escape(r"^[A-Za-z0-9][A-Za-z0-9._:/-]{0,31}(?![\s\S])").replace(r"\\", r"\\{1,4}")
"""The pattern of symbols in the release, as it is told: with each backslash once, twice or four times."""

ALLOWED = {
    r"/evidence/(p/)?(reality_check|permutations): is gone": "tests of the first edition",
    r"/evidence/holdout_permutations/(n_draws: was 499|stop_at: was 0), is": "the level says how many draws it takes",
    r"/evidence/thresholds/max_permutations: was 9999, is 399$": "the scenario sets it, as it bounds every test now",
    r": was 'all 22 checks passed: .*', is 'all 2[67] checks passed: ": "there are more checks",
    r": was 'all 15 checks passed, (.*)', is 'all 16 checks passed, \1'$": "it is asked how old the candles are",
    r"/grade: was 'proven', is 'tested'$": "what passes a verdict is called tested",
    rf": was 'on <n> of <n> {_WORDS} (.*)', is 'on <n> of <n> {_WORDS} \2'$": "all searches that count were made again",
    r"^/reject-by-chance-get/.*/ledger/look: was 2, is 1$": "a verdict that fails in sample has not looked",
    r"^/(steps/)?(one-verdict-too-many|third-verdict): is gone": "it may be asked for again, as it has not looked",
    r"^/steps/second-verdict: had 2 entries, has 1: ": "draws are no budget any more",
    r"^/steps/undone-verdict/.*/evidence/(p/(search|holdout|combined)|holdout_permutations/(p|n|seed)): ": (
        "the draws follow from the database's secret, in numbers that follow from the level"
    ),
    r"^/audit-list/.*/detail: was '<vd \d+>', is \"<vd \d+>; .*, looser than the settings' ": "it says so since",
    r"/n_compared: was \d+, is \d+$": "the evidence has other values",
    rf"pattern: was '{_SYMBOL}', is ": "a symbol may have 64 characters, and = & ^ and those of Chinese, too",
    rf"/(anyOf|parameters): .*{_SYMBOL}.* is gone$": "likewise, where a symbol is one of several things",
    r"^/schemas/data\.import/request/(required: 'bars' is gone|properties/bars/\w+ is gone)$": (
        "rows may come in the place of bars"
    ),
    r"/((request|search)/direction|properties/direction/default): was 'long', is 'auto'$": (
        "who names no direction trades every side that the rule enters; what was stored says long and keeps it"
    ),
    r"^/walkforward-status/reply/data/(metrics/\w+|efficiency|windows/\d/(total_return|n_trades)|equity/\d+/1): was ": (
        "a part's first open is traded, and what is open at its end is closed as a trade that pays its exit"
    ),
}
"""Differences beside those of lines, as patterns of how they are told, and why they are to be."""


def is_allowed(difference: str) -> bool:
    """Whether a difference is one of those that the second edition makes."""
    return any(re.search(pattern, difference) for pattern in ALLOWED)


def by_name(value: Any, *, recorded: bool) -> Any:
    """The value with each list of a verdict's lines as an object, by their names; of the recorded one those that stay.

    Lists within a text, as in a signed event, are taken out of it, and what is left of the text stays as it is.
    """
    if isinstance(value, dict):
        if _is_audit(value):
            return {"entries": [_entered(each) for each in value["entries"] if each["type"] not in _ENTERED_NOW]}
        return {key: by_name(each, recorded=recorded) for key, each in value.items()}
    if isinstance(value, list):
        value = value if recorded else [each for each in value if not is_regraded(each)]
        if value and all(_is_line(each) for each in value):
            return {f"the line {each['name']}": _compared(each) for each in value if not recorded or _stays(each)}
        return [by_name(each, recorded=recorded) for each in value]
    if isinstance(value, str) and value.startswith("{") and _LINES in value:
        at = value.index(_LINES) + len(_LINES) - 1
        lines, end = json.JSONDecoder().raw_decode(value, at)
        text = _NEW_IN_PACKAGES.sub("", value[:at] + value[end:])
        text = text if recorded else text.replace(_TESTED, _PROVEN)
        return {"text": text, "lines": by_name(lines, recorded=recorded)}
    return value


def is_regraded(value: Any) -> bool:
    """Whether an entry of a listing is a package that was made as the release called its grade otherwise."""
    return isinstance(value, dict) and "grade_reason" in (value.get("package") or {})


def _is_audit(value: dict[str, Any]) -> bool:
    entries = value.get("entries")
    return isinstance(entries, list) and all(isinstance(e, dict) and {"door", "outcome"} <= e.keys() for e in entries)


def _entered(entry: dict[str, Any]) -> dict[str, Any]:
    return {key: each for key, each in entry.items() if key != "id"}


def _is_line(value: Any) -> bool:
    return isinstance(value, dict) and {"name", "segment", "asks", "passed"} <= value.keys()


def _stays(line: dict[str, Any]) -> bool:
    return line["name"] not in _ONLY_OF_THE_FIRST


def _compared(line: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in line.items() if key not in _OTHERWISE.get(line["name"], ())}
