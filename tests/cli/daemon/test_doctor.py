"""`tunesmith doctor`: what is well, and what is broken on purpose."""

from __future__ import annotations

import json
import re
import socket
import sqlite3
from pathlib import Path

import pytest

from cli.command import run, said
from stepped.packages import AVERAGING, install
from tunesmith.cli.daemon import installation_checks
from tunesmith.cli.daemon.key_checks import check_keys, check_signing
from tunesmith.config import Server, Settings
from tunesmith.storage.secrets.signing_keys import SigningKeys
from tunesmith.storage.secrets.tokens import TokenFile


def test_with_a_running_daemon_all_is_well(folder: Path) -> None:
    done = run("doctor", "--json", "--data-dir", folder)
    assert done.returncode == 0, done.stdout
    found = json.loads(done.stdout)
    assert found["ok"] is True
    about = {check["name"]: check["says"] for check in found["checks"]}
    names = [
        "python",
        "packages",
        "worker",
        "vectorbt",
        "kernels",
        "settings",
        "database",
        "daemon",
        "redis",
        "keys",
        "clock",
    ]
    assert set(names) <= set(about)
    assert "can be imported there too" in about["worker"]
    assert "in use by process" in about["database"]
    assert "held by our daemon" in about["port requests"]
    assert re.search(r"[2-9] series of [2-9] markets", about["market data"])


def test_what_is_broken_is_named_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "tunesmith.db").write_bytes(b"not a database, but long enough to look like one" * 100)
    series = tmp_path / "market" / "demo" / "BTC%2FUSDT"
    series.mkdir(parents=True)
    (series / "1h.json").write_text("{")
    config = tmp_path / "t.toml"
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        doors = f'requests = "tcp://127.0.0.1:{port}"\nevents = "tcp://0.0.0.0:0"\ninbox = "tcp://127.0.0.1:0"\n'
        config.write_text(f'[server]\n{doors}http = "127.0.0.1:0"\n')
        done = run("doctor", "--quick", "--config", config, "--data-dir", tmp_path)
    assert done.returncode == 1
    lines = [line for line in done.stdout.splitlines() if line.startswith("broken")]
    assert [line[8:24].strip() for line in lines] == ["database", "port requests", "market data", "keys"]
    for advice in ("tunesmith restore", "choose another", "tunesmith data import", "insecure_bind"):
        assert advice in said(done)
    assert "4 of " in done.stdout


def test_wrong_settings_are_named(tmp_path: Path) -> None:
    config = tmp_path / "t.toml"
    config.write_text("[server]\nrequest = 'tcp://127.0.0.1:1'\n")
    done = run("doctor", "--quick", "--config", config, "--data-dir", tmp_path)
    assert done.returncode == 1
    assert "did you mean 'requests'?" in said(done)


def test_a_data_directory_that_cannot_be_written_is_broken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    assert installation_checks.check_data_dir(file / "below").verdict == "broken"
    assert installation_checks.check_data_dir(tmp_path / "new" / "deep").verdict == "ok"
    monkeypatch.setattr(installation_checks, "_MIN_FREE", 2**60)
    found = installation_checks.check_data_dir(tmp_path)
    assert (found.verdict, found.advice is not None) == ("broken", True)


def test_databases_of_others_and_of_newer_programs_are_told_apart(tmp_path: Path) -> None:
    file = tmp_path / "tunesmith.db"
    assert installation_checks.check_database(file, {}).verdict == "note"
    with sqlite3.connect(file) as conn:
        conn.execute("CREATE TABLE t (x)")
    assert "another program" in installation_checks.check_database(file, {}).says
    conn.execute(f"PRAGMA application_id = {installation_checks.APPLICATION_ID}")
    conn.execute("PRAGMA user_version = 999")
    conn.close()
    assert "schema version 999" in installation_checks.check_database(file, {}).says


def test_redis_that_does_not_answer_is_broken() -> None:
    class Cache:
        redis_url = "redis://:secret@127.0.0.1:1/0"

    class WithCache:
        cache = Cache()

    found = installation_checks.check_redis(WithCache())  # type: ignore[arg-type]
    assert found.verdict == "broken"
    assert "secret" not in found.says
    assert installation_checks.check_redis(Settings()).verdict == "note"


@pytest.mark.parametrize(
    ("server", "verdict"),
    [
        (Server(), "note"),
        (Server(events="tcp://*:5556"), "broken"),
        (Server(http="0.0.0.0:80"), "broken"),
        (Server(events="tcp://*:5556", insecure_bind=True), "note"),
        (Server(requests="tcp://[::1]:5555", http=""), "note"),
    ],
)
def test_doors_beyond_loopback_need_a_fence(server: Server, verdict: str) -> None:
    assert check_keys(Settings(server=server)).verdict == verdict


def test_a_daemon_that_is_gone_is_no_daemon(tmp_path: Path) -> None:
    (tmp_path / "doors.json").write_text(json.dumps({"pid": 2**22 + 1, "requests": "tcp://127.0.0.1:1"}))
    done = run("status", "--data-dir", tmp_path, "--config", _free(tmp_path))
    assert done.returncode == 3
    assert "127.0.0.1:2" in said(done)


def _free(folder: Path) -> Path:
    file = folder / "t.toml"
    file.write_text('[server]\nrequests = "tcp://127.0.0.1:2"\n')
    return file


def test_installed_strategies_that_fail_to_load_are_broken() -> None:
    assert installation_checks.check_strategies([], []).verdict == "note"
    fine = installation_checks.check_strategies(["averaging_v1.0"], [])
    assert (fine.verdict, fine.says) == ("ok", "1 installed: averaging_v1.0")
    failure = {"name": "dca", "value": "dca:STRATEGY", "reason": "SyntaxError: invalid syntax"}
    found = installation_checks.check_strategies(["averaging_v1.0"], [failure])
    assert found.verdict == "broken"
    assert found.says == "dca:STRATEGY fails to load: SyntaxError: invalid syntax"


def test_a_worker_says_which_installed_strategies_it_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, "averaging_package", AVERAGING)
    install(tmp_path, "broken_package", "import no_such_module_anywhere")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    done = run("doctor", "--json", "--data-dir", tmp_path / "data")
    about = {check["name"]: check for check in json.loads(done.stdout)["checks"]}
    assert about["strategies"]["verdict"] == "broken"
    assert "no_such_module_anywhere" in about["strategies"]["says"]
    assert about["worker"]["verdict"] == "ok"


def test_it_says_who_signs_and_notices_secrets_that_others_may_read(tmp_path: Path) -> None:
    settings = Settings(server=Server(data_dir=str(tmp_path)))
    assert check_signing(settings).verdict == "note"
    key = SigningKeys(tmp_path / "keys" / "signing").new()
    TokenFile(tmp_path / "keys" / "tokens.json").new("desk", "operator")
    found = check_signing(settings)
    assert (found.verdict, found.says) == ("ok", f"packages are signed with {key.keyid}, 1 tokens for HTTP")
    for name in (f"signing/{key.keyid}.secret", "tokens.json"):
        file = tmp_path / "keys" / name
        file.chmod(0o644)
        found = check_signing(settings)
        assert (found.verdict, "chmod 600" in found.says) == ("broken", True)
        file.chmod(0o600)
