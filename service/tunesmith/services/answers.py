"""Answers that were computed before: a repeated backtest takes them from the cache instead of a worker.

Everything that an answer depends on is in its key, so there is nothing to invalidate, and several daemons may share a
Redis. Two things are kept: what a market's bars became for a window, and what the `backtest` chunk made of them. A
value that does not have the form it should have is a miss.
"""

from __future__ import annotations

import functools
import hashlib
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from tunesmith import telemetry
from tunesmith.domain.canonical import canonical_hash
from tunesmith.domain.parameters import Scalar
from tunesmith.errors import Internal
from tunesmith.services.context import Context
from tunesmith.services.jobs.payloads import OnePoint, Prepared
from tunesmith.services.jobs.tasks import Job
from tunesmith.services.markets import Window
from tunesmith.services.work import Assignment, prepared, work_of

T = TypeVar("T")

_SOURCES = ("compute/**/*.py", "compute/**/*.rule", "domain/*.py", "services/jobs/chunks.py")
_LIBRARIES = ("numpy", "numba", "vectorbt", "vectorbt-rust")


class Made(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the `backtest` chunk makes; `equity` holds pairs of UTC milliseconds and equity."""

    params: dict[str, Scalar]
    metrics: dict[str, float | None]
    stats: dict[str, Any]
    trades: list[dict[str, Any]]
    equity: list[tuple[int, float]]


async def backtest(
    context: Context, job: Job, task: Assignment, params: dict[str, Scalar]
) -> tuple[Prepared, dict[str, Any]]:
    """The bars of a backtest and what the `backtest` chunk makes of them, from the cache or from a worker.

    Raises `Internal` when vectorbt computes other numbers; such a result is not kept.
    """
    known = await _known_window(context, job, task.window)
    made = await _recall(context, _backtest_key(task, params, known), Made) if known else None
    if known is not None and made is not None:
        data = known
    else:
        data = await _cut(context, job, task.window)
        if data != known:
            made = await _recall(context, _backtest_key(task, params, data), Made)
    telemetry.CACHE.labels("miss" if made is None else "hit").inc()
    job.advance(1, 3)
    if made is not None:
        job.log("the same backtest was computed before; the result is from the cache")
        return data, msgspec.structs.asdict(made)
    found = await job.run("backtest", OnePoint(work=work_of(context, task, data), params=params))
    if found["disagreements"]:
        raise Internal(f"vectorbt computes other numbers: {'; '.join(found['disagreements'])}")
    kept = Made(**{name: found[name] for name in Made.__struct_fields__})
    await _remember(context, _backtest_key(task, params, data), kept)
    return data, found


@functools.cache
def engine_version() -> str:
    """A hash over the code that computes, the libraries it computes with, and the kind of machine."""
    package = Path(__file__).resolve().parents[1]
    digest = hashlib.sha256(platform.machine().encode())
    for name in _LIBRARIES:
        digest.update(f"{name} {version(name)}\n".encode())
    for pattern in _SOURCES:
        for path in sorted(package.glob(pattern)):
            digest.update(path.relative_to(package).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


async def _known_window(context: Context, job: Job, window: Window) -> Prepared | None:
    """What the window was cut to when the stored bars were what they are now."""
    if "prepared" in job.state:
        return None
    return await _recall(context, _window_key(_market_hash(context, window), window), Prepared)


async def _cut(context: Context, job: Job, window: Window) -> Prepared:
    """The window cut by a worker, and kept unless the stored bars were replaced in between."""
    if "prepared" in job.state:
        return await prepared(context, job, window)
    before = _market_hash(context, window)
    data = await prepared(context, job, window)
    if _market_hash(context, window) == before:
        await _remember(context, _window_key(before, window), data)
    return data


def _market_hash(context: Context, window: Window) -> str:
    return context.market.find(window.symbol, window.timeframe, window.venue).data_hash


def _window_key(market: str, window: Window) -> str:
    of = (market, window.venue, window.symbol, window.timeframe, window.start_ms, window.end_ms, window.boundary_ms)
    return "window:" + canonical_hash([engine_version(), *of])


def _backtest_key(task: Assignment, params: dict[str, Scalar], data: Prepared) -> str:
    window, strategy = task.window, task.strategy
    return "backtest:" + canonical_hash(
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
        }
    )


async def _recall(context: Context, key: str, kind: type[T]) -> T | None:
    text = await context.cache.get(key)
    if text is None:
        return None
    try:
        return msgspec.json.decode(text, type=kind)
    except msgspec.DecodeError:
        return None


async def _remember(context: Context, key: str, value: msgspec.Struct) -> None:
    await context.cache.set(key, msgspec.json.encode(value), context.settings.cache.ttl_s)
