"""The look at rule code before it is parsed: size, nesting and words, in linear time.

Python's own parser recurses on nesting, and its search for a good message can take exponential time on nested errors.
What passes here is bounded in length, tokens and depth, and holds no keyword but and, or, not, True and False.
"""

from __future__ import annotations

import keyword
import re

from tunesmith.compute.language.mistakes import Mistake
from tunesmith.compute.language.tokenizer import tokens

MAX_CODE = 65_536
MAX_TOKENS = 3_000
MAX_NESTING = 24
MAX_PREFIXES = 4
MAX_NAME = 64
MAX_POWERS = 100

_KEYWORDS = {"and", "or", "not", "True", "False"}
_HINTS = {
    "if": "; use where(condition, a, b)",
    "else": "; use where(condition, a, b)",
    "def": "; every value is one assignment",
    "import": "; nothing can be imported",
    "from": "; nothing can be imported",
    "None": "; leave the argument out instead",
    "is": "; compare with ==",
    "in": "; compare with == and join by or",
}
_TOKEN = re.compile(
    r"""(?P<blank>(?:[ \t\f]|\r?\n|\#[^\n]*)+)
      | (?P<text>[A-Za-z]{0,2}(?:\"\"\"[^\\]*?\"\"\"|'''[^\\]*?'''|"(?!"")[^"\\\n]*"|'(?!'')[^'\\\n]*'))
      | (?P<number>(?:[0-9][0-9_]*)?\.?[0-9][0-9_]*\.?(?:[eE][+-]?[0-9]+)?[A-Za-z0-9_]*)
      | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
      | (?P<power>\*\*)
      | (?P<open>[(\[{])
      | (?P<close>[)\]}])
      | (?P<prefix>[-+~])
      | (?P<other>//|[<>=!]=|[*/%<>=.,:;@&|^!])""",
    re.VERBOSE,
)
_NUMBER = re.compile(r"(?:[0-9]+(?:_[0-9]+)*)?\.?(?:[0-9]+(?:_[0-9]+)*)?(?:[eE][+-]?[0-9]+)?")


def scan(code: str) -> None:
    """Refuse code that is too long, too deep, or written with other signs and words than the language's.

    Raises `Mistake` at the first of them. Linear in the length of the code; stops at the limits.
    """
    if len(code) > MAX_CODE:
        raise Mistake(1, 1, f"the code has {len(code):,} characters; at most {MAX_CODE:,} are allowed")
    line_start = depth = n_tokens = prefixes = powers = 0
    line = 1

    def strange(code: str, position: int) -> Mistake:
        return Mistake(line, position - line_start + 1, _strange(code, position))

    for kind, text, position in tokens(_TOKEN, code, strange):
        column = position - line_start + 1
        if kind in ("blank", "text"):
            if "\n" in text:
                line += text.count("\n")
                line_start = position + text.rindex("\n") + 1
            if kind != "text":
                continue
        n_tokens += 1
        prefixes = prefixes + 1 if kind == "prefix" or text == "not" else 0
        powers += kind == "power"
        depth += (kind == "open") - (kind == "close")
        wrong = _wrong_word(kind, text)
        if n_tokens > MAX_TOKENS or powers > MAX_POWERS:
            wrong = f"the rule is too long; at most {MAX_TOKENS:,} words and signs are allowed"
        elif depth > MAX_NESTING:
            wrong = f"brackets are nested more than {MAX_NESTING} deep; give a part a name of its own"
        elif prefixes > MAX_PREFIXES:
            wrong = f"more than {MAX_PREFIXES} signs before one value"
        if wrong:
            raise Mistake(line, column, wrong)


def _wrong_word(kind: str, text: str) -> str | None:
    if kind == "name":
        if keyword.iskeyword(text) and text not in _KEYWORDS:
            return f"{text!r} is not part of the rule language{_HINTS.get(text, '')}"
        if len(text) > MAX_NAME:
            return f"the name {text[:16]}… has {len(text)} characters; at most {MAX_NAME} are allowed"
        if text.startswith("_"):
            return f"the name {text!r} begins with an underscore, which is not allowed"
    if kind == "number" and not _NUMBER.fullmatch(text):
        return f"{text[:32]!r} is not a number"
    if kind == "text" and text[0] not in "\"'":
        return f"text with the prefix {text[: min(text.find(q) for q in _quotes(text))]!r} is not part of the language"
    return None


def _quotes(text: str) -> list[str]:
    return [quote for quote in "\"'" if quote in text]


def _strange(code: str, position: int) -> str:
    sign = code[position]
    if sign in "\"'":
        return "a text begins here that does not end, or holds a backslash"
    if sign == "\\":
        return "a backslash; put an expression over several lines into brackets"
    return f"the sign {sign!r} is not part of the rule language"
