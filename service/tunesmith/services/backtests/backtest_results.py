"""What a backtest makes: a repeated one takes its result from the cache instead of a worker."""

from __future__ import annotations

import msgspec

from tunesmith.domain.parameters import ParamValues
from tunesmith.domain.records import JsonObject
from tunesmith.errors import Internal
from tunesmith.services.market.market_windows import Assignment, work_of
from tunesmith.services.market.window_snapshots import cut_window, known_window
from tunesmith.services.requests.program_version import engine_version
from tunesmith.services.requests.value_cache import count, key_of, recall, remember
from tunesmith.services.runtime.context import Context
from tunesmith.services.runtime.task_runner import Job
from tunesmith.workers.chunks.payloads import OnePoint, Prepared


class Made(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the `backtest` chunk makes; `equity` holds pairs of UTC milliseconds and equity, `longer` what is to know of
    the longer bars that the rule reads."""

    params: ParamValues
    metrics: dict[str, float | None]
    stats: JsonObject
    trades: list[JsonObject]
    equity: list[tuple[int, float]]
    longer: list[JsonObject]
    warnings: list[str] = []


async def backtest(context: Context, job: Job, task: Assignment, params: ParamValues) -> tuple[Prepared, JsonObject]:
    """The bars of a backtest and what the `backtest` chunk makes of them, from the cache or from a worker.

    Raises `Internal` when vectorbt computes other numbers; such a result is not kept.
    """
    known = await known_window(context, job, task.window)
    made = await recall(context, _backtest_key(task, params, known), Made) if known else None
    if known is not None and made is not None:
        data = known
    else:
        data = await cut_window(context, job, task.window, known)
        if data != known:
            made = await recall(context, _backtest_key(task, params, data), Made)
    count("backtest", hit=made is not None)
    job.advance(1, 3)
    if made is not None:
        job.log("the same backtest was computed before; the result is from the cache")
        return data, msgspec.structs.asdict(made)
    kind = "backtest_holdout" if data.end_ms > task.window.boundary_ms else "backtest"
    found = await job.run(kind, OnePoint(work=work_of(context, task, data), params=params))
    if found["disagreements"]:
        raise Internal(f"vectorbt computes other numbers: {'; '.join(found['disagreements'])}")
    kept = Made(**{name: found[name] for name in Made.__struct_fields__})
    await remember(context, _backtest_key(task, params, data), kept)
    return data, found


def _backtest_key(task: Assignment, params: ParamValues, data: Prepared) -> str:
    window, strategy = task.window, task.strategy
    return key_of(
        "backtest",
        {
            "engine": engine_version(),
            "strategy": [strategy.kind, strategy.id if strategy.kind == "kernel" else "", strategy.code_hash],
            "params": params,
            "bars": data.snapshot,
            "first": data.first,
            "costs": msgspec.to_builtins(window.costs),
            "fill": window.fill,
            "direction": window.direction,
            "initial_cash": window.initial_cash,
            "evaluated_by": window.engine,
            "ruin": 0.0 if isinstance(window.ruin, msgspec.UnsetType) else window.ruin,
        },
    )
