"""How long one point takes on one bar, measured while searches run."""

from __future__ import annotations

from collections import OrderedDict

from tunesmith.compute.engines.engine_table import ENGINES
from tunesmith.domain.trading import Engine
from tunesmith.workers.chunks.payloads import StrategyRef

_LEAST = 1_000_000
"""Points times bars from which a chunk tells of the speed; in less, loading and compiling count for most."""

_KEPT = 1_000
_SLOWER = 1.1


class Speeds:
    """Nanoseconds for a point and a bar, by strategy code and engine.

    The quickest chunk tells what the work takes; those around it may have compiled, or shared their core. One that is
    slower counts as well, a little at a time.
    """

    def __init__(self) -> None:
        self._ns: OrderedDict[tuple[str, Engine], float] = OrderedDict()

    def ns(self, strategy: StrategyRef, engine: Engine) -> float:
        """As measured, else as the engine assumes."""
        return self._ns.get((strategy.code_hash, engine), ENGINES[engine].assumed_ns)

    def is_measured(self, strategy: StrategyRef, engine: Engine) -> bool:
        """Whether it was measured since the daemon started."""
        return (strategy.code_hash, engine) in self._ns

    def learn(self, strategy: StrategyRef, engine: Engine, seconds: float, n: int) -> None:
        """A chunk of `n` points times bars took so many seconds at work."""
        if n < _LEAST or seconds <= 0.0:
            return
        key, fresh = (strategy.code_hash, engine), 1e9 * seconds / n
        known = self._ns.pop(key, None)
        self._ns[key] = fresh if known is None else min(fresh, _SLOWER * known)
        if len(self._ns) > _KEPT:
            self._ns.popitem(last=False)
