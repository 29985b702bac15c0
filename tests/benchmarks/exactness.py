"""Hundreds of random rules: the engine, the slow simulator, and vectorbt must tell the same; and none may look ahead.

    python tests/benchmarks/exactness.py [--examples 500] [--seed N]

Rules are drawn from the language's whole grammar by Hypothesis, on real candles (the packaged sample, ../shared/data
where it is) and on random markets full of ties, with random costs, fills, directions, stops and parameters. Each is

    interpreted   its signals are those of a slow interpreter of its text
    simulated     its orders, trades, equity and metrics are those of the plain simulator that defines them
    replayed      its orders, filled by vectorbt, give the same equity, trades and metrics to 1e-9, numba and rust
    cut           its signals on the first bars are, to the last bit, the first signals on all bars

What fails is made smaller and printed, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import re
import secrets
import sys
import time
from collections import Counter
from pathlib import Path

import hypothesis
import numpy as np
from hypothesis import HealthCheck, Phase

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from reference.rule_cases import Findings, RuleCase, examine, rule_cases, seen_ahead, smallest  # noqa: E402
from tunesmith.compute.indicators.registry import INDICATORS  # noqa: E402
from tunesmith.compute.language.vocabulary import COLUMNS, STATEMENTS  # noqa: E402
from tunesmith.compute.rules.strategy import Strategy  # noqa: E402
from tunesmith.domain.market.bars import Bars  # noqa: E402

WORDS = {*COLUMNS, *INDICATORS, *STATEMENTS}
ENGINES = ("numba", "rust")
N_CUTS = 3
N_SHOWN = 5
"""Failures that are made smaller and shown; the others are counted."""


def markets() -> list[Bars]:
    """Real candles: the packaged sample, and those beside the checkout."""
    found = [("BTC/USDT", "1h", ROOT / "service" / "tunesmith" / "sample" / "BTC_USDT-1h.parquet")]
    spot = ROOT.parent / "shared" / "data" / "spot"
    for file in sorted(spot.glob("*.parquet")):
        symbol, _, timeframe = file.stem.partition("-")
        found.append((symbol.replace("_", "/"), timeframe, file))
    return [Bars.read(file, symbol=symbol, timeframe=timeframe) for symbol, timeframe, file in found]


class Bench:
    """Runs case after case until there are enough different rules, and keeps what was found."""

    def __init__(self, n_rules: int, seed: int, engines: tuple[str, ...]) -> None:
        self.n_rules, self.seed, self.engines = n_rules, seed, engines
        self.found = Findings()
        self.kernels: set[str] = set()
        self.codes: set[str] = set()
        self.words: Counter[str] = Counter()
        self.n_cuts = 0
        self.failed: list[tuple[RuleCase, list[str]]] = []

    def run(self) -> None:
        @hypothesis.seed(self.seed)
        @hypothesis.settings(
            max_examples=20 * self.n_rules,  # Hypothesis repeats itself; each rule counts once
            deadline=None,
            database=None,
            phases=(Phase.generate,),
            suppress_health_check=list(HealthCheck),
        )
        @hypothesis.given(rule_cases(markets()))
        def one(case: RuleCase) -> None:
            if case.code not in self.codes:
                self.take(case)
            if len(self.codes) == self.n_rules:
                raise KeyboardInterrupt  # the one way to end a run that has not failed

        try:
            one()
        except KeyboardInterrupt:
            if len(self.codes) < self.n_rules:
                raise

    def take(self, case: RuleCase) -> None:
        self.codes.add(case.code)
        self.kernels.add(Strategy.parse(case.code).plan.source)
        self.words.update(WORDS & set(re.findall(r"[a-z_]+", case.code)))
        cuts = np.random.default_rng(self.seed + len(self.codes)).integers(1, len(case.bars), N_CUTS).tolist()
        self.n_cuts += N_CUTS
        found = examine(case, self.engines, measure=True)
        found.failures += seen_ahead(case, cuts)
        self.found.add(found)
        if found.failures:
            self.failed.append((case, found.failures))
        if len(self.codes) % 50 == 0:
            print(f"  {len(self.codes)} rules, {len(self.failed)} failed", file=sys.stderr, flush=True)

    def show_failures(self) -> None:
        for case, lines in self.failed[:N_SHOWN]:
            ahead = any("are not those on all" in line for line in lines)

            def fails(other: RuleCase, ahead: bool = ahead) -> bool:
                if ahead:
                    return bool(seen_ahead(other, range(1, len(other.bars), 7)))
                return bool(examine(other, self.engines).failures)

            print("\nFAILED:", *lines[:5], "smaller:", smallest(case, fails), sep="\n")


def print_table(bench: Bench, seconds: float) -> None:
    found = bench.found
    unused = ", ".join(sorted(WORDS - set(bench.words)))
    print(f"seed {bench.seed}, {seconds:.0f} s")
    rows = {
        "different rules": f"{found.n_rules:,} ({len(bench.kernels):,} compiled functions; {found.n_traded:,} traded)",
        "points": f"{found.n_points:,}, and {found.n_invalid:,} that break a require(…)",
        "signals interpreted": f"{found.n_interpreted:,} points; {found.n_near_ties:,} left out: rounding decides",
        "orders, trades compared": f"{found.n_orders:,}, {found.n_trades:,}",
        "orders by reason": ", ".join(f"{name} {n:,}" for name, n in found.reasons.most_common()),
        "ambiguous bars": f"{found.n_ambiguous:,}",
        "replays by vectorbt": ", ".join(f"{name} {n:,}" for name, n in found.n_replays.items())
        + f"; {found.n_dust:,} left out: account worn down to 1e-5",
        "signals cut": f"{bench.n_cuts:,} times",
        "words of the language": f"{len(bench.words)} of {len(WORDS)}; never: {unused or 'none'}",
    }
    for name, text in rows.items():
        print(f"  {name:26s}{text}")
    oracles = ("simulator", *bench.engines)
    print(f"\n  {'worst relative difference':26s}" + "".join(f"{oracle:>12s}" for oracle in oracles))
    for metric, worst in found.worst.items():
        cells = (f"{worst[oracle]:12.1e}" if oracle in worst else f"{'':12s}" for oracle in oracles)
        print(f"  {metric:26s}" + "".join(cells))
    print(f"\n  failed: {len(bench.failed)} of {found.n_rules} rules")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--examples", type=int, default=500, help="different rules to draw")
    parser.add_argument("--seed", type=int, default=None, help="draw the same rules again")
    options = parser.parse_args()
    seed = secrets.randbelow(2**32) if options.seed is None else options.seed
    print(f"exactness: {options.examples} rules, seed {seed}", flush=True)
    bench = Bench(options.examples, seed, ENGINES)
    began = time.perf_counter()
    bench.run()
    print_table(bench, time.perf_counter() - began)
    bench.show_failures()
    return 1 if bench.failed else 0


if __name__ == "__main__":
    sys.exit(main())
