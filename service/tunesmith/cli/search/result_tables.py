"""`tunesmith results`: the trials of a search, the report of a backtest, what came of any other task."""

from __future__ import annotations

from typing import Annotated

import typer

from tunesmith.cli.daemon_connection import Line, talks
from tunesmith.cli.lazy_commands import new_app
from tunesmith.cli.search.market_options import terms_in_words
from tunesmith.cli.search.target_text import is_metric, names_of
from tunesmith.cli.search.walk_forward_tables import show_walk_forward
from tunesmith.cli.tables import bars_text, fill_text, metric, number, params, show_facts, show_table
from tunesmith.cli.watching import kind_of
from tunesmith.domain.records import JsonObject
from tunesmith.domain.trading import RUINED, is_ruined
from tunesmith.errors import Conflict

app = new_app()

_SHOWN = ("sharpe", "total_return", "max_drawdown", "n_trades")
_SHORT = {"total_return": "return", "max_drawdown": "drawdown", "n_trades": "trades"}
_MOST_COLUMNS = 4


@app.command()
@talks
def results(
    line: Line,
    task: Annotated[str, typer.Argument(help="The task's id, as opt-… or bt-….", metavar="ID")],
    sort: Annotated[str | None, typer.Option(help="Metric, or index.  [default: the target]", metavar="METRIC")] = None,
    limit: Annotated[int, typer.Option(help="How many trials.", min=1, max=1000, metavar="N")] = 15,
    offset: Annotated[int, typer.Option(help="Trials to pass over.", min=0, metavar="N")] = 0,
    front: Annotated[
        bool, typer.Option("--front", help="The Pareto front alone, of a search for several targets.")
    ] = False,
) -> None:
    """Show a search's trials, the best first, a backtest's report, or a walk-forward's windows. All with --json."""
    kind = kind_of(task)
    if kind.name in ("verdict", "session", "replay"):
        command = "session results" if kind.name == "session" else "status"
        raise Conflict(f"{task} is a {kind.name}; see it with: tunesmith {command} {task}")
    if kind.name == "backtest":
        status = line.ask("backtest.status", {"task_id": task})
        if status["report_id"] is None:
            raise Conflict(f"{task} is {status['status']}; it has no report\nSee why with: tunesmith logs {task}")
        show_report(line, status["report_id"], status)
        return
    page = {"sort": sort, "limit": limit, "offset": offset, "front": front} if kind.name == "optimization" else {}
    found = line.ask(kind.results, {kind.id_field: task, **page})
    if line.as_json:
        line.print_json(found)
    elif kind.name == "optimization":
        show_trials(found, sort, offset, front=front)
    elif kind.name == "walkforward":
        show_walk_forward(found)
    else:
        show_facts({name.replace("_", " "): value for name, value in found.items()})


def show_report(line: Line, report_id: str, status: JsonObject) -> None:
    """Print a report's head and metrics, with --json all of it."""
    report = line.ask("report.get", {"report_id": report_id})
    if line.as_json:
        line.print_json(report)
        return
    about = f"{report['symbol']} {report['timeframe']} ({report['venue']})"
    held_out = status.get("withheld_from")
    show_facts(
        {
            "backtest": f"{report['task_id']}, report {report['report_id']}",
            "market": f"{about}, {report['start_date'][:10]} to {report['end_date'][:10]}",
            "held out": f"from {held_out[:10]} on" if held_out else ("seen" if report["used_holdout"] else None),
            "strategy": f"{report['strategy_id']}: {params(report['params'])}",
            "trading": terms_in_words(report),
            "bars": bars_text(report.get("bars")),
        }
    )
    typer.echo("")
    pairs = [(name.replace("_", " "), metric(name, value)) for name, value in report["metrics"].items()]
    half = (len(pairs) + 1) // 2
    left, right = pairs[:half], [*pairs[half:], ("", "")]
    show_table(("", "", " ", ""), [(*a, f"  {b[0]}", b[1]) for a, b in zip(left, right, strict=False)])
    for warning in report.get("warnings", ()):
        typer.echo("\n" + fill_text(f"Warning: {warning}"))
    if is_ruined(report["metrics"]["total_return"]):
        typer.echo("\n" + fill_text(RUINED))
    if report["task_id"] and not report["optimization_id"]:
        typer.echo(f"\nA verdict on it: tunesmith approve {report['task_id']}")


def show_trials(found: JsonObject, sort: str | None, offset: int, *, front: bool = False) -> None:
    """Print a page of a search's trials: what was varied, the targets, what matters beside them."""
    trials = found["trials"]
    if not trials:
        typer.echo(f"No trials; the search is {found['status']} with {found['total']:,}.")
        return
    targets = names_of(found["optimization_target"])
    wanted = dict.fromkeys((*filter(is_metric, targets), *_SHOWN, sort or ""))
    columns = [name for name in wanted if name in trials[0]["metrics"]]
    scored = [i for i, name in enumerate(targets) if name not in columns]
    names = _varied(trials)
    wide = len(names) <= _MOST_COLUMNS - len(scored)
    rows = []
    for trial in trials:
        shown = {name: trial["params"][name] for name in names}
        values = [number(value, 4) for value in shown.values()] if wide else [params(shown)]
        scores = trial["scores"] or [trial["score"]]
        values += [_score(scores[i] if i < len(scores) else None) for i in scored]
        mark = "" if trial["eligible"] else "x"
        rows.append((trial["index"], *values, *(metric(name, trial["metrics"][name]) for name in columns), mark))
    headings = [name.replace("_", " ") for name in (names if wide else ["params"])]
    headings += ["score" if len(targets) == 1 else f"score {i + 1}" for i in scored]
    headings += [_SHORT.get(name, name).replace("_", " ") for name in columns]
    show_table(("trial", *headings, ""), rows, right=("trial", *(headings if wide else headings[1:])))
    _say_what_is_shown(found, targets, sort, offset, front)


def _say_what_is_shown(found: JsonObject, targets: list[str], sort: str | None, offset: int, front: bool) -> None:
    trials = found["trials"]
    fixed = {name: value for name, value in trials[0]["params"].items() if name not in _varied(trials)}
    if fixed and len(trials) > 1:
        typer.echo("\n" + fill_text(f"All of these: {params(fixed)}"))
    by = _SHORT.get(sort or targets[0], sort or targets[0])
    what = "trials of the Pareto front" if front else f"trials, by {by}"
    shown = f"{offset + 1:,} to {offset + len(trials):,} of {found['total']:,} {what}"
    typer.echo("\n" + fill_text(f"{shown}; the search is {found['status']}."))
    if len(targets) > 1:
        typer.echo(fill_text("Targets: " + "; ".join(f"{i} {name}" for i, name in enumerate(targets, 1)) + "."))
    if any(not trial["eligible"] for trial in trials):
        typer.echo("x: it breaks a bound, such as too few trades, and cannot be the best.")
    broken = next((trial["error"] for trial in trials if trial["error"]), None)
    if broken:
        typer.echo(fill_text(f"Some could not be evaluated: {broken}"))


def _varied(trials: list[JsonObject]) -> list[str]:
    """The parameters that differ between these trials; all of a single one."""
    first = trials[0]["params"]
    return [name for name in first if len(trials) == 1 or any(t["params"][name] != first[name] for t in trials)]


def _score(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"
