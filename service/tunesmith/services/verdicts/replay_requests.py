"""Replays: a stored decision is made again from its evidence, and every value is compared.

Seed, thresholds, the ledger's entry, the package in force then and where the data ended come from the evidence; nothing
is written into the ledger, and what came of the hold-out is shown only as far as the verdict's own reply shows it.
"""

from __future__ import annotations

from typing import Any

import msgspec

from tunesmith.compute.decision.inputs import Ledger
from tunesmith.domain.thresholds import Thresholds
from tunesmith.errors import Conflict, Invalid, NotFound
from tunesmith.protocol.catalog import Call
from tunesmith.protocol.envelope import Reply
from tunesmith.protocol.messages.replays import Difference, ReplayReply, ReplayVerdict
from tunesmith.protocol.task_types import REPLAY, VERDICT
from tunesmith.services.market.market_windows import prepared
from tunesmith.services.requests.handlers import Route
from tunesmith.services.requests.idempotency import Change
from tunesmith.services.requests.program_version import program_version
from tunesmith.services.runtime.context import Context
from tunesmith.services.runtime.task_runner import Job
from tunesmith.services.tasks.task_kinds import (
    PATIENCE,
    TaskKind,
    check_quota,
    live_progress,
    load,
    register,
    request_of,
    start_task,
)
from tunesmith.services.verdicts import search_decision
from tunesmith.services.verdicts.counted_answers import CountedGround, counted_ground
from tunesmith.services.verdicts.criteria_decision import Bounds, rule_by_criteria
from tunesmith.services.verdicts.evidence import Comparison, Path, Ruling, age_of, as_stored, compare, may_be_shown
from tunesmith.services.verdicts.search_book import BookEvidence, book_again
from tunesmith.services.verdicts.verdict_tasks import VerdictTask, evidence_of
from tunesmith.storage.sqlite.connections import Connection, Source
from tunesmith.storage.tables import package_table, verdict_table
from tunesmith.storage.tables.task_table import TaskRow
from tunesmith.storage.tables.verdict_table import VerdictRow
from tunesmith.workers.chunks.payloads import Prepared


class ReplayTask(msgspec.Struct, frozen=True, kw_only=True):
    """The stored request of a replay."""

    verdict_id: str


class Replayed(msgspec.Struct, frozen=True, kw_only=True):
    """What a replay came to, as it may be shown; see `ReplayReply`."""

    equal: bool
    n_compared: int
    differences: list[Difference]
    changed: list[str]


async def start(context: Context, request: ReplayVerdict, call: Call) -> Change:
    """Store the replay's task. `invalid`, `not_found`, `conflict` for a verdict that is not there yet."""
    task = ReplayTask(verdict_id=await _verdict_of(context, request))
    await check_quota(context, call, KIND)

    async def answer(conn: Connection, row: TaskRow) -> ReplayReply:
        return _reply(context, row)

    return start_task(context, call, KIND.new(task, label=request.label), answer)


async def await_replay(context: Context, reply: Reply, call: Call) -> Reply:
    """What the replay came to when it is there before the deadline, else the reply that it is under way."""
    if not isinstance(reply, ReplayReply):
        return reply
    await context.tasks.wait(reply.task_id, call.remaining() * PATIENCE)
    return _reply(context, await load(context, reply.task_id))


async def run(context: Context, job: Job) -> None:
    """Drive a replay: on the same bars the same decision, then the comparison."""
    row = await _stored(context, job.decode(ReplayTask).verdict_id)
    asked = request_of(await load(context, row.id, VERDICT), VerdictTask)
    task = asked.on_holdout(row.evidence["boundary_ms"])
    changed = []
    if row.evidence["engine"] != program_version():
        changed.append("the program or its libraries are not those that made the verdict")
    made = await (_prove if task.optimization_id is not None else _hold)(context, job, task, row)
    if isinstance(made, Ruling):
        replayed = _told(row, compare(row.evidence, as_stored(evidence_of(task, made))), changed)
    else:
        changed.append(f"the bars of {row.symbol} {row.timeframe} are not those that the verdict was made on")
        replayed = _told(row, made, changed)

    async def apply(conn: Connection) -> dict[str, Any]:
        result: dict[str, Any] = msgspec.to_builtins(replayed)
        return result

    await job.complete(apply)


async def _prove(context: Context, job: Job, task: VerdictTask, row: VerdictRow) -> Ruling | Comparison:
    """The decision made again; where the bars are others, what their hashes differ in."""
    evidence = row.evidence
    request = search_decision.Request(
        optimization_id=task.optimization_id or "",
        strategy=task.strategy,
        windows=task.windows,
        params=dict(task.params),
        criteria=task.criteria,
        thresholds=msgspec.convert(evidence["thresholds"], Thresholds),
        until_ms=evidence["until_ms"],
        seed=evidence["seed"],
        edition=evidence.get("edition", 1),
        age=age_of(evidence),
    )
    ground = await search_decision.prepare(context, job, request)
    now = [
        {"in_sample_hash": in_sample.snapshot, "data_hash": whole.snapshot}
        for in_sample, whole in zip(ground.in_sample, ground.whole, strict=True)
    ]
    then = [{name: each[name] for name in now[0]} for each in (evidence, *evidence.get("others", []))]
    bars = _other_bars(then, now)
    if bars is not None:
        return bars
    packages_then = [each["standing"] for each in (evidence, *evidence.get("others", []))]
    standing = [msgspec.convert(package, search_decision.Incumbent | None) for package in packages_then]

    async def counting() -> CountedGround:
        book = await book_again(context, msgspec.convert(evidence["book"], BookEvidence))
        return await counted_ground(context, job, request.of, request.windows, ground.winner, book)

    return search_decision.ruling_of(
        await search_decision.decide(context, job, ground, Ledger(**evidence["ledger"]), standing, counting=counting)
    )


async def _hold(context: Context, job: Job, task: VerdictTask, row: VerdictRow) -> Ruling | Comparison:
    async def look(data: Prepared) -> None:
        """The verdict's own look was counted when it was made."""

    until_ms = row.evidence["until_ms"]
    data = await prepared(context, job, task.window, until_ms=until_ms)
    bars = _other_bars([{"data_hash": row.evidence["data_hash"]}], [{"data_hash": data.snapshot}])
    if bars is not None:
        return bars
    bounds = Bounds(
        params=task.params,
        criteria=task.criteria,
        until_ms=until_ms,
        min_bars=row.evidence["min_bars"],
        edition=row.evidence.get("edition", 1),
        age=age_of(row.evidence),
    )
    return await rule_by_criteria(context, job, task, bounds, look)


def _other_bars(then: list[dict[str, str]], now: list[dict[str, str]]) -> Comparison | None:
    """What differs in the hashes of the bars of each market; None where they are the same."""
    n, differences = 0, []
    for i, (was, found) in enumerate(zip(then, now, strict=True)):
        n += len(was)
        at: Path = ("others", i - 1) if i else ()
        differences += [((*at, name), was[name], found[name]) for name in was if was[name] != found[name]]
    return Comparison(n, differences) if differences else None


def _told(row: VerdictRow, compared: Comparison, changed: list[str]) -> Replayed:
    told = []
    for path, was, found in compared.differences:
        shown = may_be_shown(row, path)
        pointer = "/" + "/".join(str(part) for part in path)
        told.append(Difference(path=pointer, was=was if shown else None, found=found if shown else None))
    return Replayed(equal=not told, n_compared=compared.n, differences=told, changed=changed)


async def _verdict_of(context: Context, request: ReplayVerdict) -> str:
    if (request.verdict_id is None) == (request.package_id is None):
        raise Invalid("give either verdict_id or package_id", path="/data")
    verdict_id, path = request.verdict_id, "/data/verdict_id"
    if request.package_id is not None:
        path = "/data/package_id"
        package = await package_table.get(context.database, request.package_id)
        if package is None:
            raise NotFound("there is no such package", path=path)
        verdict_id = package.verdict_id
    if verdict_id is None:
        raise NotFound("no verdict stands behind that package", path=path)
    task = await load(context, verdict_id, VERDICT, path)
    if task.status != "completed":
        raise Conflict(f"the verdict is {task.status}; a replay needs a completed one", path=path)
    return (await _stored(context, verdict_id, path)).id


async def _stored(context: Context, verdict_id: str, path: str = "/data/verdict_id") -> VerdictRow:
    row = await verdict_table.get(context.database, verdict_id)
    if row is None:
        raise NotFound(f"there is no verdict {verdict_id!r}", path=path)
    if "boundary_ms" not in row.evidence:
        raise Conflict("an earlier version gave that verdict and kept too little of it for a replay", path=path)
    return row


def _reply(context: Context, row: TaskRow) -> ReplayReply:
    progress, _ = live_progress(context, row)
    reply = ReplayReply(
        task_id=row.id,
        verdict_id=request_of(row, ReplayTask).verdict_id,
        status=row.status,
        progress=progress,
        error=row.error,
        label=row.label,
    )
    if row.status != "completed" or row.result is None:
        return reply
    came_to = msgspec.json.decode(row.result, type=Replayed)
    return msgspec.structs.replace(reply, **msgspec.structs.asdict(came_to))


async def _show(context: Context, row: TaskRow, source: Source) -> ReplayReply:
    return _reply(context, row)


KIND = register(
    TaskKind(
        wire=REPLAY,
        request=ReplayTask,
        drive=run,
        show=_show,
        counts=None,
        routes={"verdict.replay": Route(start, await_replay)},
    )
)
