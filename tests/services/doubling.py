"""A table with one chunk function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

CHUNKS: dict[str, Callable[[Any], Any]] = {"double": lambda payload: 2 * payload}
