"""`tunesmith config`: the settings in force."""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec
import typer

from tunesmith.cli.daemon_connection import AsJson, Config, DataDir, Events, Requests, settings_in_force
from tunesmith.cli.lazy_commands import new_app
from tunesmith.cli.tables import show_table
from tunesmith.config import PREFIX, Explained
from tunesmith.masking import MASK, mask

app = new_app()

_SECRET = re.compile(r"password|secret|token|key", re.IGNORECASE)
_FOLDER = "_dir"


@app.command()
def show(
    config: Config = None,
    data_dir: DataDir = None,
    requests: Requests = None,
    events: Events = None,
    as_json: AsJson = False,
) -> None:
    """Show every setting that is in force here and where it comes from; secrets are masked.

    Lowest first: default, file (--config or TUNESMITH_CONFIG), environment (TUNESMITH_SECTION__NAME), option.
    """
    explained = settings_in_force(config, data_dir, requests, events)
    rows = in_force(explained)
    if as_json:
        typer.echo(json.dumps({name: {"value": value, "from": source} for name, value, source in rows}, indent=2))
        return
    show_table(("setting", "value", "from"), [(name, _text(value), source) for name, value, source in rows])


def in_force(explained: Explained) -> list[tuple[str, Any, str]]:
    """(section.name, value with secrets masked, source) of every setting."""
    rows = []
    for section, table in msgspec.to_builtins(explained.settings).items():
        for name, value in table.items():
            full = f"{section}.{name}"
            source = explained.sources.get(full, "default")
            if source == "environment":
                source = f"{PREFIX}{section}__{name}".upper()
            elif source == "file":
                source = str(explained.file)
            rows.append((full, masked(name, value), source))
    return rows


def masked(name: str, value: Any) -> Any:
    """A setting's value without what must not be shown: secrets by name, credentials in addresses."""
    if not isinstance(value, str) or not value:
        return value
    return MASK if _SECRET.search(name) and not name.endswith(_FOLDER) else mask(value)


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else ("empty" if value == "" else str(value))
