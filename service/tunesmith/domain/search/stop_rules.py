"""What ends a search before its last trial, as a request says it."""

from __future__ import annotations

from typing import Annotated

import msgspec


class StopRules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What ends a search early; null means that it does not.

    `patience`: batches in a row without a better score. `least_improvement`: by how much a score must be better to
    count, in the target's own unit. `target`: the score that is enough. `time_budget_s`: seconds of work, counted over
    resumes. Rules are looked at after every `batch` trials, in their order, whoever is quick; the first that holds
    decides: target, patience, time.
    """

    batch: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 500
    patience: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] | None = None
    least_improvement: Annotated[float, msgspec.Meta(ge=0.0, le=1e9)] = 0.0
    target: Annotated[float, msgspec.Meta(ge=-1e9, le=1e9)] | None = None
    time_budget_s: Annotated[float, msgspec.Meta(gt=0.0, le=1e9)] | None = None
