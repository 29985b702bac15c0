"""Schema versions: numbered migrations, applied when a database is opened."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterator
from importlib import resources

from tunesmith.domain.metrics import METRICS
from tunesmith.errors import Conflict, Internal
from tunesmith.storage.faults import WrongVersion

APPLICATION_ID = 0x54554E45
"""Marks the file as ours ("TUNE")."""


def migrations() -> list[tuple[int, str]]:
    """(number, SQL) of every migration in the package, in order; numbers count from 1 without gaps."""
    found = []
    for file in resources.files("tunesmith.storage.sqlite").joinpath("migrations").iterdir():
        match = re.fullmatch(r"(\d{4})_\w+\.sql", file.name)
        if match:
            found.append((int(match[1]), file.read_text("utf-8")))
    found.sort()
    if [number for number, _ in found] != list(range(1, len(found) + 1)):
        raise Internal("the package's migrations are incomplete; install it again")
    return found


def migrate(conn: sqlite3.Connection, secure: Callable[[int], None] = lambda found: None) -> int:
    """Brings the schema to the newest version in one transaction; answers the version found.

    What fails leaves the database as it was, for the program that wrote it. `secure` is called with the version found
    before an older database is changed. Raises `Conflict` for a database that a newer program wrote or that is not
    ours, `sqlite3.Error` as SQLite does, and what `secure` raises.
    """
    steps = migrations()
    found = int(conn.execute("PRAGMA user_version").fetchone()[0])
    owner = int(conn.execute("PRAGMA application_id").fetchone()[0])
    if owner != APPLICATION_ID and (owner or found or conn.execute("SELECT 1 FROM sqlite_schema").fetchone()):
        raise Conflict("the file is the database of another program; choose another data directory")
    if found > len(steps):
        raise WrongVersion(
            f"the database has schema version {found}, this program knows {len(steps)}: a newer program wrote it; "
            "use that one, or restore the backup made before the upgrade"
        )
    if 0 < found < len(steps):
        secure(found)
    if found < len(steps):
        statements = [statement for _, sql in steps[found:] for statement in split(sql)]
        marks = [f"PRAGMA user_version = {len(steps)}", f"PRAGMA application_id = {APPLICATION_ID}"]
        _in_transaction(conn, [*statements, *marks])
    _add_metric_columns(conn)
    return found


def split(sql: str) -> Iterator[str]:
    """The statements of a script, one by one (triggers whole), so that they can run inside a transaction."""
    statement = ""
    for line in sql.splitlines(keepends=True):
        statement += line
        if line.rstrip().endswith(";") and sqlite3.complete_statement(statement):
            yield statement
            statement = ""
    if statement.strip():
        raise Internal("a migration ends within a statement")


def _add_metric_columns(conn: sqlite3.Connection) -> None:
    """A metric that the table of trials does not know yet becomes a column of it."""
    known = {row[1] for row in conn.execute("PRAGMA table_info(trials)")}
    missing = [name for name in METRICS if name not in known]
    if missing:
        _in_transaction(conn, [f'ALTER TABLE trials ADD COLUMN "{name}" REAL' for name in missing])


def _in_transaction(conn: sqlite3.Connection, statements: list[str]) -> None:
    conn.execute("BEGIN IMMEDIATE")
    try:
        for statement in statements:
            conn.execute(statement)
        conn.execute("COMMIT")
    except BaseException:
        if conn.in_transaction:
            conn.execute("ROLLBACK")
        raise
