"""Enters in the audit log what commands imported on the daemon's machine, and which evidence begins anew with it."""

from __future__ import annotations

from tunesmith.errors import Internal
from tunesmith.services.daemon.key_audit import DOOR
from tunesmith.services.runtime.context import Context
from tunesmith.storage.secrets import key_log
from tunesmith.storage.secrets.import_log import NEW_EVIDENCE, market_of
from tunesmith.storage.secrets.key_log import Act
from tunesmith.storage.sqlite.connections import Connection
from tunesmith.storage.tables import audit_table, market_table
from tunesmith.storage.tables.audit_table import NewEntry


class ImportActs:
    """Looks at the data directory's file of acts. What was entered is not entered again."""

    def __init__(self) -> None:
        self._seen = 0

    async def enter_imports(self, context: Context) -> int:
        """Enter what is new; how many acts that was. Raises `Internal` where they cannot be read, or not be stored."""
        folder = context.settings.data_dir
        try:
            found = key_log.acts(folder, self._seen)
        except OSError as error:
            raise Internal(f"cannot read what was imported into {folder}: {error.strerror}") from error
        entered = await audit_table.request_ids(context.database, DOOR) if found.acts else set()
        new = [act for act in found.acts if act.id not in entered]

        async def write(conn: Connection) -> None:
            for act in new:
                await audit_table.append(conn, _entry(act))
                if act.act == NEW_EVIDENCE:
                    await market_table.put_renewal(conn, market_of(act.name), act.by, act.time)

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
        detail=act.detail,
    )
