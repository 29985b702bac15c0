"""`tunesmith config show` and `tunesmith schema`; the example configurations."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli.command import read, run, said
from tunesmith import config
from tunesmith.cli.daemon.config_commands import masked
from tunesmith.masking import MASK

CONFIGS = sorted((Path(__file__).resolve().parents[3] / "configs").glob("*.toml"))
CONFIGS = [file for file in CONFIGS if not file.stem.startswith("session_")]


@pytest.mark.parametrize("file", CONFIGS, ids=lambda file: file.stem)
def test_every_example_configuration_loads(file: Path) -> None:
    explained = config.explain(file, {})
    assert explained.sources
    assert set(explained.sources.values()) == {"file"}


def test_production_is_kept_on_loopback() -> None:
    [file] = [file for file in CONFIGS if file.stem == "production"]
    server = config.load(file, {}).server
    assert not server.insecure_bind
    assert all("127.0.0.1" in door for door in (server.requests, server.events, server.inbox, server.http))


def test_each_setting_stands_there_with_where_it_comes_from(tmp_path: Path) -> None:
    file = tmp_path / "t.toml"
    file.write_text('[workers]\ncount = 3\n[log]\nlevel = "debug"\n')
    environ = {"TUNESMITH_LOG__LEVEL": "error"}
    shown = read("config", "show", "--config", file, "--data-dir", tmp_path, **environ)
    assert shown["workers.count"] == {"value": 3, "from": str(file)}
    assert shown["log.level"] == {"value": "error", "from": "TUNESMITH_LOG__LEVEL"}
    assert shown["server.data_dir"] == {"value": str(tmp_path), "from": "option"}
    assert shown["server.http"]["from"] == "default"
    n_settings = sum(
        len(getattr(config.Settings(), section).__struct_fields__) for section in config.Settings().__struct_fields__
    )
    assert len(shown) == n_settings
    table = run("config", "show").stdout
    for name in shown:
        assert name in table


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("redis_url", "redis://user:p@ss@host:6379/0", f"redis://{MASK}@host:6379/0"),
        ("redis_url", "redis://host:6379/0", "redis://host:6379/0"),
        ("redis_url", "redis://host/0?password=hush&db=1", f"redis://host/0?password={MASK}&db=1"),
        ("api_token", "hush", MASK),
        ("secret_key_file", "hush", MASK),
        ("password", "", ""),
        ("count", 3, 3),
    ],
)
def test_secrets_are_masked(name: str, value: object, shown: object) -> None:
    assert masked(name, value) == shown


def test_wrong_settings_are_refused_with_the_nearest_name(tmp_path: Path) -> None:
    file = tmp_path / "t.toml"
    file.write_text("[worker]\ncount = 3\n")
    refused = run("config", "show", "--config", file)
    assert (refused.returncode, "did you mean 'workers'?" in said(refused)) == (2, True)
    away = run("status", "--config", file)
    assert (away.returncode, "did you mean 'workers'?" in said(away)) == (2, True)


def test_schemas_are_printed_without_a_daemon() -> None:
    one = json.loads(run("schema", "backtest.start").stdout)
    assert list(one["messages"]) == ["backtest.start"]
    assert "StartBacktest" in one["definitions"]
    assert json.loads(run("schema", "--asyncapi").stdout)["asyncapi"] == "3.0.0"
    wrong = run("schema", "backtest.strt")
    assert (wrong.returncode, "did you mean 'backtest.start'?" in said(wrong)) == (1, True)
    assert run("schema", "ping", "--asyncapi").returncode == 2
