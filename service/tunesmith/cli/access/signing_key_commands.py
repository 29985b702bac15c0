"""`tunesmith keys signing`: the keys that sign packages. Works on the daemon's files; a running one notices."""

from __future__ import annotations

import os
from typing import Annotated

import msgspec
import typer

from tunesmith.cli.access.key_log_entries import write_down
from tunesmith.cli.daemon_connection import AsJson, Config, DataDir, settings_in_force
from tunesmith.cli.lazy_commands import new_app
from tunesmith.cli.tables import moment, remark, show_table
from tunesmith.errors import Invalid
from tunesmith.storage.secrets.signing_keys import KeyFile, SigningKeys

app = new_app()

FOLDER = "signing"
"""In the folder of the keys."""

KeyId = Annotated[str, typer.Argument(help="The key's id.", metavar="KEYID")]


@app.command()
def new(config: Config = None, data_dir: DataDir = None) -> None:
    """Make a key; it signs every event from now on, and signs anew what is in force.

    Prints its line for the bots' file of trusted keys. Older keys stay valid until they are retired.
    """
    folder = settings_in_force(config, data_dir).settings.keys_dir
    try:
        file = SigningKeys(folder / FOLDER).new()
    except OSError as error:
        raise Invalid(f"the key cannot be made: {os.strerror(error.errno or 0)}") from error
    write_down(folder, "signing.new", file.keyid)
    typer.echo(file.key.line)
    remark(
        "Add that line to the file that TUNESMITH_TRUSTED_KEYS names at each bot. A running daemon signs with it now."
    )


@app.command("list")
def list_(
    config: Config = None,
    data_dir: DataDir = None,
    trusted: Annotated[bool, typer.Option("--trusted", help="Print the bots' file of trusted keys.")] = False,
    as_json: AsJson = False,
) -> None:
    """List the keys, the oldest first; the newest that is not retired signs."""
    files = SigningKeys(settings_in_force(config, data_dir).settings.keys_dir / FOLDER).listing()
    if trusted:
        typer.echo("\n".join(file.key.line for file in files))
    elif as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(files), indent=2).decode())
    elif not files:
        remark("Nothing is signed; `tunesmith keys signing new` makes a key.")
    else:
        able = [file.keyid for file in files if file.retired_at is None]
        rows = [(file.keyid, moment(file.created_at), _state(file, able[-1:])) for file in files]
        show_table(("key", "since", "state"), rows)


@app.command()
def retire(keyid: KeyId, config: Config = None, data_dir: DataDir = None) -> None:
    """Have a key vouch for nothing any more; its secret is deleted.

    Renew the bots' files then (`keys signing list --trusted`): what it signed is refused from there on.
    """
    folder = settings_in_force(config, data_dir).settings.keys_dir
    file = SigningKeys(folder / FOLDER).retire(keyid)
    write_down(folder, "signing.retire", keyid)
    typer.echo(file.key.line)
    remark("Put that line in the place of the key's own in the bots' files of trusted keys.")


def _state(file: KeyFile, signing: list[str]) -> str:
    if file.retired_at is not None:
        return f"retired {moment(file.retired_at)}"
    return "signs" if file.keyid in signing else "valid"
