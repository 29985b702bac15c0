"""The commands of `tunesmith`, by name: which module has each."""

from __future__ import annotations

import io
import sys
from typing import Annotated, Any

import typer
from typer.main import get_command

from tunesmith import __version__
from tunesmith.cli import INTERRUPTED, fit
from tunesmith.cli.lazy_commands import LateGroup, Row, load

_CLI = "tunesmith.cli"
_RUN, _MARKET, _WORK, _OUT = "Run", "Market data and strategies", "Work", "Packages"
_ACCESS, _ABOUT = "Access", "Look inside"

MENU = Row("menu", "Be led from candles to a verdict, by numbered choices.", f"{_CLI}.guide.menu", _RUN)
"""Also what `tunesmith` alone is at a terminal."""

ROWS = (
    MENU,
    Row("demo", "See the whole job on real candles, in a minute.", f"{_CLI}.demo.demo_command", _RUN),
    Row("serve", "Run the daemon until Ctrl-C or SIGTERM.", f"{_CLI}.daemon.serve_command", _RUN),
    Row(
        "data",
        "Import, download, list, show and remove market data.",
        section=_MARKET,
        rows=(
            Row("import", "Check candles in files and store them.", f"{_CLI}.data.import_command"),
            Row("list", "List what is stored.", f"{_CLI}.data.data_commands"),
            Row("show", "Show one market: its gaps, its hold-out, what uses it.", f"{_CLI}.data.data_commands"),
            Row("remove", "Remove candles; what was counted on them stays.", f"{_CLI}.data.data_commands"),
            Row("download", "Download candles from an exchange.", f"{_CLI}.data.download_command"),
        ),
    ),
    Row(
        "strategies",
        "List, show and add strategies.",
        section=_MARKET,
        rows=(
            Row("list", "List the strategies.", f"{_CLI}.search.strategy_commands"),
            Row("show", "Show a strategy's parameters and rules.", f"{_CLI}.search.strategy_commands"),
            Row("add", "Add a strategy from a file in the rule language.", f"{_CLI}.search.strategy_commands"),
        ),
    ),
    Row("backtest", "Run a strategy with one set of parameters.", f"{_CLI}.search.backtest_command", _WORK),
    Row("optimize", "Search a strategy's parameters.", f"{_CLI}.search.search_commands", _WORK),
    Row("resume", "Go on with a search that was cancelled or failed.", f"{_CLI}.search.search_commands", _WORK),
    Row(
        "session",
        "Many searches as one: generate, execute, watch, rank.",
        section=_WORK,
        rows=(
            Row(
                "plan",
                "Size, time, memory and disk of a session, without running it.",
                f"{_CLI}.search.session_commands",
            ),
            Row("generate", "Store a session; execute runs it.", f"{_CLI}.search.session_commands"),
            Row("execute", "Run what is not done of a session.", f"{_CLI}.search.session_commands"),
            Row("status", "Show a session, the newest without an id.", f"{_CLI}.search.session_tables"),
            Row("results", "Rank the trials of all its searches together.", f"{_CLI}.search.session_tables"),
            Row("list", "List the sessions, newest first.", f"{_CLI}.search.session_tables"),
            Row("cancel", "Stop a session; what is done is kept.", f"{_CLI}.search.session_tables"),
            Row("clean", "Delete a session and its trials, or old ones.", f"{_CLI}.search.session_tables"),
        ),
    ),
    Row("status", "Show one task, or the newest ones.", f"{_CLI}.search.task_commands", _WORK),
    Row("logs", "Show a task's log lines.", f"{_CLI}.search.task_commands", _WORK),
    Row("cancel", "Cancel a task; what is done is kept.", f"{_CLI}.search.task_commands", _WORK),
    Row("results", "Show what a search or a backtest found.", f"{_CLI}.search.result_tables", _WORK),
    Row(
        "analyze",
        "Show what mattered in a search, and where to search next.",
        f"{_CLI}.search.analysis_commands",
        _WORK,
    ),
    Row("compare", "Show two searches side by side.", f"{_CLI}.search.analysis_commands", _WORK),
    Row("export", "Write all trials of a search to a file.", f"{_CLI}.search.analysis_commands", _WORK),
    Row("approve", "Ask for the verdict on a search or a backtest.", f"{_CLI}.decide.verdict_commands", _WORK),
    Row(
        "schedules",
        "Search again and again, each time on to a verdict.",
        section=_WORK,
        rows=(
            Row("list", "List the schedules and their last runs.", f"{_CLI}.search.schedule_commands"),
            Row("show", "Show a schedule.", f"{_CLI}.search.schedule_commands"),
            Row("add", "Make a search again by interval or cron expression.", f"{_CLI}.search.schedule_commands"),
            Row("delete", "Delete a schedule; searches that it began go on.", f"{_CLI}.search.schedule_commands"),
        ),
    ),
    Row(
        "packages",
        "List, show, roll back and revoke parameter packages.",
        section=_OUT,
        rows=(
            Row("list", "List packages, newest first.", f"{_CLI}.decide.package_commands"),
            Row("show", "Show a package.", f"{_CLI}.decide.package_commands"),
            Row("rollback", "Go back to the package before.", f"{_CLI}.decide.package_commands"),
            Row("revoke", "Take a package out of force, for every bot at once.", f"{_CLI}.decide.package_commands"),
        ),
    ),
    Row("explain", "Tell how a verdict came about, and what could help.", f"{_CLI}.decide.explain_commands", _OUT),
    Row("replay", "Make a verdict again and compare every value.", f"{_CLI}.decide.explain_commands", _OUT),
    Row("listen", "Print what happens to a market's packages.", f"{_CLI}.search.listen", _OUT),
    Row(
        "keys",
        "Make, list and revoke the keys of bots and operators.",
        section=_ACCESS,
        rows=(
            Row(
                "init", "Make the daemon's key; doors ask for keys from its next start.", f"{_CLI}.access.key_commands"
            ),
            Row("new", "Make a key for a bot or an operator.", f"{_CLI}.access.key_commands"),
            Row("list", "List the keys.", f"{_CLI}.access.key_commands"),
            Row("revoke", "Shut a key out, within a second.", f"{_CLI}.access.key_commands"),
            Row("token", "Make or revoke a bearer token for HTTP.", f"{_CLI}.access.token_commands"),
            Row("tokens", "List the bearer tokens.", f"{_CLI}.access.token_commands"),
            Row(
                "signing",
                "Make, list and retire the keys that sign packages.",
                rows=(
                    Row("new", "Make a key that signs from now on.", f"{_CLI}.access.signing_key_commands"),
                    Row("list", "List the signing keys.", f"{_CLI}.access.signing_key_commands"),
                    Row("retire", "Have a key vouch for nothing any more.", f"{_CLI}.access.signing_key_commands"),
                ),
            ),
        ),
    ),
    Row("audit", "Show who asked, who approved, who revoked.", f"{_CLI}.access.audit_command", _ACCESS),
    Row(
        "backup",
        "Make a backup of the database now, or list those there are.",
        f"{_CLI}.daemon.backup_commands",
        _ABOUT,
    ),
    Row(
        "restore",
        "Put a backup in the database's place; the daemon is stopped.",
        f"{_CLI}.daemon.backup_commands",
        _ABOUT,
    ),
    Row("doctor", "Check this installation and say what to do.", f"{_CLI}.daemon.doctor", _ABOUT),
    Row(
        "config",
        "Show the settings.",
        section=_ABOUT,
        rows=(Row("show", "Show every setting and where it comes from.", f"{_CLI}.daemon.config_commands"),),
    ),
    Row("schema", "Print the messages' JSON Schemas, or AsyncAPI.", f"{_CLI}.daemon.schema_command", _ABOUT),
)
"""Every command. A new one is a row here and a Typer command in its module."""

_EPILOG = """Exit codes:
  0  done
  1  refused or failed
  2  wrong usage or settings
  3  the daemon cannot be reached or does not answer
  4  the verdict is not an approval
  5  serve: the database is damaged, gone, or a newer program's
  130  stopped by Ctrl-C; tasks go on"""

_REFUSAL: Any = typer.BadParameter.__mro__[2]  # the root of what is wrong with a call; it has no public name

app = typer.Typer(cls=LateGroup, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.callback(
    help="Tune trading-strategy parameters, prove them, and deliver those that pass to bots.",
    epilog=_EPILOG,
    invoke_without_command=True,
)
def _alone(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and stop.", is_eager=True)] = False,
) -> None:
    if version:
        typer.echo(__version__)
    elif context.invoked_subcommand is None and sys.stdin.isatty() and sys.stdout.isatty():
        raise typer.Exit(load(MENU).main([], standalone_mode=False) or 0)
    elif context.invoked_subcommand is None:
        typer.echo(context.get_help())


def tunesmith() -> Any:
    """The command `tunesmith`."""
    command = get_command(app)
    if isinstance(command, LateGroup):
        command.add_rows(ROWS)
    return command


def run() -> int:
    """Run the command that the process was called with; the exit code. Wrong usage is said within the width."""
    try:
        code = tunesmith()(standalone_mode=False)
    except _REFUSAL as error:
        text = io.StringIO()
        error.show(file=text)
        typer.echo("\n".join(fit(text.getvalue())), err=True)
        return int(error.exit_code)
    except typer.Abort:
        return INTERRUPTED
    return code if isinstance(code, int) else 0
