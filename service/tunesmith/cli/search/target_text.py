"""What people write for the aim of a search: `--target`, `--constraint`, `--option`, `--stop`, and stages in a file."""

from __future__ import annotations

import difflib
import json
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from tunesmith.cli.range_text import ranges_of, scalar
from tunesmith.domain.metrics import METRICS, TARGET_ALIASES
from tunesmith.domain.records import JsonObject
from tunesmith.errors import Invalid

Target = Annotated[
    list[str] | None,
    typer.Option(
        help="Metric, expression over metrics, weights as JSON, or freqtrade:Loss; repeat it for a Pareto front.  "
        "[default: sharpe]",
        metavar="TARGET",
    ),
]
Constraint = Annotated[
    list[str] | None,
    typer.Option(help='What a trial must keep, such as "n_trades >= 30"; repeat it.', metavar="TEXT"),
]
Condition = Annotated[
    list[str] | None,
    typer.Option(help='Between parameters, such as "fast_period < slow_period"; repeat it.', metavar="TEXT"),
]
Option = Annotated[
    list[str] | None,
    typer.Option(
        help="Of the method, such as population=50, every=10 or acquisition=ei; repeat it.", metavar="NAME=VALUE"
    ),
]
Stop = Annotated[
    list[str] | None,
    typer.Option(
        help="End early: patience=3 (batches), target=2.5, time_budget_s=60; batch=500 trials; repeat it.",
        metavar="NAME=VALUE",
    ),
]


def parse_targets(texts: Sequence[str]) -> Any:
    """`optimization_target`: one target, or a list of them; None where there is none. Raises `typer.BadParameter`."""
    targets = [_target(text) for text in texts]
    return targets[0] if len(targets) == 1 else targets or None


def parse_settings(texts: Sequence[str], option: str, example: str, known: Sequence[str]) -> JsonObject:
    """NAME=VALUE, each once and of the `known` names; raises `typer.BadParameter`."""
    found: JsonObject = {}
    for text in texts:
        name, equals, value = (part.strip() for part in text.partition("="))
        if not (name and equals and value):
            raise typer.BadParameter(f"{option} {text!r} is not NAME=VALUE, such as {example}")
        if name not in known:
            raise typer.BadParameter(f"{option} {name}: {unknown(name, known)}")
        if name in found:
            raise typer.BadParameter(f"{option} {name} is there twice")
        found[name] = scalar(value)
    return found


def read_stages(file: Path) -> list[JsonObject]:
    """`stages` of the method staged, from TOML (`[[stages]]`) or JSON (a list); ranges as objects or as text."""
    found = read_table(file)
    stages = found.get("stages") if isinstance(found, dict) else found
    if not isinstance(stages, list) or not all(isinstance(stage, dict) for stage in stages):
        raise Invalid(f'{file}: it has no stages; a stage is [[stages]] with name = "…" and a table params')
    return [_with_ranges(stage) for stage in stages]


def read_table(file: Path) -> Any:
    """What a TOML or JSON file says; raises `Invalid` with the reason."""
    try:
        text = file.read_text("utf-8-sig")
        return json.loads(text) if file.suffix == ".json" else tomllib.loads(text)
    except (OSError, UnicodeDecodeError) as error:
        raise Invalid(f"cannot read {file}: {getattr(error, 'strerror', None) or 'it is not UTF-8 text'}") from None
    except ValueError as error:
        raise Invalid(f"{file}: {error}") from None


def unknown(name: str, known: Sequence[str]) -> str:
    """What to say of a name that is not there."""
    close = difflib.get_close_matches(name, known, 1)
    return (
        f"there is no such name; did you mean {close[0]}?" if close else f"no such name; there are {', '.join(known)}"
    )


def names_of(target: Any) -> list[str]:
    """What each target of a search is called; a metric by its own name."""
    if isinstance(target, list):
        return [name for each in target for name in names_of(each)]
    if isinstance(target, dict):
        return [" + ".join(f"{weight:g} {name}" for name, weight in target.items())]
    return [TARGET_ALIASES.get(target, target)]


def is_metric(name: str) -> bool:
    """Whether a target's name is that of a metric, which every trial shows."""
    return name in METRICS


def is_minimized(target: Any) -> bool:
    """Whether less is better of a target's values, or of a metric's."""
    name = names_of(target)[0]
    return METRICS[name].direction == "minimize" if name in METRICS else name.startswith(("freqtrade:", "guarded:"))


def _target(text: str) -> Any:
    if not text.lstrip().startswith("{"):
        return text
    try:
        return json.loads(text)
    except ValueError:
        example = """'{"sharpe": 0.5, "max_drawdown": -0.2}'"""
        raise typer.BadParameter(f"--target {text} is not JSON; weights look like {example}") from None


def _with_ranges(stage: JsonObject) -> JsonObject:
    params = stage.get("params")
    return {**stage, "params": ranges_of(params)} if isinstance(params, dict) else stage
