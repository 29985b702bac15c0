"""Questions to a person at a terminal: numbered choices and values, each of which can go back or quit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import typer

from tunesmith.cli.tables import fill_text
from tunesmith.errors import TunesmithError

T = TypeVar("T")


class Back(Exception):
    """One step back was asked for."""


class Quit(Exception):
    """The end was asked for."""


def choose(question: str, options: Sequence[str], *, default: int = 1) -> int:
    """The index of the chosen one of `options`; Enter takes number `default`."""
    _list(question, options)
    return ask("Number", str(default), lambda text: _number(text, len(options)))


def choose_some(question: str, options: Sequence[str]) -> list[int]:
    """The indices of those that were chosen, in their order: numbers with commas, or all. Enter takes the first."""
    _list(question, options)

    def parse(text: str) -> list[int]:
        if text == "all":
            return list(range(len(options)))
        return sorted({_number(part.strip(), len(options)) for part in text.split(",")})

    return ask("Number, several as 1,2, or all" if len(options) > 1 else "Number", "1", parse)


def ask(question: str, default: str, parse: Callable[[str], T]) -> T:
    """What `parse` makes of the answer; asked again, with the reason, while it refuses. Raises `Back` and `Quit`."""
    while True:
        text = _read(f"{question} [{default}], b back, q quit: " if default else f"{question}, b back, q quit: ")
        if text.lower() in ("q", "quit", "exit"):
            raise Quit
        if text.lower() in ("b", "back"):
            raise Back
        try:
            return parse(text or default)
        except (typer.BadParameter, TunesmithError) as error:
            say(str(getattr(error, "message", error)))


def say(text: str) -> None:
    """Print a statement, its lines filled to the width."""
    for line in text.splitlines():
        typer.echo(fill_text(line))


def _list(question: str, options: Sequence[str]) -> None:
    typer.echo("")
    say(question)
    width = len(str(len(options)))
    for number, option in enumerate(options, 1):
        start = f"  {number:>{width}}  "
        typer.echo(fill_text(option, start, " " * len(start)))


def _number(text: str, most: int) -> int:
    """The index that a number of a list means."""
    if not text.isdecimal() or not 1 <= int(text) <= most:
        raise typer.BadParameter(f"{text!r} is none of the numbers 1 to {most}" if most > 1 else f"{text!r} is not 1")
    return int(text) - 1


def _read(prompt: str) -> str:
    try:
        return input(prompt).strip()
    except EOFError:
        typer.echo("")
        raise Quit from None
