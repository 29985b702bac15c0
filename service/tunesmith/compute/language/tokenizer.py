"""Cut a text into tokens by a pattern: shared by rules and by expressions over metrics."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple


class Token(NamedTuple):
    """A piece of a text: the name of the pattern's group that it matched, what it is, and the position it begins at."""

    kind: str
    text: str
    at: int


def tokens(pattern: re.Pattern[str], text: str, strange: Callable[[str, int], Exception]) -> Iterator[Token]:
    """The tokens of `text` in order, one after the other without a gap; each matches one named group of `pattern`.

    Raises what `strange` makes of the text and the position at which nothing matches. Linear in the text's length as
    far as `pattern` is.
    """
    at = 0
    while at < len(text):
        match = pattern.match(text, at)
        if match is None:
            raise strange(text, at)
        yield Token(str(match.lastgroup), match.group(), at)
        at = match.end()
