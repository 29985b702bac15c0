"""Payloads of the chunks that look at stored searches. No heavy imports, for the daemon's sake."""

from __future__ import annotations

from typing import Any

import msgspec

from tunesmith.domain.metrics import Goal
from tunesmith.domain.parameters import Parameter
from tunesmith.domain.search.findings import ImportanceMethod, Statistic
from tunesmith.protocol.messages.analysis import Format, Part


class StoredSearch(msgspec.Struct, frozen=True, kw_only=True):
    """Where the trials of a search are, and what they mean.

    Its score is the target of position `target`, or the metric `by`; `minimized` says which way is better. `metrics`
    are those to read; `whole_logs` is the plan's.
    """

    database: str
    optimization_id: str
    parameters: tuple[Parameter, ...]
    ranges: dict[str, Any]
    targets: tuple[str, ...]
    directions: tuple[Goal, ...]
    target: int
    by: str | None
    minimized: bool
    metrics: tuple[str, ...] = ()
    whole_logs: bool = False


class Analyze(msgspec.Struct, frozen=True, kw_only=True):
    """A search to analyse; members as in `optimization.analyze`."""

    search: StoredSearch
    what: frozenset[Part]
    n: int
    importance_method: ImportanceMethod
    x: str | None
    y: str | None
    statistic: Statistic
    through: int | None


class Compare(msgspec.Struct, frozen=True, kw_only=True):
    """Two searches to compare."""

    a: StoredSearch
    b: StoredSearch


class Export(msgspec.Struct, frozen=True, kw_only=True):
    """A search to write to `folder`; files there that are older than `keep_s` seconds are removed."""

    search: StoredSearch
    format: Format
    folder: str
    keep_s: float


class Exported(msgspec.Struct, frozen=True, kw_only=True):
    """A file that was made: its name, its size in bytes, its SHA-256."""

    name: str
    size: int
    version: str


def export_name(optimization_id: str, kind: str, version: str) -> str:
    """The name of an exported file."""
    return f"{optimization_id}-{version[:12]}.{kind}"
