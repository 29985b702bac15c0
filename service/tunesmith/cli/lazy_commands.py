"""Commands that load when they are used, so that help and the bots' install do not pay for the others' packages."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_group


class Row(NamedTuple):
    """One command: `module` holds a Typer named `app` that has it. With `rows` it is a group of commands."""

    name: str
    help: str
    module: str = ""
    section: str = "Commands"
    rows: tuple[Row, ...] = ()


def new_app() -> typer.Typer:
    """A Typer for the commands of one module; help is plain text."""
    return typer.Typer(rich_markup_mode=None, add_completion=False, pretty_exceptions_enable=False)


class LateGroup(TyperGroup):
    """A group that knows its commands' names and one-line helps, and imports a command's module to run it."""

    rows: dict[str, Row] = {}

    def add_rows(self, rows: Iterable[Row]) -> None:
        """Have these commands, in this order."""
        self.rows = {row.name: row for row in rows}
        for row in self.rows.values():
            self.add_command(_stub(row), row.name)

    def list_commands(self, ctx: Any) -> list[str]:
        """The names, in the order of the rows."""
        return list(self.rows)

    def resolve_command(self, ctx: Any, args: Any) -> Any:
        """The real command behind a name; a name that is wrong is refused with the nearest right one."""
        name, command, rest = super().resolve_command(ctx, args)
        row = self.rows.get(name or "")
        return name, load(row) if row is not None and row.module else command, rest

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """The list of commands, in sections."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for row in self.rows.values():
            sections.setdefault(row.section, []).append((row.name, row.help))
        for section, lines in sections.items():
            with formatter.section(section):
                formatter.write_dl(lines, col_spacing=2)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """The epilog as it was written, line by line."""
        if self.epilog:
            formatter.write(f"\n{self.epilog}\n")


def load(row: Row) -> Any:
    """The command of a row, from its module."""
    return get_group(importlib.import_module(row.module).app).commands[row.name]


def _stub(row: Row) -> Any:
    if not row.rows:
        return TyperCommand(row.name, help=row.help, short_help=row.help, rich_markup_mode=None)
    group = LateGroup(name=row.name, help=row.help, short_help=row.help, no_args_is_help=True, rich_markup_mode=None)
    group.add_rows(row.rows)
    return group


def commands(rows: Sequence[Row], before: tuple[str, ...] = ()) -> Iterable[tuple[tuple[str, ...], Row]]:
    """Every command below `rows` with its full name, groups left out."""
    for row in rows:
        name = (*before, row.name)
        if row.rows:
            yield from commands(row.rows, name)
        else:
            yield name, row
