"""What workers do: one function for each kind of chunk, by name in `CHUNKS`.

A chunk's payload and result are plain values. Bars travel as the hash of a snapshot on disk: `prepare`, which reads all
of a market, cuts the window that a task may see and writes it there, so that what a search works on has no hold-out.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from tunesmith.compute import replay
from tunesmith.compute.conditions import required
from tunesmith.compute.engines import MEANS_OTHERWISE
from tunesmith.compute.evaluate import Execution, evaluate_points
from tunesmith.compute.judgement import Ask
from tunesmith.compute.library import answer_ask, report_point
from tunesmith.compute.region import Region
from tunesmith.compute.rules.generated import is_compiled, n_loaded
from tunesmith.compute.rules.strategy import Strategy
from tunesmith.compute.samplers import SAMPLERS
from tunesmith.compute.samplers.sampler import Problem
from tunesmith.compute.selection import best_trial, target_metric
from tunesmith.compute.split import annualized, split_at
from tunesmith.compute.strategies import BUILTIN_IDS, builtin
from tunesmith.compute.strategies.installed import installed_strategy
from tunesmith.compute.strategies.stepped_walk import is_ready
from tunesmith.domain.bars import Bars
from tunesmith.domain.criteria import bounds
from tunesmith.domain.messages.markets import ImportReport
from tunesmith.domain.methods import MethodOptions
from tunesmith.domain.metrics import METRICS, search_metrics
from tunesmith.domain.parameters import Scalar
from tunesmith.domain.space import build_space, decode_point, encode_points
from tunesmith.domain.timeframes import timeframe_ms
from tunesmith.domain.trading import Costs
from tunesmith.errors import Invalid
from tunesmith.services.jobs import worker
from tunesmith.services.jobs.payloads import (
    BestTrial,
    FetchBars,
    ImportBars,
    OnePoint,
    Prepare,
    Prepared,
    Search,
    StrategyRef,
    Timed,
    Trials,
    Work,
)
from tunesmith.storage.market import MarketStore
from tunesmith.storage.snapshots import Snapshots
from tunesmith.storage.sources import open_source
from tunesmith.storage.sources.download import download
from tunesmith.storage.sources.source import Market

_EQUITY_POINTS = 2000


def prepare(payload: Prepare) -> Prepared:
    """Write the window's bars, with everything before it as warm-up, to a snapshot."""
    bars = MarketStore(Path(payload.data_dir) / "market").load(payload.venue, payload.symbol, payload.timeframe)
    length = timeframe_ms(payload.timeframe)
    stop = int(np.searchsorted(bars.timestamp + length, payload.end_ms, side="right"))
    first = bars.index_at(payload.start_ms)
    if stop - first < 2:
        raise Invalid(f"the range holds {max(0, stop - first)} bars; at least 2 are needed", path="/data/start_date")
    bars = annualized(bars, payload.boundary_ms).slice(0, stop)
    split = split_at(bars, payload.boundary_ms, first, payload.in_sample_end_ms)
    return Prepared(
        snapshot=Snapshots(Path(payload.data_dir) / "snapshots").write(bars),
        n_bars=len(bars),
        first=first,
        n_in_sample=split.n_in_sample,
        n_holdout=len(bars) - split.out_start,
        start_ms=int(bars.timestamp[first]),
        end_ms=bars.end_ms,
    )


def search(payload: Search) -> Trials:
    """Evaluate a range of trials."""
    rule, bars = _load(payload.work)
    region = Region(build_space(rule.parameters, payload.ranges), required(rule))
    warm = np.empty((0, len(rule.parameters)))
    sampler = SAMPLERS[payload.method](Problem(region, payload.max_iterations, payload.seed, MethodOptions(), 1, warm))
    points = sampler.ask(payload.start, payload.stop)
    read = {target_metric(payload.target), *(bound.metric for bound in bounds(payload.constraints))}
    metrics = evaluate_points(
        rule, bars, points, _execution(payload.work), start=payload.work.first, metrics=search_metrics(read)
    )
    encode = msgspec.json.Encoder().encode
    params = [encode(decode_point(rule.parameters, point)).decode() for point in points]
    errors = [None if valid else "breaks a require(…) of the strategy" for valid in rule.valid(points).tolist()]
    if payload.work.engine == "vectorbt":
        unknown = np.isnan(metrics["total_return"]).tolist()
        errors = [error or (MEANS_OTHERWISE if nan else None) for error, nan in zip(errors, unknown, strict=True)]
    best = None
    at = best_trial(metrics, payload.target, payload.constraints)
    if at is not None:
        name = target_metric(payload.target)
        score = float(metrics[name][at])
        rank = score if METRICS[name].direction == "maximize" else -score
        best = BestTrial(index=payload.start + at, rank=rank, score=score, params=params[at])
    return Trials(start=payload.start, params=params, metrics=metrics, errors=errors, best=best)


def backtest(payload: OnePoint) -> dict[str, Any]:
    """A report: metrics, vectorbt's stats and trades, thinned equity, and where vectorbt disagrees."""
    rule, bars = _load(payload.work)
    point = _point(rule, payload.params)
    report = report_point(rule, bars, point, _execution(payload.work), payload.work.first)
    keep = np.unique(np.linspace(0, len(report.equity) - 1, min(len(report.equity), _EQUITY_POINTS)).astype(int))
    return {
        "params": report.params,
        "metrics": report.metrics,
        "stats": report.stats,
        "trades": report.trades,
        "equity": list(zip(report.timestamp[keep].tolist(), report.equity[keep].tolist(), strict=True)),
        "disagreements": report.disagreements,
    }


def judge(payload: OnePoint) -> Any:
    """Answer one `Ask` of a decision plan: a segment's metrics, or vectorbt's disagreements."""
    rule, bars = _load(payload.work)
    point = _point(rule, payload.params)
    split = split_at(bars, payload.boundary_ms, payload.work.first, payload.in_sample_end_ms)
    ask = Ask(payload.ask)  # type: ignore[arg-type]
    return answer_ask(ask, rule, bars, point, _execution(payload.work), split)


def import_bars(payload: ImportBars) -> ImportReport:
    """Store bars that came with a request."""
    store = MarketStore(Path(payload.data_dir) / "market")
    return store.import_rows(payload.rows, symbol=payload.symbol, timeframe=payload.timeframe, venue=payload.venue)


def fetch_bars(payload: FetchBars) -> int:
    """Download bars from the upstream data service; how many are new."""
    store = MarketStore(Path(payload.data_dir) / "market")
    market = Market(payload.venue, payload.symbol, payload.timeframe)
    source = open_source(payload.upstream, payload.timeout_s)
    return download(source, store, market, (payload.start_ms, payload.end_ms))


def timed(function: Callable[[Any], Any]) -> Callable[[Any], Timed]:
    """The function with the time that it took beside its result: what a task's time limit counts."""

    def run(payload: Any) -> Timed:
        began = time.monotonic()
        try:
            return Timed(function(payload), time.monotonic() - began)
        finally:
            worker.loaded(n_loaded())

    return run


CHUNKS: dict[str, Callable[[Any], Timed]] = {
    function.__name__: timed(function) for function in (prepare, search, backtest, judge, import_bars, fetch_bars)
}
"""Chunk function by name."""


def warm_up() -> None:
    """Load kernels before the first chunk, and behind it vectorbt, which takes longer and only reports need."""
    threading.Thread(target=replay.warm_up, name="vectorbt", daemon=True).start()
    n = 64
    stamps = np.arange(n, dtype=np.int64) * 3_600_000
    close = 100.0 + np.sin(np.arange(n) / 3.0)
    columns = {"open": close, "high": close, "low": close, "close": close, "volume": np.ones(n)}
    bars = Bars.from_arrays(stamps, columns, symbol="WARM/UP", timeframe="1h")
    rule = builtin("ma_cross_v1.0")
    point = encode_points(rule.parameters, {"fast_period": 2, "slow_period": 5, "signal_threshold": 0.0})[0]
    evaluate_points(rule, bars, point[np.newaxis], Execution(Costs(), "next_open", "long"))


def _load(work: Work) -> tuple[Strategy, Bars]:
    rule = _strategy(work.strategy)
    if rule.kind == "rule" and not is_compiled(rule.plan.source):
        worker.doing(f"compiling the rule {rule.id} {rule.version}: a few seconds, once on this machine")
    elif not is_ready(rule):
        worker.doing(f"compiling the step of {rule.id} {rule.version}: a few seconds, once on this machine")
    return rule, _bars(work.data_dir, work.snapshot)


def _execution(work: Work) -> Execution:
    return Execution(work.costs, work.fill, work.direction, work.initial_cash, work.engine)


def _point(rule: Strategy, params: dict[str, Scalar]) -> NDArray[np.float64]:
    points = encode_points(rule.parameters, params, "/data/params")
    if not rule.valid(points)[0]:
        raise Invalid("these parameters break a require(…) of the strategy", path="/data/params")
    point: NDArray[np.float64] = points[0]
    return point


@lru_cache(maxsize=32)
def _strategy(ref: StrategyRef) -> Strategy:
    if ref.kind == "rule":
        return Strategy.parse(ref.code, id=ref.id, version=ref.version)
    return builtin(ref.id) if ref.id in BUILTIN_IDS else installed_strategy(ref.id, ref.code_hash)


@lru_cache(maxsize=8)
def _bars(data_dir: str, snapshot: str) -> Bars:
    return Snapshots(Path(data_dir) / "snapshots").read(snapshot)
