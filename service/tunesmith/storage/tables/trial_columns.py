"""The stored trials of a search as columns, read by a worker on a connection of its own that can only read.

A whole search goes through neither the daemon's loop nor its memory that way: 400,000 trials take a second.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from tunesmith.domain.array_types import Flags, Floats, Ints
from tunesmith.domain.metrics import METRICS
from tunesmith.errors import Internal, Invalid

_PART = 50_000
_BUSY_TIMEOUT_S = 5.0


class Columns(msgspec.Struct, frozen=True, kw_only=True):
    """Trials in the order of their `numbers` int64[n].

    `params` are JSON texts; `scores` float64[n, k] the values of k targets as they are read, NaN where undefined;
    `eligible` bool[n]; `metrics` float64[n] by name.
    """

    numbers: Ints
    params: list[str]
    scores: Floats
    eligible: Flags
    metrics: dict[str, Floats]


def read_columns(
    database: Path, optimization_id: str, n_targets: int, metrics: Sequence[str] = ()
) -> Iterator[Columns]:
    """The trials of a search some tens of thousands at a time, all of one moment; nothing where there are none.

    Raises `Invalid` for what is no metric, `Internal` when the database cannot be read.
    """
    unknown = [name for name in metrics if name not in METRICS]
    if unknown:
        raise Invalid(f"{unknown[0]!r} is no metric")
    score = "score" if n_targets == 1 else "scores"
    sql = f"""SELECT {", ".join(("idx", "params", "eligible", score, *metrics))} FROM trials
              WHERE optimization_id = ? ORDER BY idx"""  # noqa: S608 - checked names
    try:
        uri = f"{database.absolute().as_uri()}?mode=ro"
        with contextlib.closing(sqlite3.connect(uri, uri=True, timeout=_BUSY_TIMEOUT_S)) as conn:
            cursor = conn.execute(sql, (optimization_id,))
            while rows := cursor.fetchmany(_PART):
                yield _columns(rows, n_targets, metrics)
    except sqlite3.Error as error:
        raise Internal(f"the trials cannot be read: {error}") from error


def _columns(rows: list[tuple[Any, ...]], n_targets: int, metrics: Sequence[str]) -> Columns:
    numbers, params, eligible, scores, *values = zip(*rows, strict=True)
    return Columns(
        numbers=np.array(numbers, np.int64),
        params=list(params),
        scores=_scores(scores, n_targets),
        eligible=np.array(eligible, np.float64) == 1.0,  # null where a trial was stored without
        metrics={name: np.array(column, np.float64) for name, column in zip(metrics, values, strict=True)},
    )


def _scores(column: Sequence[Any], n_targets: int) -> Floats:
    if n_targets == 1:
        return np.array(column, np.float64)[:, np.newaxis]
    decode = msgspec.json.Decoder(list[float | None]).decode
    nothing = [None] * n_targets
    return np.array([nothing if text is None else decode(text) for text in column], np.float64)
