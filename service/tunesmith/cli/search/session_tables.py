"""`tunesmith session status`, `results`, `list`, `cancel` and `clean`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from tunesmith.cli import FAILED
from tunesmith.cli.daemon_connection import Line, talks
from tunesmith.cli.lazy_commands import new_app
from tunesmith.cli.search.target_text import is_metric, is_minimized, names_of
from tunesmith.cli.tables import duration, fill_text, metric, moment, number, params, show_facts, show_table
from tunesmith.cli.watching import ENDED, follow
from tunesmith.domain.records import JsonObject

app = new_app()

SessionId = Annotated[str, typer.Argument(help="The session's id, as session_….", metavar="ID")]
_CLEAN_DEADLINE_S = 120.0
_SHOWN = ("sharpe", "total_return", "max_drawdown", "n_trades")
_SHORT = {"total_return": "return", "max_drawdown": "drawdown", "n_trades": "trades"}


@app.command()
@talks
def status(
    line: Line,
    session: Annotated[
        str | None, typer.Argument(help="The session's id; the newest without.", metavar="[ID]", show_default=False)
    ] = None,
    detailed: Annotated[bool, typer.Option("--detailed", help="Show each of its searches.")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Stay until it has ended.")] = False,
) -> None:
    """Show where a session stands, the newest without an id. The exit code is 1 when it failed or was cancelled."""
    found = line.ask("session.status", {"session_id": session, "detailed": detailed})
    if watch and found["status"] in ("pending", "running"):
        finish_session(line, found["session_id"], detailed=detailed)
        return
    _say(line, found)


@app.command()
@talks
def results(
    line: Line,
    session: SessionId,
    sort: Annotated[str, typer.Option(help="Metric, or score.", metavar="METRIC")] = "score",
    top: Annotated[int, typer.Option("--top", help="How many trials.", min=1, max=1000, metavar="N")] = 15,
    offset: Annotated[int, typer.Option(help="Trials to pass over.", min=0, metavar="N")] = 0,
    worst: Annotated[bool, typer.Option("--worst", help="The worst first.")] = False,
    every: Annotated[bool, typer.Option("--all", help="Those too that broke a constraint.")] = False,
) -> None:
    """Rank the trials of all its searches together, the best first."""
    data = {"session_id": session, "sort": sort, "limit": top, "offset": offset, "all": every}
    if worst:
        target = line.ask("session.status", {"session_id": session})["optimization_target"]
        data["descending"] = is_minimized(target if sort == "score" else sort)
    found = line.ask("session.results", data)
    if line.as_json:
        line.print_json(found)
    else:
        show_ranking(found, sort, offset, worst=worst)


@app.command("list")
@talks
def list_(line: Line, limit: Annotated[int, typer.Option(help="How many.", min=1, max=1000, metavar="N")] = 20) -> None:
    """List the sessions, newest first."""
    found = line.ask("session.list", {"limit": limit})
    if line.as_json:
        line.print_json(found)
        return
    if not found["sessions"]:
        typer.echo("No sessions yet. Make one: tunesmith session generate --help")
        return
    rows = [
        (s["session_id"], s["mode"].replace("_", " "), s["status"], f"{s['progress']:.0%}", f"{s['n_trials']:,}")
        for s in found["sessions"]
    ]
    show_table(("session", "mode", "status", "done", "trials"), rows, right=("done", "trials"))
    if found["total"] > len(rows):
        typer.echo(f"… of {found['total']:,} in all (--limit)")


@app.command()
@talks
def cancel(line: Line, session: SessionId) -> None:
    """Stop a session; what is done is kept."""
    found = line.ask("session.cancel", {"session_id": session})
    if line.as_json:
        line.print_json(found)
        return
    typer.echo(f"{session} is {found['status']}: {found['n_done']:,} of {found['n_trials']:,} trials are done.")
    typer.echo(f"Go on with it: tunesmith session execute {session} --resume")


@app.command()
@talks
def clean(
    line: Line,
    session: Annotated[str | None, typer.Argument(help="The session's id.", metavar="[ID]")] = None,
    days: Annotated[
        int | None, typer.Option(help="All that ended more than so many days ago.", min=0, metavar="N")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Delete a session and its trials, or those that ended long ago. Reports, verdicts and packages stay."""
    if (session is None) == (days is None):
        raise typer.BadParameter("give a session's id, or --days N")
    which = session or f"all sessions that ended more than {days} days ago"
    if not yes and sys.stdin.isatty() and not typer.confirm(f"Delete {which}, with the trials?", err=True):
        typer.echo("Nothing was deleted.", err=True)
        raise typer.Exit(FAILED)
    found = line.ask("session.clean", {"session_id": session, "days": days}, deadline_s=_CLEAN_DEADLINE_S)
    if line.as_json:
        line.print_json(found)
    else:
        n = len(found["sessions"])
        typer.echo(f"Deleted {n} session{'' if n == 1 else 's'} with {found['n_trials']:,} trials.")


def finish_session(line: Line, session_id: str, *, detailed: bool = False) -> None:
    """Follow a session to its end and show it; ends with the exit code that it means."""
    follow(line, session_id)
    _say(line, line.ask("session.status", {"session_id": session_id, "detailed": detailed}))


def show_session(found: JsonObject) -> None:
    """Print where a session stands, its best trial, what to do next, and its searches where they were asked for."""
    running = found["status"] == "running"
    failed = f", {found['n_failed']:,} could not be evaluated" if found["n_failed"] else ""
    facts = {
        "session": f"{found['session_id']}, {found['status']}",
        "label": found.get("label"),
        "made of": f"{found['mode'].replace('_', ' ')}, {_searches(found)}",
        "trials": f"{found['n_done']:,} of {found['n_trials']:,} ({found['progress']:.0%}){failed}",
        "speed": f"{found['ms_per_trial']:.3g} ms a trial" if found["ms_per_trial"] else None,
        "time left": duration(found["eta_s"]) if running and found["eta_s"] is not None else None,
        "begun": moment(found["started_at"]) and f"{moment(found['started_at'])} UTC",
        "ended": moment(found["completed_at"]) and f"{moment(found['completed_at'])} UTC",
    }
    best = found["best"]
    if best is not None:
        name = names_of(found["optimization_target"])[0]
        facts |= {
            "best": f"{best['symbol']}, {best['strategy_id']}: {params(best['best_params'] or {})}",
            "score": f"{number(round(best['best_score'], 4))} ({name}), in sample",
        }
    elif found["status"] == "completed":
        facts["best"] = "no trial kept the constraints"
    show_facts(facts | {"next": _next(found)})
    if found["items"]:
        typer.echo("")
        _show_items(found["items"])


def show_ranking(found: JsonObject, sort: str, offset: int, *, worst: bool = False) -> None:
    """Print a page of a session's ranking: what differs between its trials, and what matters about them."""
    trials = found["trials"]
    if not trials:
        kept = "that kept the constraints " if not found["total"] else ""
        typer.echo(f"No trials {kept}to show; the session is {found['status']}.")
        typer.echo(f"See those that broke them: tunesmith session results {found['session_id']} --all")
        return
    target = names_of(found["optimization_target"])[0]
    columns = [name for name in dict.fromkeys((*_SHOWN, sort)) if name in trials[0]["metrics"]]
    scored = not is_metric(target) or target not in columns
    heads = [h for h in ("symbol", "strategy_id") if len({t[h] for t in trials}) > 1 or found["total"] == 0]
    rows = [
        (
            offset + i,
            *(t[h] for h in heads),
            params(t["params"]),
            *([number(t["score"], 4)] if scored else []),
            *(metric(name, t["metrics"][name]) for name in columns),
            "" if t["eligible"] else "x",
        )
        for i, t in enumerate(trials, 1)
    ]
    numbers = [*(["score"] if scored else []), *(_SHORT.get(name, name).replace("_", " ") for name in columns)]
    named = {"symbol": "market", "strategy_id": "strategy"}
    show_table(("", *(named[h] for h in heads), "params", *numbers, ""), rows, right=("", *numbers))
    both = f"{trials[0]['symbol']}, {trials[0]['strategy_id']}; " if not heads else ""
    by = target if sort == "score" else sort
    order = ", the worst first" if worst else ""
    shown = f"{both}{offset + 1:,} to {offset + len(rows):,} of {found['total']:,} trials by {by}{order}."
    typer.echo("\n" + fill_text(shown))
    if any(not trial["eligible"] for trial in trials):
        typer.echo("x: it breaks a bound, such as too few trades, and cannot be the best.")
    typer.echo(f"A verdict on the best of its search: tunesmith approve {trials[0]['optimization_id']}")


def _say(line: Line, found: JsonObject) -> None:
    line.show(found, show_session)
    if found["status"] in ("failed", "cancelled"):
        raise typer.Exit(FAILED)


def _show_items(items: list[JsonObject]) -> None:
    rows = [
        (
            item["symbol"],
            item["strategy_id"],
            f"{item['n_done']:,}/{item['n_trials']:,}",
            item["status"] or "waiting",
            None if item["seconds"] is None else duration(item["seconds"]),
            None if item["best_score"] is None else number(item["best_score"], 4),
            item["optimization_id"],
        )
        for item in items
    ]
    show_table(("market", "strategy", "trials", "status", "took", "best", "search"), rows, right=("trials", "best"))
    for item in items:
        if item["error"]:
            reason = item["error"].get("detail") or item["error"].get("title")
            typer.echo(f"{item['symbol']} {item['strategy_id']}: {reason}")


def _searches(found: JsonObject) -> str:
    n = found["n_items"]
    states = [f"{count} {state}" for state, count in found["items_by_status"].items()]
    if n == 1:
        return "1 search"
    return f"{n} searches ({', '.join(states)})"


def _next(found: JsonObject) -> str:
    id_ = found["session_id"]
    if found["status"] == "created":
        return f"tunesmith session execute {id_} --watch"
    if found["status"] not in ENDED:
        return f"tunesmith session status {id_} --watch"
    if found["status"] != "completed":
        return f"tunesmith session execute {id_} --resume\ntunesmith logs {id_}"
    again = f"\ntunesmith session execute {id_} --retry-failed" if found["n_failed"] else ""
    approve = f"\ntunesmith approve {found['best']['optimization_id']}" if found["best"] else ""
    return f"tunesmith session results {id_}{again}{approve}"
