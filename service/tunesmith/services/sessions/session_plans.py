"""What a session would be and need, before it runs: its size is counted, its speed tried out, its room estimated."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from tunesmith.domain.trading import Direction
from tunesmith.protocol.catalog import Call
from tunesmith.protocol.messages.sessions import PlanSession, SessionItem, SessionPlan
from tunesmith.services.market.market_windows import prepare_payload, work_of
from tunesmith.services.requests.waited_answers import waited_answer
from tunesmith.services.runtime.context import Context
from tunesmith.services.searches.search_tasks import NewSearch
from tunesmith.services.sessions.session_requests import Planned, plan_items
from tunesmith.services.tasks.task_kinds import new_id
from tunesmith.workers.chunks.payloads import Prepared, Probe, Probed, Search, SearchSpec
from tunesmith.workers.executor import Chunk

_PROBED = 500
_MB = 2**20
_ROW_BYTES = 160
"""Of a trial in the database beside its parameters: the metrics, the keys, the pages' slack; measured."""
_STORE_S = 4e-6
"""To store a trial, which happens beside the work but on the same machine; measured."""
_LONG_S = 3600.0


class _Need(NamedTuple):
    seconds: float
    memory_mb: float
    disk_mb: float
    n_bars: int


async def plan(context: Context, request: PlanSession, call: Call) -> SessionPlan:
    """Count, try out and estimate. `not_found`, `invalid` as for the session itself."""
    planned = await plan_items(context, request)
    speeds: dict[str, tuple[Probed, int]] = {}
    needs = []
    for item in planned:
        task = item.made.task
        key = f"{task.strategy.id} {task.strategy.code_hash} {task.window.timeframe} {task.window.symbol}"
        if key not in speeds:
            speeds[key] = await _probe(context, item.made, call)
        needs.append(_need(task.plan.n_trials, *speeds[key]))
    n_trials = sum(item.made.task.plan.n_trials for item in planned)
    n_workers = context.settings.n_workers
    seconds = sum(need.seconds for need in needs) / n_workers + n_trials * _STORE_S
    memory_mb = n_workers * max(need.memory_mb for need in needs)
    disk_mb = sum(need.disk_mb for need in needs)
    return SessionPlan(
        n_items=len(planned),
        n_trials=n_trials,
        exact=True,
        n_bars=sum(need.n_bars for need in needs),
        workers=n_workers,
        trials_per_s=n_trials / seconds,
        seconds=seconds,
        memory_mb=memory_mb,
        disk_mb=disk_mb,
        warnings=_warnings(context, seconds, memory_mb, disk_mb),
        direction=_common_direction(planned),
        costs=planned[0].made.task.window.costs,
        initial_cash=planned[0].made.task.window.initial_cash,
        items=[
            SessionItem(
                number=number,
                symbol=item.made.task.window.symbol,
                strategy_id=item.made.task.strategy.id,
                n_trials=item.made.task.plan.n_trials,
                seconds=need.seconds / n_workers,
                direction=item.made.task.window.direction,
            )
            for number, (item, need) in enumerate(zip(planned, needs, strict=True))
        ],
    )


def _common_direction(planned: Sequence[Planned]) -> Direction | None:
    """The direction of all searches; None where they differ, as `auto` may with the strategies."""
    found = {item.made.task.window.direction for item in planned}
    return found.pop() if len(found) == 1 else None


async def _probe(context: Context, made: NewSearch, call: Call) -> tuple[Probed, int]:
    """How long a few trials take in a worker, and what they weigh; and the number of bars."""
    task = made.task
    payload = prepare_payload(context, task.window)
    data: Prepared = await _run(context, Chunk("prepare", payload), call)
    plan_ = msgspec.structs.replace(task.plan, n_trials=min(task.plan.n_trials, _PROBED))
    spec = SearchSpec(
        id=new_id("probe-"),
        plan=plan_ if plan_.method != "grid" else task.plan,
        works=[work_of(context, task, data)],
        symbols=[task.window.symbol],
    )
    asked = Search(spec=spec, start=0, stop=min(task.plan.n_trials, _PROBED))
    found: Probed = await _run(context, Chunk("probe", Probe(search=asked)), call)
    return found, data.n_in_sample


async def _run(context: Context, chunk: Chunk, call: Call) -> Any:
    return await waited_answer(context, call, chunk, context.settings.workers.trial_timeout_s)


def _need(n_trials: int, probed: Probed, n_bars: int) -> _Need:
    return _Need(
        seconds=n_trials * probed.seconds_per_trial,
        memory_mb=probed.memory_mb,
        disk_mb=n_trials * (probed.bytes_per_trial + _ROW_BYTES) / _MB,
        n_bars=n_bars,
    )


def _warnings(context: Context, seconds: float, memory_mb: float, disk_mb: float) -> list[str]:
    found = []
    free_mb = shutil.disk_usage(context.settings.data_dir).free / _MB
    if disk_mb > 0.8 * free_mb:
        found.append(f"the trials need about {disk_mb:,.0f} MB on disk; {free_mb:,.0f} MB are free")
    available_mb = _available_mb()
    if memory_mb > 0.8 * available_mb:
        found.append(f"the workers need about {memory_mb:,.0f} MB of memory; {available_mb:,.0f} MB are available")
    limit_s = context.settings.workers.task_timeout_s
    if seconds * context.settings.n_workers > limit_s:
        found.append(
            f"a search may work {limit_s:,.0f} s in all (task_timeout_s in the section workers); this is more in one "
            "search or in several"
        )
    if seconds > _LONG_S:
        found.append(f"it takes about {seconds / 3600:.1f} hours")
    return found


def _available_mb() -> float:
    with open("/proc/meminfo", encoding="ascii") as file:  # noqa: PTH123 - not a file of ours
        for line in file:
            if line.startswith("MemAvailable:"):
                return float(line.split()[1]) / 1024
    return float("inf")
