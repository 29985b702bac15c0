"""Enters in the audit log what commands did to keys and tokens on the daemon's machine."""

from __future__ import annotations

from tunesmith.errors import Internal
from tunesmith.services.runtime.context import Context
from tunesmith.storage.secrets import key_log
from tunesmith.storage.secrets.key_log import Act
from tunesmith.storage.sqlite.connections import Connection
from tunesmith.storage.tables import audit_table
from tunesmith.storage.tables.audit_table import NewEntry

DOOR = "files"
"""Where such an entry came in: not by a socket, but by the files of the keys."""


class KeyActs:
    """Looks at the file of acts. What was entered is not entered again, whatever became of file and database."""

    def __init__(self) -> None:
        self._seen = 0

    async def enter_key_acts(self, context: Context) -> int:
        """Enter what is new; how many acts that was. Raises `Internal` where they cannot be read, or not be stored."""
        folder = context.settings.keys_dir
        try:
            found = key_log.acts(folder, self._seen)
        except OSError as error:
            raise Internal(f"cannot read what was done to keys in {folder}: {error.strerror}") from error
        entered = await audit_table.request_ids(context.database, DOOR) if found.acts else set()
        new = [act for act in found.acts if act.id not in entered]

        async def write(conn: Connection) -> None:
            for act in new:
                await audit_table.append(conn, _entry(act))

        if new:
            await context.database.write(write)
        self._seen = found.end
        return len(new)


def _entry(act: Act) -> NewEntry:
    return NewEntry(
        time=act.time,
        user=act.by,
        role="",
        door=DOOR,
        client="",
        type=act.act,
        request_id=act.id,
        target=act.name,
        outcome="ok",
        detail=f"role {act.role}" if act.role else "",
    )
