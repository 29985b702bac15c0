"""`tunesmith serve`: starts the daemon in this process's place."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from tunesmith.cli.lazy_commands import new_app
from tunesmith.errors import Invalid

app = new_app()


@app.command()
def serve(
    config: Annotated[Path | None, typer.Option(help="TOML file with settings.")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Folder of database and market data.")] = None,
    requests: Annotated[str | None, typer.Option(help="Address of the requests door (ROUTER).")] = None,
    events: Annotated[str | None, typer.Option(help="Address of the events door (XPUB).")] = None,
    inbox: Annotated[str | None, typer.Option(help="Address of the inbox door (SUB).")] = None,
    http: Annotated[str | None, typer.Option(help="host:port of the HTTP sidecar; empty for none.")] = None,
) -> None:
    """Run the daemon until Ctrl-C or SIGTERM."""
    need_service()
    options = {
        "--config": config,
        "--data-dir": data_dir,
        "--requests": requests,
        "--events": events,
        "--inbox": inbox,
        "--http": http,
    }
    given = [f"{name}={value}" for name, value in options.items() if value is not None]
    os.execv(sys.executable, [sys.executable, "-m", "tunesmith.app", *given])  # noqa: S606 - our own module


def need_service() -> None:
    """Refuse with the way out where only the bots' client is installed."""
    if importlib.util.find_spec("numba") is None:
        raise Invalid("this needs the daemon's packages: pip install 'tunesmith[service]'")
