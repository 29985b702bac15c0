"""`tunesmith session plan`, `generate` and `execute`."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from tunesmith.cli import FAILED
from tunesmith.cli.daemon_connection import Label, Line, OptionGroup, talks
from tunesmith.cli.lazy_commands import new_app
from tunesmith.cli.search.market_options import MarketOptions, terms_in_words
from tunesmith.cli.search.search_commands import Watch
from tunesmith.cli.search.session_files import session_request, words
from tunesmith.cli.search.session_tables import SessionId, finish_session
from tunesmith.cli.search.target_text import Condition, Constraint, Target, parse_targets
from tunesmith.cli.tables import duration, fill_text, make_console, show_facts, show_table, size
from tunesmith.domain.records import JsonObject
from tunesmith.errors import Conflict
from tunesmith.protocol.messages.sessions import Mode

app = new_app()

_PLAN_DEADLINE_S = 120.0


@dataclass(frozen=True, kw_only=True)
class SessionOptions(OptionGroup):
    """What a session is made of."""

    file: Annotated[
        Path | None, typer.Option(help="TOML or JSON file with the session; options go over it.", metavar="FILE")
    ] = None
    symbol: Annotated[
        list[str] | None, typer.Option("--symbol", "-s", help="Market; repeat it, or A,B,C.", metavar="SYMBOL")
    ] = None
    strategy: Annotated[list[str] | None, typer.Option(help="Strategy; repeat it, or A,B,C.", metavar="ID")] = None
    mode: Annotated[
        Mode | None,
        typer.Option(help="Every point, every n-th (grid), or --size drawn ones.  [default: random]"),
    ] = None
    size: Annotated[
        int | None, typer.Option(help="Trials of each search: a strategy on a market.", min=1, metavar="N")
    ] = None
    ranges: Annotated[
        list[str] | None,
        typer.Option("--range", "-r", help="NAME=5:60:5, or STRATEGY.NAME=5:60:5; repeat it.", metavar="NAME=RANGE"),
    ] = None
    target: Target = None
    constraint: Constraint = None
    condition: Condition = None
    seed: Annotated[int | None, typer.Option(help="Seed of what is drawn.  [default: 0]", metavar="N")] = None
    market: MarketOptions
    label: Label = None

    def request(self) -> JsonObject:
        """The request that they mean."""
        given = self.market.fields() | {"symbols": words(self.symbol), "strategies": words(self.strategy)}
        given |= {"mode": self.mode, "size": self.size, "seed": self.seed, "label": self.label}
        given |= {"optimization_target": parse_targets(self.target or ())}
        given |= {"constraints": self.constraint, "conditions": self.condition}
        return session_request(self.file, given, self.ranges or ())


@app.command()
@talks
def plan(line: Line, options: SessionOptions) -> None:
    """Say what a session would be and need: size, time at the workers that are there, memory, disk.

    A few trials are tried out for it; nothing is stored.
    """
    found = ask_plan(line, options.request())
    if line.as_json:
        line.print_json(found)
        return
    show_plan(found)
    typer.echo("\nStore it with the same options: tunesmith session generate …")


@app.command()
@talks
def generate(line: Line, options: SessionOptions) -> None:
    """Store a session: every strategy on every market, each a search of its own.

    A strategy without --range takes the ranges that it declares; with one, its other parameters keep their defaults.
    """
    found = line.ask("session.generate", options.request())
    if line.as_json:
        line.print_json(found)
        return
    what = "search" if found["n_items"] == 1 else "searches"
    typer.echo(f"{found['session_id']}: {found['n_items']:,} {what}, {found['n_trials']:,} trials, {found['mode']}")
    typer.echo(f"Run it with: tunesmith session execute {found['session_id']} --watch")


@app.command()
@talks
def execute(
    line: Line,
    session: SessionId,
    parallel: Annotated[
        int | None, typer.Option(help="Chunks of work at once, at most.", min=1, max=256, metavar="N")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with one that was cancelled or failed.")] = False,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Try the trials again that could not be evaluated.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Run it whatever it needs, unplanned.")] = False,
    watch: Watch = False,
) -> None:
    """Run what is not done of a session.

    It is planned first: what will not fit is said, and on a terminal asked about. The session is a task of the daemon:
    it goes on when this command ends.
    """
    if not yes:
        _warn(line, session)
    data = {"session_id": session, "parallel": parallel, "resume": resume, "retry_failed": retry_failed}
    try:
        found = line.ask("session.execute", data)
    except Conflict as error:
        if error.path != "/data/resume":
            raise
        raise Conflict(f"{error.message}\nGo on with it: tunesmith session execute {session} --resume") from error
    if watch:
        finish_session(line, session)
    elif line.as_json:
        line.print_json(found)
    else:
        typer.echo(f"{session} is {found['status']}: {found['n_done']:,} of {found['n_trials']:,} trials are done.")
        typer.echo(f"Follow it with: tunesmith session status {session} --watch")


def ask_plan(line: Line, request: JsonObject) -> JsonObject:
    """The reply of `session.plan`; trying out may have to compile a strategy first."""
    with make_console(errors=True).status("Trying a few trials out …"):
        found: JsonObject = line.ask("session.plan", request, deadline_s=_PLAN_DEADLINE_S)
    return found


def show_plan(found: JsonObject) -> None:
    """Print a plan and its warnings."""
    show_facts(
        {
            "searches": f"{found['n_items']:,}" if found["n_items"] > 1 else None,
            "trials": f"{found['n_trials']:,}" + ("" if found["exact"] else ", estimated"),
            "time": f"about {duration(found['seconds'])} at {found['workers']} workers, "
            f"{found['trials_per_s']:,.0f} trials a second",
            "memory": f"about {size(found['memory_mb'])}",
            "disk": f"about {size(found['disk_mb'])}",
            "trading": terms_in_words({"direction": "auto", **_told(found)}),
        }
    )
    if found["n_items"] > 1:
        typer.echo("")
        rows = [
            (i["symbol"], i["strategy_id"], i.get("direction") or "", f"{i['n_trials']:,}", duration(i["seconds"]))
            for i in found["items"]
        ]
        show_table(("market", "strategy", "direction", "trials", "time"), rows, right=("trials", "time"))
    for warning in found["warnings"]:
        typer.echo("\n" + fill_text(f"Warning: {warning}."))


def _told(found: JsonObject) -> JsonObject:
    return {name: value for name, value in found.items() if value is not None}


def _warn(line: Line, session: str) -> None:
    """Say what a session will need, and ask on a terminal where something does not fit."""
    found = line.ask("session.status", {"session_id": session, "detailed": True})
    if found["status"] not in ("created", "cancelled", "failed"):
        return
    planned = ask_plan(line, found["request"])
    left = 1.0 - found["n_done"] / max(1, found["n_trials"])
    if not line.as_json:
        typer.echo(
            f"{found['n_trials'] - found['n_done']:,} trials, about {duration(planned['seconds'] * left)} at "
            f"{planned['workers']} workers, {size(planned['disk_mb'] * left)} on disk"
        )
    if not planned["warnings"]:
        return
    for warning in planned["warnings"]:
        typer.echo(fill_text(f"Warning: {warning}."), err=True)
    if sys.stdin.isatty() and sys.stderr.isatty() and not typer.confirm("Run it all the same?", err=True):
        typer.echo("Nothing was started.", err=True)
        raise typer.Exit(FAILED)
