"""`tunesmith results`: the trials of a search, the report of a backtest."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from tunesmith.cli.late import new_app
from tunesmith.cli.line import Line, talks
from tunesmith.cli.tables import metric, number, params, show_facts, show_table
from tunesmith.cli.watching import kind_of
from tunesmith.errors import Conflict

app = new_app()

_SHOWN = ("sharpe", "total_return", "max_drawdown", "n_trades")
_TARGETS = {"return": "total_return", "drawdown": "max_drawdown"}
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
) -> None:
    """Show a search's trials, the best first, or a backtest's report. All of it with --json."""
    kind = kind_of(task)
    if kind.name == "verdict":
        raise Conflict(f"{task} is a verdict; see it with: tunesmith status {task}")
    if kind.name == "backtest":
        status = line.ask("backtest.status", {"task_id": task})
        if status["report_id"] is None:
            raise Conflict(f"{task} is {status['status']}; it has no report\nSee why with: tunesmith logs {task}")
        show_report(line, status["report_id"], status)
        return
    found = line.ask("optimization.results", {"optimization_id": task, "sort": sort, "limit": limit, "offset": offset})
    if line.as_json:
        line.print_json(found)
        return
    _show_trials(task, found, sort, offset)


def show_report(line: Line, report_id: str, status: dict[str, Any]) -> None:
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
        }
    )
    typer.echo("")
    pairs = [(name.replace("_", " "), metric(name, value)) for name, value in report["metrics"].items()]
    half = (len(pairs) + 1) // 2
    left, right = pairs[:half], [*pairs[half:], ("", "")]
    show_table(("", "", " ", ""), [(*a, f"  {b[0]}", b[1]) for a, b in zip(left, right, strict=False)])
    if report["task_id"] and not report["optimization_id"]:
        typer.echo(f"\nA verdict on it: tunesmith approve {report['task_id']}")


def _show_trials(task: str, found: dict[str, Any], sort: str | None, offset: int) -> None:
    if not found["trials"]:
        typer.echo(f"No trials; the search is {found['status']} with {found['total']:,}.")
        return
    target = _TARGETS.get(found["optimization_target"], found["optimization_target"])
    by = sort or target
    columns = [name for name in dict.fromkeys((target, *_SHOWN, by)) if name in found["trials"][0]["metrics"]]
    names = list(found["trials"][0]["params"])
    wide = len(names) <= _MOST_COLUMNS
    rows = []
    for trial in found["trials"]:
        values = [number(trial["params"][name], 4) for name in names] if wide else [params(trial["params"])]
        mark = "" if trial["eligible"] else "x"
        rows.append((trial["index"], *values, *(metric(name, trial["metrics"][name]) for name in columns), mark))
    headings = [name.replace("_", " ") for name in (names if wide else ["params"])]
    headings += [_SHORT.get(name, name).replace("_", " ") for name in columns]
    show_table(("trial", *headings, ""), rows, right=("trial", *(headings if wide else headings[1:])))
    shown = f"{offset + 1:,} to {offset + len(rows):,} of {found['total']:,} trials, by {_SHORT.get(by, by)}"
    typer.echo(f"\n{shown}; the search is {found['status']}.")
    if any(not trial["eligible"] for trial in found["trials"]):
        typer.echo("x: it breaks a bound, such as too few trades, and cannot be the best.")
