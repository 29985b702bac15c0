"""Settings: the example lists them all, wrong ones are refused by name."""

from __future__ import annotations

import tomllib
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest

from tunesmith import config
from tunesmith.errors import Invalid

DEFAULT = Path(__file__).resolve().parents[1] / "configs" / "default.toml"


def test_the_default_file_lists_every_setting_with_its_default() -> None:
    assert tomllib.loads(DEFAULT.read_text()) == msgspec.to_builtins(config.Settings())


def test_every_setting_in_the_default_file_is_explained() -> None:
    lines = DEFAULT.read_text().splitlines()
    unexplained = [line for before, line in pairwise(lines) if " = " in line and before[:1] != "#"]
    assert [line for line in unexplained if not line.startswith("#")] == []


def test_precedence_is_file_then_environment_then_command_line(tmp_path: Path) -> None:
    file = tmp_path / "t.toml"
    file.write_text('[server]\nhttp = "127.0.0.1:1"\ninstance = "file"\n[workers]\ncount = 2\n')
    environ = {"TUNESMITH_SERVER__INSTANCE": "environment", "TUNESMITH_WORKERS__COUNT": "3"}
    settings = config.load(file, environ, {"workers.count": "4", "server.events": None})
    assert (settings.server.http, settings.server.instance, settings.workers.count) == ("127.0.0.1:1", "environment", 4)


def test_it_tells_where_each_setting_comes_from(tmp_path: Path) -> None:
    file = tmp_path / "t.toml"
    file.write_text('[server]\nhttp = ""\ninstance = "file"\n[workers]\ncount = 2\n')
    environ = {"TUNESMITH_CONFIG": str(file), "TUNESMITH_SERVER__INSTANCE": "here"}
    explained = config.explain(None, environ, {"workers.count": "4"})
    assert explained.file == file
    assert config.explain(DEFAULT, environ).file == DEFAULT
    assert explained.sources == {
        "server.http": "file",
        "server.instance": "environment",
        "workers.count": "option",
    }
    assert explained.settings.server.instance == "here"


@pytest.mark.parametrize(
    ("environ", "says"),
    [
        ({"TUNESMITH_WORKERS__CONT": "3"}, "workers.cont; did you mean 'count'"),
        ({"TUNESMITH_WORKER__COUNT": "3"}, "worker; did you mean 'workers'"),
        ({"TUNESMITH_WORKERS__COUNT": "many"}, "workers.count"),
        ({"TUNESMITH_DECISION__HOLDOUT_SHARE": "1.5"}, "decision.holdout_share"),
        ({"TUNESMITH_LOG__LEVEL": "loud"}, "log.level"),
    ],
)
def test_a_wrong_setting_is_refused_by_name(environ: dict[str, str], says: str) -> None:
    with pytest.raises(Invalid, match=says):
        config.load(environ=environ)


def test_a_file_that_is_absent_or_no_toml_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="cannot read"):
        config.load(tmp_path / "absent.toml", {})
    wrong = tmp_path / "wrong.toml"
    wrong.write_text("[server\n")
    with pytest.raises(Invalid, match="is not TOML"):
        config.load(wrong, {})
