"""Enters in the audit log what commands did on the daemon's machine, such as to keys and tokens."""

from __future__ import annotations

from pathlib import Path

from tunesmith.errors import Internal
from tunesmith.services.runtime.context import Context
from tunesmith.storage.secrets import key_log
from tunesmith.storage.secrets.key_log import Act
from tunesmith.storage.sqlite.connections import Connection
from tunesmith.storage.tables import audit_table
from tunesmith.storage.tables.audit_table import FILES, NewEntry


class CommandActs:
    """Looks at a folder's file of acts. What was entered is not entered again, whatever became of file and database."""

    def __init__(self) -> None:
        self._seen = 0

    async def enter(self, context: Context, folder: Path) -> int:
        """Enter what is new; how many acts that was. Raises `Internal` where they cannot be read, or not be stored."""
        try:
            found = key_log.acts(folder, self._seen)
        except OSError as error:
            raise Internal(f"cannot read what commands did in {folder}: {error.strerror}") from error
        entered = await audit_table.request_ids(context.database, FILES) if found.acts else set()
        new = [act for act in found.acts if act.id not in entered]

        async def write(conn: Connection) -> None:
            for act in new:
                await audit_table.append(conn, _entry(act))
                await self._follow_up(conn, act)

        if new:
            await context.database.write(write)
        self._seen = found.end
        return len(new)

    async def _follow_up(self, conn: Connection, act: Act) -> None:
        """Store what follows from an act, in the transaction that enters it."""


class KeyActs(CommandActs):
    """What commands did to keys and tokens."""

    async def enter_key_acts(self, context: Context) -> int:
        """As `enter`, of the keys' folder."""
        return await self.enter(context, context.settings.keys_dir)


def _entry(act: Act) -> NewEntry:
    return NewEntry(
        time=act.time,
        user=act.by,
        role="",
        door=FILES,
        client="",
        type=act.act,
        request_id=act.id,
        target=act.name,
        outcome="ok",
        detail=f"role {act.role}" if act.role else act.detail,
    )
