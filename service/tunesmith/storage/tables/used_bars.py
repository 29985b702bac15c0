"""Bars that searches and verdicts used: they are replaced by others only where evidence is to begin anew."""

from __future__ import annotations

from pathlib import Path

from tunesmith.errors import Conflict
from tunesmith.storage.tables.holdout_table import Name
from tunesmith.storage.tables.market_table import used_until
from tunesmith.storage.timestamps import iso


class UsedBars:
    """Hears of an import before it replaces bars, and refuses it where a search or a verdict used them.

    With `new_evidence` it lets the import be, and `replaced` names the markets whose evidence begins anew. `said` is
    how somebody says so.
    """

    def __init__(self, database: Path, new_evidence: bool, said: str) -> None:
        self._database = database
        self._new_evidence = new_evidence
        self._said = said
        self.replaced: set[Name] = set()

    def check(self, venue: str, symbol: str, first_ms: int) -> None:
        """To be called before bars from `first_ms` on are replaced by others. Raises `Conflict`."""
        until_ms = used_until(self._database, (venue, symbol))
        if until_ms is None or first_ms >= until_ms:
            return
        if not self._new_evidence:
            raise Conflict(
                f"{symbol} ({venue}): bars from {iso(first_ms)[:10]} on would change that a search or a verdict used. "
                f"With {self._said} they are replaced: searches made before cannot be decided any more, and "
                "tries and looks go on counting",
                path="/data/bars",
            )
        self.replaced.add((venue, symbol))
