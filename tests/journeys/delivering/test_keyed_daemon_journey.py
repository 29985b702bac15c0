"""A daemon that asks for keys and tokens: what a bot may read, who made and revoked keys, and that it is backed up."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from contracts.real_daemon import command
from journeys.conftest import import_markets
from journeys.daemon import DaemonProcess, wait_until
from tunesmith.cli.commands import ROWS
from tunesmith.cli.lazy_commands import commands, load
from tunesmith.client import Client
from tunesmith.errors import Forbidden, Invalid, from_problem
from tunesmith.plain_text import find_control
from tunesmith.protocol.topics import done_topic, package_topic, reply_topic
from tunesmith.storage.secrets import key_log
from tunesmith.storage.secrets.tokens import TokenFile
from tunesmith.storage.sqlite import backups
from tunesmith.storage.sqlite.connections import Connection
from tunesmith.storage.sqlite.database import Database
from tunesmith.storage.tables import audit_table, outbox
from tunesmith.storage.tables.audit_table import NewEntry
from tunesmith.transport.access.client_keys import KeyStore

BY_NAME = dict(commands(ROWS))
PACKAGE, DONE = package_topic("KEY/USDT", "1h", "s"), done_topic("t")
MINE, ANOTHERS, NAMESAKES = (reply_topic(name, "r1") for name in ("grid-bot", "other-bot", "grid-bot2"))
TOPICS = [PACKAGE, DONE, MINE, ANOTHERS, NAMESAKES]

OLD = NewEntry(
    time="2026-01-01T00:00:00.000Z", user="old-bot", role="bot", door="requests", client="", type="package.ack",
    request_id="r", target="\x1b[2J\x07\n\u202e", outcome="ok", detail="\x9b2J",
)  # fmt: skip
"""Of a time when control characters were not refused."""


class House:
    """The daemon, a bot by key and by token, and a durable event on each topic, replies to others among them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = KeyStore(folder / "keys")
        self.store.make_server()
        self.bot = self.store.add("grid-bot", "bot")
        self.token = TokenFile(folder / "keys" / "tokens.json").new("grid-bot", "bot")
        asyncio.run(self._tell())
        import_markets(folder)
        often = {"TUNESMITH_BACKUPS__EVERY_H": "0.02"}
        self.daemon = DaemonProcess(
            folder, {"TUNESMITH_WORKERS__COUNT": "1", "TUNESMITH_SECURITY__CURVE": "on", **often}
        )
        self.daemon.start()

    async def _tell(self) -> None:
        async def write(conn: Connection) -> None:
            for topic in TOPICS:
                await outbox.append(conn, topic, "told", None, {})
            await audit_table.append(conn, OLD)

        database = await Database.open(self.folder / "tunesmith.db")
        try:
            await database.write(write)
        finally:
            await database.close()

    def keys(self, name: str, *arguments: str) -> None:
        """Run a command below `tunesmith keys` on the daemon's files."""
        load(BY_NAME["keys", name]).main([*arguments, "--data-dir", str(self.folder)], standalone_mode=False)

    def by_token(self, message: str, data: dict[str, Any]) -> dict[str, Any]:
        """The reply's data, asked over HTTP with the bot's token; raises what refuses it."""
        url = f"http://{self.daemon.doors['http']}/api/messages/{message}"
        reply = httpx.post(url, json=data, headers={"Authorization": f"Bearer {self.token}"}, timeout=90)
        if reply.is_error:
            raise from_problem(reply.json())
        found: dict[str, Any] = reply.json()
        return found

    def ask(self, message: str, data: dict[str, Any], key: Path | None = None) -> dict[str, Any]:
        """The reply's data, asked by the operator of this machine or by another key."""
        with Client(self.daemon.doors["requests"], key=key or self.store.issued("cli"), deadline_s=90) as client:
            found: dict[str, Any] = client.request(message, data)
            return found

    def heard_by_key(self, message: str, topics: list[str]) -> list[str]:
        """The topics of the events that the bot is told, asked over ZeroMQ with its key; raises what refuses it."""
        return [event["topic"] for event in self.ask(message, {"topics": topics}, self.bot)["events"]]

    def heard_by_token(self, message: str, topics: list[str]) -> list[str]:
        """The same over HTTP."""
        return [event["topic"] for event in self.by_token(message, {"topics": topics})["events"]]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    made = House(tmp_path_factory.mktemp("keyed"))
    yield made
    assert made.daemon.stop() == 0, made.daemon.log()[-3000:]


@pytest.mark.parametrize("message", ["events.snapshot", "events.replay"])
@pytest.mark.parametrize("door", ["key", "token"])
def test_a_bot_reads_no_more_than_it_may_hear(house: House, message: str, door: str) -> None:
    heard = house.heard_by_key if door == "key" else house.heard_by_token
    assert heard(message, ["rep/"]) == [MINE]
    assert heard(message, ["r", "p", MINE]) == [PACKAGE, MINE]
    assert heard(message, ["pkg/", "task/", "rep/grid-bot/"]) == [PACKAGE, DONE, MINE]
    for closed in (ANOTHERS, "rep/other", "rep/grid-bot2/", "nothing/"):
        with pytest.raises(Forbidden, match="grid-bot is a bot and may hear nothing below") as refused:
            heard(message, ["pkg/", closed])
        assert refused.value.path == "/data/topics/1"


def test_an_operator_reads_everything_and_that_a_bot_was_refused(house: House) -> None:
    for message in ("events.snapshot", "events.replay"):
        assert [event["topic"] for event in house.ask(message, {"topics": ["rep/", "pkg/", "t"]})["events"]] == TOPICS
    with pytest.raises(Forbidden):
        house.heard_by_key("events.replay", [ANOTHERS])
    asked = {"user": "grid-bot", "type": "events.replay", "outcome": "forbidden"}

    def doors() -> set[str]:
        return {entry["door"] for entry in house.ask("audit.list", asked)["entries"]}

    wait_until(lambda: "requests" in doors(), 90.0, lambda: str(doors()))


def test_the_audit_log_says_who_made_and_who_revoked_keys_and_tokens(house: House) -> None:
    def entries() -> list[tuple[str, str, str, str]]:
        found = house.ask("audit.list", {"limit": 100})["entries"]
        return [(e["user"], e["type"], e["target"], e["detail"]) for e in found if e["door"] == "files"][::-1]

    me, keys = key_log.account(), house.keys
    keys("new", "night-bot")
    keys("token", "desk", "--role", "operator")
    keys("token", "desk", "--revoke")
    told = [
        (me, "keys.new", "night-bot", "role bot"),
        (me, "token.new", "desk", "role operator"),
        (me, "token.revoke", "desk", "role operator"),
    ]
    wait_until(lambda: entries() == told, 90.0, lambda: str(entries()))
    house.daemon.kill()
    keys("revoke", "night-bot")
    house.daemon.start()
    told.append((me, "keys.revoke", "night-bot", "role bot"))
    wait_until(lambda: entries() == told, 90.0, lambda: str(entries()))


def test_the_first_backup_comes_soon_and_holds_what_there_is(house: House) -> None:
    folder = house.folder / "backups"
    wait_until(lambda: len(backups.listing(folder)) >= 1, 60, lambda: house.daemon.log()[-2000:])
    assert backups.examine(backups.listing(folder)[0].path).head == len(TOPICS)


def test_what_a_bot_writes_moves_no_cursor(house: House) -> None:
    said = {"package_id": "a" * 64, "reason": "fine\x1b]0;root\x07"}
    for ask in (lambda: house.ask("package.ack", said, house.bot), lambda: house.by_token("package.ack", said)):
        with pytest.raises(Invalid, match=r"must not hold the character \\x1b") as refused:
            ask()
        assert refused.value.path == "/data/reason"
    asked = ["audit", "--user", "old-bot", "--key", str(house.store.issued("cli"))]
    code, table = command(house.daemon.doors, *asked)
    assert (code, find_control(table, multiline=True)) == (0, None)
    assert "\\x1b[2J\\x07" in table
    code, document = command(house.daemon.doors, *asked, "--json")
    assert (code, find_control(document, multiline=True)) == (0, None)
    [entry] = json.loads(document)["entries"]
    assert (entry["target"], entry["detail"]) == (OLD.target, OLD.detail), "what is stored, for programs"


SEARCH = {"symbol": "BTC/USDT", "strategy_id": "ma_cross_v1.0"}


@pytest.mark.parametrize("door", ["key", "token"])
def test_a_bot_uses_up_no_hold_out_and_overtakes_nobody(house: House, door: str) -> None:
    def ask(message: str, data: dict[str, Any]) -> dict[str, Any]:
        return house.ask(message, data, house.bot) if door == "key" else house.by_token(message, data)

    for message, data, field in (
        ("backtest.start", {**SEARCH, "use_holdout": True}, "use_holdout"),
        ("optimization.start", {**SEARCH, "priority": 0}, "priority"),
        ("optimization.start", {**SEARCH, "approve": {}}, "approve"),
    ):
        with pytest.raises(Forbidden, match="needs the role operator; grid-bot is a bot") as refused:
            ask(message, data)
        assert refused.value.path == f"/data/{field}"
    assert ask("backtest.start", SEARCH)["status"] == "pending"
    asked = {"user": "grid-bot", "type": "backtest.start", "outcome": "forbidden"}

    def doors() -> set[str]:
        return {entry["door"] for entry in house.ask("audit.list", asked)["entries"]}

    wait_until(lambda: {"key": "requests", "token": "http"}[door] in doors(), 90.0, lambda: str(doors()))


def test_a_revocation_ends_what_the_key_had_going_on_and_says_what(
    house: House, capsys: pytest.CaptureFixture[str]
) -> None:
    house.keys("new", "desk", "--role", "operator")
    desk = house.store.issued("desk")
    endless = {**SEARCH, "max_iterations": 100_000, "method": "random", "approve": {}}
    house.ask("schedule.create", {"schedule_id": "daily", "search": SEARCH, "every": "1d"}, desk)
    search = house.ask("optimization.start", endless, desk)["optimization_id"]
    capsys.readouterr()
    house.keys("revoke", "desk")
    told = " ".join(capsys.readouterr().err.split())
    assert "The daemon stops within a second desk's schedules daily, which an operator may create anew." in told
    assert f"The daemon stops within a second desk's tasks {search}, which publish nothing." in told

    def entries() -> dict[str, str]:
        found = house.ask("audit.list", {"user": "desk"})["entries"]
        return {entry["type"]: entry["target"] for entry in found if entry["door"] == "files"}

    stopped = {"schedule.suspend": "daily", "task.cancel": search}
    wait_until(lambda: entries() == stopped, 90.0, lambda: str(entries()))
    [schedule] = house.ask("schedule.list", {})["schedules"]
    assert schedule["suspended"] == "the key or token of desk was revoked"
    status = house.ask("optimization.status", {"optimization_id": search})
    assert (status["status"], status["error"]["detail"]) == ("cancelled", "the key or token of desk was revoked")
    assert house.ask("package.list", {})["total"] == 0
