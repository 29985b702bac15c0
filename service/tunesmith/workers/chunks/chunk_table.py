"""What workers do: one function for each kind of chunk, by name in `CHUNKS`.

A chunk's payload and result are plain values. Bars travel as the hash of a snapshot on disk: `prepare`, which reads all
of a market, cuts the window that a task may see and writes it there, so that what a search works on has no hold-out.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tunesmith.compute.decision.segments import segment_work
from tunesmith.compute.decision.winner import Winner
from tunesmith.compute.engines import vectorbt_replay
from tunesmith.compute.engines.evaluate import evaluate_points
from tunesmith.compute.engines.point_report import report_point
from tunesmith.compute.kernels.generated_kernels import is_compiled, n_loaded
from tunesmith.compute.rules.strategy import Strategy
from tunesmith.compute.search.search import Market as SearchedMarket
from tunesmith.compute.search.search import Search as BoundSearch
from tunesmith.compute.search.selection import knee, pareto_front
from tunesmith.compute.search.split import annualized, split_at
from tunesmith.compute.simulation.execution import Execution
from tunesmith.compute.strategies import BUILTIN_IDS, builtin
from tunesmith.compute.strategies.installed import installed_strategy
from tunesmith.compute.strategies.stepped_run import is_ready
from tunesmith.domain.market.bars import Bars
from tunesmith.domain.market.timeframes import timeframe_ms
from tunesmith.domain.parameters import Scalar
from tunesmith.domain.space.space import encode_points
from tunesmith.domain.trading import Costs
from tunesmith.errors import Invalid
from tunesmith.protocol.messages.markets import ImportReport
from tunesmith.storage.market.market_store import MarketStore
from tunesmith.storage.market.snapshots import Snapshots
from tunesmith.storage.sources import open_source
from tunesmith.storage.sources.download import download
from tunesmith.storage.sources.source import Market
from tunesmith.workers import worker
from tunesmith.workers.chunks.analysis_chunks import analyze, compare_searches, export_trials
from tunesmith.workers.chunks.decision_chunks import do_decision_work, point_of
from tunesmith.workers.chunks.payloads import (
    DecisionWork,
    FetchBars,
    Front,
    ImportBars,
    OnePoint,
    Prepare,
    Prepared,
    Probe,
    Probed,
    Search,
    SearchSpec,
    StitchParts,
    StrategyRef,
    Timed,
    Trials,
    WalkedPart,
    WalkPart,
    WinnerRef,
    Work,
)
from tunesmith.workers.chunks.search_chunks import probe_search, propose_points, run_search
from tunesmith.workers.chunks.walkforward_chunks import stitch_windows, walk_window

_EQUITY_POINTS = 2000


def prepare(payload: Prepare) -> Prepared:
    """Write the window's bars, with everything before it as warm-up, to a snapshot."""
    store = MarketStore(Path(payload.data_dir) / "market")
    store.mark(payload.venue, payload.symbol)
    bars = store.load(payload.venue, payload.symbol, payload.timeframe)
    length = timeframe_ms(payload.timeframe)
    stop = int(np.searchsorted(bars.timestamp + length, payload.end_ms, side="right"))
    first = bars.index_at(payload.start_ms)
    if stop - first < 2:
        raise Invalid(f"the range holds {max(0, stop - first)} bars; at least 2 are needed", path="/data/start_date")
    bars = annualized(bars, payload.in_sample_end_ms).slice(0, stop)
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
    return run_search(payload, _bind)


def propose(payload: Search) -> list[str]:
    """The parameters of a range of trials, which are not evaluated."""
    return propose_points(payload, _bind)


def probe(payload: Probe) -> Probed:
    """What trials cost."""
    return probe_search(payload, _bind)


def front(payload: tuple[NDArray[np.float64], NDArray[np.bool_]]) -> Front:
    """The Pareto front of scores float64[n, k] among the eligible, and its knee."""
    scores, keep = payload
    chosen = pareto_front(scores, keep)
    at = knee(scores[chosen])
    return Front(front=chosen.tolist(), knee=-1 if at is None else int(chosen[at]))


def decision_work(payload: DecisionWork) -> Any:
    """Do what a check of a decision on a search asks for, in sample."""
    return do_decision_work(payload, _winner)


def decision_work_holdout(payload: DecisionWork) -> Any:
    """Do what a check of a decision on a search asks for on the hold-out."""
    return do_decision_work(payload, _winner)


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
    """Do what a decision by criteria asks for: a segment's metrics, or vectorbt's disagreements."""
    rule, bars = _load(payload.work)
    point = _point(rule, payload.params)
    split = split_at(bars, payload.boundary_ms, payload.work.first, payload.in_sample_end_ms)
    return segment_work(payload.ask, rule, bars, point, _execution(payload.work), split)


def walk(payload: WalkPart) -> WalkedPart:
    """One window of a walk-forward."""
    rule, bars = _load(payload.work)
    return walk_window(payload, rule, bars, _execution(payload.work))


def stitch(payload: StitchParts) -> dict[str, Any]:
    """All windows of a walk-forward as one account."""
    _, bars = _load(payload.work)
    return stitch_windows(payload, bars, payload.work.initial_cash)


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
    function.__name__: timed(function)
    for function in (
        *(prepare, search, propose, probe, front, backtest, judge, import_bars, fetch_bars),
        *(decision_work, decision_work_holdout, walk, stitch),
        *(analyze, compare_searches, export_trials),
    )
}
"""Chunk function by name."""


def load_vectorbt() -> None:
    """Load what replays and reports need: more than a second and 250 MB, once for all workers."""
    vectorbt_replay.warm_up()


def load_kernels() -> None:
    """Load what searches need, before the first one; in a new kernel cache this compiles for a while."""
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


def _bind(spec: SearchSpec) -> tuple[BoundSearch, list[SearchedMarket]]:
    markets = []
    for symbol, work in zip(spec.symbols, spec.works, strict=True):
        rule, bars = _load(work)
        markets.append(SearchedMarket(symbol, bars, _execution(work), work.first))
    return BoundSearch(rule, spec.plan), markets


def _winner(ref: WinnerRef) -> Winner:
    rule, bars = _load(ref.work)
    market = SearchedMarket(ref.symbol, bars, _execution(ref.work), ref.work.first)
    others = tuple(
        SearchedMarket(other.symbol, _load(other.work)[1], _execution(other.work), other.work.first)
        for other in ref.others
    )
    return Winner(rule, ref.plan, point_of(ref, rule), market, ref.stop, ref.frozen_at, others)


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
