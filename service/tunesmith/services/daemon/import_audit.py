"""Enters in the audit log what commands imported on the daemon's machine, and has evidence begin anew with it."""

from __future__ import annotations

from tunesmith.services.daemon.key_audit import CommandActs
from tunesmith.services.runtime.context import Context
from tunesmith.storage.secrets.import_log import NEW_EVIDENCE, market_of
from tunesmith.storage.secrets.key_log import Act
from tunesmith.storage.sqlite.connections import Connection
from tunesmith.storage.tables import market_table


class ImportActs(CommandActs):
    """What commands imported."""

    async def enter_imports(self, context: Context) -> int:
        """As `enter`, of the data directory."""
        return await self.enter(context, context.settings.data_dir)

    async def _follow_up(self, conn: Connection, act: Act) -> None:
        if act.act == NEW_EVIDENCE:
            await market_table.put_renewal(conn, market_of(act.name), act.by, act.time)
