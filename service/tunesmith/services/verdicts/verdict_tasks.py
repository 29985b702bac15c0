"""The tasks of verdicts: what one is asked about, and which requests for one are the same."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec

from tunesmith.domain.approval import ApprovalCriteria
from tunesmith.domain.criteria import merge
from tunesmith.domain.thresholds import Thresholds
from tunesmith.protocol.catalog import Call
from tunesmith.protocol.messages.verdicts import Apply
from tunesmith.services.market.market_windows import Window, on_newest_holdout
from tunesmith.services.market.payload_building import Assignment
from tunesmith.services.runtime.context import Context
from tunesmith.services.searches.approval_criteria import default_criteria, default_thresholds
from tunesmith.services.searches.search_tasks import OptimizationTask, assignments, check_lengths
from tunesmith.services.tasks import task_requests
from tunesmith.services.verdicts import ledger
from tunesmith.storage.sqlite.connections import Connection, Source
from tunesmith.storage.tables import task_table as task_rows
from tunesmith.storage.tables import verdict_table
from tunesmith.storage.tables.task_table import TaskRow

KIND = "verdict"


class VerdictTask(Assignment, frozen=True, kw_only=True):
    """The stored request of a verdict. `until_ms`: where the data ended when it was asked for."""

    params: dict[str, bool | int | float | str]
    criteria: ApprovalCriteria
    apply: Apply
    until_ms: int
    report_id: str
    optimization_id: str | None
    thresholds: Thresholds | None = None
    others: list[Window] = []

    @property
    def windows(self) -> list[Window]:
        """The window of every symbol; their hold-outs begin at one instant."""
        return [self.window, *self.others]

    @property
    def key(self) -> str:
        """What makes two requests for a verdict the same."""
        asked = msgspec.to_builtins(self)
        if not self.others:
            del asked["others"]
        return hashlib.sha256(msgspec.json.encode(asked)).hexdigest()

    def on_holdout(self, boundary_ms: int) -> VerdictTask:
        """The task with hold-outs that begin at `boundary_ms`."""
        window, *others = [msgspec.structs.replace(each, boundary_ms=boundary_ms) for each in self.windows]
        return msgspec.structs.replace(self, window=window, others=others)


async def make_task(
    context: Context,
    assignment: Assignment,
    *,
    params: Mapping[str, Any],
    report_id: str,
    optimization_id: str | None,
    criteria: ApprovalCriteria | None,
    apply: Apply = "new_trades",
) -> VerdictTask:
    """The task of a verdict on one set of parameters, with the settings' criteria where the request is silent.

    Our engine evaluates, whichever has searched: vectorbt confirms the orders in any case. The hold-outs of several
    symbols begin where the latest of them does, and end where the first of the markets ends: what one of them tells of
    a time, the search may have seen of another. Raises `Invalid` for bars of several lengths.
    """
    windows = [assignment.window, *(assignment.others if isinstance(assignment, OptimizationTask) else ())]
    check_lengths(windows, "/data/optimization_id")
    newest = [await on_newest_holdout(context, window) for window in windows]
    series = [context.market.find(window.symbol, window.timeframe, window.venue) for window in windows]
    window, *others = [msgspec.structs.replace(window, engine="tunesmith") for window in newest]
    task = VerdictTask(
        strategy=assignment.strategy,
        window=window,
        params=dict(params),
        criteria=merge(criteria, default_criteria(context.settings)),
        apply=apply,
        until_ms=min(each.end_ms for each in series),
        report_id=report_id,
        optimization_id=optimization_id,
        thresholds=default_thresholds(context.settings) if optimization_id is not None else None,
        others=others,
    )
    return task.on_holdout(max(each.boundary_ms for each in newest))


async def shared(source: Source, task: VerdictTask) -> TaskRow | None:
    """The task of the same request that has its verdict or is under way, whoever asked; None where there is none."""
    known = await verdict_table.with_key(source, task.key)
    if known is not None:
        return await task_rows.get(source, known.id)
    return await task_rows.unfinished_with(source, KIND, msgspec.json.encode(task).decode())


async def check_verdict_quota(context: Context, search: OptimizationTask, call: Call) -> None:
    """Raise `Busy` for a search that is to go on to a verdict which its user may not ask for any more."""
    windows = [part.window for part in assignments(search)]
    ends = [context.market.find(window.symbol, window.timeframe, window.venue).end_ms for window in windows]
    await ledger.check_quota(context, windows, min(ends), call.user)


async def insert_follow_up(conn: Connection, parent: TaskRow, task: VerdictTask) -> TaskRow:
    """Store the verdict that a search goes on to, for the user who asked for the search."""
    return await task_rows.create(
        conn,
        task_id=task_requests.new_id("vd"),
        kind=KIND,
        user=parent.user,
        client=parent.client,
        priority=parent.priority,
        request=msgspec.json.encode(task).decode(),
    )
