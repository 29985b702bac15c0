"""Driving a search: which chunks it wants, in which order their results count, and when it is over.

A method that does not learn gives any range of its trials, so its chunks run side by side and are stored as they come.
One that learns gets a batch at a time, and is told every trial before it, in order. Either way trial i is the same
trial whoever computes it, so that a search that was stopped goes on with the ranges that are missing. A chunk that
fails is cut in two until what fails is a single trial, which is tried again and then stored with the reason.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import msgspec
import numpy as np
from numpy.typing import NDArray

from tunesmith import telemetry
from tunesmith.compute.search.stopping import Watch
from tunesmith.domain.search.methods import LEARNING
from tunesmith.domain.search.stop_rules import StopRules
from tunesmith.errors import Internal, TunesmithError
from tunesmith.services.runtime.context import Context
from tunesmith.services.runtime.task_runner import Job
from tunesmith.storage.sqlite.connections import Connection
from tunesmith.storage.tables import optimization_table, trial_table
from tunesmith.storage.tables import task_table as task_rows
from tunesmith.workers.chunks.payloads import Search, SearchSpec, Told, Trials
from tunesmith.workers.executor import ChunkFailed, ChunkTimeout, MemoryExceeded, WorkerDied

_TRIES = 3
_SLOWER = 20
"""vectorbt's chunks have fewer trials, so that progress and cancelling stay as prompt as with our engine."""

_CHUNK_S = 0.5
"""Seconds that a chunk of a search may take as measured, so that a worker is soon free for whoever else waits."""

_SLACK = 20.0
"""A chunk may take this many times what its trials took on average before it counts as hanging."""


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """How a search ended: after `n_trials`, and by which rule when before its last; kept for a restart."""

    n_trials: int
    stopped_by: str | None = None


@dataclass
class Shape:
    """What the driver has to know of a search beside its spec."""

    n_targets: int
    n_parameters: int
    encode: Callable[[list[str]], NDArray[np.float64]]
    sign: NDArray[np.float64]
    stop: StopRules | None
    parallel: int | None
    n_bars: int


@dataclass
class Driver:
    """One search under way."""

    context: Context
    job: Job
    spec: SearchSpec
    shape: Shape
    n_stored: int = 0
    seconds: float = 0.0
    evaluated: int = 0
    worked_before_s: float = 0.0
    on_trials: Callable[[Trials], None] = field(default=lambda found: None)

    async def run(self) -> Ended:
        """Make every trial that is missing; how the search ended. A search that had ended before is left alone."""
        if "ended" in self.job.state:
            return msgspec.convert(self.job.state["ended"], Ended)
        self.worked_before_s = float(self.job.state.get("worked_s", 0.0))
        done = await trial_table.done_ranges(self.context.database, self.job.id)
        self.n_stored = sum(stop - start for start, stop in done)
        n_trials = self.spec.plan.n_trials
        self.job.log(f"{self.spec.plan.method}: {n_trials:,} trials, {self.n_stored:,} of them done before")
        self.job.advance(self.n_stored, n_trials)
        ended = await (self._learn(done) if self.spec.plan.method in LEARNING else self._sweep(done))
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
        coming = self.job.map(lambda piece: self._evaluate(*piece, None), ranges, self.shape.parallel)
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
            n = len(found.params) * self.shape.n_bars
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
        n, k = len(params), self.shape.n_targets
        return Trials(
            start=payload.start,
            params=params,
            metrics={},
            values=np.full((n, k), np.nan),
            eligible=np.zeros(n, bool),
            errors=[f"{reason.message}{tries}"] * n,
            by_symbol=None,
            points=self.shape.encode(params),
            scores=np.full((n, k), np.nan),
        )

    def _limit(self, n: int) -> float:
        allowed = self.context.settings.workers.trial_timeout_s
        return allowed + (_SLACK * n * self.seconds / self.evaluated if self.evaluated else 0.0)

    def _chunk_size(self) -> int:
        size = self.context.settings.workers.chunk_trials
        if self.spec.works[0].engine == "vectorbt":
            size = max(1, size // _SLOWER)
        return min(size, self.shape.stop.batch) if self.shape.stop else size

    def _pieces(self, ranges: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
        """The ranges in chunks, each as large as it may be when its turn comes: none keeps a worker for long."""
        for start, stop in ranges:
            while start < stop:
                work = self.spec.works[0]
                seconds = self.context.speeds.ns(work.strategy, work.engine) * self.shape.n_bars / 1e9
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
        timed = self.shape.stop is not None and self.shape.stop.time_budget_s is not None
        state = {**self.job.state, "worked_s": self.worked_before_s + self.job.worked_s}

        async def write(conn: Connection) -> None:
            await trial_table.insert_batch(conn, self.job.id, batch)
            await task_rows.set_progress(conn, self.job.id, progress, eta_s)
            if timed:
                await task_rows.set_state(conn, self.job.id, msgspec.json.encode(state).decode())

        await self.context.database.write(write)
        telemetry.TRIALS.inc(len(found.params))
        self.on_trials(found)
        self.job.advance(self.n_stored, self.spec.plan.n_trials)

    async def _stored(self, start: int, stop: int) -> Told:
        rows = await trial_table.told(self.context.database, self.job.id, stop, self.shape.n_targets, start=start)
        scores = np.where(rows.eligible[:, np.newaxis], rows.scores * self.shape.sign, np.nan)
        return Told(points=self.shape.encode(rows.params), scores=scores.reshape(stop - start, self.shape.n_targets))

    async def _watch(self) -> Watch | None:
        """The rules that may end the search early, told what is stored."""
        if self.shape.stop is None:
            return None
        n_trials, k = self.spec.plan.n_trials, self.shape.n_targets
        watch = Watch(self.shape.stop, n_trials, k, sign=float(self.shape.sign[0]))
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
    return Trials(
        start=first.start,
        params=first.params + second.params,
        metrics={name: np.concatenate([_metric(first, name), _metric(second, name)]) for name in names},
        values=np.concatenate([first.values, second.values]),
        eligible=np.concatenate([first.eligible, second.eligible]),
        errors=first.errors + second.errors,
        by_symbol=_joined_symbols(first, second),
        points=np.concatenate([first.points, second.points]),
        scores=np.concatenate([first.scores, second.scores]),
    )


def _joined_symbols(first: Trials, second: Trials) -> list[str] | None:
    if first.by_symbol is None and second.by_symbol is None:
        return None
    return [text for part in (first, second) for text in (part.by_symbol or ["{}"] * len(part.params))]


def _metric(part: Trials, name: str) -> NDArray[np.float64]:
    return part.metrics.get(name, np.full(len(part.params), np.nan))
