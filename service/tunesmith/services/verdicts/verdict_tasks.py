"""The tasks of verdicts: what one is asked about, which requests for one are the same, and how it is driven."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from tunesmith import telemetry
from tunesmith.compute.decision.inputs import Ledger
from tunesmith.domain.approval import ApprovalCriteria, DataAge, VerdictWish
from tunesmith.domain.criteria import merge
from tunesmith.domain.records import build
from tunesmith.domain.thresholds import Thresholds
from tunesmith.domain.trading import OWN_ENGINE
from tunesmith.errors import Forbidden
from tunesmith.protocol.catalog import Call
from tunesmith.protocol.messages.packages import Package
from tunesmith.protocol.messages.verdicts import Apply
from tunesmith.protocol.task_types import OPTIMIZATION, VERDICT
from tunesmith.services.market.market_windows import Assignment, Window, on_newest_holdout
from tunesmith.services.packages.package_requests import Approved, compose, publish
from tunesmith.services.requests import audit_log
from tunesmith.services.requests.operator_rights import refuse_former_operator
from tunesmith.services.runtime.context import Context
from tunesmith.services.runtime.task_runner import Job
from tunesmith.services.searches.search_tasks import (
    OptimizationTask,
    assignments,
    check_lengths,
    default_criteria,
)
from tunesmith.services.tasks.task_kinds import load
from tunesmith.services.verdicts import ledger, search_decision
from tunesmith.services.verdicts.counted_answers import CountedGround, counted_ground
from tunesmith.services.verdicts.criteria_decision import Bounds, rule_by_criteria
from tunesmith.services.verdicts.evidence import Ruling, age_of
from tunesmith.services.verdicts.search_book import BookEvidence, book_again, book_of
from tunesmith.services.verdicts.search_book import evidence_of as book_evidence
from tunesmith.storage.sqlite.connections import Connection, Source
from tunesmith.storage.tables import holdout_table, package_table, task_table, verdict_table
from tunesmith.storage.tables.task_table import TaskRow
from tunesmith.storage.tables.verdict_table import VerdictRow
from tunesmith.storage.timestamps import milliseconds, now
from tunesmith.workers.chunks.payloads import Prepared


class VerdictTask(Assignment, frozen=True, kw_only=True):
    """The stored request of a verdict. `until_ms`: where the data ended when it was asked for.

    One of an older version does not say whether it accepts old data, and is not asked how old its data is.
    """

    params: dict[str, bool | int | float | str]
    criteria: ApprovalCriteria
    apply: Apply
    until_ms: int
    report_id: str
    optimization_id: str | None
    thresholds: Thresholds | None = None
    others: list[Window] = []
    accept_old_data: bool | msgspec.UnsetType = msgspec.UNSET

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
        if not self.accept_old_data:
            asked.pop("accept_old_data", None)
        return hashlib.sha256(msgspec.json.encode(asked)).hexdigest()

    def age(self, asked_at: str) -> DataAge | None:
        """How old the data was at the time (of a table) at which the verdict was asked for."""
        if self.accept_old_data is msgspec.UNSET:
            return None
        return DataAge(
            asked_ms=milliseconds(asked_at),
            end_ms=self.until_ms,
            boundary_ms=self.window.boundary_ms,
            accepted=self.accept_old_data,
        )

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
    wish: VerdictWish,
    apply: Apply = "new_trades",
) -> VerdictTask:
    """The task of a verdict on one set of parameters, with the settings' criteria where the wish is silent.

    Our engine evaluates, whichever has searched: vectorbt confirms the orders in any case. The hold-outs of several
    symbols begin where the latest of them does, and end where the first of the markets ends: what one of them tells of
    a time, the search may have seen of another. Raises `Invalid` for bars of several lengths.
    """
    windows = [assignment.window, *(assignment.others if isinstance(assignment, OptimizationTask) else ())]
    check_lengths(windows, "/data/optimization_id")
    newest = [await on_newest_holdout(context, window) for window in windows]
    series = [context.market.find(window.symbol, window.timeframe, window.venue) for window in windows]
    window, *others = [msgspec.structs.replace(window, engine=OWN_ENGINE) for window in newest]
    task = VerdictTask(
        strategy=assignment.strategy,
        window=window,
        params=dict(params),
        criteria=merge(wish, default_criteria(context.settings)),
        apply=apply,
        until_ms=min(each.end_ms for each in series),
        report_id=report_id,
        optimization_id=optimization_id,
        thresholds=context.settings.statistics if optimization_id is not None else None,
        others=others,
        accept_old_data=wish.accept_old_data,
    )
    return task.on_holdout(max(each.boundary_ms for each in newest))


async def shared(source: Source, task: VerdictTask) -> TaskRow | None:
    """The task of the same request that has its verdict or is under way, whoever asked; None where there is none."""
    known = await verdict_table.with_key(source, task.key)
    if known is not None:
        return await task_table.get(source, known.id)
    return await task_table.unfinished_with(source, VERDICT.name, msgspec.json.encode(task).decode())


async def check_verdict_quota(context: Context, search: OptimizationTask, call: Call) -> None:
    """Raise `Busy` for a search that is to go on to a verdict which its user may not ask for any more."""
    windows = [part.window for part in assignments(search)]
    ends = [context.market.find(window.symbol, window.timeframe, window.venue).end_ms for window in windows]
    await ledger.check_quota(context, windows, min(ends), call.user)


class StandingMoved(Exception):
    """Another package came into force while a newcomer was compared with the one before."""


async def run(context: Context, job: Job) -> None:
    """Drive a verdict; verdict, package and event are stored in one step.

    A search is tested by statistics; a lone backtest can keep the criteria, which uses the hold-out up.
    """
    task = job.decode(VerdictTask)
    while True:
        ruling = await (_by_criteria if task.optimization_id is None else _by_proof)(context, job, task)
        try:
            return await _store(context, job, task, ruling)
        except StandingMoved as moved:
            job.log(f"decided again: {moved}")
        except Forbidden as refusal:
            said = functools.partial(audit_log.enter_verdict, task=job.row, package_id=None, reason=refusal.message)
            await context.database.write(functools.partial(said, verdict=refusal.code))
            raise


async def _store(context: Context, job: Job, task: VerdictTask, ruling: Ruling) -> None:
    """End the task with its ruling.

    Raises, with nothing stored, `StandingMoved`, and `Forbidden` where its user was revoked or is no operator by now.
    """

    async def apply(conn: Connection) -> dict[str, Any]:
        refuse_former_operator(context, job.row.user)
        made: dict[str, Package] = {}
        if ruling.approved and task.optimization_id is not None:
            await _refuse_other_standing(conn, task, ruling)
        together = [window.symbol for window in task.windows]
        for window, data in zip(task.windows, (ruling.data, *ruling.others), strict=True):
            if not ruling.approved or (ruling.kept is not None and window.symbol not in ruling.kept):
                continue
            of_now = msgspec.structs.replace(window, boundary_ms=ruling.evidence["boundary_ms"])
            approved = Approved(
                assignment=Assignment(strategy=task.strategy, window=of_now),
                data=data,
                grade=ruling.grade,
                checks=ruling.checks,
                metrics=ruling.by_symbol.get(window.symbol, ruling.metrics),
                together=together,
                spread=ruling.spreads.get(window.symbol),
                budget=ruling.budget,
                age=age_of(ruling.evidence),
            )
            made[window.symbol] = await compose(conn, approved, task.params, task.apply)
        await verdict_table.create(conn, _row(job, task, ruling, made))
        for package in made.values():
            await publish(conn, package, verdict_id=job.id, report_id=task.report_id)
        if made and ruling.grade == "criteria":
            await holdout_table.record_look(conn, *_look(task, ruling.data), job.row.user, "approval", job.id)
        package_ids: list[str | None] = [package.package_id for package in made.values()] or [None]
        for package_id in package_ids:
            await audit_log.enter_verdict(conn, job.row, ruling.status, package_id, ruling.reason)
        return {
            "verdict": ruling.status,
            "reason": ruling.reason,
            "package_id": package_ids[0],
        }

    if await job.complete(apply):
        telemetry.VERDICTS.labels(ruling.status).inc()
        if ruling.approved:
            telemetry.PACKAGES.labels("approved").inc(len(ruling.kept or (task.window.symbol,)))


async def _refuse_other_standing(conn: Connection, task: VerdictTask, ruling: Ruling) -> None:
    """Raise `StandingMoved` where the packages in force are not those that the decision compared with."""
    compared = [each["standing"] for each in (ruling.evidence, *ruling.evidence.get("others", []))]
    for window, then in zip(task.windows, compared, strict=True):
        standing = await package_table.standing(conn, window.venue, window.symbol, window.timeframe, task.strategy.id)
        if (standing and standing.id) != (then and then["package_id"]):
            raise StandingMoved(f"another package came into force for {window.symbol} meanwhile")


async def _by_criteria(context: Context, job: Job, task: VerdictTask) -> Ruling:
    async def look(data: Prepared) -> None:
        await _record_look(job, task, data)

    bounds = Bounds(
        params=task.params,
        criteria=task.criteria,
        until_ms=task.until_ms,
        min_bars=context.settings.decision.min_bars,
        age=task.age(job.row.created_at),
    )
    return await rule_by_criteria(context, job, task, bounds, look)


async def _by_proof(context: Context, job: Job, task: VerdictTask) -> Ruling:
    limits = task.thresholds or context.settings.statistics
    users = await _users(context, job, task)
    while True:
        request = search_decision.Request(
            optimization_id=task.optimization_id or "",
            strategy=task.strategy,
            windows=task.windows,
            params=dict(task.params),
            criteria=task.criteria,
            thresholds=limits,
            until_ms=task.until_ms,
            seed=search_decision.seed_of(job.id),
            age=task.age(job.row.created_at),
        )
        ground = await search_decision.prepare(context, job, request)
        asked = ledger.Asked(windows=task.windows, end_ms=task.until_ms)
        next_look = await ledger.read(context, job, asked, users)
        if next_look.boundary_ms != request.boundary_ms:
            task = task.on_holdout(next_look.boundary_ms)
            continue
        standing = [await _incumbent(context, task, window) for window in task.windows]
        decision = search_decision.decide(
            context,
            job,
            ground,
            Ledger(next_look.number, next_look.burnt),
            standing,
            counting=functools.partial(_counted, context, job, ground, users),
            look=functools.partial(ledger.look, context, job, asked, users, next_look.number),
        )
        try:
            return search_decision.ruling_of(await decision)
        except ledger.LookMoved as moved:
            job.log(f"planned again: {moved}")


async def _users(context: Context, job: Job, task: VerdictTask) -> list[str]:
    """Whose searches and looks count: those of who asks, and of who made the search."""
    search = await load(context, task.optimization_id or "", OPTIMIZATION)
    return list(dict.fromkeys([job.row.user, search.user]))


async def _counted(
    context: Context, job: Job, ground: search_decision.PreparedDecision, users: Sequence[str]
) -> CountedGround:
    """The searches that count, as they were when the verdict first asked: a restart counts no later ones."""
    request = ground.request
    kept = f"book from {request.boundary_ms}"
    if kept in job.state:
        book = await book_again(context, msgspec.convert(job.state[kept], BookEvidence))
    else:
        book = await book_of(context, users, request.windows, request.optimization_id)
        await job.save({**job.state, kept: msgspec.to_builtins(book_evidence(book))})
    return await counted_ground(context, job, request.of, request.windows, ground.winner, book)


async def _incumbent(context: Context, task: VerdictTask, window: Window) -> search_decision.Incumbent | None:
    row = await package_table.standing(
        context.database, window.venue, window.symbol, window.timeframe, task.strategy.id
    )
    if row is None:
        return None
    approved_at = row.doc.get("registered_at", row.created_at)
    return search_decision.Incumbent(package_id=row.id, params=row.doc["params"], approved_at=approved_at)


def evidence_of(task: VerdictTask, ruling: Ruling) -> dict[str, Any]:
    """What is kept of a ruling so that it can be explained and made again."""
    return {
        "criteria": msgspec.to_builtins(task.criteria),
        "data_hash": ruling.data.snapshot,
        "code_hash": task.strategy.code_hash,
        "checks": [msgspec.to_builtins(check) for check in ruling.checks],
        **ruling.evidence,
    }


async def _record_look(job: Job, task: VerdictTask, data: Prepared) -> None:
    """Before the hold-out is looked at: once for each verdict, also when it is driven again after a restart."""
    if job.state.get("looked"):
        return

    async def look(conn: Connection) -> None:
        await holdout_table.record_look(conn, *_look(task, data), job.row.user, "verdict", job.id)

    await job.save({**job.state, "looked": True}, look)


def _row(job: Job, task: VerdictTask, ruling: Ruling, made: Mapping[str, Package]) -> VerdictRow:
    window = task.window
    package_ids = {symbol: package.package_id for symbol, package in made.items()}
    return build(
        VerdictRow,
        task,
        window,
        id=job.id,
        user=job.row.user,
        strategy_id=task.strategy.id,
        verdict=ruling.status,
        grade=ruling.grade if ruling.approved else None,
        reason=ruling.reason,
        checks=[msgspec.to_builtins(check) for check in ruling.shown],
        evidence=evidence_of(task, ruling),
        package_id=package_ids.get(window.symbol),
        request_key=job.decode(VerdictTask).key,
        created_at=now(),
        others=[
            {"venue": other.venue, "symbol": other.symbol, "package_id": package_ids.get(other.symbol)}
            for other in task.others
        ],
    )


def _look(task: VerdictTask, data: Prepared) -> tuple[str, str, tuple[int, int]]:
    return task.window.venue, task.window.symbol, (task.window.start_ms, data.end_ms)
