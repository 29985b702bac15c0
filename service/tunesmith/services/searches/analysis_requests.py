"""What a search found: its analysis, its comparison with another, its trials as a file.

The work is done by a worker, which reads the trials itself; what was found of a search that has ended is kept.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from tunesmith.compute.search.objective.objective import Objective
from tunesmith.domain.criteria import Bound
from tunesmith.domain.metrics import METRICS, Goal, metric_named
from tunesmith.domain.records import build
from tunesmith.domain.trading import MAX_MISSING
from tunesmith.errors import Conflict, Invalid
from tunesmith.protocol.catalog import Call
from tunesmith.protocol.messages.analysis import (
    AnalysisReply,
    AnalyzeOptimization,
    ComparedSearch,
    CompareOptimizations,
    ComparisonReply,
    ExportOptimization,
    ExportReply,
    Narrowing,
)
from tunesmith.protocol.messages.optimizations import StartOptimization
from tunesmith.protocol.task_types import OPTIMIZATION
from tunesmith.services.requests.waited_answers import waited_answer
from tunesmith.services.runtime.context import Context
from tunesmith.services.searches.search_tasks import OptimizationTask, computed_metrics
from tunesmith.services.strategies import strategy_requests
from tunesmith.services.tasks.task_kinds import load, request_of
from tunesmith.storage.tables.task_table import TaskRow
from tunesmith.storage.timestamps import iso
from tunesmith.workers.chunks.analysis_payloads import Analyze, Compare, Export, Exported, StoredSearch, export_name
from tunesmith.workers.executor import Chunk

EXPORTS = "exports"
"""The folder of exported files, in the data directory."""

_DAY_S = 86_400.0
_PATH = "/data/optimization_id"


class _Score(NamedTuple):
    label: str
    direction: Goal
    metric: str | None


async def analyze(context: Context, request: AnalyzeOptimization, call: Call) -> AnalysisReply:
    """The parts of an analysis. `not_found`, `invalid` for parameters, targets and metrics that the search has not."""
    row, task = await _search(context, request.optimization_id, _PATH)
    score = _score(task, request.target, request.by)
    parameters = strategy_requests.parse_ref(task.strategy).parameters
    _check_parts(request, task, {parameter.name for parameter in parameters})
    payload = build(
        Analyze, request, search=_stored(context, row, task, score, target=request.target), what=frozenset(request.what)
    )
    found: dict[str, Any] = await _run(context, call, Chunk("analyze", payload))
    if "recommendation" in request.what:
        box, narrow = found.pop("box"), found.pop("narrow")
        again = None if narrow is None else _next_search(task, narrow.param_ranges)
        found["recommendation"] = Narrowing(box=box, narrow=narrow, request=again)
    return AnalysisReply(
        optimization_id=row.id,
        status=row.status,
        symbols=_symbols(task),
        strategy_id=task.strategy.id,
        method=task.plan.method,
        score=score.label,
        direction=score.direction,
        **found,
    )


async def compare(context: Context, request: CompareOptimizations, call: Call) -> ComparisonReply:
    """Two searches side by side. `not_found`, `invalid` where their scores do not mean the same."""
    row_a, task_a = await _search(context, request.a, "/data/a")
    row_b, task_b = await _search(context, request.b, "/data/b")
    a, b = _score(task_a, 0, request.by), _score(task_b, 0, request.by)
    if a != b:
        raise Invalid(
            f"the searches have different targets, {a.label} and {b.label}; give a metric to compare them by",
            path="/data/by",
        )
    payload = Compare(a=_stored(context, row_a, task_a, a), b=_stored(context, row_b, task_b, b))
    return ComparisonReply(
        a=_compared(row_a, task_a),
        b=_compared(row_b, task_b),
        score=a.label,
        direction=a.direction,
        comparison=await _run(context, call, Chunk("compare_searches", payload)),
    )


async def export(context: Context, request: ExportOptimization, call: Call) -> ExportReply:
    """A file of the trials, and a piece of it.

    `not_found`, `invalid` for an offset behind the end, `conflict` for a version that was replaced or removed.
    """
    row, task = await _search(context, request.optimization_id, _PATH)
    folder = context.settings.data_dir / EXPORTS
    if request.version is not None:
        name = export_name(row.id, request.format, request.version)
    else:
        payload = Export(
            search=_stored(context, row, task, _score(task, 0, None), metrics=computed_metrics(task.plan)),
            format=request.format,
            folder=str(folder),
            keep_s=context.settings.retention.reply_days * _DAY_S,
        )
        made: Exported = await _run(context, call, Chunk("export_trials", payload))
        name = made.name
    version = request.version or made.version
    size, content = await asyncio.to_thread(_piece, folder / name, request.offset, request.limit)
    if request.offset > size:
        raise Invalid(f"the file has {size:,} bytes", path="/data/offset")
    end = request.offset + len(content)
    return ExportReply(
        optimization_id=row.id,
        status=row.status,
        format=request.format,
        path=f"{EXPORTS}/{name}",
        size=size,
        version=version,
        offset=request.offset,
        content=content,
        next_offset=end if end < size else None,
    )


async def _search(context: Context, optimization_id: str, path: str) -> tuple[TaskRow, OptimizationTask]:
    row = await load(context, optimization_id, OPTIMIZATION, path)
    return row, request_of(row, OptimizationTask)


async def _run(context: Context, call: Call, chunk: Chunk) -> Any:
    return await waited_answer(context, call, chunk, context.settings.workers.task_timeout_s)


def _score(task: OptimizationTask, target: int, by: str | None) -> _Score:
    """What the trials are looked at by; raises `Invalid` for what the search does not have."""
    if by is not None:
        name = metric_named(by, "/data/by")
        if name not in computed_metrics(task.plan):
            raise Invalid(
                f"this search did not compute {name}: its target and its constraints do not read it", path="/data/by"
            )
        return _Score(name, METRICS[name].direction, name)
    terms = Objective.parse(task.plan.target).terms
    if target >= len(terms):
        raise Invalid(f"the search has {len(terms)} target{'s' * (len(terms) > 1)}", path="/data/target")
    return _Score(terms[target].label, terms[target].direction, None)


def _check_parts(request: AnalyzeOptimization, task: OptimizationTask, parameters: set[str]) -> None:
    if "front" in request.what and Objective.parse(task.plan.target).n_targets == 1:
        raise Invalid("only a search for several targets has a Pareto front", path="/data/what")
    if "heat_map" not in request.what:
        return
    for field, name in (("x", request.x), ("y", request.y)):
        if name is None:
            raise Invalid("a heat map needs two parameters, x and y", path=f"/data/{field}")
        if name not in parameters:
            known = ", ".join(sorted(parameters))
            raise Invalid(f"there is no parameter {name[:80]!r}; there are {known}", path=f"/data/{field}")


def _stored(
    context: Context,
    row: TaskRow,
    task: OptimizationTask,
    score: _Score,
    *,
    target: int = 0,
    metrics: tuple[str, ...] = (),
) -> StoredSearch:
    objective = Objective.parse(task.plan.target)
    return StoredSearch(
        database=str(context.database.path),
        optimization_id=row.id,
        parameters=strategy_requests.parse_ref(task.strategy).parameters,
        ranges=task.plan.ranges,
        targets=objective.labels,
        directions=objective.directions,
        target=target,
        by=score.metric,
        minimized=score.direction == "minimize",
        metrics=metrics,
        whole_logs=task.plan.whole_logs is True,
    )


def _symbols(task: OptimizationTask) -> list[str]:
    return [window.symbol for window in (task.window, *task.others)]


def _compared(row: TaskRow, task: OptimizationTask) -> ComparedSearch:
    return build(
        ComparedSearch,
        task.window,
        optimization_id=row.id,
        status=row.status,
        symbols=_symbols(task),
        timeframe=task.window.timeframe,
        strategy_id=task.strategy.id,
        method=task.plan.method,
        score=Objective.parse(task.plan.target).labels[0],
    )


def _next_search(task: OptimizationTask, ranges: dict[str, Any]) -> StartOptimization:
    """The request for a search as this one was asked for, of other ranges; it makes as many trials at most."""
    window, plan = task.window, task.plan
    is_usual = isinstance(window.calendar, msgspec.UnsetType) or window.max_missing == MAX_MISSING
    same = all((other.start_ms, other.end_ms) == (window.start_ms, window.end_ms) for other in task.others)
    return build(
        StartOptimization,
        window,
        symbol=None if task.others else window.symbol,
        symbols=_symbols(task) if task.others else [],
        aggregate=plan.aggregate,
        start_date=iso(window.start_ms) if same else None,
        end_date=iso(window.end_ms) if same else None,
        strategy_id=task.strategy.id,
        strategy_version=task.strategy.version,
        param_ranges=ranges,
        conditions=plan.conditions,
        optimization_target=plan.target,
        max_iterations=plan.n_trials,
        seed=plan.seed,
        constraints=[_constraint(bound) for bound in plan.bounds],
        stop=task.stop,
        max_missing=msgspec.UNSET if is_usual else window.max_missing,
    )


def _constraint(bound: Bound) -> str:
    return f"{bound.metric} {'>=' if bound.at_least else '<='} {repr(bound.limit).removesuffix('.0')}"


def _piece(file: Path, offset: int, limit: int) -> tuple[int, bytes]:
    try:
        with file.open("rb") as opened:
            size = opened.seek(0, 2)
            opened.seek(min(offset, size))
            return size, opened.read(limit)
    except FileNotFoundError as error:
        raise Conflict("that export is not there any more; export it again", path="/data/version") from error
