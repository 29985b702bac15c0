"""Search methods on landscapes that are known to the last point, beside their peers.

PYTHONPATH=tests python -m benchmarks.search_methods [scores overhead fronts] [--seeds N] [--evaluations N]

    scores    how near each method comes to the best of six grids of real backtests, after 50, 100, 200, 500 evaluations
    overhead  what a method costs a trial, beside the backtest
    fronts    hypervolume of two targets, Sharpe ratio and drawdown, beside Optuna's NSGA-II

A landscape is a built-in strategy on a year's half of hourly candles, every point of its grid computed here first.
Scores are 100 (score - median) / (best - median) of the landscape's Sharpe ratios of at least ten trades; the medians
over the seeds are printed. A point with fewer trades is worse than any number. An evaluation is a backtest of a point
that was not tried before and keeps the strategy's conditions: what a peer asks for twice, or outside them, is free.
Peers (the benchmark extra): Optuna's TPE and NSGA-II as they come, SAMBO as backtesting.py calls it.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import time
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import mannwhitneyu

from tunesmith.compute.engines.evaluate import Execution, evaluate_points
from tunesmith.compute.rules.feasibility import required
from tunesmith.compute.search.feasible_space import Region
from tunesmith.compute.search.samplers import SAMPLERS, make_sampler
from tunesmith.compute.search.samplers.sampler import Problem, Sampler
from tunesmith.compute.strategies import builtin
from tunesmith.domain.market.bars import Bars
from tunesmith.domain.parameters import Range
from tunesmith.domain.search.methods import MethodOptions
from tunesmith.domain.space import build_space

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data"
AT = (50, 100, 200, 500)
MIN_TRADES = 10
WORST = -1e3
"""What a peer is told for a point without a score: below any Sharpe ratio."""

CASES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "ma_cross BTC": (
        "ma_cross_v1.0",
        "BTC_USDT",
        {"fast_period": (2, 60, 2), "slow_period": (10, 250, 5), "signal_threshold": (0, 0.02, 0.002)},
    ),
    "rsi BTC": (
        "rsi_reversion",
        "BTC_USDT",
        {
            "period": (4, 32, 4),
            "oversold": (15, 45, 3),
            "exit_level": (46, 78, 4),
            "stop": (0.02, 0.14, 0.04),
            "longest": (0, 192, 48),
        },
    ),
    "donchian ETH": (
        "donchian_breakout",
        "ETH_USDT",
        {"entry_window": (5, 150, 5), "exit_window": (2, 62, 3), "trail": (0.02, 0.3, 0.02)},
    ),
    "boll_rev SOL": (
        "bollinger_reversion",
        "SOL_USDT",
        {"period": (5, 150, 5), "width": (0.6, 3.6, 0.1), "stop": (0.02, 0.2, 0.02)},
    ),
    "supertrd ETH": (
        "supertrend",
        "ETH_USDT",
        {"period": (3, 60, 1), "factor": (1, 8, 0.25), "least_adx": (0, 40, 5)},
    ),
    "ema_atr SOL": (
        "ema_atr_v1.0",
        "SOL_USDT",
        {
            "ema_fast": (4, 40, 4),
            "ema_slow": (10, 100, 10),
            "atr_window": (7, 28, 7),
            "atr_sl_multiplier": (1, 5, 1),
            "atr_tp_multiplier": (2, 14, 2),
        },
    ),
}
OURS = tuple(method for method in SAMPLERS if method != "grid")


@dataclass(frozen=True, eq=False)
class Landscape:
    """A region, and by cell of its grid whether it keeps the conditions, the scores and both targets."""

    name: str
    region: Region
    valid: np.ndarray
    score: np.ndarray
    targets: np.ndarray

    @property
    def sizes(self) -> list[int]:
        return [dimension.size for dimension in self.region.dimensions]

    def cells(self, points: np.ndarray) -> np.ndarray:
        """Grid numbers of points float64[n, p]; int64[n]."""
        ranks = (self.region.to_unit(points) * self.sizes).astype(np.int64)
        return np.ravel_multi_index(tuple(ranks.T), self.sizes)

    def reached(self, scores: np.ndarray) -> np.ndarray:
        median = np.nanmedian(self.score)
        return 100.0 * (scores - median) / (np.nanmax(self.score) - median)


def landscape(name: str) -> Landscape:
    strategy_id, market, ranges = CASES[name]
    strategy = builtin(strategy_id)
    spans = {key: Range(min=low, max=high, step=step) for key, (low, high, step) in ranges.items()}
    space = build_space(strategy.parameters, spans)
    bars = Bars.read(SHARED / "spot" / f"{market}-1h.parquet", symbol=market, timeframe="1h")
    grid = space.grid(0, space.size)
    metrics = evaluate_points(strategy, bars, grid, Execution(direction="both"), n_threads=len(os.sched_getaffinity(0)))
    enough = metrics["n_trades"] >= MIN_TRADES
    score = np.where(enough, metrics["sharpe"], np.nan)
    targets = np.stack([score, np.where(enough, -metrics["max_drawdown"], np.nan)], axis=1)
    region = Region(space, required(strategy))
    return Landscape(name, region, region.valid(grid), score, targets)


def ours(method: str, land: Landscape, n: int, seed: int, values: np.ndarray) -> np.ndarray:
    """Cells in the order of their evaluation by one of our methods; int64[<= n]."""
    nothing = np.empty((0, len(land.region.space.parameters)))
    sampler = make_sampler(method, Problem(land.region, n, seed, MethodOptions(), values.shape[1], nothing))
    cells = np.empty(0, np.int64)
    while len(cells) < sampler.n_trials:
        stop = sampler.ready
        points = sampler.ask(len(cells), stop)
        found = land.cells(points)
        sampler.tell(points, values[found])
        cells = np.concatenate([cells, found])
        if len(cells) < stop:
            break
    return cells


def optunas(make: str, land: Landscape, n: int, seed: int, values: np.ndarray) -> np.ndarray:
    """As `ours`, by the Optuna sampler of that name, each dimension the number of its value; at most 3 n trials."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        study = optuna.create_study(
            directions=["maximize"] * values.shape[1], sampler=getattr(optuna.samplers, make)(seed=seed)
        )
        spread = {str(i): optuna.distributions.IntDistribution(0, size - 1) for i, size in enumerate(land.sizes)}
        cells: dict[int, None] = {}
        for _ in range(3 * n):
            trial = study.ask(spread)
            cell = int(np.ravel_multi_index(tuple(trial.params[name] for name in spread), land.sizes))
            scored = bool(land.valid[cell] and not np.isnan(values[cell]).any())
            study.tell(trial, values[cell].tolist() if scored else [WORST] * values.shape[1])
            if land.valid[cell]:
                cells[cell] = None
            if len(cells) == n:
                break
    return np.array(list(cells), np.int64)


def sambos(land: Landscape, n: int, seed: int, values: np.ndarray) -> np.ndarray:
    """As `ours`, by SAMBO's shuffled complex evolution as `Backtest.optimize(method="sambo")` calls it."""
    import sambo

    cells: dict[int, None] = {}

    def cell_of(x: Any) -> int:
        return int(np.ravel_multi_index(tuple(np.asarray(x, int)), land.sizes))

    def loss(x: Any) -> float:
        cell = cell_of(x)
        cells[cell] = None
        score = values[cell, 0]
        return -WORST if np.isnan(score) else -float(score)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sambo.minimize(
            loss,
            bounds=[(0, size) for size in land.sizes],
            constraints=lambda x: bool(land.valid[cell_of(x)]),
            max_iter=n,
            method="sceua",
            rng=seed,
        )
    return np.array(list(cells), np.int64)


Searcher = Callable[[Landscape, int, int, np.ndarray], np.ndarray]
PEERS: dict[str, Searcher] = {
    "Optuna TPE": partial(optunas, "TPESampler"),
    "Optuna NSGA-II": partial(optunas, "NSGAIISampler"),
    "SAMBO": sambos,
}
SEARCHERS: dict[str, Searcher] = {**{method: partial(ours, method) for method in OURS}, **PEERS}
LANDSCAPES: dict[str, Landscape] = {}
"""Computed before the workers fork, so that they have them."""


def search(job: tuple[str, str, int, int]) -> list[float]:
    """What a method has reached on a landscape after each number of evaluations."""
    name, who, seed, n = job
    land = LANDSCAPES[name]
    found = land.score[SEARCHERS[who](land, n, seed, land.score[:, np.newaxis])]
    best = np.fmax.accumulate(np.where(np.isnan(found), np.nanmin(land.score), found))
    return [float(land.reached(best[min(k, len(best)) - 1])) for k in AT if k <= n]


def spread_over_cores(work: Callable[[Any], Any], jobs: Iterable[Any]) -> list[Any]:
    with multiprocessing.get_context("fork").Pool(len(os.sched_getaffinity(0))) as pool:
        return pool.map(work, jobs, chunksize=1)


def scores(n_seeds: int, n: int) -> None:
    LANDSCAPES.update({name: landscape(name) for name in CASES})
    for name, land in LANDSCAPES.items():
        best, median = np.nanmax(land.score), np.nanmedian(land.score)
        print(f"{name:13s} {land.valid.sum():6d} points, best Sharpe {best:5.2f}, median {median:5.2f}")
    jobs = [(name, who, seed, n) for who in SEARCHERS for name in CASES for seed in range(n_seeds)]
    found = np.array(spread_over_cores(search, jobs)).reshape(len(SEARCHERS), len(CASES), n_seeds, -1)
    at = [k for k in AT if k <= n]
    print(f"\n100 (score - median) / (best - median) after {', '.join(map(str, at))} evaluations, {n_seeds} seeds")
    table(dict(zip(SEARCHERS, found, strict=True)), len(at))
    verdicts(dict(zip(SEARCHERS, found, strict=True)), at)


def table(found: dict[str, np.ndarray], n_counts: int) -> None:
    """Medians over the seeds of float[landscapes, seeds, counts] by searcher, three landscapes side by side."""
    width = max(4 * n_counts, 12)
    for some in (slice(0, 3), slice(3, 6)):
        print(f"\n{'':17s}" + "  ".join(f"{name:>{width}s}" for name in list(CASES)[some]))
        for who, of in found.items():
            cells = ["".join(f"{value:4.0f}" for value in np.median(one, axis=0)).rjust(width) for one in of[some]]
            print(f"{who:17s}" + "  ".join(cells))


def verdicts(found: dict[str, np.ndarray], at: list[int]) -> None:
    """Of six landscapes, on how many each of ours is above the best peer, or level: not behind beyond chance."""
    print("\nlandscapes of six on which a method is on top of every peer, or level (Mann-Whitney, p >= 0.05)\n")
    print(f"{'':17s}" + " ".join(f"{f'at {k}':>8s}" for k in at))
    most = {}
    for who in OURS:
        held = [sum(not _behind(found, who, i, k) for i in range(len(CASES))) for k in range(len(at))]
        above = [sum(_above(found, who, i, k) for i in range(len(CASES))) for k in range(len(at))]
        most[who] = (sum(held), sum(above), held)
        print(f"{who:17s}" + " ".join(f"{f'{a} / {h}':>8s}" for a, h in zip(above, held, strict=True)))
    best = max(most, key=lambda who: most[who][:2])
    least = min(most[best][2])
    word = "holds" if least >= 5 else "does not hold"
    print(
        f"\nverdict: {best} is on top or level on at least {least} of {len(CASES)} at every count; five of six {word}"
    )


def _behind(found: dict[str, np.ndarray], who: str, i: int, k: int) -> bool:
    return any(
        np.median(found[who][i, :, k]) < np.median(found[peer][i, :, k])
        and mannwhitneyu(found[who][i, :, k], found[peer][i, :, k], alternative="less").pvalue < 0.05
        for peer in PEERS
    )


def _above(found: dict[str, np.ndarray], who: str, i: int, k: int) -> bool:
    return all(np.median(found[who][i, :, k]) >= np.median(found[peer][i, :, k]) for peer in PEERS)


def hypervolume(values: np.ndarray, corner: np.ndarray) -> float:
    """Area that points float64[n, 2], both to be large, dominate above `corner` float64[2]."""
    inside = values[(values > corner).all(axis=1)]
    area, top = 0.0, corner[1]
    for x, y in inside[np.lexsort((-inside[:, 1], -inside[:, 0]))]:
        if y > top:
            area += (x - corner[0]) * (y - top)
            top = y
    return float(area)


def front(job: tuple[str, str, int, int]) -> list[float]:
    name, who, seed, n = job
    land = LANDSCAPES[name]
    found = land.targets[SEARCHERS[who](land, n, seed, land.targets)]
    corner = np.nanmedian(land.targets, axis=0)
    return [100.0 * hypervolume(found[:k], corner) / hypervolume(land.targets, corner) for k in AT if k <= n]


def fronts(n_seeds: int, n: int) -> None:
    LANDSCAPES.update({name: landscape(name) for name in CASES})
    compared = ("nsga2", "random", "Optuna NSGA-II")
    jobs = [(name, who, seed, n) for who in compared for name in CASES for seed in range(n_seeds)]
    found = np.array(spread_over_cores(front, jobs)).reshape(len(compared), len(CASES), n_seeds, -1)
    at = [k for k in AT if k <= n]
    print(f"\nhypervolume above the medians, percent of the whole grid's, after {', '.join(map(str, at))} evaluations")
    table(dict(zip(compared, found, strict=True)), len(at))
    above = (np.median(found[0], axis=1) >= np.median(found[2], axis=1)).sum(axis=0)
    counts = ", ".join(f"{a} of {len(CASES)} at {k}" for a, k in zip(above, at, strict=True))
    print(f"\nverdict: nsga2 is above Optuna's on {counts}")


def overhead(n_seeds: int, n: int) -> None:
    """Processor time a trial for asking and telling: of `n` trials, and of 10,000 for methods that stay quick."""
    strategy = builtin("rsi_reversion")
    region = Region(build_space(strategy.parameters, {}), required(strategy))
    print("\nmicroseconds of processor time a trial, asking and telling; ours in batches\n")
    print(f"{'':17s} {f'of {n:,}':>12s} {'of 10,000':>12s}")
    for method in SAMPLERS:
        counts = (n,) if method in ("tpe", "gaussian_process") else (n, 10_000)
        costs = [min(our_cost(method, region, k, seed) for seed in range(n_seeds)) for k in counts]
        print(f"{method:17s} " + " ".join(f"{cost:12.1f}" for cost in costs))
    for name in ("RandomSampler", "QMCSampler", "NSGAIISampler", "TPESampler"):
        least = min(optunas_cost(name, region, n, seed) for seed in range(n_seeds))
        print(f"{'Optuna ' + name.removesuffix('Sampler'):17s} {least:12.1f}")


def our_cost(method: str, region: Region, n: int, seed: int) -> float:
    nothing = np.empty((0, len(region.space.parameters)))
    sampler = make_sampler(method, Problem(region, n, seed, MethodOptions(), 1, nothing))
    begin = time.process_time()
    n_told = ask_and_tell(sampler, region, n)
    return (time.process_time() - begin) / n_told * 1e6


def ask_and_tell(sampler: Sampler, region: Region, n: int) -> int:
    """How many trials were told, at most `n`, the score being a bowl; what does not learn is asked 1,000 at once."""
    told = 0
    while told < n:
        stop = min(sampler.ready, told + 1000, n)
        points = sampler.ask(told, stop)
        sampler.tell(points, -((region.to_unit(points) - 0.4) ** 2).sum(axis=1)[:, np.newaxis])
        told += len(points)
        if told < stop:
            break
    return told


def optunas_cost(name: str, region: Region, n: int, seed: int) -> float:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    spread = {d.name: optuna.distributions.IntDistribution(0, d.size - 1) for d in region.dimensions}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        study = optuna.create_study(direction="maximize", sampler=getattr(optuna.samplers, name)(seed=seed))
        begin = time.process_time()
        for _ in range(n):
            trial = study.ask(spread)
            study.tell(trial, -sum((trial.params[d.name] / d.size - 0.4) ** 2 for d in region.dimensions))
    return (time.process_time() - begin) / n * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = {"scores": scores, "overhead": overhead, "fronts": fronts}
    parser.add_argument("parts", nargs="*", default=list(parts), choices=[*parts, []])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--evaluations", type=int, default=AT[-1])
    given = parser.parse_args()
    for part in given.parts:
        parts[part](given.seeds, given.evaluations)


if __name__ == "__main__":
    main()
