"""What came of a search or a session, and what can be done with it, by numbered choices."""

from __future__ import annotations

import typer

from tunesmith.cli.daemon_connection import Line
from tunesmith.cli.decide.verdict_commands import OLD_CANDLES, ask_verdict, show_verdict
from tunesmith.cli.guide.prompting import Back, choose, say
from tunesmith.cli.search.result_tables import show_trials
from tunesmith.cli.search.session_tables import show_ranking, show_session
from tunesmith.cli.search.task_commands import show_task
from tunesmith.cli.tables import moment
from tunesmith.cli.watching import ENDED, follow, kind_of, status_of
from tunesmith.domain.records import JsonObject
from tunesmith.errors import TunesmithError

_NEWEST = 9
_TOP = 8


def look(line: Line) -> None:
    """The newest searches and sessions; one of them is shown, with what can be done with it."""
    found = _newest(line)
    if not found:
        say("There are none yet.")
        return
    options = [f"{task_id:<30}{status:<11}{created}" for task_id, status, created in found]
    conclude(line, found[choose("Which one?", options)][0])


def conclude(line: Line, task_id: str) -> None:
    """Show how a search or a session stands and its best trials; then what can be done next."""
    while True:
        typer.echo("")
        found = status_of(line, task_id)
        is_session = kind_of(task_id).name == "session"
        if is_session:
            show_session(found)
        else:
            show_task(line, task_id, found)
        _show_best(line, task_id, is_session)
        if not _act(line, task_id, found):
            return


def _show_best(line: Line, task_id: str, is_session: bool) -> None:
    typer.echo("")
    if is_session:
        ranking = line.ask("session.results", {"session_id": task_id, "limit": _TOP})
        if ranking["total"]:
            show_ranking(ranking, "score", 0)
    else:
        trials = line.ask("optimization.results", {"optimization_id": task_id, "limit": _TOP})
        if trials["total"]:
            show_trials(trials, None, 0)


def _act(line: Line, task_id: str, found: JsonObject) -> bool:
    """Ask what to do and do it; whether there is something new to show."""
    actions = _actions(found)
    at = choose("What next?", [*actions, "back to the beginning"])
    if at == len(actions):
        return False
    kind = kind_of(task_id)
    named = {kind.id_field: task_id}
    action = list(actions)[at]
    try:
        if action == _WATCH:
            follow(line, task_id)
        elif action == _STOP:
            line.ask(kind.cancel or "task.cancel", kind.named(task_id, kind.cancel or "task.cancel"))
        elif action in (_GO_ON, _RUN):
            line.ask(*_going_on(kind.name, named, action))
            follow(line, task_id)
        elif action == _JUDGE:
            _judge(line, (found.get("best") or {}).get("optimization_id") or task_id)
            return choose("What next?", ["see the trials again", "back to the beginning"]) == 0
        elif action == _DELETE and choose("Delete it with its trials?", ["keep it", "delete it"]) == 1:
            n = line.ask("session.clean", named)["n_trials"]
            say(f"Deleted, with {n:,} trials.")
            return False
    except Back:
        return True
    except TunesmithError as error:
        say(error.message)
    return True


def _judge(line: Line, task_id: str) -> None:
    """Ask for the verdict and show it; where it is refused for old candles alone, ask whether they are accepted."""
    typer.echo("")
    verdict = ask_verdict(line, task_id, {})
    show_verdict(verdict)
    if any(check["name"] == OLD_CANDLES and not check["passed"] for check in verdict["checks"]):
        accepted = choose("Accept that the candles are old? The package will say so.", ["no", "yes, ask again"]) == 1
        if accepted:
            show_verdict(ask_verdict(line, task_id, {"accept_old_data": True}))


_WATCH, _STOP, _GO_ON, _RUN = "watch it", "stop it; what is done is kept", "go on with it", "run it"
_JUDGE = "ask for the verdict on the best: one look at the hold-out, written down"
_DELETE = "delete it"


def _actions(found: JsonObject) -> list[str]:
    status, is_session = found["status"], "session_id" in found
    if status not in ENDED:
        return [_RUN, _DELETE] if status == "created" else [_WATCH, _STOP]
    first = [_JUDGE] if _has_winner(found) else []
    again = [_GO_ON] if status != "completed" else []
    return [*again, *first, *([_DELETE] if is_session else [])]


def _has_winner(found: JsonObject) -> bool:
    if "session_id" in found:
        return bool(found["best"]) and found["best"]["status"] == "completed"
    return found["status"] == "completed" and found["report_id"] is not None


def _going_on(kind: str, named: dict[str, str], action: str) -> tuple[str, JsonObject]:
    if kind == "session":
        return "session.execute", {**named, "resume": action == _GO_ON}
    return "optimization.resume", dict(named)


def _newest(line: Line) -> list[tuple[str, str, str]]:
    """Id, status and time of the newest sessions and of searches, newest first."""
    sessions = line.ask("session.list", {"limit": _NEWEST})["sessions"]
    tasks = line.ask("task.list", {"kind": "optimization", "limit": _NEWEST})["tasks"]
    found = [(s["session_id"], s["status"], s["created_at"]) for s in sessions]
    found += [(t["task_id"], t["status"], t["created_at"]) for t in tasks]
    newest = sorted(found, key=lambda row: row[2], reverse=True)[:_NEWEST]
    return [(id_, status, moment(created) or "") for id_, status, created in newest]
