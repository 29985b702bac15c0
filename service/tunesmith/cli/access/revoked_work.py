"""What a revocation stops: the schedules and unfinished tasks of a user, told when the key or token is revoked."""

from __future__ import annotations

import sqlite3
from contextlib import closing

from tunesmith.cli.daemon_connection import running_doors
from tunesmith.cli.tables import remark
from tunesmith.config import Settings
from tunesmith.storage.secrets.tokens import TokenFile
from tunesmith.transport.access.client_keys import KeyStore

_QUERIES = {
    "schedules": "SELECT id FROM schedules WHERE user = ? ORDER BY id",
    "tasks": "SELECT id FROM tasks WHERE user = ? AND status IN ('pending', 'running') ORDER BY created_at",
}


def tell_stopped(settings: Settings, user: str) -> None:
    """Say which schedules and tasks of a user end with the revocation, or by what they go on."""
    if user in _still_in_force(settings):
        remark(f"Another key or token of the name {user} is in force; schedules and tasks of that name go on.")
        return
    running = running_doors(settings.data_dir)
    try:
        found = _work_of(settings, user, "mode=ro" if running else "immutable=1")
    except sqlite3.Error as error:
        remark(f"What {user} had going on cannot be read ({error}); `tunesmith audit` lists what was stopped.")
        return
    when = "The daemon stops within a second" if running else "The daemon stops, when it starts,"
    for what, ids in found.items():
        if ids:
            done = "which an operator may create anew" if what == "schedules" else "which publish nothing"
            remark(f"{when} {user}'s {what} {', '.join(ids)}, {done}.")


def _still_in_force(settings: Settings) -> set[str]:
    keys = {client.name for client in KeyStore(settings.keys_dir).clients().clients if client.revoked is None}
    tokens = TokenFile(settings.keys_dir / "tokens.json").listing()
    return keys | {token.name for token in tokens if token.revoked_at is None}


def _work_of(settings: Settings, user: str, how: str) -> dict[str, list[str]]:
    file = settings.data_dir / "tunesmith.db"
    if not file.exists():
        return {}
    with closing(sqlite3.connect(f"{file.absolute().as_uri()}?{how}", uri=True)) as conn:
        return {what: [str(row[0]) for row in conn.execute(sql, (user,))] for what, sql in _QUERIES.items()}
