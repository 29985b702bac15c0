"""`tunesmith listen`: what a bot hears."""

from __future__ import annotations

import difflib
import sys
from enum import Enum
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from tunesmith.cli import FAILED, fit
from tunesmith.cli.daemon_connection import Line, talks
from tunesmith.cli.lazy_commands import new_app
from tunesmith.cli.tables import moment, params, show_facts
from tunesmith.client import PackageEvent
from tunesmith.plain_text import escape, escape_all, escape_json
from tunesmith.protocol.grades import GRADES, accepted_grades

app = new_app()

_SHORT_ID = 12


GradeName = Enum("GradeName", {grade.upper(): grade for grade in GRADES})  # type: ignore[misc]
"""A package's grade, as an option takes it."""


@app.command()
@talks
def listen(
    line: Line,
    symbol: Annotated[str, typer.Argument(help="Market, such as BTC/USDT.", metavar="SYMBOL")],
    timeframe: Annotated[str | None, typer.Option(help="Of this timeframe alone.", metavar="T")] = None,
    strategy: Annotated[str | None, typer.Option(help="Of this strategy alone.", metavar="STRATEGY")] = None,
    grade: Annotated[
        GradeName | None,
        typer.Option(
            help="The lowest grade shown: criteria, tested or proven.  [default: every grade]", metavar="GRADE"
        ),
    ] = None,
    trusted: Annotated[
        Path | None, typer.Option(help="Public keys, one of which must have signed what is heeded.", metavar="FILE")
    ] = None,
    count: Annotated[int | None, typer.Option(help="End after so many events.", min=1, metavar="N")] = None,
    timeout: Annotated[float | None, typer.Option(help="End after a silence of so many seconds.", metavar="S")] = None,
) -> None:
    """Print what happens to a market's packages: those in force at once, then each change, until Ctrl-C.

    Every grade is shown, from criteria on, unless --grade names the lowest; a bot has to say which it takes. What a
    bot would refuse is shown with the reason, and not counted. With --json one object a line. The exit code is 1 when
    --timeout ends it before --count events came.
    """
    line.trusted = trusted
    if strategy is not None and timeframe is None:
        raise typer.BadParameter("--strategy needs --timeframe")
    _warn_of_a_name_unknown(line, symbol)
    heard, grades = 0, accepted_grades(GRADES if grade is None else [grade.value])
    if not line.as_json:
        said = f"Listening at {line.events} for the grades {', '.join(grades)}; Ctrl-C ends it."
        typer.echo("\n".join(fit(said)), err=True)
    stream = line.client.package_events(symbol, timeframe, strategy, grades=grades, timeout_s=timeout, refusals=True)
    for event in stream:
        _show(event, line.as_json)
        heard += event.kind != "refused"
        if heard == count:
            return
    if count is not None or heard == 0:
        typer.echo(f"Nothing more came for {timeout:g} s; {heard} events.", err=True)
        raise typer.Exit(FAILED)


def _warn_of_a_name_unknown(line: Line, symbol: str) -> None:
    """Packages of a market may come before its data; a wrong name is likelier."""
    known = sorted({data["symbol"] for data in line.ask("data.list")["data"]})
    if symbol not in known:
        near = difflib.get_close_matches(symbol, known, 3, 0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else "`tunesmith data list` shows what is there."
        typer.echo("\n".join(fit(f"There is no market data for {symbol!r}; {hint}")), err=True)


def _show(event: PackageEvent, as_json: bool) -> None:
    if as_json:
        typer.echo(escape_json(msgspec.json.encode(event).decode()))
    elif event.package is not None:
        package = escape_all(event.package)
        show_facts(
            {
                f"{event.kind}": f"{package['package_id'][:_SHORT_ID]} for {package['symbol']} {package['timeframe']}, "
                f"{package['strategy_id']}, at {moment(event.time)}",
                "params": params(package["params"]),
                "grade": f"{package['grade']}, valid until {package['valid_until'][:10]}",
            }
        )
    elif event.kind == "refused":
        what = f"{event.package_id[:_SHORT_ID]} on {escape(event.topic)}, at {moment(event.time)}: {event.reason}"
        show_facts({"refused": what})
    else:
        what = "suspended" if event.suspended else event.kind
        typer.echo(f"{what}: {event.package_id[:_SHORT_ID]}, {event.reason}, at {moment(event.time)}")
    sys.stdout.flush()
