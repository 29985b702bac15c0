"""How a walk-forward cuts the bars: parts to search on, and the bars after each to trade."""

from __future__ import annotations

from dataclasses import dataclass

from tunesmith.errors import Invalid


@dataclass(frozen=True, slots=True)
class Part:
    """Bars [start, stop) to search on, [stop, end) to trade."""

    start: int
    stop: int
    end: int


def parts_of(n_bars: int, n_train: int, n_test: int, *, anchored: bool, first: int = 0) -> list[Part]:
    """The windows of the bars from `first` on; the last traded part may be shorter. Raises `Invalid` for none."""
    found = []
    stop = first + n_train
    while stop < n_bars:
        start = first if anchored else stop - n_train
        found.append(Part(start, stop, min(stop + n_test, n_bars)))
        stop += n_test
    if not found:
        raise Invalid(f"{n_bars - first} bars leave nothing to trade after {n_train}", path="/data/train_bars")
    return found
