"""The grades of packages: what each says, which one says more, and which ones a bot takes that names some.

A package of a higher grade is also all that the lower ones say.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal, cast

from tunesmith.errors import Invalid

Grade = Literal["criteria", "tested", "proven"]

GRADES: dict[Grade, str] = {
    "criteria": "the figures of one backtest keep their bounds, which is no evidence of skill",
    "tested": "a search passed every test of its verdict on bars of the past, its hold-out among them",
    "proven": "tested, and held since on bars that closed after the package was registered",
}
"""What each grade says, from the one that says least to the one that says most."""


def accepted_grades(asked: Collection[str]) -> tuple[Grade, ...]:
    """The grades that a bot takes: those that it names, and all above the lowest of them.

    Raises `Invalid`, which says what there is to choose from, where it names none or another.
    """
    named = {asked} if isinstance(asked, str) else set(asked)
    unknown = sorted(map(str, named - set(GRADES)))
    if not named or unknown:
        wrong = f"there is no grade {', '.join(map(repr, unknown))}: " if unknown else ""
        choices = " ".join(f"{grade!r}: {meaning}." for grade, meaning in GRADES.items())
        wanted = "name the lowest grade to trade on, such as grades=('tested',); those after it are taken too"
        raise Invalid(f"{wrong}{wanted}. {choices}")
    ordered = tuple(GRADES)
    return ordered[min(ordered.index(cast(Grade, name)) for name in named) :]
