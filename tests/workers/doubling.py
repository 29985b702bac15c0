"""A table of small chunk functions."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from tunesmith.workers.chunks.payloads import Timed

GO_ON = threading.Event()
"""Lets a stalled chunk go."""


def stall(timeout_s: float) -> bool:
    return GO_ON.wait(timeout_s)


CHUNKS: dict[str, Callable[[Any], Any]] = {
    "double": lambda payload: 2 * payload,
    "stall": stall,
    "work_for": lambda seconds: Timed(None, seconds),
}
