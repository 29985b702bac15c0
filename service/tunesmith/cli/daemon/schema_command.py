"""`tunesmith schema`: descriptions of the wire, from this program's own message types; no daemon is needed."""

from __future__ import annotations

import json
from typing import Annotated

import msgspec
import typer

from tunesmith.cli.lazy_commands import new_app
from tunesmith.protocol.message_schema import asyncapi as make_asyncapi
from tunesmith.protocol.message_schema import message_schemas

app = new_app()


@app.command()
def schema(
    type: Annotated[str | None, typer.Argument(help="One message type; all without.", metavar="TYPE")] = None,
    asyncapi: Annotated[bool, typer.Option("--asyncapi", help="The doors as an AsyncAPI 3.0 document.")] = False,
) -> None:
    """Print the JSON Schemas of every message, or an AsyncAPI document. JSON, on standard output."""
    if asyncapi and type is not None:
        raise typer.BadParameter("an AsyncAPI document holds every message; leave TYPE out")
    described = make_asyncapi() if asyncapi else msgspec.to_builtins(message_schemas(type))
    typer.echo(json.dumps(described, indent=2, ensure_ascii=False))
