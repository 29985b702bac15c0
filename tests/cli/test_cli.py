"""The command line as a process: what it prints, where, and its exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from cli.command import environment, finished

SAMPLE = Path(__file__).resolve().parents[2] / "service" / "tunesmith" / "sample" / "BTC_USDT-1h.parquet"
FREE = ("--events", "tcp://127.0.0.1:0", "--inbox", "tcp://127.0.0.1:0", "--http", "127.0.0.1:0")


def tunesmith(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return finished([*map(str, arguments)], environment(), 90)


def test_data_is_imported_and_listed(tmp_path: Path) -> None:
    imported = tunesmith("data", "import", SAMPLE, "--symbol", "BTC/USDT", "--timeframe", "1h", "--data-dir", tmp_path)
    assert (imported.returncode, imported.stderr) == (0, "")
    assert imported.stdout == "BTC/USDT 1h (local): 5,980 new bars, 5,980 in all, 2024-01-01 to 2024-09-06\n"
    again = tunesmith("data", "import", SAMPLE, "--symbol", "BTC/USDT", "--timeframe", "1h", "--data-dir", tmp_path)
    assert "0 new bars, 5,980 in all" in again.stdout
    listed = tunesmith("data", "list", "--data-dir", tmp_path)
    assert "BTC/USDT" in listed.stdout
    assert max(map(len, listed.stdout.splitlines())) <= 80
    [series] = json.loads(tunesmith("data", "list", "--data-dir", tmp_path, "--json").stdout)
    assert (series["n_bars"], series["n_gaps"], series["calendar"]) == (5980, 0, "24/7")
    named = ("--calendar", "irregular", "--data-dir", tmp_path)
    again = tunesmith("data", "import", SAMPLE, "--symbol", "BTC/USDT", "--timeframe", "1h", *named)
    assert again.stdout.endswith("0 new bars, 5,980 in all, 2024-01-01 to 2024-09-06, calendar irregular\n")
    told = tunesmith("data", "list", "--data-dir", tmp_path).stdout.splitlines()
    assert told[-1] == "BTC/USDT 1h (local) trades by the calendar irregular"


def test_an_empty_store_says_how_to_fill_it(tmp_path: Path) -> None:
    listed = tunesmith("data", "list", "--data-dir", tmp_path)
    assert listed.returncode == 0
    assert "tunesmith data import" in listed.stdout


def test_unsound_candles_are_refused_with_every_problem(tmp_path: Path) -> None:
    file = tmp_path / "bad.csv"
    file.write_text(
        "timestamp,open,high,low,close,volume\n"
        "2024-01-01 00:00,10,11,9,10,1\n2024-01-01 01:00,10,9.5,9,10,1\n2024-01-01 01:00,-1,11,9,10,1\n"
    )
    refused = tunesmith("data", "import", file, "--symbol", "A/B", "--timeframe", "1h", "--data-dir", tmp_path)
    assert refused.returncode == 1
    assert refused.stderr.startswith("tunesmith: bad.csv: ")
    for problem in ("repeat", "high below", "zero or below"):
        assert problem in refused.stderr, refused.stderr
    assert "Traceback" not in refused.stderr
    assert "No market data" in tunesmith("data", "list", "--data-dir", tmp_path).stdout


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("data", "import", "absent.csv", "--symbol", "A/B", "--timeframe", "1h"), 1, "no file or folder absent.csv"),
        (("data", "import", "absent"), 1, "no file or folder absent"),
        (("data", "import", SAMPLE, "--calendar", "noon"), 1, "'noon' is no calendar; expected 24/7, weekdays"),
        (("data", "import", SAMPLE), 2, "--symbol and --timeframe"),
        (("data", "import", SAMPLE, "--symbol", "../..", "--timeframe", "1h"), 1, "is no symbol"),
        (("data", "import", SAMPLE, "--symbol", "BTC/USDT", "--timeframe", "5m"), 1, "5m"),
        (("serve", "--config", "absent.toml"), 2, "cannot read the configuration file"),
        (("serve", "--requests", "tcp://0.0.0.0:0", *FREE), 1, "insecure_bind"),
        (("optimise",), 2, "No such command"),
    ],
)
def test_a_wrong_command_says_what_is_wrong(
    tmp_path: Path, arguments: tuple[str | Path, ...], code: int, says: str
) -> None:
    refused = tunesmith(*arguments, "--data-dir", tmp_path) if len(arguments) > 1 else tunesmith(*arguments)
    assert refused.returncode == code, refused.stderr
    assert says in refused.stderr
    assert "Traceback" not in refused.stderr


def test_help_fits_eighty_columns() -> None:
    shown = tunesmith("--help")
    assert shown.returncode == 0
    for command in ("serve", "demo", "data"):
        assert command in shown.stdout
    assert max(map(len, shown.stdout.splitlines())) <= 80


def test_importing_the_package_stays_light() -> None:
    code = "import sys, tunesmith.client; print([m for m in ('numpy', 'pandas', 'numba', 'typer') if m in sys.modules])"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"
