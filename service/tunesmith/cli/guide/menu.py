"""`tunesmith` at a terminal: a newcomer's way from candles to a verdict, by numbered choices."""

from __future__ import annotations

import os
from importlib import resources
from pathlib import Path
from typing import Any

import typer

from tunesmith.cli.daemon.background import can_serve, start_daemon
from tunesmith.cli.daemon_connection import (
    Config,
    DataDir,
    Events,
    Line,
    Requests,
    open_line,
    running_doors,
    settings_in_force,
)
from tunesmith.cli.guide.menu_steps import STEPS, Wanted, step_of
from tunesmith.cli.guide.menu_tasks import conclude, look
from tunesmith.cli.guide.prompting import Back, Quit, ask, choose, say
from tunesmith.cli.lazy_commands import Row, load, new_app
from tunesmith.cli.search.search_commands import say_started
from tunesmith.cli.watching import follow
from tunesmith.domain.market.layouts.file_names import Named, named_market
from tunesmith.errors import DeadlineExceeded, Invalid, TunesmithError

app = new_app()

_IMPORT = Row("import", "", "tunesmith.cli.data.import_command")


@app.command()
def menu(config: Config = None, data_dir: DataDir = None, requests: Requests = None, events: Events = None) -> None:
    """Be led from candles to a verdict by numbered choices. Every question can go back (b) or quit (q)."""
    say("Tunesmith tunes the parameters of trading strategies. Enter takes what stands in [brackets].")
    where = _Where(config, data_dir, requests, events)
    try:
        _meet(where)
        _start(where)
    except (Quit, Back):
        pass
    finally:
        where.line.close()
        if where.pid is not None:
            say(f"The daemon goes on running. Stop it with: kill {where.pid}")


class _Where:
    """Where the daemon is. `pid`: of the one that was started from here."""

    def __init__(self, config: Path | None, data_dir: Path | None, requests: str | None, events: str | None) -> None:
        self._given = (requests, events, data_dir, config, False)
        self.options = [] if config is None else [f"--config={config}"]
        self.is_named = requests is not None
        self.data_dir = settings_in_force(config, data_dir).settings.data_dir
        self.line = open_line(*self._given)
        self.pid: int | None = None

    def renew(self) -> None:
        """Look again where the daemon is."""
        self.line.close()
        self.line = open_line(*self._given)


def _meet(where: _Where) -> None:
    """Until a daemon answers."""
    while True:
        try:
            where.line.ask("ping")
            return
        except DeadlineExceeded as error:
            typer.echo("")
            reason = error.message.splitlines()[0]
            say(f"{reason[0].upper()}{reason[1:]}.")
        starts = can_serve() and not where.is_named
        options = [f"start one in the background, with its data in {where.data_dir}"] if starts else []
        chosen = choose("What shall be done?", [*options, "look again: I start it with `tunesmith serve` elsewhere"])
        if starts and chosen == 0:
            typer.echo("Starting …")
            try:
                where.pid = start_daemon(where.data_dir, where.options)
                say(f"The daemon runs as process {where.pid}; its log is {where.data_dir / 'daemon.log'}")
            except TunesmithError as error:
                say(error.message)
        where.renew()


def _start(where: _Where) -> None:
    """The first question, again and again."""
    options = ["search a strategy's parameters", "look at searches and sessions", "import candles", "quit"]
    while True:
        try:
            chosen = choose("What would you like to do?", options)
            if chosen == 3:
                return
            (_search, _look, _import)[chosen](where)
        except Back:
            continue
        except TunesmithError as error:
            if isinstance(error, DeadlineExceeded):
                raise
            say(error.message)


def _search(where: _Where) -> None:
    """From the market to the verdict."""
    line = where.line
    while not line.ask("data.list", {})["data"]:
        typer.echo("")
        say("There are no candles yet.")
        _import(where)
    wanted, at = Wanted(), 0
    while at < len(STEPS):
        try:
            STEPS[at](line, wanted)
            at += 1
        except Back:
            if at == 0:
                raise
            at -= 1
            if STEPS[at].__name__ == "choose_size" and wanted.size is None:
                at -= 1
        except Invalid as error:
            say(error.message)
            at = step_of(error)
    conclude(line, _run(line, wanted))


def _run(line: Line, wanted: Wanted) -> str:
    """Start what was chosen and follow it to its end; its id."""
    if not wanted.is_session:
        started = line.ask("optimization.start", wanted.search())
        say_started(line, started, watch=True)
        found: str = started["optimization_id"]
    else:
        found = line.ask("session.generate", wanted.session())["session_id"]
        line.ask("session.execute", {"session_id": found})
        typer.echo(found)
    say("Ctrl-C leaves it running.")
    follow(line, found)
    return found


def _look(where: _Where) -> None:
    look(where.line)


def _import(where: _Where) -> None:
    """Candles into the daemon's data directory, where that is on this machine."""
    if not can_serve() or not running_doors(where.data_dir):
        say("Import candles on the daemon's machine, with: tunesmith data import")
        raise Back
    chosen = choose("Which candles?", ["the sample: BTC/USDT 1h of 2024", "a file, or a folder of freqtrade's"])
    if chosen == 0:
        sample = resources.files("tunesmith") / "sample" / "BTC_USDT-1h.parquet"
        with resources.as_file(sample) as path:
            _store(where, path, {"--symbol": "BTC/USDT", "--timeframe": "1h", "--venue": "sample"})
        return
    file = ask("Path of a file of candles, or of a folder", "", _existing)
    if file.is_dir():
        _store(where, file, {})
        return
    named = named_market(file.name)
    said = named if isinstance(named, Named) else Named("BTC/USDT", "1h")
    symbol = ask("Symbol", said.symbol, str)
    _store(where, file, {"--symbol": symbol, "--timeframe": ask("Timeframe", said.timeframe, str)})


def _store(where: _Where, file: Path, options: dict[str, str]) -> None:
    words: list[Any] = [str(file), "--data-dir", str(where.data_dir)]
    for name, value in options.items():
        words += [name, value]
    load(_IMPORT).main(words, standalone_mode=False)


def _existing(text: str) -> Path:
    path = Path(os.path.expanduser(text))  # noqa: PTH111 - what a person types at a prompt
    if not text or not path.exists():
        raise typer.BadParameter(f"there is no file or folder {text!r}")
    return path
