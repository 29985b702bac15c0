"""The commands of the README's section "Use it", one after the other, as they stand there."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cli.command import COMMAND, environment, read, run
from journeys.daemon import wait_until
from journeys.edges import SEED
from tunesmith.app import UNFIT
from tunesmith.cli import UNREACHABLE
from tunesmith.cli.commands import ROWS
from tunesmith.cli.daemon_connection import running_doors
from tunesmith.cli.demo.planted import planted_market

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = ROOT / "service" / "tunesmith" / "sample" / "BTC_USDT-1h.parquet"
README = (ROOT / "README.md").read_text()
USE_IT = re.split(r"\n## ", README)[2]
FREE = [f"--{door}=tcp://127.0.0.1:0" for door in ("requests", "events", "inbox")] + ["--http=127.0.0.1:0"]


ELSEWHERE = {
    "tunesmith demo": "tests/journeys/test_demo.py",
    "python -m pytest": "tests/cli/test_readme_commands.py",
    "python -m tunesmith.examples.freqtrade_params": "tests/examples/test_bots.py",
    "docker compose": "tests/test_containers.py",
    "tunesmith keys": "tests/cli/access/test_keys.py",
    "tunesmith backup": "tests/cli/daemon/test_backup_commands.py",
    "tunesmith restore": "tests/cli/daemon/test_backup_commands.py",
    **{f"python {file}": file for file in sorted(set(re.findall(r"python (tests/benchmarks/\w+\.py)", README)))},
    "tunesmith session": "tests/cli/search/test_session_commands.py",
    **{
        f"python -m benchmarks.{name}": f"tests/benchmarks/{name}.py"
        for name in sorted(set(re.findall(r"python -m benchmarks\.(\w+)", README)))
    },
}
"""What the commands of the other sections say, and what runs or holds them; benchmarks are run by hand."""


def commands_of(text: str) -> list[list[str]]:
    """The words of every command in the text's shell blocks."""
    blocks = "\n".join(re.findall(r"```sh\n(.*?)```", text, re.DOTALL)).replace("\\\n", " ")
    return [shlex.split(line, comments=True) for line in blocks.splitlines() if line.strip()]


def shell_commands() -> list[list[str]]:
    return [words[1:] for words in commands_of(USE_IT) if words[0] == "tunesmith"]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A data directory with a daemon that `tunesmith serve` started on it, ended by SIGTERM."""
    folder = tmp_path_factory.mktemp("readme")
    log = (folder / "log").open("w")
    process = subprocess.Popen(
        [*COMMAND, "serve", "--data-dir", str(folder), *FREE], stdout=log, stderr=log, env=environment()
    )
    wait_until(lambda: bool(running_doors(folder)), 90.0, lambda: (folder / "log").read_text())
    yield folder
    process.terminate()
    assert process.wait(90) == 0
    log.close()
    assert running_doors(folder) == {}


def test_every_command_of_the_readme_runs(served: Path, tmp_path: Path) -> None:
    candles = tmp_path / "user_data" / "data" / "binance"
    candles.mkdir(parents=True)
    shutil.copy(SAMPLE, candles / "ETH_USDT-1h.parquet")
    planted = tmp_path / "planted.csv"  # an edge that is there, so that the README's approval and package come about
    begin = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=2000)
    planted.write_text(planted_market(n_bars=2000, seed=SEED, start=begin, bar=timedelta(hours=1)))
    replaced = {"BTC_USDT-1h.feather": str(planted), "user_data/data/binance": str(candles)}
    ran = []
    for words in shell_commands():
        arguments = [replaced.get(word, word) for word in words]
        if "ID" in arguments:
            tasks = read("status", "--data-dir", served)["tasks"]
            searches = [task["task_id"] for task in tasks if task["kind"] == "optimization"]
            arguments[arguments.index("ID")] = searches[0]
        if words[0] == "serve":
            continue
        if words[0] == "listen":
            arguments += ["--count", "1", "--timeout", "20"]
        if words[0] == "doctor":
            arguments += ["--quick"]
        done = run(*arguments, "--data-dir", served)
        assert done.returncode == 0, (arguments, done.stdout, done.stderr)
        assert done.stdout
        ran.append(words[0])
    assert len(ran) >= 12


def test_the_readme_names_every_exit_code() -> None:
    assert [int(code) for code in re.findall(r"^\| (\d+) \|", USE_IT, re.MULTILINE)] == [
        0,
        1,
        2,
        UNREACHABLE,
        4,
        UNFIT,
        130,
    ]


def test_its_commands_are_the_commands_there_are() -> None:
    known = {row.name for row in ROWS}
    assert {words[0] for words in shell_commands()} <= known


def test_every_command_of_the_other_sections_is_known() -> None:
    others = [" ".join(words) for words in commands_of(README.replace(USE_IT, ""))]
    others += [" ".join(words) for words in commands_of(USE_IT) if words[0] != "tunesmith"]
    assert [command for command in others if not any(part in command for part in ELSEWHERE)] == []
    assert [part for part in ELSEWHERE if not any(part in command for command in others)] == []
    assert [file for file in ELSEWHERE.values() if not (ROOT / file).is_file()] == []


def test_commands_within_the_text_have_the_options_that_it_gives_them() -> None:
    named = {tuple(shlex.split(words)) for words in re.findall(r"`tunesmith ([^`]+)`", README)}
    assert len(named) >= 3
    for words in named - {("--install-completion",)}:
        shown = run(*words, "--help")
        assert (shown.returncode, shown.stdout[:6]) == (0, "Usage:"), (words, shown.stderr)
