"""`tunesmith status`, `logs` and `cancel`."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Annotated

import typer

from tunesmith.cli import FAILED
from tunesmith.cli.daemon_connection import Line, talks
from tunesmith.cli.decide.explain_commands import show_replay
from tunesmith.cli.decide.verdict_commands import end_with, show_verdict
from tunesmith.cli.lazy_commands import new_app
from tunesmith.cli.search.market_options import terms_in_words
from tunesmith.cli.search.session_tables import finish_session, show_session
from tunesmith.cli.search.walk_forward_tables import show_walk_forward
from tunesmith.cli.tables import duration, moment, number, params, show_facts, show_table
from tunesmith.cli.watching import ENDED, follow, kind_of, status_of
from tunesmith.domain.records import JsonObject
from tunesmith.errors import Conflict

app = new_app()

TaskId = Annotated[str, typer.Argument(help="The task's id, as opt-…, bt-… or session_….", metavar="ID")]
_POLL_S = 0.3
_PAGE = 1000
_SHOWS: dict[str, Callable[[JsonObject], None]] = {
    "verdict": show_verdict,
    "session": show_session,
    "replay": show_replay,
    "walkforward": show_walk_forward,
}
"""How the status of a kind is printed; every other kind's is printed as facts that all tasks have."""


@app.command()
@talks
def status(
    line: Line,
    task: Annotated[str | None, typer.Argument(help="The task's id; the newest tasks without.", metavar="ID")] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Stay until it has ended.")] = False,
    limit: Annotated[int, typer.Option(help="How many tasks to list.", min=1, max=1000, metavar="N")] = 20,
) -> None:
    """Show one task, or the newest ones. The exit code is 1 when the task failed, 4 when a verdict is no approval."""
    if task is None:
        _list(line, limit)
    elif watch:
        finish_watching(line, task)
    else:
        found = status_of(line, task)
        show_task(line, task, found)
        _exit_with(task, found)


@app.command()
@talks
def logs(
    line: Line,
    task: TaskId,
    follow_on: Annotated[bool, typer.Option("--follow", "-f", help="Stay until the task has ended.")] = False,
) -> None:
    """Show a task's log lines. With --json one object a line."""
    kind_of(task)
    after = 0
    while True:
        page = line.ask("task.logs", {"task_id": task, "after": after, "limit": _PAGE})
        for entry in page["lines"]:
            after = entry["n"]
            if line.as_json:
                typer.echo(json.dumps(entry))
            else:  # further lines of one are set in, so that none looks like another
                message = entry["message"].replace("\n", "\n    ")
                typer.echo(f"{entry['time'][11:23]} {entry['level']:<7} {message}")
        if len(page["lines"]) == _PAGE:
            continue
        if not follow_on or page["status"] in ENDED:
            break
        time.sleep(_POLL_S)
    if after == 0 and not line.as_json:
        typer.echo(f"No log lines yet; the task is {page['status']}.")


@app.command()
@talks
def cancel(line: Line, task: TaskId) -> None:
    """Cancel a search, a backtest, a walk-forward or a session; the trials that are done are kept."""
    kind = kind_of(task)
    if kind.cancel is None:
        raise Conflict(f"a {kind.name} cannot be cancelled; it ends by itself in seconds")
    found = line.ask(kind.cancel, kind.named(task, kind.cancel))
    if line.as_json:
        line.print_json(found)
    else:
        typer.echo(f"{task} is {found['status']}.")


def finish_watching(line: Line, task_id: str) -> None:
    """Follow a task to its end and on to its verdict, show both; ends with the exit code that they mean."""
    if kind_of(task_id).name == "session":
        finish_session(line, task_id)
        return
    found = follow(line, task_id)
    verdict_id = found.get("verdict_id") if kind_of(task_id).name == "optimization" else None
    verdict = follow(line, verdict_id) if verdict_id else None
    if line.as_json:
        line.print_json(found if verdict is None else {**found, "verdict": verdict})
    else:
        show_task(line, task_id, found)
        if verdict is not None:
            typer.echo("")
            show_verdict(verdict)
    if found["status"] != "completed":
        raise typer.Exit(FAILED)
    if verdict is not None:
        end_with(verdict)
    _exit_with(task_id, found)


def finish(found: JsonObject) -> JsonObject:
    """A task that completed; one that did not ends the command with its reason."""
    if found["status"] != "completed":
        raise Conflict(f"the task {found['status']}: {_reason(found)}")
    return found


def _exit_with(task_id: str, found: JsonObject) -> None:
    if found["status"] in ("failed", "cancelled"):
        raise typer.Exit(FAILED)
    if kind_of(task_id).name == "verdict" and found["status"] == "completed":
        end_with(found)


def _list(line: Line, limit: int) -> None:
    found = line.ask("task.list", {"limit": limit})
    if line.as_json:
        line.print_json(found)
        return
    if not found["tasks"]:
        typer.echo("No tasks yet. Start one: tunesmith optimize BTC/USDT ma_cross_v1.0 --watch")
        return
    labelled = any(t.get("label") for t in found["tasks"])
    rows = [
        (
            t["task_id"],
            t["status"],
            f"{t['progress']:.0%}",
            moment(t["created_at"]),
            t["client"] or t["user"],
            *([t["label"] or ""] if labelled else ()),
        )
        for t in found["tasks"]
    ]
    columns = ("task", "status", "done", "asked for (UTC)", "by", *(["label"] if labelled else ()))
    show_table(columns, rows, right=("done",))
    if found["total"] > len(rows):
        typer.echo(f"… of {found['total']:,} in all (--limit)")


def show_task(line: Line, task_id: str, found: JsonObject) -> None:
    """Print where a task stands and what to do next."""
    if line.as_json:
        line.print_json(found)
        return
    kind = kind_of(task_id).name
    if kind in _SHOWS:
        _SHOWS[kind](found)
        return
    running = found["status"] == "running"
    facts: JsonObject = {
        kind: f"{task_id}, {found['status']}" + (f", {found['progress']:.0%} done" if running else ""),
        "label": found.get("label"),
        "time left": duration(found["eta_s"]) if running and found.get("eta_s") is not None else None,
        "error": _reason(found) if found.get("error") else None,
    }
    if kind == "optimization":
        score = number(round(found["best_score"], 4)) if found["best_score"] is not None else None
        failed = f"; {found['n_failed']:,} could not be evaluated" if found["n_failed"] else ""
        facts |= {
            "trials": f"{found['n_done']:,} of {found['n_trials']:,}, {found['method'].replace('_', ' ')}{failed}",
            "stopped by": (found["stopped_by"] or "").replace("_", " ") or None,
            "best": params(found["best_params"]) if found["best_params"] else None,
            "score": f"{score}, in sample" if score is not None else None,
        }
        if found["status"] == "completed" and found["best_params"] is None:
            facts["best"] = "no trial kept the constraints"
    facts |= {"trading": terms_in_words(found), "warning": "\n".join(found.get("warnings", ())) or None}
    facts |= {"held out": f"from {found['withheld_from'][:10]} on" if found.get("withheld_from") else None}
    facts |= {"report": found.get("report_id"), "verdict": found.get("verdict_id")}
    facts |= {"next": _next(task_id, kind, found)}
    show_facts(facts)


def _next(task_id: str, kind: str, found: JsonObject) -> str | None:
    if found["status"] not in ENDED:
        return f"tunesmith status {task_id} --watch"
    if found["status"] == "failed":
        again = f"\ntunesmith resume {task_id}" if kind == "optimization" else ""
        return f"tunesmith logs {task_id}{again}"
    if found["status"] == "cancelled" and kind == "optimization":
        return f"tunesmith results {task_id}\ntunesmith resume {task_id}"
    if found["status"] == "cancelled" or kind == "backtest" or found.get("best_params") is None:
        return f"tunesmith results {task_id}" if found["status"] == "completed" or kind == "optimization" else None
    then = f"tunesmith status {found['verdict_id']}" if found.get("verdict_id") else f"tunesmith approve {task_id}"
    return f"tunesmith results {task_id}\n{then}"


def _reason(found: JsonObject) -> str:
    error = found.get("error") or {}
    return str(error.get("detail") or error.get("title") or "no reason was given")
