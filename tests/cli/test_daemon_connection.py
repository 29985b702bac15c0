"""Where the daemon is looked for, and what people write for parameters."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import typer

from tunesmith.cli import WrongSettings
from tunesmith.cli.daemon_connection import Line, open_line, running_doors
from tunesmith.cli.range_text import parse_params, parse_ranges
from tunesmith.errors import DeadlineExceeded

DOORS = {"requests": "tcp://127.0.0.1:7001", "events": "tcp://0.0.0.0:7002"}


@pytest.fixture
def served(tmp_path: Path) -> Path:
    """A data directory whose daemon is this process."""
    (tmp_path / "doors.json").write_text(json.dumps({"pid": os.getpid(), **DOORS}))
    return tmp_path


def addresses(data_dir: Path, config: Path | None = None, requests: str | None = None) -> tuple[str, str]:
    line = open_line(requests, None, data_dir, config, False)
    return line.requests, line.events


def test_a_running_daemons_doors_come_before_the_defaults(served: Path) -> None:
    assert addresses(served) == ("tcp://127.0.0.1:7001", "tcp://127.0.0.1:7002")


def test_what_was_named_comes_before_what_runs(served: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert addresses(served, requests="tcp://bots:1")[0] == "tcp://bots:1"
    monkeypatch.setenv("TUNESMITH_SERVER__REQUESTS", "tcp://elsewhere:2")
    assert addresses(served) == ("tcp://elsewhere:2", "tcp://127.0.0.1:7002")
    monkeypatch.setenv("TUNESMITH_SERVER__REQUESTS", "tcp://127.0.0.1:0")
    assert addresses(served)[0] == "tcp://127.0.0.1:7001"


def test_where_none_runs_the_settings_say_where_it_would_be(tmp_path: Path) -> None:
    config = tmp_path / "t.toml"
    config.write_text('[server]\nrequests = "tcp://*:9"\nevents = "tcp://[::]:8"\n')
    assert addresses(tmp_path, config) == ("tcp://127.0.0.1:9", "tcp://127.0.0.1:8")
    config.write_text("[server]\nrequest = 1\n")
    with pytest.raises(WrongSettings, match="did you mean 'requests'"):
        addresses(tmp_path, config)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"pid": "x"}', '{"pid": 4194305, "requests": "tcp://h:1"}'])
def test_doors_that_are_stale_or_unreadable_are_none(text: str, tmp_path: Path) -> None:
    (tmp_path / "doors.json").write_text(text)
    assert running_doors(tmp_path) == {}


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "tcp://no.such.host.invalid:5555"])
def test_that_nobody_listens_is_found_out_at_once(address: str) -> None:
    with pytest.raises(DeadlineExceeded, match="tunesmith serve"):
        Line(address, address, False).ask("ping")


def test_ranges_are_read_as_they_are_meant() -> None:
    texts = ["a=5:60", "b=5:60:5", "c=0.001:0.1:log", "d=1,2.5,x", "e=3", "f=true", "g=-1:1e3"]
    assert parse_ranges(texts) == {
        "a": {"min": 5, "max": 60},
        "b": {"min": 5, "max": 60, "step": 5},
        "c": {"min": 0.001, "max": 0.1, "log": True},
        "d": [1, 2.5, "x"],
        "e": 3,
        "f": True,
        "g": {"min": -1, "max": 1000.0},
    }
    expected: dict[str, Any] = {"n": 4, "on": False, "mode": "a:b", "x": 0.5}
    assert parse_params(["n=4", "on=false", "mode=a:b", "x=0.5"]) == expected


def test_what_stands_in_quotes_is_text_so_that_every_choice_can_be_named() -> None:
    assert parse_ranges(['a="1","true",b', "b='1:2'", 'c="x,y",1']) == {
        "a": ["1", "true", "b"],
        "b": "1:2",
        "c": ["x,y", 1],
    }
    assert parse_params(['digit="1"', "on='true'", "plain=1"]) == {"digit": "1", "on": "true", "plain": 1}


@pytest.mark.parametrize("text", ["a", "a=", "=5", "a=1:x", "a=1:2:3:4", "a=1:2:lin", "a=:5", "a=true:5"])
def test_what_is_no_range_is_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter):
        parse_ranges([text])
