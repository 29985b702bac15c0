"""Rows: between a table's row and a small frozen struct whose fields are named like the columns.

A field of type str, bytes, int, float, bool or None is the column as it is; every other type is JSON text in the table.
"""

from __future__ import annotations

import functools
import sqlite3
import types
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, NamedTuple, TypeVar, Union, get_args, get_origin

import msgspec

from tunesmith.storage.sqlite.connections import Connection, Source

_PLAIN = {str, bytes, int, float, bool, type(None)}


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """Base of every row; `table` is where it lives."""

    table: ClassVar[str]


R = TypeVar("R", bound=Row)


class Page(NamedTuple):
    """A part of a listing and how many rows the whole of it has."""

    rows: list[Any]
    total: int


class _Layout(NamedTuple):
    names: tuple[str, ...]
    json: frozenset[str]
    flags: frozenset[str]


def row_of(kind: type[R], row: sqlite3.Row) -> R:
    """The struct of one row that has (at least) a column for every field."""
    layout = _layout(kind)
    values: dict[str, Any] = {name: row[name] for name in layout.names}
    for name in layout.json:
        if values[name] is not None:
            values[name] = msgspec.json.decode(values[name])
    for name in layout.flags:
        values[name] = bool(values[name])
    return kind(**values)


async def select(source: Source, kind: type[R], tail: str, parameters: Sequence[Any] = ()) -> list[R]:
    """Rows of `kind` for what follows FROM <table> in the query."""
    return [row_of(kind, row) for row in await source.fetch_all(f"{_select(kind)} {tail}", parameters)]


async def select_one(source: Source, kind: type[R], tail: str, parameters: Sequence[Any] = ()) -> R | None:
    """The first such row, or None."""
    row = await source.fetch_one(f"{_select(kind)} {tail} LIMIT 1", parameters)
    return None if row is None else row_of(kind, row)


async def number(source: Source, sql: str, parameters: Sequence[Any] = ()) -> int:
    """The number that a query of one row and one column answers; 0 where there is no row."""
    row = await source.fetch_one(sql, parameters)
    return int(row[0]) if row else 0


async def page(
    source: Source, kind: type[R], filters: Mapping[str, Any], *, order: str, limit: int, offset: int, also: str = ""
) -> Page:
    """Rows that meet every filter and the condition `also`.

    A filter is a column or a condition with one `?`, and its value; None leaves it out.
    """
    given = {key: value for key, value in filters.items() if value is not None}
    terms = [f"{key} = ?" if key.isidentifier() else key for key in given] + ([also] if also else [])
    where = f"WHERE {' AND '.join(terms)}" if terms else ""
    values = list(given.values())
    rows = await select(source, kind, f"{where} ORDER BY {order} LIMIT ? OFFSET ?", [*values, limit, offset])
    return Page(rows, await number(source, f"SELECT count(*) FROM {kind.table} {where}", values))  # noqa: S608 - our own


async def insert(conn: Connection, row: Row, more: Mapping[str, Any] | None = None) -> None:
    """Stores `row`, with the columns in `more` beside its fields; raises `sqlite3.IntegrityError` as SQLite does."""
    layout = _layout(type(row))
    values = {name: getattr(row, name) for name in layout.names}
    for name in layout.json:
        if values[name] is not None:
            values[name] = json_text(values[name])
    values.update(more or {})
    await conn.execute(_insert(row.table, tuple(values)), list(values.values()))


def json_text(value: Any) -> str:
    """`value` as JSON text; NaN and infinity become null."""
    return msgspec.json.encode(value).decode()


@functools.cache
def _insert(table: str, names: tuple[str, ...]) -> str:
    marks = ", ".join("?" * len(names))
    return f"INSERT INTO {table} ({', '.join(names)}) VALUES ({marks})"  # noqa: S608 - our own names


@functools.cache
def _select(kind: type[Row]) -> str:
    return f"SELECT {', '.join(_layout(kind).names)} FROM {kind.table}"  # noqa: S608 - our own names


@functools.cache
def _layout(kind: type[Row]) -> _Layout:
    fields = {field.encode_name: _kinds(field.type) for field in msgspec.structs.fields(kind)}
    return _Layout(
        names=tuple(fields),
        json=frozenset(name for name, kinds in fields.items() if not kinds <= _PLAIN),
        flags=frozenset(name for name, kinds in fields.items() if kinds == {bool}),
    )


def _kinds(annotation: Any) -> set[Any]:
    if get_origin(annotation) in (Union, types.UnionType):
        return set().union(*map(_kinds, get_args(annotation)))
    if get_origin(annotation) is Literal:
        return {type(value) for value in get_args(annotation)}
    return {annotation}
