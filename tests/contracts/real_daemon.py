"""A daemon in this process, with what a test has added to its tables, and the command line that talks to it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from tunesmith import config
from tunesmith.app import Daemon
from tunesmith.cli.commands import tunesmith
from tunesmith.client import Client
from tunesmith.errors import TunesmithError

ANY_PORT = "tcp://127.0.0.1:0"
Doors = dict[str, Any]


def with_daemon(folder: Path, scene: Callable[[Doors], None]) -> None:
    """Call `scene` in a thread with the addresses of a running daemon with one worker; raises what it raises."""
    places = {"requests": ANY_PORT, "events": ANY_PORT, "inbox": ANY_PORT, "http": "127.0.0.1:0"}
    settings = config.Settings(server=config.Server(data_dir=str(folder), **places), workers=config.Workers(count=1))

    async def main() -> None:
        daemon = Daemon(settings)
        doors = await daemon.start()
        try:
            await asyncio.to_thread(scene, doors)
        finally:
            await daemon.stop()

    asyncio.run(main())


def client_of(doors: Doors) -> Client:
    return Client(doors["requests"], doors["events"], name="test", deadline_s=90.0)


def command(doors: Doors, *arguments: str) -> tuple[int, str]:
    """Exit code and output of a command of the command line, run in this process."""
    places = ["--requests", str(doors["requests"]), "--events", str(doors["events"])]
    done = CliRunner().invoke(tunesmith(), [*arguments, *places], catch_exceptions=True)
    refusal = done.exception.message if isinstance(done.exception, TunesmithError) else ""
    return done.exit_code, done.output + refusal
