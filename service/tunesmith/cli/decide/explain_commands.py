"""`tunesmith explain` and `tunesmith replay`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from tunesmith.cli import FAILED
from tunesmith.cli.daemon_connection import Label, Line, talks
from tunesmith.cli.decide.package_commands import full_id
from tunesmith.cli.decide.verdict_story import tell
from tunesmith.cli.lazy_commands import new_app
from tunesmith.cli.tables import fill_text, show_facts, show_table
from tunesmith.cli.watching import ENDED, follow, kind_of
from tunesmith.domain.records import JsonObject
from tunesmith.errors import Conflict, NotFound, TunesmithError
from tunesmith.protocol.task_types import OPTIMIZATION, VERDICT

app = new_app()

_ASK_S = 5.0
_SHOWN, _NEWEST = 20, 1000

Subject = Annotated[
    str, typer.Argument(help="A verdict (vd-…), a package, or a search that has a verdict (opt-…).", metavar="ID")
]


@app.command()
@talks
def explain(line: Line, id: Subject) -> None:
    """Tell the story of a verdict: what was searched, what was asked of it, what came out, and what could help."""
    verdict = line.ask("verdict.get", {"verdict_id": _verdict_of(line, id)})
    if verdict["status"] != "completed":
        raise Conflict(f"the verdict is {verdict['status']}\nSee: tunesmith status {verdict['verdict_id']}")
    report = _or_none(line, "report.get", "report_id", verdict["report_id"])
    search = _or_none(line, "optimization.status", "optimization_id", verdict["optimization_id"])
    if line.as_json:
        line.print_json({"verdict": verdict, "search": search})
    else:
        typer.echo(tell(verdict, report, search))


@app.command()
@talks
def replay(line: Line, id: Subject, label: Label = None) -> None:
    """Make a verdict again from its evidence and compare every value. The exit code is 1 where one differs."""
    asked = line.ask("verdict.replay", {"verdict_id": _verdict_of(line, id), "label": label}, deadline_s=_ASK_S)
    found = asked if asked["status"] in ENDED else follow(line, asked["task_id"])
    line.show(found, show_replay)
    if not found["equal"]:
        raise typer.Exit(FAILED)


def show_replay(found: JsonObject) -> None:
    """Print what a replay came to."""
    if found["status"] != "completed":
        error = (found["error"] or {}).get("detail")
        show_facts({"replay": f"{found['task_id']}, {found['status']}", "verdict": found["verdict_id"], "error": error})
        return
    for line in found["changed"]:
        typer.echo(fill_text(f"Note: {line}."))
    if found["equal"]:
        typer.echo(fill_text(f"Equal: all {found['n_compared']:,} values of {found['verdict_id']} came out the same."))
        return
    n = len(found["differences"])
    typer.echo(fill_text(f"{n:,} of {found['n_compared']:,} values of {found['verdict_id']} differ:"))
    rows = [(each["path"][1:], _text(each["was"]), _text(each["found"])) for each in found["differences"][:_SHOWN]]
    show_table(("value", "was", "is"), rows)
    if n > _SHOWN:
        typer.echo(f"… and {n - _SHOWN:,} more (--json lists them)")


def _verdict_of(line: Line, id: str) -> str:
    if id.startswith(VERDICT.prefix):
        return id
    if id.startswith(OPTIMIZATION.prefix):
        line.ask("optimization.status", {"optimization_id": id})
        given = line.ask("verdict.list", {"limit": _NEWEST})["verdicts"]
        found = [verdict["verdict_id"] for verdict in given if verdict["optimization_id"] == id]
        if not found:
            raise NotFound(f"there is no verdict on {id} yet\nAsk for one: tunesmith approve {id}")
        return str(found[0])
    if "-" in id or "_" in id:
        raise NotFound(f"{id} is a {kind_of(id).name}; name a verdict, a package or a search")
    verdict = line.ask("package.get", {"package_id": full_id(line, id)})["verdict_id"]
    if verdict is None:
        raise NotFound("no verdict stands behind that package")
    return str(verdict)


def _or_none(line: Line, message_type: str, field: str, id: str | None) -> JsonObject | None:
    """What is stored of it, or None where it was deleted since."""
    if id is None:
        return None
    try:
        found: JsonObject = line.ask(message_type, {field: id})
    except TunesmithError:
        return None
    return found


def _text(value: Any) -> str:
    return "not shown" if value is None else str(value)
