"""Tasks by their id: the status of one of any kind, and following one to its end with a progress bar."""

from __future__ import annotations

import time
from typing import NoReturn

import typer
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from tunesmith.cli import INTERRUPTED
from tunesmith.cli.daemon_connection import Line
from tunesmith.cli.tables import duration, make_console
from tunesmith.domain.records import JsonObject
from tunesmith.errors import NotFound
from tunesmith.protocol.task_types import TaskType, task_type_of

_POLL_S = 0.2
ENDED = ("completed", "failed", "cancelled")


def kind_of(task_id: str) -> TaskType:
    """The type of a task; raises `NotFound` for what is no task's id."""
    found = task_type_of(task_id)
    if found is None:
        raise NotFound(f"{task_id!r} is no task's id; `tunesmith status` shows the newest tasks")
    return found


def status_of(line: Line, task_id: str) -> JsonObject:
    """The reply to the status message of a task's kind."""
    kind = kind_of(task_id)
    reply: JsonObject = line.ask(kind.status, {kind.id_field: task_id})
    return reply


def follow(line: Line, task_id: str) -> JsonObject:
    """The last status of a task, once it has ended. Ctrl-C leaves the task running and says how to come back."""
    console = make_console(errors=True)
    columns = TextColumn("{task.description}"), BarColumn(24), TaskProgressColumn(), TextColumn("{task.fields[left]}")
    try:
        with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
            shown = bar.add_task(kind_of(task_id).name, total=1.0, left="")
            while (status := status_of(line, task_id))["status"] not in ENDED:
                bar.update(shown, completed=status["progress"], left=_left(status))
                time.sleep(_POLL_S)
    except KeyboardInterrupt:
        _leave(task_id)
    return status


def _left(status: JsonObject) -> str:
    if status["status"] == "pending":
        return "waiting for a worker"
    left = f"{duration(status['eta_s'])} left" if status.get("eta_s") is not None else ""
    if status.get("best_score") is None and status.get("best"):
        status = status["best"]
    score = f"best {status['best_score']:.3g}" if status.get("best_score") is not None else ""
    return ", ".join(part for part in (left, score) if part)


def _leave(task_id: str) -> NoReturn:
    kind = kind_of(task_id).name
    if kind == "session":
        typer.echo(f"\nThe session goes on. Come back with:\ntunesmith session status {task_id} --watch", err=True)
    else:
        typer.echo(f"\nThe task goes on. Come back with: tunesmith status {task_id} --watch", err=True)
    raise typer.Exit(INTERRUPTED)
