"""What the statistics of a verdict ask; `tests/benchmarks/false_approvals.py` measures what it lets through."""

from __future__ import annotations

from typing import Annotated

import msgspec

Level = Annotated[float, msgspec.Meta(gt=0.0, le=1.0)]
Draws = Annotated[int, msgspec.Meta(ge=19, le=1_000_000)]


class Thresholds(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Limits of p-values, and how many draws stand behind them.

    A market needs `min_bars` after warm-up, of which `min_holdout_bars` are held out.
    `search` limits the p-value of the winner among all searches that count, `holdout` that of the hold-out, and
    `combined` both together: it is half of the probability that a market without an edge is ever approved, and the
    limit of one verdict falls with tries and looks (`statistics.levels`). Tests take `n_permutations` draws, or
    `max_permutations` where the limit is too low for these; `stop_at` draws that reach the real statistic end one.

    Verdicts of edition 1 are made again with the others too: its limits for paper, its Reality Check, its draws on the
    hold-out, and `combined` divided by k² for the k-th verdict.
    """

    min_bars: Annotated[int, msgspec.Meta(ge=2)] = 1000
    min_holdout_bars: Annotated[int, msgspec.Meta(ge=2)] = 300
    min_holdout_trades: Annotated[int, msgspec.Meta(ge=0)] = 5
    cost_factor: Annotated[float, msgspec.Meta(ge=1.0, le=100.0)] = 2.0
    reality_check: Level = 0.40
    n_reality_check: Draws = 400
    n_blocks: Annotated[int, msgspec.Meta(ge=8, le=200)] = 32
    search: Level = 0.05
    paper_search: Level = 0.10
    n_permutations: Draws = 999
    stop_at: Annotated[int, msgspec.Meta(ge=1)] = 21
    holdout: Level = 0.20
    n_holdout_permutations: Draws = 499
    combined: Level = 0.005
    paper_combined: Level = 0.01
    max_permutations: Draws = 1999

    def of_look(self, k: int) -> Thresholds | None:
        """Edition 1: the thresholds of the k-th verdict on one market (from 1); None if it needs too many draws."""
        n = (self.n_permutations + 1) * k * k - 1
        if n > self.max_permutations:
            return None
        return msgspec.structs.replace(
            self, n_permutations=n, combined=self.combined / k**2, paper_combined=self.paper_combined / k**2
        )
