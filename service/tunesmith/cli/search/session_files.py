"""A session as people write it: options of the command line over a file with the fields of the request."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import typer

from tunesmith.cli.range_text import WHAT_IS_A_RANGE, parse_range, ranges_of
from tunesmith.cli.search.target_text import read_table, unknown
from tunesmith.domain.records import JsonObject
from tunesmith.errors import Invalid
from tunesmith.protocol.messages.sessions import GenerateSession

_EXAMPLE = "-r fast_period=5:60, or with several strategies -r ma_cross_v1.0.fast_period=5:60"


def read_session(file: Path) -> JsonObject:
    """The fields of `session.generate` from TOML or JSON; ranges as objects, or as text like on the command line."""
    found = read_table(file)
    if not isinstance(found, dict):
        raise Invalid(f"{file}: it must hold the fields of a session, such as symbols and strategies")
    for name in found:
        if name not in GenerateSession.__struct_fields__:
            raise Invalid(f"{file}: {name}: {unknown(name, GenerateSession.__struct_fields__)}")
    tables = found.get("param_ranges", {})
    if not isinstance(tables, dict) or not all(isinstance(table, dict) for table in tables.values()):
        raise Invalid(f"{file}: param_ranges holds one table for each strategy, such as [param_ranges.rsi_reversion]")
    return {**found, "param_ranges": {name: ranges_of(table) for name, table in tables.items()}}


def session_request(file: Path | None, given: JsonObject, ranges: Sequence[str]) -> JsonObject:
    """The request: what the file says, over it the options that were given, over its ranges those of the options."""
    data = read_session(file) if file is not None else {}
    data |= {name: value for name, value in given.items() if value not in (None, [])}
    for field, option in (("symbols", "--symbol BTC/USDT"), ("strategies", "--strategy ma_cross_v1.0")):
        if not data.get(field):
            raise typer.BadParameter(f"a session needs {option}, or a file that names {field}")
    tables = {name: dict(table) for name, table in data.get("param_ranges", {}).items() if name in data["strategies"]}
    for text in ranges:
        strategy, name, value = _named_range(text, data["strategies"])
        tables.setdefault(strategy, {})[name] = parse_range(name, value)
    return {**data, "param_ranges": tables}


def words(given: Sequence[str] | None) -> list[str]:
    """An option that may be repeated, or hold several with commas."""
    return [part.strip() for text in given or () for part in text.split(",") if part.strip()]


def _named_range(text: str, strategies: list[str]) -> tuple[str, str, str]:
    left, equals, value = (part.strip() for part in text.partition("="))
    if not (left and equals and value):
        raise typer.BadParameter(f"{text!r} is not NAME=RANGE, such as {_EXAMPLE}\n{WHAT_IS_A_RANGE}")
    strategy, dot, name = left.rpartition(".")
    if not dot:
        if len(strategies) > 1:
            raise typer.BadParameter(f"{text!r}: name the strategy, as in -r {strategies[0]}.{left}={value}")
        strategy = strategies[0]
    elif strategy not in strategies:
        raise typer.BadParameter(f"{text!r}: {strategy} is not among the strategies {', '.join(strategies)}")
    return strategy, name, value
