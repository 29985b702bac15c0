"""How values look: tables of at most the terminal's width, numbers and times in few characters."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tunesmith.cli import fit
from tunesmith.domain.metrics import METRICS
from tunesmith.plain_text import escape

_PERCENT = {name for name, metric in METRICS.items() if "fraction" in metric.unit}
_COUNTS = {"n_trades", "longest_drawdown", "bars", "in_sample_bars", "holdout_bars", "replay"}
_LABEL_WIDTH = 14


def make_console(*, errors: bool = False) -> Console:
    """A console without colours of its own making; `errors` writes to standard error."""
    return Console(highlight=False, stderr=errors, soft_wrap=False)


def show_table(columns: Sequence[str], rows: Sequence[Sequence[Any]], *, right: Sequence[str] = ()) -> None:
    """Print a table without lines; columns named in `right` are aligned there, long cells are wrapped."""
    named = any(map(str.strip, columns))
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold", show_header=named)
    for name in columns:
        longest = max(map(len, name.split()), default=0)
        table.add_column(name, justify="right" if name in right else "left", overflow="fold", min_width=longest)
    for row in rows:
        table.add_row(*(Text("-" if cell is None else escape(str(cell))) for cell in row))
    make_console().print(table)


def show_facts(facts: Mapping[str, Any]) -> None:
    """Print labelled statements, each wrapped under itself; None is left out."""
    console = make_console()
    width = max((len(label) + 2 for label, value in facts.items() if value is not None), default=_LABEL_WIDTH)
    for label, value in facts.items():
        if value is not None:
            for i, line in enumerate(
                Text(escape(str(value), multiline=True)).wrap(console, max(20, console.width - width))
            ):
                console.print(f"{label if i == 0 else '':<{width}}", line, sep="", markup=False)


def bars_text(used: Mapping[str, Any] | None) -> str | None:
    """What bars a result was made with, in a line; None of bars around the clock of which none is missing."""
    if used is None:
        return None
    said = [f"{used['missing']:.2%} missing"] if used["missing"] else []
    said += [f"{used['partial']:.1%} partial"] if used["partial"] else []
    for longer in used["longer"]:
        if longer["partial"] or longer["stale"]:
            said.append(
                f"{longer['timeframe']}: {longer['partial']:.1%} partial, {longer['stale']:.1%} of the time stale"
            )
    return None if not said and used["calendar"] == "24/7" else ", ".join([f"calendar {used['calendar']}", *said])


def show_text(text: str) -> None:
    """Print paragraphs, each filled anew to the width."""
    width = make_console().width
    paragraphs = [" ".join(paragraph.split()) for paragraph in text.strip().split("\n\n")]
    print("\n\n".join(textwrap.fill(paragraph, width) for paragraph in paragraphs))


def remark(text: str) -> None:
    """Print what is not the command's result, on standard error, its lines broken to the terminal's width."""
    print("\n".join(fit(escape(text, multiline=True))), file=sys.stderr)


def fill_text(text: str, start: str = "", indent: str = "") -> str:
    """A paragraph filled to the width: `start` before its first line, `indent` before the others."""
    return textwrap.fill(
        escape(text, multiline=True),
        make_console().width,
        initial_indent=start,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
        replace_whitespace=False,
        drop_whitespace=True,
    )


def metric(name: str, value: float | None) -> str:
    """A metric as people write it."""
    if value is None:
        return "-"
    if name in _COUNTS:
        return f"{value:,.0f}"
    return f"{value:.1%}" if name in _PERCENT else f"{value:.2f}"


def number(value: Any, digits: int = 6) -> str:
    """A parameter's value, without digits that say nothing."""
    return f"{value:.{digits}g}" if isinstance(value, float) else str(value)


def params(values: Mapping[str, Any]) -> str:
    """Parameters in one line."""
    return ", ".join(f"{name} {number(value)}" for name, value in values.items()) or "none"


def moment(time: str | None) -> str | None:
    """A time of the wire to the second, UTC."""
    return None if time is None else time[:19].replace("T", " ")


def size(megabytes: float) -> str:
    """Megabytes as people say them."""
    if megabytes < 1:
        return "1 MB"
    return f"{megabytes:,.0f} MB" if megabytes < 10_000 else f"{megabytes / 1024:,.1f} GB"


def duration(seconds: float) -> str:
    """Seconds as people say them."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < 90 else f"{minutes / 60:.1f} h"
