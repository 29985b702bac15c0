"""What a kind of chunk is: a record that the daemon routes by and that a worker calls."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from tunesmith.workers import worker
from tunesmith.workers.chunks.payloads import Timed
from tunesmith.workers.lanes import Lane

_COUNT_RULES = "tunesmith.compute.kernels.generated_kernels:n_loaded"


@dataclass(frozen=True, slots=True)
class ChunkKind:
    """One kind of chunk: the name that tasks ask for, the lane whose workers run it, and its function.

    `function` is "module:function", so that the daemon, which needs name and lane, does not load what it computes with;
    `needs_kernels` says that it runs strategies, whose compiled rules stay in the worker's memory and are counted.
    """

    name: str
    lane: Lane
    function: str
    needs_kernels: bool = False

    def __call__(self, payload: Any) -> Timed:
        """Run the function in a worker; its result, and the seconds that a task's time limit counts."""
        function = worker.resolve(self.function)
        began = time.monotonic()
        try:
            return Timed(function(payload), time.monotonic() - began)
        finally:
            if self.needs_kernels:
                worker.loaded(worker.resolve(_COUNT_RULES)())
