"""Strategy code as an attacker sends it: every sample is refused, or accepted where it is a rule, in under 50 ms.

    python tests/benchmarks/hostile_code.py [--examples 20000] [--seed N]

Samples of every kind in tests/reference/hostile.py, in turn. The time is the processor's; where a sample is over the
limit it is measured three times more, and the least counts. The exit code is 1 when one is over the limit, or raises
anything but a refusal.
"""

from __future__ import annotations

import argparse
import random
import secrets
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from reference.hostile import HOSTILE, kinds, parsed_in_s  # noqa: E402
from tunesmith.compute.strategies import BUILTIN_IDS, builtin  # noqa: E402

LIMIT_S = 0.05


class Tally:
    """Samples of one kind."""

    def __init__(self) -> None:
        self.n = self.n_accepted = self.n_over = 0
        self.total_s = self.worst_s = 0.0
        self.slowest = ""

    def take(self, code: str) -> None:
        took, refusal = parsed_in_s(code)
        if took > LIMIT_S:
            took = min(took, *(parsed_in_s(code)[0] for _ in range(3)))
        self.n += 1
        self.n_accepted += refusal is None
        self.n_over += took > LIMIT_S
        self.total_s += took
        if took > self.worst_s:
            self.worst_s, self.slowest = took, code


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--examples", type=int, default=20_000, help="samples to draw, beside the written ones")
    parser.add_argument("--seed", type=int, default=None, help="draw the same samples again")
    options = parser.parse_args()
    seed = secrets.randbelow(2**32) if options.seed is None else options.seed
    rules = [builtin(name).code for name in BUILTIN_IDS if builtin(name).kind == "rule"]
    made = kinds(rules)
    tallies = {name: Tally() for name in ("written", "rules as they are", *made)}
    chance = random.Random(seed)
    began = time.perf_counter()
    for code in HOSTILE.values():
        tallies["written"].take(code)
    for code in rules:
        tallies["rules as they are"].take(code)
    for i in range(options.examples):
        name = list(made)[i % len(made)]
        tallies[name].take(made[name](chance))
    print(f"hostile code: seed {seed}, {time.perf_counter() - began:.0f} s")
    print(f"  {'kind':20s}{'samples':>9s}{'accepted':>10s}{'mean ms':>9s}{'worst ms':>10s}{'over 50 ms':>12s}")
    for name, tally in tallies.items():
        mean_ms, worst_ms = 1e3 * tally.total_s / max(tally.n, 1), 1e3 * tally.worst_s
        print(f"  {name:20s}{tally.n:9,}{tally.n_accepted:10,}{mean_ms:9.2f}{worst_ms:10.1f}{tally.n_over:12,}")
    worst = max(tallies.values(), key=lambda tally: tally.worst_s)
    print(f"  slowest: {worst.worst_s * 1e3:.1f} ms, {len(worst.slowest):,} characters, {worst.slowest[:160]!r}")
    return 1 if any(tally.n_over for tally in tallies.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
