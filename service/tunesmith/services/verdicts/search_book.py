"""The book: every search that counts in a verdict, from what is stored of searches, walk-forwards and backtests."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from tunesmith.services.market.market_windows import Window
from tunesmith.services.runtime.context import Context
from tunesmith.workers.chunks.null_payloads import CountedRef


class Book(msgspec.Struct, frozen=True, kw_only=True):
    """The searches that count in a verdict.

    `searches` are those that the users made or opened, in the order in which they began to count, and after them the
    foreign ones. `asked_id` names the one that the verdict is asked about. `by_user` has for each user the ids of the
    searches in that user's own book, in order: each has a clock of its own, and the verdict takes the larger one.
    `n_opened` and `n_related` count, among the searches, those of others that a user opened and those that were made on
    a related market alone.
    """

    searches: list[CountedRef]
    asked_id: str
    by_user: dict[str, list[str]]
    n_opened: int = 0
    n_related: int = 0

    @property
    def counted(self) -> list[CountedRef]:
        """The searches without the foreign ones."""
        return [search for search in self.searches if not search.foreign]

    @property
    def foreign(self) -> list[CountedRef]:
        """Searches of others, which raise p and never the clock."""
        return [search for search in self.searches if search.foreign]


async def book_of(context: Context, users: Sequence[str], windows: Sequence[Window], optimization_id: str) -> Book:
    """The book for a verdict that `users` (who asks, and whose search it is) want on a search, on its `windows`.

    `windows` have the boundary that is in force. Raises `NotFound` for a search that is not there.
    """
    raise NotImplementedError
