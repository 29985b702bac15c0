"""`tunesmith keys`: who may come in. Works on the files of the daemon's machine; a running daemon notices by itself."""

from __future__ import annotations

import os
from enum import Enum
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from tunesmith.cli.access.key_log_entries import write_down
from tunesmith.cli.access.revoked_work import tell_stopped
from tunesmith.cli.daemon_connection import AsJson, Config, DataDir, running_doors, settings_in_force
from tunesmith.cli.lazy_commands import new_app
from tunesmith.cli.tables import moment, remark, show_table
from tunesmith.config import Settings
from tunesmith.errors import Invalid
from tunesmith.transport.access.client_keys import COMMAND_LINE, KeyStore

app = new_app()

Name = Annotated[str, typer.Argument(help="Name of the bot or person.", metavar="NAME")]


class KeyRole(Enum):
    """What a key may do."""

    BOT = "bot"
    OPERATOR = "operator"


@app.command()
def init(config: Config = None, data_dir: DataDir = None) -> None:
    """Make the daemon's key, and an operator's for the commands on this machine; doors ask for keys from then on.

    A daemon that runs must be started again once.
    """
    settings = settings_in_force(config, data_dir).settings
    store = KeyStore(settings.keys_dir)
    if not _make_server(settings, store):
        remark(f"The daemon has its key already: {store.server_file}")


@app.command()
def new(
    name: Name,
    role: Annotated[
        KeyRole,
        typer.Option(help="bot: ask, subscribe, acknowledge. operator: approve, revoke, change strategies too."),
    ] = KeyRole.BOT,
    out: Annotated[Path | None, typer.Option(help="Where to write it; must not be there.", metavar="FILE")] = None,
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Make a key; a running daemon lets it in at once. Copy its file to the bot and name it there by TUNESMITH_KEY.

    The name of a revoked key may be given again.
    """
    settings = settings_in_force(config, data_dir).settings
    store = KeyStore(settings.keys_dir)
    _make_server(settings, store)
    file = store.add(name, role.value, out)
    write_down(store.folder, "keys.new", name, role.value)
    typer.echo(file)
    remark(f"It holds the secret of the {role.value} {name}: move it there, leave its mode at 0600, keep no copy.")


@app.command("list")
def list_keys(config: Config = None, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """List the keys with their roles, revoked ones too."""
    store = KeyStore(settings_in_force(config, data_dir).settings.keys_dir)
    listing = store.clients()
    server = store.server().public if store.has_server else None
    if as_json:
        keys = msgspec.to_builtins(listing.clients)
        typer.echo(msgspec.json.format(msgspec.json.encode({"server": server, "keys": keys}), indent=2).decode())
    elif server is None:
        remark("There are no keys; `tunesmith keys init` makes the daemon's.")
    else:
        rows = [(c.name, c.role, moment(c.created), moment(c.revoked) if c.revoked else "") for c in listing.clients]
        show_table(("name", "role", "since", "revoked"), rows)
        remark(f"The daemon's public key: {server}")
    for problem in listing.problems:
        remark(f"Left out: {problem}")


@app.command()
def revoke(name: Name, config: Config = None, data_dir: DataDir = None) -> None:
    """Shut a key out: its requests are refused and its events stop within a second, on open connections too.

    Its schedules are suspended and its tasks cancelled; what they are is told.
    """
    settings = settings_in_force(config, data_dir).settings
    store = KeyStore(settings.keys_dir)
    client = store.revoke(name)
    write_down(store.folder, "keys.revoke", name, client.role)
    remark(f"The {client.role} {name} is shut out.")
    tell_stopped(settings, name)


def _make_server(settings: Settings, store: KeyStore) -> bool:
    try:
        made = store.make_server()
    except OSError as error:
        raise Invalid(f"cannot make keys in {store.folder}: {os.strerror(error.errno or 0)}") from error
    if made:
        write_down(store.folder, "keys.init", COMMAND_LINE, "operator")
        remark(f"Made the daemon's key {store.server_file} and the operator's key {COMMAND_LINE!r} for commands here.")
        doors = running_doors(settings.data_dir)
        if doors:
            remark(f"Start the daemon (process {doors['pid']}) again: until then it asks nobody for a key.")
    return made
