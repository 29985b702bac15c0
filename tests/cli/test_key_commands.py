"""`tunesmith keys signing` and `tunesmith keys token`: each in this process, on files alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tunesmith.cli.commands import ROWS
from tunesmith.cli.late import commands, load
from tunesmith.domain.signatures import read_lines
from tunesmith.errors import Conflict, Invalid, NotFound
from tunesmith.storage.tokens import TokenFile

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
