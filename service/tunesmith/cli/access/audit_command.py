"""`tunesmith audit`: who asked, who approved, who revoked."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from tunesmith.cli.daemon_connection import Line, talks
from tunesmith.cli.lazy_commands import new_app
from tunesmith.cli.tables import fill_text, moment, show_table

app = new_app()

_SHORT = 12


@app.command()
@talks
def audit(
    line: Line,
    user: Annotated[str | None, typer.Option(help="By this user.", metavar="NAME")] = None,
    kind: Annotated[str | None, typer.Option("--type", help="Of this type, such as package.revoke.")] = None,
    outcome: Annotated[str | None, typer.Option(help="That ended so: ok, forbidden, approved, …")] = None,
    since: Annotated[str | None, typer.Option(help="From this date on.", metavar="DATE")] = None,
    limit: Annotated[int, typer.Option(help="How many.", min=1, max=1000, metavar="N")] = 20,
) -> None:
    """Show the audit log, newest first: operators' acts, verdicts, and what was refused. It is for operators."""
    data = {"user": user, "type": kind, "outcome": outcome, "since": since, "limit": limit}
    found = line.ask("audit.list", data)
    if line.as_json:
        line.print_json(found)
        return
    if not found["entries"]:
        typer.echo("Nothing of that kind stands in the audit log.")
        return
    columns = ("time (UTC)", "who", "asked", "of", "outcome")
    show_table(columns, [_row(entry) for entry in found["entries"]])
    if found["total"] > len(found["entries"]):
        typer.echo(fill_text(f"… of {found['total']:,} in all (--limit); --json shows the details"))


def _row(entry: dict[str, Any]) -> tuple[Any, ...]:
    who = f"{entry['user'] or '-'} ({entry['door']})"
    outcome = entry["outcome"] + (f" ({entry['n']} times)" if entry["n"] > 1 else "")
    return moment(entry["time"]), who, entry["type"], entry["target"][:_SHORT] or "-", outcome
