"""`tunesmith keys token` and `tunesmith keys tokens`: who may write over HTTP."""

from __future__ import annotations

import json
from enum import Enum
from typing import Annotated

import typer

from tunesmith.cli.access.key_log_entries import write_down
from tunesmith.cli.access.revoked_work import tell_stopped
from tunesmith.cli.daemon_connection import AsJson, Config, DataDir, settings_in_force
from tunesmith.cli.lazy_commands import new_app
from tunesmith.cli.tables import moment, remark, show_table
from tunesmith.storage.secrets.tokens import TokenFile

app = new_app()

FILE = "tokens.json"
"""In the folder of the keys."""


class TokenRole(Enum):
    """What the holder of a token may do."""

    BOT = "bot"
    OPERATOR = "operator"


@app.command()
def token(
    name: Annotated[str, typer.Argument(help="Name of the bot or person.", metavar="NAME")],
    role: Annotated[
        TokenRole, typer.Option(help="bot: ask, acknowledge. operator: approve, revoke, change strategies too.")
    ] = TokenRole.BOT,
    revoke: Annotated[bool, typer.Option("--revoke", help="Let it in no more, from the next request on.")] = False,
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Make a bearer token for the HTTP door and print it, this once; or revoke one.

    As soon as there is one, writing over HTTP needs one. A running daemon notices by itself.
    """
    settings = settings_in_force(config, data_dir).settings
    folder = settings.keys_dir
    tokens = TokenFile(folder / FILE)
    if revoke:
        held = tokens.revoke(name)
        write_down(folder, "token.revoke", name, held.role)
        remark(f"The token of the {held.role} {name} lets nobody in any more.")
        tell_stopped(settings, name)
        return
    secret = tokens.new(name, role.value)
    write_down(folder, "token.new", name, role.value)
    typer.echo(secret)
    remark("Send it as Authorization: Bearer TOKEN. Only its hash is kept: it cannot be shown again.")


@app.command("tokens")
def list_tokens(config: Config = None, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """List the tokens of the HTTP door with their roles, revoked ones too."""
    held = TokenFile(settings_in_force(config, data_dir).settings.keys_dir / FILE).listing()
    if as_json:
        shown = [{"name": t.name, "role": t.role, "since": t.created_at, "revoked": t.revoked_at} for t in held]
        typer.echo(json.dumps(shown, indent=2))
    elif not held:
        remark("There are no tokens; `tunesmith keys token NAME` makes one.")
    else:
        show_table(
            ("name", "role", "since", "revoked"),
            [(t.name, t.role, moment(t.created_at), moment(t.revoked_at) or "") for t in held],
        )
