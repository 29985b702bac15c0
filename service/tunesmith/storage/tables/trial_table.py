"""Trials: one row for each point that a search tried, one column for each metric."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import ArrayLike

from tunesmith.domain.array_types import Flags, Floats
from tunesmith.domain.metrics import METRICS
from tunesmith.errors import Invalid
from tunesmith.storage.sqlite.connections import Connection, Source
from tunesmith.storage.sqlite.rows import json_text, number

_OWN = ("idx", "params", "error", "score", "eligible", "scores", "by_symbol")


class TrialRow(msgspec.Struct, frozen=True):
    """One trial; an undefined metric is None, a trial that could not be evaluated has an `error`.

    `score` is the (first) target's value, `scores` those of all targets where there are several. Only an `eligible`
    trial, which keeps every constraint and whose targets are defined, can be the best.
    """

    index: int
    params: dict[str, Any]
    metrics: dict[str, float | None]
    error: str | None
    score: float | None
    eligible: bool
    scores: list[float | None] | None
    by_symbol: dict[str, dict[str, float | None]] | None


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """Trials as columns, those from number `start` on.

    `params` are JSON texts, `metrics` name → float64[n] (not finite: undefined), `scores` float64[n, k] of k targets,
    `eligible` bool[n], `by_symbol` JSON texts or None where there is one symbol.
    """

    start: int
    params: Sequence[str]
    metrics: Mapping[str, ArrayLike]
    scores: Floats
    eligible: Flags
    errors: Sequence[str | None]
    by_symbol: Sequence[str] | None = None


async def insert_batch(conn: Connection, optimization_id: str, batch: Batch) -> int:
    """Stores trials and counts them in the search; how many were new.

    A trial that is stored already stays as it is, so that a repeated chunk does no harm.
    """
    n = len(batch.params)
    scores = np.where(np.isfinite(batch.scores), batch.scores, np.nan)
    columns: dict[str, Iterable[Any]] = {
        "optimization_id": [optimization_id] * n,
        "idx": range(batch.start, batch.start + n),
        "params": batch.params,
        "score": _column(scores[:, 0], n),
        "eligible": batch.eligible.astype(np.int64).tolist(),
    }
    if any(batch.errors):
        columns["error"] = batch.errors
    if scores.shape[1] > 1:
        columns["scores"] = map(_json, scores.tolist())
    if batch.by_symbol is not None:
        columns["by_symbol"] = batch.by_symbol
    columns.update({name: _column(batch.metrics[name], n) for name in METRICS if name in batch.metrics})
    rows = zip(*columns.values(), strict=True)
    stop = batch.start + n
    failed = -await _count_failed(conn, optimization_id, batch.start, stop) if "error" in columns else 0
    fresh = max(0, await conn.execute_many(_insert(tuple(columns)), rows))
    failed += await _count_failed(conn, optimization_id, batch.start, stop) if "error" in columns else 0
    await _count(conn, optimization_id, fresh, failed)
    return fresh


async def delete_from(conn: Connection, optimization_id: str, index: int) -> int:
    """Deletes the trials from number `index` on, of a search that has ended before them; how many there were."""
    failed = await _count_failed(conn, optimization_id, index)
    sql = "DELETE FROM trials WHERE optimization_id = ? AND idx >= ?"
    n = await conn.execute(sql, (optimization_id, index))
    await _count(conn, optimization_id, -n, -failed)
    return n


async def delete_failed(conn: Connection, optimization_id: str) -> int:
    """Deletes the trials that could not be evaluated, so that they are tried again; how many there were."""
    sql = "DELETE FROM trials INDEXED BY idx_trials_failed WHERE optimization_id = ? AND error IS NOT NULL"
    n = await conn.execute(sql, (optimization_id,))
    await _count(conn, optimization_id, -n, -n)
    return n


async def count(source: Source, optimization_id: str) -> int:
    """Number of stored trials, which is counted as they are stored."""
    return await number(source, "SELECT total(n_done) FROM optimization_tasks WHERE id = ?", (optimization_id,))


async def count_failed(source: Source, optimization_ids: Sequence[str]) -> int:
    """Number of stored trials of these searches that could not be evaluated, which is counted as they are stored."""
    sql = "SELECT total(n_failed) FROM optimization_tasks WHERE id IN (SELECT value FROM json_each(?))"
    return await number(source, sql, (json_text(list(optimization_ids)),))


async def done_ranges(source: Source, optimization_id: str) -> list[tuple[int, int]]:
    """The stored indices as ranges [start, stop), in order: what a resumed search leaves out."""
    sql = """SELECT min(idx), max(idx) + 1 FROM (
                 SELECT idx, idx - row_number() OVER (ORDER BY idx) AS island FROM trials WHERE optimization_id = ?
             ) GROUP BY island ORDER BY 1"""
    return [(int(row[0]), int(row[1])) for row in await source.fetch_all(sql, (optimization_id,))]


class Told(msgspec.Struct, frozen=True):
    """Stored trials as a search is told them: JSON texts [n], float64[n, k] with NaN where undefined, bool[n]."""

    params: list[str]
    scores: Floats
    eligible: Flags


async def told(source: Source, optimization_id: str, stop: int, n_targets: int, *, start: int = 0) -> Told:
    """The trials `start` to `stop` (exclusive), in order."""
    sql = """SELECT params, score, scores, eligible FROM trials
             WHERE optimization_id = ? AND idx >= ? AND idx < ? ORDER BY idx"""
    rows = await source.fetch_all(sql, (optimization_id, start, stop))
    decode = msgspec.json.Decoder(list[float | None]).decode
    scores = np.array([[row[1]] if row[2] is None else decode(row[2]) for row in rows], np.float64)
    eligible = np.array([bool(row[3]) for row in rows])
    return Told([row[0] for row in rows], scores.reshape(len(rows), n_targets), eligible)


async def page(
    source: Source, optimization_id: str, *, sort: str, descending: bool, limit: int, offset: int
) -> list[TrialRow]:
    """Trials sorted by a metric, "score" or "index"; undefined values last either way, equal ones by index.

    Raises `Invalid` for a `sort` that is none of these.
    """
    column = {"index": "idx", "score": "score"}.get(sort) or _metric(sort, "/data/sort")
    direction = "DESC" if descending else "ASC"
    order = f"{column} {direction} NULLS LAST, idx"
    sql = f"""SELECT {_columns()} FROM trials WHERE optimization_id = ? AND idx IN (
                  SELECT idx FROM trials WHERE optimization_id = ? ORDER BY {order} LIMIT ? OFFSET ?
              ) ORDER BY {order}"""  # noqa: S608 - a checked name; sorting the indices alone is several times faster
    return _trials(await source.fetch_all(sql, (optimization_id, optimization_id, limit, offset)))


async def page_of_session(
    source: Source, session_id: str, *, sort: str, descending: bool, eligible_only: bool, limit: int, offset: int
) -> tuple[list[tuple[str, str, str, TrialRow]], int]:
    """(symbol, strategy, search, trial) of all searches of a session, sorted as in `page`, and how many there are."""
    column = "score" if sort == "score" else _metric(sort, "/data/sort")
    direction = "DESC" if descending else "ASC"
    tail = f"""FROM session_items AS i JOIN trials AS t ON t.optimization_id = i.optimization_id
               WHERE i.session_id = ? {"AND t.eligible" if eligible_only else ""}"""
    sql = f"""SELECT i.symbol, i.strategy_id, i.optimization_id, t.idx {tail}
              ORDER BY t.{column} {direction} NULLS LAST, i.number, t.idx LIMIT ? OFFSET ?"""
    places = await source.fetch_all(sql, (session_id, limit, offset))
    found = []
    for symbol, strategy_id, optimization_id, index in places:
        rows = await some(source, optimization_id, [index])
        found += [(symbol, strategy_id, optimization_id, row) for row in rows]
    return found, await number(source, f"SELECT count(*) {tail}", (session_id,))


async def best(source: Source, optimization_id: str, *, descending: bool) -> TrialRow | None:
    """The eligible trial with the best score, the first of equals; None when there is none."""
    direction = "DESC" if descending else "ASC"
    sql = f"""SELECT {_columns()} FROM trials WHERE optimization_id = ? AND eligible AND score IS NOT NULL
              ORDER BY score {direction}, idx LIMIT 1"""  # noqa: S608 - our own names
    found = _trials(await source.fetch_all(sql, (optimization_id,)))
    return found[0] if found else None


async def some(source: Source, optimization_id: str, indices: Sequence[int]) -> list[TrialRow]:
    """The trials of these numbers that are there, by number."""
    marks = ", ".join("?" * len(indices))
    sql = f"SELECT {_columns()} FROM trials WHERE optimization_id = ? AND idx IN ({marks}) ORDER BY idx"  # noqa: S608
    return _trials(await source.fetch_all(sql, (optimization_id, *indices)))


def _columns() -> str:
    """What `_trials` reads of each row."""
    return ", ".join((*_OWN, *METRICS))


def _trials(rows: Iterable[Any]) -> list[TrialRow]:
    decode = msgspec.json.Decoder().decode
    return [
        TrialRow(
            index=row[0],
            params=decode(row[1]),
            metrics=dict(zip(METRICS, row[len(_OWN) :], strict=True)),
            error=row[2],
            score=row[3],
            eligible=bool(row[4]),
            scores=None if row[5] is None else decode(row[5]),
            by_symbol=None if row[6] is None else decode(row[6]),
        )
        for row in rows
    ]


@functools.cache
def _insert(names: tuple[str, ...]) -> str:
    """Columns that all of a batch leave empty are not named: each would cost as much as a number."""
    marks = ", ".join("?" * len(names))
    return f"INSERT OR IGNORE INTO trials ({', '.join(names)}) VALUES ({marks})"  # noqa: S608 - our own names


async def _count(conn: Connection, optimization_id: str, n: int, n_failed: int) -> None:
    sql = "UPDATE optimization_tasks SET n_done = n_done + ?, n_failed = n_failed + ? WHERE id = ?"
    await conn.execute(sql, (n, n_failed, optimization_id))


async def _count_failed(conn: Connection, optimization_id: str, start: int, stop: int = 2**62) -> int:
    sql = """SELECT count(*) FROM trials INDEXED BY idx_trials_failed
             WHERE optimization_id = ? AND error IS NOT NULL AND idx >= ? AND idx < ?"""
    return await number(conn, sql, (optimization_id, start, stop))


def _metric(name: str, path: str | None = None) -> str:
    if name not in METRICS:
        raise Invalid(
            f"{name!r} is no metric; there are {', '.join(METRICS)} (and score and index to sort by)", path=path
        )
    return name


def _column(values: ArrayLike, n: int) -> list[float | None]:
    """SQLite stores NaN as NULL; infinity is made NaN."""
    column = np.asarray(values, np.float64)
    if column.shape != (n,):
        raise Invalid(f"a metric has {column.size} values for {n} trials")
    numbers: list[float | None] = np.where(np.isfinite(column), column, np.nan).tolist()
    return numbers


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
