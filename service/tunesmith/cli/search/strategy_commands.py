"""`tunesmith strategies`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tunesmith.cli.daemon_connection import Line, talks
from tunesmith.cli.lazy_commands import new_app
from tunesmith.cli.range_text import parse_params, spelt
from tunesmith.cli.tables import moment, number, params, show_facts, show_table, show_text
from tunesmith.domain.records import JsonObject
from tunesmith.errors import Conflict, Invalid, TunesmithError

app = new_app()

_LIMIT = 1000


@app.command("list")
@talks
def list_(line: Line) -> None:
    """List the strategies."""
    found = line.ask("strategy.list", {"limit": _LIMIT})
    if line.as_json:
        line.print_json(found)
        return
    rows = [(s["id"], s["version"], s["doc"].strip().partition("\n")[0] or s["name"]) for s in found["strategies"]]
    show_table(("strategy", "version", "about"), rows)
    typer.echo("\nParameters and rules: tunesmith strategies show ID")


@app.command()
@talks
def show(
    line: Line,
    id: Annotated[str, typer.Argument(help="The strategy's id.", metavar="ID")],
    version: Annotated[str | None, typer.Option(help="An older version.", metavar="V")] = None,
    code: Annotated[bool, typer.Option("--code", help="Print the rules alone.")] = False,
) -> None:
    """Show a strategy: what it does and its parameters, with --code its rules."""
    found = line.ask("strategy.get", {"id": id, "version": version})
    if line.as_json:
        line.print_json(found)
    elif code:
        typer.echo(found["code"].rstrip("\n"))
    else:
        _show(found)


@app.command()
@talks
def add(
    line: Line,
    file: Annotated[Path, typer.Argument(help="The rules, in the rule language.", metavar="FILE")],
    id: Annotated[str | None, typer.Option(help="Its id.  [default: the file's name]", metavar="ID")] = None,
    name: Annotated[str | None, typer.Option(help="Its name for people.")] = None,
    version: Annotated[str, typer.Option(help="Its version.", metavar="V")] = "1.0",
    default: Annotated[
        list[str] | None, typer.Option("--default", help="Another default of a parameter.", metavar="NAME=VALUE")
    ] = None,
    update: Annotated[bool, typer.Option("--update", help="It exists: store this as a new --version.")] = False,
) -> None:
    """Add a strategy from a file in the rule language. A mistake is answered with its line and column."""
    try:
        text = file.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise Invalid(f"cannot read {file}: {getattr(error, 'strerror', None) or 'it is not UTF-8 text'}") from None
    data: JsonObject = {"id": id or file.stem, "code": text, "name": name, "version": version}
    data["default_params"] = parse_params(default or ()) or None
    try:
        stored = line.ask("strategy.update" if update else "strategy.create", data)
    except Conflict as error:
        hint = "Store it under a new version: --update --version 1.1"
        raise Conflict(f"{error.message}\n{hint}") from error
    except TunesmithError as error:
        raise type(error)(f"{file}: {error.message}", errors=error.errors) from error
    if line.as_json:
        line.print_json(stored)
        return
    names = ", ".join(p["name"] for p in stored["parameters"]) or "no parameters"
    typer.echo(f"{stored['id']} {stored['version']}: {names}")
    typer.echo(f"Try it: tunesmith optimize BTC/USDT {stored['id']} --watch")


def _show(found: JsonObject) -> None:
    others = ", ".join(found["versions"])
    show_facts(
        {
            "strategy": f"{found['id']}, {found['name']}" if found["name"] != found["id"] else found["id"],
            "version": found["version"] + (f" (there are {others})" if len(found["versions"]) > 1 else ""),
            "kind": {"rule": "rules", "kernel": "compiled into the product"}[found["kind"]],
            "stored": moment(found["updated_at"]),
            "defaults": params(found["default_params"]),
        }
    )
    if found["doc"]:
        typer.echo("")
        show_text(found["doc"])
    rows = [(p["name"], p["kind"], _range(p), number(p["default"]), p.get("doc") or "") for p in found["parameters"]]
    if rows:
        typer.echo("")
        show_table(("parameter", "kind", "range", "default", "about"), rows)
    if found["kind"] == "rule":
        typer.echo(f"\nIts rules: tunesmith strategies show {found['id']} --code")


def _range(parameter: JsonObject) -> str:
    if parameter["choices"]:
        return ", ".join(map(spelt, parameter["choices"]))
    if parameter["low"] is None or parameter["high"] is None:
        return ""
    log = ", log" if parameter["log"] else ""
    return f"{number(parameter['low'])} to {number(parameter['high'])}{log}"
