"""A kind of task added from outside the package: the daemon drives it, and every command knows it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from contracts.real_daemon import Doors, client_of, command, with_daemon
from contracts.stars import STARS, add_stars
from tunesmith.errors import Internal
from tunesmith.services.tasks import task_kinds
from tunesmith.services.tasks.task_kinds import KINDS


@pytest.fixture(autouse=True)
def stars(monkeypatch: pytest.MonkeyPatch) -> None:
    add_stars(monkeypatch)


def test_a_client_starts_it_and_waits_for_its_end(tmp_path: Path) -> None:
    def scene(doors: Doors) -> None:
        with client_of(doors) as client:
            started = client.request("stars.count", {"n_chunks": 3, "label": "north"})
            assert started["count_id"].startswith(STARS.prefix)
            done = client.wait(started["count_id"], timeout_s=60.0)
            assert (done.kind, done.status, done.result) == ("stars", "completed", {"n_found": 6})
            shown = [client.request("stars.status", {"count_id": started["count_id"]}) for _ in range(2)]
            assert shown[0] == shown[1] | {"progress": 1.0}
            assert (shown[0]["n_found"], shown[0]["label"]) == (6, "north")

    with_daemon(tmp_path, scene)


def test_every_command_of_the_command_line_knows_it(tmp_path: Path) -> None:
    def scene(doors: Doors) -> None:
        with client_of(doors) as client:
            task_id = client.request("stars.count", {"n_chunks": 2, "label": "south"})["count_id"]
            refused = client.request("stars.count", {"n_chunks": 10_000})["count_id"]
        code, told = command(doors, "status", task_id, "--watch")
        assert (code, "completed" in told, "south" in told) == (0, True, True), told
        code, told = command(doors, "status")
        assert (code, task_id in told, "label" in told) == (0, True, True), told
        code, told = command(doors, "results", task_id)
        assert (code, "n found" in told) == (0, True), told
        assert json.loads(command(doors, "results", task_id, "--json")[1])["n_found"] == 4
        code, told = command(doors, "logs", task_id)
        assert (code, "piece 2 of 2" in told) == (0, True), told
        code, told = command(doors, "cancel", refused)
        assert (code, f"{refused} is cancelled" in told) == (0, True), told
        code, told = command(doors, "status", refused)
        assert (code, "cancelled" in told) == (1, True), told
        code, told = command(doors, "results", "nothing-1")
        assert (code, "is no task's id" in told) == (1, True), told

    with_daemon(tmp_path, scene)


def test_a_name_stands_for_one_kind() -> None:
    with pytest.raises(Internal, match="two kinds of task are named stars"):
        task_kinds.register(KINDS["stars"])
