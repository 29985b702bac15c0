"""The commands below `tunesmith keys`: each in this process, on files alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tunesmith.cli.commands import ROWS
from tunesmith.cli.lazy_commands import commands, load
from tunesmith.errors import Conflict, Invalid, NotFound
from tunesmith.protocol.signatures import read_lines
from tunesmith.storage.secrets import key_log
from tunesmith.storage.secrets.tokens import TokenFile

BY_NAME = dict(commands(ROWS))


class Keys:
    """The commands below `tunesmith keys`, on one data directory."""

    def __init__(self, folder: Path, capture: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._capture = capture

    def __call__(self, name: str, *arguments: str) -> str:
        """What it prints on standard output."""
        command = load(BY_NAME["keys", *name.split()])
        command.main([*arguments, "--data-dir", str(self.folder)], standalone_mode=False)
        return self._capture.readouterr().out


@pytest.fixture
def keys(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Keys:
    return Keys(tmp_path, capsys)


def test_signing_keys_are_made_listed_and_retired(keys: Keys) -> None:
    assert keys("signing list") == ""
    lines = [keys("signing new") for _ in range(2)]
    first, second = (line.split()[0] for line in lines)
    assert keys("signing list", "--trusted") == "".join(lines)
    assert [line.split()[-1] for line in keys("signing list").splitlines()[1:]] == ["valid", "signs"]
    assert keys("signing retire", first).split() == [*lines[0].split(), "retired"]
    assert {k.keyid: k.retired for k in read_lines(keys("signing list", "--trusted")).values()} == {
        first: True,
        second: False,
    }
    assert [bool(key["retired_at"]) for key in json.loads(keys("signing list", "--json"))] == [True, False]
    with pytest.raises(Conflict, match="only key that signs"):
        keys("signing retire", second)
    with pytest.raises(NotFound):
        keys("signing retire", "0" * 16)


def test_a_token_is_shown_once_and_never_again(keys: Keys) -> None:
    token = keys("token", "desk", "--role", "operator").strip()
    bot = keys("token", "night-bot").strip()
    held = TokenFile(keys.folder / "keys" / "tokens.json")
    assert [(h.name, h.role) for t in (token, bot) if (h := held.holder(t))] == [
        ("desk", "operator"),
        ("night-bot", "bot"),
    ]
    for refused, name in ((Conflict, "desk"), (Invalid, "no name"), (Invalid, "local")):
        with pytest.raises(refused):
            keys("token", name)
    keys("token", "desk", "--revoke")
    assert held.holder(token) is None
    shown = keys("tokens") + keys("tokens", "--json")
    assert not any(secret in shown for secret in (token, bot))
    assert [(t["name"], bool(t["revoked"])) for t in json.loads(keys("tokens", "--json"))] == [
        ("desk", True),
        ("night-bot", False),
    ]


def test_what_was_done_and_nothing_else_is_left_for_the_audit_log(keys: Keys) -> None:
    keys("init")
    keys("new", "grid-bot")
    keys("revoke", "grid-bot")
    secret = keys("token", "desk", "--role", "operator").strip()
    keys("token", "desk", "--revoke")
    first = keys("signing new").split()[0]
    keys("signing new")
    keys("signing retire", first)
    for refused in (("new", "cli"), ("revoke", "nobody"), ("token", "desk", "--revoke"), ("signing retire", first)):
        with pytest.raises((Conflict, NotFound)):
            keys(*refused)
    for looks in ("list", "tokens", "signing list"):
        keys(looks)
    found = key_log.acts(keys.folder / "keys").acts
    told = [(act.act, act.name, act.role) for act in found]
    second = told[6][1]
    assert told == [
        ("keys.init", "cli", "operator"),
        ("keys.new", "grid-bot", "bot"),
        ("keys.revoke", "grid-bot", "bot"),
        ("token.new", "desk", "operator"),
        ("token.revoke", "desk", "operator"),
        ("signing.new", first, ""),
        ("signing.new", second, ""),
        ("signing.retire", first, ""),
    ]
    assert {act.by for act in found} == {key_log.account()}
    assert secret not in (keys.folder / "keys" / key_log.FILE).read_text()


def test_an_act_that_cannot_be_written_down_is_done_and_says_so(keys: Keys, capsys: pytest.CaptureFixture[str]) -> None:
    keys("init")
    file = keys.folder / "keys" / key_log.FILE
    file.unlink()
    file.mkdir()
    command = load(BY_NAME["keys", "new"])
    command.main(["grid-bot", "--data-dir", str(keys.folder)], standalone_mode=False)
    printed = capsys.readouterr()
    assert Path(printed.out.strip()).is_file()
    assert "the audit log will not say so" in " ".join(printed.err.split())
