"""The tree of commands: each loads, says in the list what it says itself, and needs no more than it must."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from cli.command import COMMAND, WIDTH, environment, run
from reference.slowness import is_quick
from tunesmith.cli.commands import ROWS, app
from tunesmith.cli.lazy_commands import LateGroup, Row, commands, load

ALL = list(commands(ROWS))
WITHOUT_DAEMON_PACKAGES = [row for name, row in ALL if name[0] not in ("demo", "data")]
HEAVY = ("numpy", "pandas", "numba", "pyarrow", "vectorbt", "scipy", "aiosqlite", "structlog", "fastapi", "redis")

BLOCKED = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {heavy}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Absent())
sys.argv[0] = "tunesmith"
from tunesmith.cli import main
main()
"""


def without_the_daemons_packages(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The command where only the bots' install (with the extra cli) is there."""
    code = BLOCKED.format(heavy=set(HEAVY))
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=environment(),
    )


@pytest.mark.parametrize(("name", "row"), ALL, ids=[" ".join(name) for name, _ in ALL])
def test_every_command_loads_and_explains_itself(name: tuple[str, ...], row: Row) -> None:
    command = load(row)
    assert command.name == row.name
    text = " ".join((command.help or "").split())
    assert text.endswith((".", "`"))
    assert len(row.help) <= WIDTH - 16
    for parameter in command.params:
        assert getattr(parameter, "help", None), f"{' '.join(name)}: {parameter.name} has no help"


@pytest.mark.parametrize("row", [row for _, row in ALL], ids=[" ".join(name) for name, _ in ALL])
def test_help_fits_eighty_columns(row: Row) -> None:
    shown = load(row).make_context("tunesmith", [], resilient_parsing=True, terminal_width=WIDTH).get_help()
    assert "--help" in shown
    assert [line for line in shown.splitlines() if len(line) > WIDTH] == []


def test_alone_it_shows_its_help() -> None:
    alone = run()
    assert (alone.returncode, alone.stderr) == (0, "")
    assert alone.stdout == run("--help").stdout
    for code in ("0  done", "1  refused", "2  wrong usage", "3  the daemon", "4  the verdict", "130  stopped"):
        assert code in alone.stdout
    for row in ROWS:
        assert f"\n  {row.name} " in alone.stdout


def test_a_group_alone_shows_its_commands() -> None:
    shown = run("data")
    for name in ("import", "list"):
        assert f"\n  {name} " in shown.stdout + shown.stderr


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("tunesmith", "opt"), {"optimize"}),
        (("tunesmith", "packages", "re"), {"revoke"}),
        (("tunesmith", "data", "import", "--sym"), {"--symbol"}),
        (("tunesmith", "optimize", "--min-s"), {"--min-sharpe"}),
    ],
)
def test_the_shell_completes_commands_and_options(words: tuple[str, ...], expected: set[str]) -> None:
    done = run(_TUNESMITH_COMPLETE="complete_bash", COMP_WORDS=" ".join(words), COMP_CWORD=str(len(words) - 1))
    assert set(done.stdout.split()) == expected


def test_the_bots_install_can_show_every_command_that_talks_to_a_daemon() -> None:
    modules = sorted({row.module for row in WITHOUT_DAEMON_PACKAGES})
    assert len(modules) >= 9
    code = f"import sys, importlib\nfor m in {modules}: importlib.import_module(m)\n"
    code += f"print([m for m in {HEAVY} if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_the_bots_install_talks_to_a_daemon(folder: Path) -> None:
    for arguments in (("strategies", "list"), ("status",), ("packages", "list"), ("backtest", "PLANTED/USDT", "macd")):
        done = without_the_daemons_packages(*arguments, "--data-dir", str(folder))
        assert (done.returncode, done.stderr) == (0, ""), arguments
    assert '"ping"' in without_the_daemons_packages("schema", "ping").stdout


@pytest.mark.parametrize("arguments", [("serve",), ("demo",), ("data", "list")])
def test_where_the_daemons_packages_are_missing_it_says_how_to_get_them(arguments: tuple[str, ...]) -> None:
    done = without_the_daemons_packages(*arguments)
    assert done.returncode == 1
    assert "pip install 'tunesmith[service]'" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("command", "limit_s"),
    [([sys.executable, "-c", "import tunesmith"], 0.3), ([*COMMAND, "--help"], 0.5)],
)
def test_start_is_quick(command: list[str], limit_s: float) -> None:
    """In processor seconds, one of five times, so that a busy machine does not matter."""

    def spent() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, capture_output=True, check=True, env=environment())
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime

    assert is_quick(spent, limit_s)


def test_the_group_is_ours() -> None:
    assert app.info.cls is LateGroup
