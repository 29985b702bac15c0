"""Single rows that many ask for at once: read together, in one step to a connection's thread.

A step to another thread and back costs more than the reading, on a busy machine many times more. What is asked for
while such a step is under way is read by the next one.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any

from tunesmith.errors import TunesmithError
from tunesmith.storage.sqlite.connections import ThreadConnection

_AT_ONCE = 32
"""Those who asked go on together when they are told; so many hold the loop up no longer than a few milliseconds."""

Met = Callable[[sqlite3.Error], TunesmithError]
Reading = Callable[[], AbstractAsyncContextManager[ThreadConnection]]


@dataclass(slots=True, eq=False)
class _Asked:
    sql: str
    parameters: Sequence[Any]
    answer: asyncio.Future[sqlite3.Row | None]
    found: sqlite3.Row | None = None
    error: sqlite3.Error | None = None


class RowReader:
    """Answers with the first row of a query. `reading` lends a connection, `met` says what SQLite's errors mean."""

    def __init__(self, reading: Reading, met: Met) -> None:
        self._reading = reading
        self._met = met
        self._asked: list[_Asked] = []
        self._task: asyncio.Task[None] | None = None

    async def fetch(self, sql: str, parameters: Sequence[Any]) -> sqlite3.Row | None:
        """The first row, or None; it sees every write that was answered before."""
        asked = _Asked(sql, parameters, asyncio.get_running_loop().create_future())
        self._asked.append(asked)
        if self._task is None:
            self._task = asyncio.create_task(self._read(), name="database rows")
        return await asked.answer

    async def _read(self) -> None:
        batch: list[_Asked] = []
        try:
            while self._asked:
                async with self._reading() as conn:
                    batch, self._asked = self._asked[:_AT_ONCE], self._asked[_AT_ONCE:]
                    await conn.run(lambda conn, batch=batch: _read_each(conn, batch))  # type: ignore[misc]
                for asked in batch:
                    self._tell(asked)
                batch = []
        except BaseException as error:  # nobody may wait for ever
            for asked in (*batch, *self._asked):
                if not asked.answer.done():
                    asked.answer.set_exception(error) if isinstance(error, Exception) else asked.answer.cancel()
            self._asked = []
            if not isinstance(error, Exception):
                raise
        finally:
            self._task = None

    def _tell(self, asked: _Asked) -> None:
        if asked.answer.done():
            return
        if asked.error is None:
            asked.answer.set_result(asked.found)
            return
        met = self._met(asked.error)
        met.__cause__ = asked.error
        asked.answer.set_exception(met)


def _read_each(conn: sqlite3.Connection, batch: list[_Asked]) -> None:
    for asked in batch:
        if asked.answer.cancelled():
            continue
        try:
            rows = conn.execute(asked.sql, asked.parameters).fetchall()
            asked.found = rows[0] if rows else None
        except sqlite3.Error as error:
            asked.error = error
