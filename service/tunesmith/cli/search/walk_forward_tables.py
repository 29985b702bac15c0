"""How a walk-forward looks: its account, and what each window searched on and traded."""

from __future__ import annotations

from typing import Any

import typer

from tunesmith.cli.search.market_options import terms_in_words
from tunesmith.cli.tables import bars_text, duration, fill_text, metric, number, params, show_facts, show_table

_SHOWN = ("total_return", "sharpe", "max_drawdown", "n_trades")


def show_walk_forward(found: dict[str, Any]) -> None:
    """Print where a walk-forward stands, and what came of it: its account's metrics and its windows."""
    running = found["status"] == "running"
    task_id, error = found["walkforward_id"], found["error"] or {}
    metrics = found["metrics"] or {}
    facts = {
        "walk-forward": f"{task_id}, {found['status']}" + (f", {found['progress']:.0%} done" if running else ""),
        "label": found.get("label"),
        "windows": f"{found['n_windows']:,}",
        "time left": duration(found["eta_s"]) if running and found["eta_s"] is not None else None,
        "error": error.get("detail") or error.get("title"),
        "trading": terms_in_words(found),
        "held out": f"from {found['withheld_from'][:10]} on" if found["withheld_from"] else None,
        "bars": bars_text(found.get("bars")),
    }
    facts |= {name.replace("_", " "): metric(name, metrics[name]) for name in _SHOWN if name in metrics}
    facts |= {"efficiency": None if found["efficiency"] is None else f"{found['efficiency']:.2f}"}
    if found["status"] in ("pending", "running"):
        facts["next"] = f"tunesmith status {task_id} --watch"
    elif found["status"] == "failed":
        facts["next"] = f"tunesmith logs {task_id}"
    show_facts(facts)
    if found["windows"]:
        typer.echo("")
        _show_windows(found["windows"])
    if found["cannot_say"]:
        typer.echo("\n" + fill_text(f"Note: {found['cannot_say']}"))


def _show_windows(windows: list[dict[str, Any]]) -> None:
    rows = [
        (
            window["train_from"][:10],
            window["trade_from"][:10],
            window["trade_to"][:10],
            params(window["params"]) if window["params"] else "none kept the constraints",
            None if window["score"] is None else number(window["score"], 4),
            metric("total_return", window["total_return"]),
            f"{window['n_trades']:,}",
        )
        for window in windows
    ]
    columns = ("searched from", "traded from", "to", "params", "score", "return", "trades")
    show_table(columns, rows, right=("score", "return", "trades"))
