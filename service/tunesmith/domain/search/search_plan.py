"""What a search is to do, as it is stored with its task and as it travels to a worker."""

from __future__ import annotations

from typing import Any

import msgspec

from tunesmith.domain.criteria import Bound
from tunesmith.domain.metrics import Aggregation
from tunesmith.domain.parameters import ParamValues
from tunesmith.domain.search.methods import MethodOptions


class SearchPlan(msgspec.Struct, frozen=True, kw_only=True):
    """A search of at most `n_trials` trials: everything that its trials depend on, beside strategy and markets.

    `target`, `ranges` and `conditions` as in `optimization.start`; a trial must keep every one of `bounds`; `aggregate`
    makes one number of several symbols'; `warm` are parameters that a method which learns tries first. With
    `lossless_keeps` a trial whose closed trades all won keeps a lower bound on the profit factor, which is infinite
    then. With `whole_logs` a log range of whole numbers has all of them, else at most 64. With `first_loss_counts` the
    drawdowns of freqtrade's losses begin at the initial cash. Plans that were stored before there were these three are
    without them, and so their searches are made again.
    """

    target: Any
    method: str
    n_trials: int
    seed: int = 0
    ranges: dict[str, Any] = {}
    conditions: list[str] = []
    bounds: list[Bound] = []
    options: MethodOptions = MethodOptions()
    aggregate: Aggregation = "mean"
    warm: list[ParamValues] = []
    lossless_keeps: bool | msgspec.UnsetType = msgspec.UNSET
    whole_logs: bool | msgspec.UnsetType = msgspec.UNSET
    first_loss_counts: bool | msgspec.UnsetType = msgspec.UNSET
