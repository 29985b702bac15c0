"""`tunesmith analyze`, `tunesmith compare` and `tunesmith export`."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from tunesmith.cli.daemon_connection import Line, talks
from tunesmith.cli.lazy_commands import new_app
from tunesmith.cli.pictures import bar, curve, shades
from tunesmith.cli.search.market_options import terms_in_words
from tunesmith.cli.search.next_search import command_of, range_text
from tunesmith.cli.tables import fill_text, metric, number, params, show_facts, show_table
from tunesmith.cli.watching import kind_of
from tunesmith.domain.records import JsonObject
from tunesmith.domain.search.findings import COST_OF_SEARCHING_ON
from tunesmith.errors import Conflict, Internal, Invalid

app = new_app()

Search = Annotated[str, typer.Argument(help="A search's id, as opt-….", metavar="ID")]
By = Annotated[str | None, typer.Option(help="Metric to look at instead of the target.", metavar="METRIC")]

_DEADLINE_S = 120.0
_PARTS = ["ranking", "importance", "correlations", "marginals", "convergence", "recommendation"]
_FIXED = {"all_good_agree": "all good trials agree", "does_not_matter": "it hardly matters"}
_CURVE = 24


@app.command()
@talks
def analyze(
    line: Line,
    task: Search,
    target: Annotated[
        int, typer.Option(help="Which target, from 0, of a search for several.", min=0, max=3, metavar="N")
    ] = 0,
    by: By = None,
    top: Annotated[int, typer.Option(help="How many of the best trials.", min=1, max=1000, metavar="N")] = 5,
    importance: Annotated[Literal["fanova", "ped_anova"], typer.Option(help="How importance is measured.")] = "fanova",
    heat_map: Annotated[
        str | None, typer.Option("--map", help="Show the scores over two parameters.", metavar="X,Y")
    ] = None,
) -> None:
    """Show what mattered in a search, along which values, how it got better, and where to search next.

    A search that still runs is analysed as far as it is. All of it with --json.
    """
    _check(task)
    data: JsonObject = {"optimization_id": task, "what": list(_PARTS), "target": target, "by": by, "n": top}
    data["importance_method"] = importance
    if heat_map is not None:
        x, comma, y = heat_map.partition(",")
        if not (x.strip() and comma and y.strip()):
            raise typer.BadParameter(f"--map {heat_map!r} is not X,Y, such as fast_period,slow_period")
        data |= {"x": x.strip(), "y": y.strip(), "what": [*_PARTS, "heat_map"]}
    found = line.ask("optimization.analyze", data, deadline_s=_DEADLINE_S)
    if line.as_json:
        line.print_json(found)
        return
    _show_summary(found)
    if found["summary"]["n_defined"]:
        _show_top(found)
        _show_importance(found)
        _show_marginals(found)
        if found["heat_map"]:
            _show_map(found)
        _show_convergence(found)
    _show_next(found)


@app.command()
@talks
def compare(
    line: Line,
    a: Annotated[str, typer.Argument(help="A search's id, as opt-….", metavar="A")],
    b: Annotated[str, typer.Argument(help="Another's.", metavar="B")],
    by: By = None,
) -> None:
    """Show two searches side by side, by the target that both have or by a metric."""
    _check(a)
    _check(b)
    found = line.ask("optimization.compare", {"a": a, "b": b, "by": by}, deadline_s=_DEADLINE_S)
    if line.as_json:
        line.print_json(found)
        return
    score, compared = found["score"], found["comparison"]
    sides = [(found[side], compared[side]) for side in "ab"]
    rows = [
        ("search", *(about["optimization_id"] for about, _ in sides)),
        ("market", *(f"{_some(about['symbols'])} {about['timeframe']}" for about, _ in sides)),
        ("strategy", *(about["strategy_id"] for about, _ in sides)),
        *([("trading", *terms)] if any(terms := [terms_in_words(about) or "" for about, _ in sides]) else []),
        ("method", *(f"{about['method'].replace('_', ' ')}, {about['status']}" for about, _ in sides)),
        ("trials", *(f"{of['n_trials']:,}" for _, of in sides)),
        ("that may be the best", *(f"{of['n_eligible']:,}" for _, of in sides)),
        (f"best {score}", *(_value(score, of["best_score"]) for _, of in sides)),
        ("median", *(_value(score, of["quantiles"][3]) for _, of in sides)),
        ("parameters", *(params(of["best_params"]) if of["best_params"] else "-" for _, of in sides)),
    ]
    show_table(("", "A", "B"), rows)
    typer.echo("")
    typer.echo(fill_text(_compared(score, compared)))


@app.command()
@talks
def export(
    line: Line,
    task: Search,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File to write.  [default: ID.FORMAT]", metavar="FILE")
    ] = None,
    form: Annotated[
        Literal["csv", "json", "parquet"] | None,
        typer.Option("--format", help="What to write.  [default: by the file's name, else csv]"),
    ] = None,
) -> None:
    """Write all trials of a search to a file: number, parameters, score, metrics, and whether one may be the best."""
    _check(task)
    suffix = "" if output is None else output.suffix.removeprefix(".")
    chosen = form or (suffix if suffix in ("csv", "json", "parquet") else "csv")
    file = output or Path(f"{task}.{chosen}")
    made = _fetch(line, task, chosen, file)
    said = {"file": str(file), "format": chosen, "size": made["size"], "sha256": made["version"]}
    if line.as_json:
        line.print_json({"optimization_id": task, "status": made["status"], **said})
        return
    typer.echo(fill_text(f"{file}: {made['size']:,} bytes; the search is {made['status']}."))


def _fetch(line: Line, task: str, chosen: str, file: Path) -> JsonObject:
    """Write the pieces to the file, which is there when it is whole; the first reply."""
    asked = {"optimization_id": task, "format": chosen}
    draft = file.with_name(f".{file.name}.part")
    digest = hashlib.sha256()
    try:
        with draft.open("wb") as out:
            first = piece = line.ask("optimization.export", asked, deadline_s=_DEADLINE_S)
            while True:
                content = base64.b64decode(piece["content"])
                digest.update(content)
                out.write(content)
                if piece["next_offset"] is None:
                    break
                more = {"version": first["version"], "offset": piece["next_offset"]}
                piece = line.ask("optimization.export", {**asked, **more})
        if digest.hexdigest() != first["version"]:
            raise Internal("what arrived is not what was exported; try again")
        draft.replace(file)
    except OSError as error:
        raise Invalid(f"cannot write {file}: {error.strerror}") from None
    finally:
        draft.unlink(missing_ok=True)
    return dict(first)


def _check(task: str) -> None:
    kind = kind_of(task)
    if kind.name != "optimization":
        raise Conflict(f"{task} is a {kind.name}; this is about searches, whose ids begin with opt-")


def _show_summary(found: JsonObject) -> None:
    of, score = found["summary"], found["score"]
    trials = f"{of['n_trials']:,}, of which {of['n_eligible']:,} may be the best"
    spread = [_value(score, value) for value in (of["quantiles"] or [None])]
    show_facts(
        {
            "search": f"{found['optimization_id']}, {found['method'].replace('_', ' ')}, {found['status']}",
            "market": f"{_some(found['symbols'])}: {found['strategy_id']}",
            "trials": trials,
            "score": f"{score}, to be {found['direction']}d",
            "spread": f"{spread[0]} to {spread[-1]}, half of them below {spread[3]}" if of["n_defined"] else None,
        }
    )


def _show_top(found: JsonObject) -> None:
    score = found["score"]
    if not found["top"]:
        typer.echo("\nNo trial kept its constraints and has a score.")
        return
    typer.echo("")
    rows = [(each["index"], _value(score, each["value"]), params(each["params"])) for each in found["top"]]
    show_table(("trial", "score", "parameters"), rows, right=("trial", "score"))


def _show_importance(found: JsonObject) -> None:
    explained = {effect["parameter"]: effect["explained"] for effect in found["effects"]}
    going = dict(zip(found["correlations"]["parameters"], found["correlations"]["with_score"], strict=True))
    rows = []
    for each in found["importance"]:
        name, share = each["parameter"], each["share"]
        rows.append((name, bar(share), f"{share:.0%}", _percent(explained.get(name)), _signed(going.get(name))))
    typer.echo("\nWhat matters: each parameter's share of what single ones explain")
    show_table(("", "importance", "", "of variance", "rank corr."), rows, right=("", "of variance", "rank corr."))


def _show_marginals(found: JsonObject) -> None:
    score, least = found["score"], found["direction"] == "minimize"
    rows = []
    for each in found["marginals"]:
        ends, means = _positions(each["axis"]), each["mean"]
        known = [(value, i) for i, value in enumerate(means) if value is not None]
        if not known:
            continue
        value, at = min(known) if least else max(known, key=lambda pair: (pair[0], -pair[1]))
        rows.append(
            (each["axis"]["parameter"], ends[0], curve(means, _CURVE), ends[-1], _value(score, value), ends[at])
        )
    typer.echo("\nMean score along each parameter")
    show_table(("", "from", "mean", "to", "best", "at"), rows, right=("from", "best"))


def _show_map(found: JsonObject) -> None:
    drawn = found["heat_map"]
    least = found["direction"] == "minimize"
    labels = _positions(drawn["y"])
    across = _positions(drawn["x"])
    width = max(map(len, labels), default=0)
    x, y = drawn["x"]["parameter"], drawn["y"]["parameter"]
    typer.echo(
        f"\n{drawn['statistic'].capitalize()} score: {y} down, {x} across ({across[0]} to {across[-1]}); dark is good"
    )
    for label, row in zip(labels, shades(drawn["rows"], minimized=least), strict=True):
        typer.echo(f"{label:>{width}} {row}")


def _show_convergence(found: JsonObject) -> None:
    score, course = found["score"], found["convergence"]
    if not course["improvements"]:
        return
    last = course["improvements"][-1]
    n = len(course["improvements"])
    show_facts(
        {
            "\ncourse": f"{curve(course['best_so_far'], 2 * _CURVE)} best so far",
            "improved": f"{n:,} times, last by trial {last['index']:,} to {_value(score, last['score'])}; "
            f"{course['n_since']:,} trials since",
        }
    )


def _show_next(found: JsonObject) -> None:
    advice = found["recommendation"]
    narrow = advice["narrow"]
    typer.echo("")
    if narrow is None:
        typer.echo(
            fill_text(
                "No trial is eligible, so there is no best one to say more of. Another search, with looser constraints "
                f"or wider ranges, counts too. {COST_OF_SEARCHING_ON}"
            )
        )
        return
    ranges = {name: range_text(given) for name, given in narrow["param_ranges"].items()}
    searched = [f"{name} {ranges[name]}" for name, given in narrow["param_ranges"].items() if _is_range(given)]
    show_facts(
        {
            "good": f"{', '.join(searched) or 'one point'}: {narrow['size']:,} of {narrow['size_before']:,} points, "
            f"where the {narrow['n_good']:,} best trials are",
            "fixed": "; ".join(f"{name} {ranges[name]}, {_FIXED[why]}" for name, why in narrow["fixed"].items())
            or None,
            "wider": "; ".join(f"the best {edge['parameter']} is at the {edge['end']} end" for edge in narrow["edges"])
            or None,
        }
    )
    if advice.get("cost"):  # a daemon of an earlier version does not say
        typer.echo("\n" + fill_text(advice["cost"]))
    typer.echo(f"\n{command_of(advice['request'])}")


def _compared(score: str, of: JsonObject) -> str:
    if of["best_difference"] is None:
        return "There is nothing to compare: one of them has no trial that may be the best."
    said = [f"B's best {score} less A's is {_value(score, of['best_difference'])}."]
    if of["superiority"] is not None:
        said.append(f"A trial of B is better than one of A in {of['superiority']:.0%} of all pairs.")
    if of["n_common"]:
        said.append(
            f"{of['n_common']:,} points were tried in both: {of['n_better']:,} are better in B, {of['n_worse']:,} are "
            f"worse; B's less A's is {_value(score, of['mean_difference'])} on average."
        )
    elif of["n_common"] == 0:
        said.append("No point was tried in both.")
    else:
        said.append("Their parameters differ.")
    return " ".join(said)


def _is_range(given: Any) -> bool:
    return isinstance(given, dict | list)


def _positions(axis: JsonObject) -> list[str]:
    """What stands for each position: its value, or the beginning of its bin, of the last one its end."""
    if axis["edges"] is None:
        return [number(value, 4) for value in axis["values"]]
    edges = axis["edges"]
    return [number(edge, 4) for edge in (*edges[:-2], edges[-1])]


def _value(score: str, value: float | None) -> str:
    return metric(score, value) if score.isidentifier() or value is None else f"{value:.4g}"


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.0%}"


def _signed(value: float | None) -> str:
    return "-" if value is None else f"{value:+.2f}"
