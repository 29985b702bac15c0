"""`tunesmith approve`, and how a verdict looks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import typer

from tunesmith.cli import FAILED, NOT_APPROVED
from tunesmith.cli.daemon_connection import Label, Line, OptionGroup, talks
from tunesmith.cli.lazy_commands import new_app
from tunesmith.cli.tables import fill_text, metric, params, show_facts, show_table
from tunesmith.cli.watching import ENDED, follow, kind_of, status_of
from tunesmith.domain.records import JsonObject
from tunesmith.errors import Conflict, Invalid, NotFound

app = new_app()


_CHANCES = {"reality_check", "permutations", "searches", "holdout", "combined", "error_budget"}
"""Checks whose value is a probability."""
_METRICS = {
    "return": "total_return",
    "net_return": "total_return",
    "holdout_return": "total_return",
    "drawdown": "max_drawdown",
    "trades": "n_trades",
    "holdout_trades": "n_trades",
    "budget": "n_trades",
    "apart": "n_trades",
}
"""As which metric a check's value is written."""
_ASK_S = 5.0
OLD_CANDLES = "recent_candles"
"""The check that fails where candles ended long ago and nobody accepted it."""

AcceptOldData = Annotated[
    bool, typer.Option("--accept-old-data", help="Approve candles that ended long ago too; the package says so.")
]

_SHORT_ID = 12


@dataclass(frozen=True)
class Criteria(OptionGroup):
    """Approval criteria as options give them; None leaves one to the daemon's settings."""

    min_sharpe: Annotated[float | None, typer.Option(help="Least Sharpe ratio a year.", metavar="X")] = None
    max_drawdown: Annotated[float | None, typer.Option(help="Largest drawdown, a fraction.", metavar="X")] = None
    min_return: Annotated[float | None, typer.Option(help="Least total return, a fraction.", metavar="X")] = None
    min_trades: Annotated[int | None, typer.Option(help="Least closed trades.", metavar="N")] = None
    min_win_rate: Annotated[float | None, typer.Option(help="Least share of winning trades.", metavar="X")] = None
    min_profit_factor: Annotated[
        float | None, typer.Option(help="Least gross profit over gross loss.", metavar="X")
    ] = None

    def given(self) -> dict[str, float]:
        """Those that were given."""
        return {name: value for name, value in vars(self).items() if value is not None}


@app.command()
@talks
def approve(
    line: Line,
    *,
    task: Annotated[str, typer.Argument(help="A completed search or backtest, as opt-… or bt-….", metavar="ID")],
    criteria: Criteria,
    accept_old_data: AcceptOldData = False,
    apply: Annotated[
        Literal["new_trades", "when_flat", "immediately"], typer.Option(help="When bots take the package up.")
    ] = "new_trades",
    plan: Annotated[
        bool, typer.Option("--plan", help="Say what stands behind it and takes, and ask for none.")
    ] = False,
    label: Label = None,
) -> None:
    """Ask for the verdict on a search or a backtest. It looks once at the hold-out, and the look is written down.

    Candles that ended more than a tenth of the hold-out's length ago are refused before the look, unless
    --accept-old-data is given.

    An approval publishes a parameter package. The exit code is 4 when the verdict is not an approval. Criteria that
    are not named are those of the daemon's settings.
    """
    if plan:
        line.show(line.ask("verdict.plan", {"optimization_id": task}), show_told)
        return
    wish: JsonObject = {"approval_criteria": criteria.given() or None, "apply": apply, "label": label}
    verdict = ask_verdict(line, task, wish | {"accept_old_data": accept_old_data or None})
    line.show(verdict, show_verdict)
    end_with(verdict)


def show_told(planned: JsonObject) -> None:
    """Print what a plan says in words, and why there can be no look where the hold-out is used up."""
    typer.echo(fill_text(planned["told"]))
    if planned.get("burnt"):
        typer.echo(fill_text(f"There can be no verdict by now: {planned['burnt']}."))


def ask_verdict(line: Line, task_id: str, wish: JsonObject) -> JsonObject:
    """The verdict on a search or a backtest, once it is there; `wish` are further fields of `strategy.approve`."""
    verdict: JsonObject = line.ask("strategy.approve", _subject(line, task_id) | wish, deadline_s=_ASK_S)
    return verdict if verdict["status"] in ENDED else follow(line, verdict["verdict_id"])


def show_verdict(verdict: JsonObject) -> None:
    """Print the decision, its checks and the packages that came of it."""
    error = (verdict["error"] or {}).get("detail")
    standing = verdict["verdict"] or verdict["status"]
    show_facts(
        {
            "verdict": f"{standing.replace('_', ' ')} ({verdict['verdict_id']})",
            "label": verdict.get("label"),
            "reason": verdict["reason"] or error,
            "grade": verdict["grade"],
        }
    )
    if verdict["checks"]:
        typer.echo("")
        show_checks(verdict["checks"])
    for package in verdict["parameter_packages"]:
        together = ", ".join(package.get("decided_with", ()))
        typer.echo("")
        show_facts(
            {
                "package": package["package_id"][:_SHORT_ID],
                "for": f"{package['symbol']} {package['timeframe']}, {package['strategy_id']}",
                "together with": together or None,
                "params": params(package["params"]),
                "valid until": package["valid_until"][:10],
                "next": f"tunesmith packages show {package['package_id'][:_SHORT_ID]}",
            }
        )


def show_checks(checks: list[JsonObject]) -> None:
    """Print a verdict's checks; what the hold-out showed is hidden until there is an approval."""
    hidden = [check for check in checks if check["value"] is None and check["segment"] in ("holdout", "all")]
    rows = [
        (
            check["name"],
            check["segment"].replace("_", " "),
            _asked(check),
            "hidden" if check in hidden else _value(check),
            "met" if check["passed"] else "not met",
        )
        for check in checks
    ]
    show_table(("check", "segment", "asks", "value", ""), rows, right=("value",))
    if hidden:
        typer.echo(
            "\n" + fill_text("What a hold-out shows stays hidden until an approval, so that nobody tunes to it.")
        )


def _asked(check: JsonObject) -> str:
    limit = check["threshold"]
    is_chance = check["name"] in _CHANCES and limit is not None
    return f"{check['asks']}, p at most {limit:.2g}" if is_chance else str(check["asks"])


def _value(check: JsonObject) -> str:
    name, value = check["name"], check["value"]
    if value is not None and name in _CHANCES:
        return f"p {value:.2g}"
    bound = name.removeprefix("min_").removeprefix("max_").removeprefix("costs_")
    return metric(_METRICS.get(bound, bound), value)


def end_with(verdict: JsonObject) -> None:
    """End the command with the exit code that a verdict means, unless it is an approval or under way."""
    if verdict["status"] in ("failed", "cancelled"):
        raise typer.Exit(FAILED)
    if verdict["status"] == "completed" and not verdict["approved"]:
        raise typer.Exit(NOT_APPROVED)


def _subject(line: Line, task_id: str) -> dict[str, str]:
    """The request's subject and its strategy, which the report of the task names."""
    kind = kind_of(task_id)
    if kind.name not in ("optimization", "backtest", "session"):
        raise Invalid(f"{task_id} is a {kind.name}; name the search or backtest that it shall be about")
    status = status_of(line, task_id)
    if kind.name == "session":
        best = (
            f"\nThe best of this one: tunesmith approve {status['best']['optimization_id']}" if status["best"] else ""
        )
        raise Invalid(f"{task_id} is a session; a verdict is on one of its searches{best}")
    if status["status"] != "completed":
        raise Conflict(
            f"{task_id} is {status['status']}; a verdict needs a completed one\n"
            f"Wait for it with: tunesmith status {task_id} --watch"
        )
    if status["report_id"] is None:
        raise NotFound(
            "the search found no trial that kept its constraints, so there is nothing to approve\n"
            f"See its trials: tunesmith results {task_id}"
        )
    report = line.ask("report.get", {"report_id": status["report_id"]})
    return {"strategy_id": report["strategy_id"], f"{kind.name}_id": task_id}
