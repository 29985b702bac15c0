"""Trials: one row for each point that a search tried, one column for each metric."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import ArrayLike

from tunesmith.domain.metrics import METRICS
from tunesmith.errors import Invalid
from tunesmith.storage.connections import Connection, Source

Direction = Literal["maximize", "minimize"]
Operator = Literal[">=", "<="]
Constraint = tuple[str, Operator, float]
"""(metric, operator, bound): a trial whose metric is undefined does not meet it."""

_METRICS = ", ".join(METRICS)
_COLUMNS = f"idx, params, error, {_METRICS}"
_INSERT = (
    f"INSERT OR IGNORE INTO trials (optimization_id, {_COLUMNS}) "  # noqa: S608 - names from our own table
    f"VALUES ({', '.join('?' * (4 + len(METRICS)))})"
)


class TrialRow(msgspec.Struct, frozen=True):
    """One trial; an undefined metric is None, a trial that could not be evaluated has an `error`."""

    index: int
    params: dict[str, Any]
    metrics: dict[str, float | None]
    error: str | None


async def insert_batch(
    conn: Connection,
    optimization_id: str,
    indices: Sequence[int],
    params: Sequence[str],
    metrics: Mapping[str, ArrayLike],
    errors: Sequence[str | None] | None = None,
) -> int:
    """Stores trials given as columns and counts them in the search; how many were new.

    `indices` int[n], `params` JSON texts [n], `metrics` name → float64[n] (not finite: undefined), `errors` [n].
    A trial that is stored already stays as it is, so that a repeated chunk does no harm.
    """
    n = len(indices)
    columns = [_column(metrics[name], n) if name in metrics else [None] * n for name in METRICS]
    rows = zip([optimization_id] * n, indices, params, errors or [None] * n, *columns, strict=True)
    fresh = max(0, await conn.execute_many(_INSERT, rows))
    sql = "UPDATE optimization_tasks SET n_done = n_done + ? WHERE id = ?"
    await conn.execute(sql, (fresh, optimization_id))
    return fresh


async def count(source: Source, optimization_id: str) -> int:
    """Number of stored trials."""
    row = await source.fetch_one("SELECT count(*) FROM trials WHERE optimization_id = ?", (optimization_id,))
    return int(row[0]) if row else 0


async def done_ranges(source: Source, optimization_id: str) -> list[tuple[int, int]]:
    """The stored indices as ranges [start, stop), in order: what a resumed search leaves out."""
    sql = """SELECT min(idx), max(idx) + 1 FROM (
                 SELECT idx, idx - row_number() OVER (ORDER BY idx) AS island FROM trials WHERE optimization_id = ?
             ) GROUP BY island ORDER BY 1"""
    return [(int(row[0]), int(row[1])) for row in await source.fetch_all(sql, (optimization_id,))]


async def page(
    source: Source, optimization_id: str, *, sort: str, descending: bool, limit: int, offset: int
) -> list[TrialRow]:
    """Trials sorted by a metric, or by "index"; undefined values last either way, equal ones by index.

    Raises `Invalid` for a `sort` that is neither.
    """
    column = "idx" if sort == "index" else _metric(sort, "/data/sort")
    direction = "DESC" if descending else "ASC"
    order = f"{column} {direction} NULLS LAST, idx"
    sql = f"""SELECT {_COLUMNS} FROM trials WHERE optimization_id = ? AND idx IN (
                  SELECT idx FROM trials WHERE optimization_id = ? ORDER BY {order} LIMIT ? OFFSET ?
              ) ORDER BY {order}"""  # noqa: S608 - a checked name; sorting the indices alone is several times faster
    return _trials(await source.fetch_all(sql, (optimization_id, optimization_id, limit, offset)))


async def best(
    source: Source,
    optimization_id: str,
    metric: str,
    direction: Direction,
    constraints: Iterable[Constraint] = (),
) -> TrialRow | None:
    """The trial with the best `metric` among those without error that meet every constraint; the first of equals."""
    column = _metric(metric)
    conditions = ["optimization_id = ?", "error IS NULL", f"{column} IS NOT NULL"]
    values: list[Any] = [optimization_id]
    for name, operator, bound in constraints:
        if operator not in (">=", "<="):
            raise Invalid(f"{operator!r} is no operator of a constraint")
        conditions.append(f"{_metric(name)} {operator} ?")
        values.append(bound)
    order = "DESC" if direction == "maximize" else "ASC"
    sql = f"""SELECT {_COLUMNS} FROM trials WHERE {" AND ".join(conditions)}
              ORDER BY {column} {order}, idx LIMIT 1"""  # noqa: S608 - checked names
    found = _trials(await source.fetch_all(sql, values))
    return found[0] if found else None


async def get(source: Source, optimization_id: str, index: int) -> TrialRow | None:
    """One trial, or None."""
    sql = f"SELECT {_COLUMNS} FROM trials WHERE optimization_id = ? AND idx = ?"  # noqa: S608 - our own names
    found = _trials(await source.fetch_all(sql, (optimization_id, index)))
    return found[0] if found else None


def _trials(rows: Iterable[Any]) -> list[TrialRow]:
    decode = msgspec.json.Decoder().decode
    return [TrialRow(row[0], decode(row[1]), dict(zip(METRICS, row[3:], strict=True)), row[2]) for row in rows]


def _metric(name: str, path: str | None = None) -> str:
    if name not in METRICS:
        raise Invalid(f"{name!r} is no metric; there are {', '.join(METRICS)} (and index to sort by)", path=path)
    return name


def _column(values: ArrayLike, n: int) -> list[float | None]:
    """SQLite stores NaN as NULL; infinity is made NaN."""
    column = np.asarray(values, np.float64)
    if column.shape != (n,):
        raise Invalid(f"a metric has {column.size} values for {n} trials")
    numbers: list[float | None] = np.where(np.isfinite(column), column, np.nan).tolist()
    return numbers
