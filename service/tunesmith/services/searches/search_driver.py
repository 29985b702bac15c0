"""Driving a search: cut the bars, make the trials that are missing, report the best, go on to a verdict.

A method that does not learn gives any range of its trials, so its chunks run side by side and are stored as they come.
One that learns gets a batch at a time, and is told every trial before it, in order. Either way trial i is the same
trial whoever computes it, so that a search that was stopped goes on with the ranges that are missing. A chunk that
fails is cut in two until what fails is a single trial, which is tried again and then stored with the reason.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from tunesmith import telemetry
from tunesmith.compute.engines.engine_table import ENGINES
from tunesmith.compute.search.objective.objective import Objective
from tunesmith.compute.search.samplers import SAMPLERS
from tunesmith.compute.search.stopping import Watch
from tunesmith.domain.array_types import Floats
from tunesmith.domain.parameters import Parameter
from tunesmith.domain.space import encode_points
from tunesmith.errors import Internal, TunesmithError
from tunesmith.protocol.task_types import OPTIMIZATION
from tunesmith.services.backtests.report_requests import Origin, log_warnings, make_report
from tunesmith.services.market.market_windows import Assignment, prepared, work_of
from tunesmith.services.runtime.context import Context
from tunesmith.services.runtime.task_runner import Completed, Job
from tunesmith.services.searches.search_tasks import OptimizationTask, assignments, warnings_without_report
from tunesmith.services.strategies import strategy_requests
from tunesmith.services.tasks.task_kinds import Finished, follow_up_of, insert_task, new_id
from tunesmith.storage.sqlite.connections import Connection, Source
from tunesmith.storage.tables import optimization_table, report_table, trial_table
from tunesmith.storage.tables import task_table as task_rows
from tunesmith.workers.chunks.payloads import BestTrial, OnePoint, Prepared, Search, SearchSpec, Told, Trials, Work
from tunesmith.workers.executor import ChunkFailed, ChunkTimeout, MemoryExceeded, WorkerDied

_TRIES = 3
_CHUNK_S = 0.5
"""Seconds that a chunk of a search may take as measured, so that a worker is soon free for whoever else waits."""

_SLACK = 20.0
"""A chunk may take this many times what its trials took on average before it counts as hanging."""


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """How a search ended: after `n_trials`, and by which rule when before its last; kept for a restart."""

    n_trials: int
    stopped_by: str | None = None


async def run(context: Context, job: Job) -> None:
    """Drive a search from its stored request to its result, its reports and, if asked for, its verdict's task."""
    task = job.decode(OptimizationTask)
    parts = assignments(task)
    data = [await prepared(context, job, part.window, slot=f"prepared/{i}") for i, part in enumerate(parts)]
    works = [work_of(context, part, cut) for part, cut in zip(parts, data, strict=True)]
    name, symbols = f"{job.id} {job.row.attempts}", [part.window.symbol for part in parts]
    spec = SearchSpec(id=name, plan=task.plan, works=works, symbols=symbols)
    n_bars = sum(cut.n_in_sample for cut in data)
    objective = Objective.parse(task.plan.target)
    job.best = await best_stored(context.database, job.id, objective)
    ended = await _Trials(context, job, task, spec, objective, n_bars).make()
    best, front = await _winner(context, job, objective)
    if best is None:
        job.log("no trial kept the constraints", "warning")
        for warning in warnings_without_report(task):
            job.log(warning, "warning")
        await job.complete(_without_winner)
        return
    winner = _Winner(best, front, ended.stopped_by)
    await _finish(context, job, task, winner, list(zip(parts, data, works, strict=True)))


async def best_stored(source: Source, optimization_id: str, objective: Objective) -> BestTrial | None:
    """The best trial that is stored; None where none kept the constraints."""
    descending = objective.directions[0] == "maximize"
    found = await trial_table.best(source, optimization_id, descending=descending)
    if found is None or found.score is None:
        return None
    rank = found.score if descending else -found.score
    return BestTrial(index=found.index, rank=rank, score=found.score, params=msgspec.json.encode(found.params).decode())


class _Winner(msgspec.Struct, frozen=True):
    best: BestTrial
    front: list[int] | None
    stopped_by: str | None


async def _finish(
    context: Context, job: Job, task: OptimizationTask, winner: _Winner, parts: list[tuple[Assignment, Prepared, Work]]
) -> None:
    """A report of the best trial on each symbol, then everything in one transaction, with the verdict's task."""
    params = msgspec.json.decode(winner.best.params)
    made = []
    for assignment, data, work in parts:
        report = await job.run("backtest", OnePoint(work=work, params=params))
        if report["disagreements"]:
            raise Internal(f"vectorbt computes other numbers: {'; '.join(report['disagreements'])}")
        log_warnings(job, assignment.window.symbol, report)
        origin = Origin(report_id=new_id("rp-"), task_id=job.id, optimization_id=job.id, used_holdout=False)
        made.append(make_report(origin, assignment, data, report))
    verdict = None
    if task.approve is not None:
        verdict = await follow_up_of(OPTIMIZATION.name).plan(context, Finished(job.id, task, params, made[0].id))

    async def apply(conn: Connection) -> dict[str, Any] | Completed:
        for report in made:
            await report_table.create(conn, report)
        found = optimization_table.Best(params, winner.best.score, winner.best.index)
        await optimization_table.set_result(conn, job.id, found, winner.front, winner.stopped_by)
        result = {"best_params": params, "best_score": winner.best.score, "report_id": made[0].id, "verdict_id": None}
        verdict_id = verdict.id if verdict else None
        await optimization_table.link(conn, job.id, report_id=made[0].id, verdict_id=verdict_id)
        if verdict is None:
            return result
        new = verdict._replace(priority=job.row.priority, label=job.row.label)
        row = await insert_task(conn, new, job.row.user, job.row.client)
        return Completed({**result, "verdict_id": verdict_id}, row)

    await job.complete(apply)


async def _winner(context: Context, job: Job, objective: Objective) -> tuple[BestTrial | None, list[int] | None]:
    """The best trial; of a search for several targets the knee of the Pareto front, and the front."""
    if objective.n_targets == 1:
        return await best_stored(context.database, job.id, objective), None
    n = await trial_table.count(context.database, job.id)
    rows = await trial_table.told(context.database, job.id, n, objective.n_targets)
    found = await job.run("front", (objective.signed(rows.scores), rows.eligible))
    if not found.front:
        return None, None
    score = float(rows.scores[found.knee, 0])
    best = BestTrial(index=found.knee, rank=score, score=score, params=rows.params[found.knee])
    return best, found.front


async def _without_winner(conn: Connection) -> dict[str, Any]:
    return {"best_params": None, "best_score": None, "report_id": None, "verdict_id": None}


@dataclass
class _Trials:
    """Makes the trials of one search. `n_bars` is the number of in-sample bars of all its markets."""

    context: Context
    job: Job
    task: OptimizationTask
    spec: SearchSpec
    objective: Objective
    n_bars: int
    n_stored: int = 0
    seconds: float = 0.0
    evaluated: int = 0
    worked_before_s: float = 0.0

    def __post_init__(self) -> None:
        self._parameters: tuple[Parameter, ...] = strategy_requests.parse_ref(self.task.strategy).parameters
        self._n_targets = self.objective.n_targets
        self._sign = self.objective.signed(np.ones((1, self._n_targets)))[0]

    async def make(self) -> Ended:
        """Make every trial that is missing; how the search ended. A search that had ended before is left alone."""
        if "ended" in self.job.state:
            return msgspec.convert(self.job.state["ended"], Ended)
        self.worked_before_s = float(self.job.state.get("worked_s", 0.0))
        done = await trial_table.done_ranges(self.context.database, self.job.id)
        self.n_stored = sum(stop - start for start, stop in done)
        n_trials = self.spec.plan.n_trials
        self.job.log(f"{self.spec.plan.method}: {n_trials:,} trials, {self.n_stored:,} of them done before")
        self.job.advance(self.n_stored, n_trials)
        learns = SAMPLERS[self.spec.plan.method].learns
        ended = await (self._learn(done) if learns else self._sweep(done))
        await self._end(ended)
        return ended

    async def _sweep(self, done: list[tuple[int, int]]) -> Ended:
        """Every missing range, several at a time; rules look at the trials in their order."""
        n_trials = self.spec.plan.n_trials
        watch = await self._watch()
        ended = self._ended(watch)
        if ended is not None:
            return ended
        ranges = self._pieces(missing_ranges(done, n_trials, n_trials))
        coming = self.job.map(lambda piece: self._evaluate(*piece, None), ranges, self.task.parallel)
        async with contextlib.aclosing(coming):
            async for found in coming:
                await self._store(found)
                ended = self._ended(watch, found)
                if ended is not None:
                    return ended
        return Ended(n_trials=n_trials)

    async def _learn(self, done: list[tuple[int, int]]) -> Ended:
        """A batch after the other, each told what came before it; what was told otherwise is made anew."""
        n_trials = self.spec.plan.n_trials
        n_done = done[0][1] if done and done[0][0] == 0 else 0
        if self.n_stored > n_done:
            await self.context.database.write(lambda conn: trial_table.delete_from(conn, self.job.id, n_done))
            self.n_stored = n_done
        told = await self._stored(0, n_done)
        watch = await self._watch()
        ended = self._ended(watch)
        while ended is None and n_done < n_trials:
            found = await self._evaluate(n_done, min(n_trials, n_done + self._chunk_size()), told)
            if not found.params:
                return Ended(n_trials=n_done, stopped_by="the method has nothing more to try")
            await self._store(found)
            n_done += len(found.params)
            told = Told(
                points=np.concatenate([told.points, found.points]), scores=np.concatenate([told.scores, found.scores])
            )
            ended = self._ended(watch, found)
        return ended or Ended(n_trials=n_trials)

    async def _evaluate(self, start: int, stop: int, told: Told | None) -> Trials:
        """The trials of a range; what cannot be evaluated is there with its error."""
        payload = Search(spec=self.spec, start=start, stop=stop, told=told)
        reason: TunesmithError | None = None
        for _ in range(_TRIES if stop - start == 1 else 1):
            try:
                answer = await self.job.timed("search", payload, limit_s=self._limit(stop - start))
            except WorkerDied as error:
                reason = error
                break  # the executor has tried it as often itself
            except (ChunkFailed, MemoryExceeded, ChunkTimeout) as error:
                reason = error
                continue
            found: Trials = answer.value
            self.seconds += answer.seconds
            self.evaluated += max(1, len(found.params))
            work = self.spec.works[0]
            n = len(found.params) * self.n_bars
            self.context.speeds.learn(work.strategy, work.engine, answer.seconds, n)
            return found
        if reason is None:
            raise Internal("a chunk was not tried")
        if stop - start > 1:
            self.job.log(f"trials {start:,} to {stop - 1:,}: {reason.message}; they are tried in halves", "warning")
            return await self._halves(start, stop, told)
        self.job.log(f"trial {start:,}: {reason.message}", "warning")
        self.job.log_traceback(reason)
        return await self._failed(payload, reason)

    async def _halves(self, start: int, stop: int, told: Told | None) -> Trials:
        middle = (start + stop) // 2
        first = await self._evaluate(start, middle, told)
        if len(first.params) < middle - start:
            return first
        return _joined(first, await self._evaluate(middle, stop, told))

    async def _failed(self, payload: Search, reason: TunesmithError) -> Trials:
        params: list[str] = await self.job.run("propose", payload)
        tries = "" if isinstance(reason, WorkerDied) else f" ({_TRIES} tries)"
        n, k = len(params), self._n_targets
        return Trials(
            start=payload.start,
            params=params,
            metrics={},
            values=np.full((n, k), np.nan),
            eligible=np.zeros(n, bool),
            errors=[f"{reason.message}{tries}"] * n,
            by_symbol=None,
            points=self._points(params),
            scores=np.full((n, k), np.nan),
        )

    def _limit(self, n: int) -> float:
        allowed = self.context.settings.workers.trial_timeout_s
        return allowed + (_SLACK * n * self.seconds / self.evaluated if self.evaluated else 0.0)

    def _chunk_size(self) -> int:
        engine = ENGINES[self.spec.works[0].engine]
        size = max(1, self.context.settings.workers.chunk_trials // engine.chunk_divisor)
        return min(size, self.task.stop.batch) if self.task.stop else size

    def _pieces(self, ranges: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
        """The ranges in chunks, each as large as it may be when its turn comes: none keeps a worker for long."""
        for start, stop in ranges:
            while start < stop:
                work = self.spec.works[0]
                seconds = self.context.speeds.ns(work.strategy, work.engine) * self.n_bars / 1e9
                until = min(stop, start + max(1, min(self._chunk_size(), int(_CHUNK_S / seconds))))
                yield start, until
                start = until

    async def _store(self, found: Trials) -> None:
        batch = trial_table.Batch(
            start=found.start,
            params=found.params,
            metrics=found.metrics,
            scores=found.values,
            eligible=found.eligible,
            errors=found.errors,
            by_symbol=found.by_symbol,
        )
        self.n_stored += len(found.params)
        progress = self.n_stored / self.spec.plan.n_trials
        eta_s = self.job.eta_s
        timed = self.task.stop is not None and self.task.stop.time_budget_s is not None
        state = {**self.job.state, "worked_s": self.worked_before_s + self.job.worked_s}

        async def write(conn: Connection) -> None:
            await trial_table.insert_batch(conn, self.job.id, batch)
            await task_rows.set_progress(conn, self.job.id, progress, eta_s)
            if timed:
                await task_rows.set_state(conn, self.job.id, msgspec.json.encode(state).decode())

        await self.context.database.write(write)
        telemetry.TRIALS.inc(len(found.params))
        self._keep_best(found)
        self.job.advance(self.n_stored, self.spec.plan.n_trials)

    def _keep_best(self, found: Trials) -> None:
        scores = found.scores[:, 0]
        if np.isnan(scores).all():
            return
        at = int(np.nanargmax(scores))
        rank, index, best = float(scores[at]), found.start + at, self.job.best
        if best is None or (rank, -index) > (best.rank, -best.index):
            score = float(found.values[at, 0])
            self.job.best = BestTrial(index=index, rank=rank, score=score, params=found.params[at])

    def _points(self, params: list[str]) -> Floats:
        rows = [encode_points(self._parameters, msgspec.json.decode(text)) for text in params]
        return np.concatenate(rows) if rows else np.empty((0, len(self._parameters)))

    async def _stored(self, start: int, stop: int) -> Told:
        rows = await trial_table.told(self.context.database, self.job.id, stop, self._n_targets, start=start)
        scores = np.where(rows.eligible[:, np.newaxis], rows.scores * self._sign, np.nan)
        return Told(points=self._points(rows.params), scores=scores.reshape(stop - start, self._n_targets))

    async def _watch(self) -> Watch | None:
        """The rules that may end the search early, told what is stored."""
        if self.task.stop is None:
            return None
        n_trials, k = self.spec.plan.n_trials, self._n_targets
        watch = Watch(self.task.stop, n_trials, k, sign=float(self._sign[0]))
        for start, stop in await trial_table.done_ranges(self.context.database, self.job.id):
            watch.take(start, (await self._stored(start, stop)).scores)
        return watch

    def _ended(self, watch: Watch | None, found: Trials | None = None) -> Ended | None:
        """How the search ends, now that `found` is there as well; None while it goes on."""
        if watch is None:
            return None
        if found is not None:
            watch.take(found.start, found.scores)
        stop = watch.look(self.worked_before_s + self.job.worked_s)
        return None if stop is None else Ended(n_trials=stop.n_trials, stopped_by=stop.reason)

    async def _end(self, ended: Ended) -> None:
        if ended.stopped_by:
            self.job.log(f"ended after {ended.n_trials:,} trials: {ended.stopped_by}")

        async def also(conn: Connection) -> None:
            await trial_table.delete_from(conn, self.job.id, ended.n_trials)
            await optimization_table.set_size(conn, self.job.id, ended.n_trials)

        await self.job.save({**self.job.state, "ended": msgspec.to_builtins(ended)}, also)


def missing_ranges(done: list[tuple[int, int]], n_trials: int, size: int) -> list[tuple[int, int]]:
    """The trials 0 to n_trials that lie in no range of `done` (sorted, disjoint), in pieces of at most `size`."""
    missing: list[tuple[int, int]] = []
    at = 0
    for start, stop in [*done, (n_trials, n_trials)]:
        missing.extend((piece, min(piece + size, start)) for piece in range(at, start, size))
        at = stop
    return missing


def _joined(first: Trials, second: Trials) -> Trials:
    names = {**first.metrics, **second.metrics}
    by_symbol = None
    if first.by_symbol is not None or second.by_symbol is not None:
        by_symbol = [text for part in (first, second) for text in (part.by_symbol or ["{}"] * len(part.params))]
    return Trials(
        start=first.start,
        params=first.params + second.params,
        metrics={name: np.concatenate([_metric(first, name), _metric(second, name)]) for name in names},
        values=np.concatenate([first.values, second.values]),
        eligible=np.concatenate([first.eligible, second.eligible]),
        errors=first.errors + second.errors,
        by_symbol=by_symbol,
        points=np.concatenate([first.points, second.points]),
        scores=np.concatenate([first.scores, second.scores]),
    )


def _metric(part: Trials, name: str) -> Floats:
    return part.metrics.get(name, np.full(len(part.params), np.nan))
