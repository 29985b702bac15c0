"""`tunesmith data`: market data on disk, with the daemon running or not."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from tunesmith.config import load
from tunesmith.errors import Invalid
from tunesmith.storage.market import MarketStore

data = typer.Typer(help="Import and list market data.", no_args_is_help=True)

DataDir = Annotated[Path | None, typer.Option("--data-dir", help="Folder of database and market data.")]
