"""A daemon that signs, asks for tokens, writes down who did what, and tells no secrets: one for the whole file."""

from __future__ import annotations

import asyncio
import base64
import json
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import zmq
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from cli.command import COMMAND, environment, run, said
from forking import FORK_SERVERS
from journeys.daemon import DaemonProcess, Dealer, wait_until
from storage.opened import MA, add_package
from tunesmith.client import AsyncClient
from tunesmith.errors import Forbidden
from tunesmith.storage.secrets.signing_keys import SigningKeys
from tunesmith.storage.secrets.tokens import TokenFile
from tunesmith.storage.sqlite.database import Database

SYMBOL, TIMEFRAME, RULE = "BTC/USDT", "1h", MA.id
TOPIC = f"pkg/{SYMBOL}/{TIMEFRAME}/{RULE}/"
PACKAGE_ID = "ab" * 32
EVERY = ("criteria",)
AWAY = {"symbol": "AWAY/USDT", "strategy_id": RULE, "timeframe": "1h"}
"""A backtest of what is not stored: the upstream is asked, in vain."""
SECRETS = {
    "TUNESMITH_CACHE__REDIS_URL": "redis://someone:swordfish-redis@127.0.0.1:1/0",
    "TUNESMITH_SOURCES__UPSTREAM": "http://feed:swordfish-upstream@localhost/bars?api_key=swordfish-query",
}


class House:
    """The daemon and its keys. A package was in force before anything was signed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.keys = SigningKeys(folder / "keys" / "signing")
        self.tokens = TokenFile(folder / "keys" / "tokens.json")
        self.desk, self.bot = self.tokens.new("desk", "operator"), self.tokens.new("night-bot", "bot")
        asyncio.run(self._approve())
        self.before = shutil.copy(folder / "tunesmith.db", folder / "before.db")
        self.first = self.keys.new().keyid
        talkative = {"TUNESMITH_LOG__LEVEL": "debug", "TUNESMITH_WORKERS__COUNT": "1"}
        self.daemon = DaemonProcess(folder, {**SECRETS, **talkative})
        self.daemon.start()

    async def _approve(self) -> None:
        database = await Database.open(self.folder / "tunesmith.db")
        try:
            row = await database.write(lambda conn: add_package(conn, PACKAGE_ID, symbol=SYMBOL))
            self.package = row.doc
        finally:
            await database.close()

    def trusted(self, *keyids: str) -> list[str]:
        """Lines of a bot's trusted keys: of all, or of these."""
        return [file.key.line for file in self.keys.listing() if not keyids or file.keyid in keyids]

    def client(self, trusted: list[str]) -> AsyncClient:
        return AsyncClient(self.daemon.doors["requests"], self.daemon.doors["events"], trusted=trusted)

    @property
    def web(self) -> str:
        return f"http://{self.daemon.doors['http']}"

    def is_signed(self, frame: bytes, signature: bytes) -> bool:
        [line] = self.trusted(json.loads(frame)["keyid"])
        Ed25519PublicKey.from_public_bytes(base64.b64decode(line.split()[1])).verify(signature, frame)
        return True


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    made = House(tmp_path_factory.mktemp("trusted"))
    yield made
    assert made.daemon.stop() == 0, made.daemon.log()[-3000:]


def ask(house: House, message: str, data: dict[str, Any]) -> dict[str, Any]:
    """The whole reply, asked by an operator on the machine."""
    with zmq.Context() as context, Dealer(context, house.daemon.doors["requests"]) as dealer:
        return dealer.ask(message, data)


def last_value(house: House, prefix: str) -> list[bytes]:
    """The frames that a new subscriber is sent at once."""
    with zmq.Context() as context, context.socket(zmq.SUB) as hearing:
        hearing.setsockopt(zmq.LINGER, 0)
        hearing.connect(house.daemon.doors["events"])
        hearing.subscribe(prefix)
        assert hearing.poll(20_000)
        return hearing.recv_multipart()


def taken(house: House, trusted: list[str]) -> dict[str, Any]:
    """The package that a bot which trusts these keys is handed."""

    async def follow() -> dict[str, Any]:
        async with asyncio.timeout(30), house.client(trusted) as client:
            return await anext(client.packages(SYMBOL, TIMEFRAME, RULE, grades=EVERY))

    return asyncio.run(follow())


def test_what_was_in_force_unsigned_is_signed_at_the_start_and_the_same_however_it_comes(house: House) -> None:
    topic, frame, signature = last_value(house, TOPIC)
    assert (topic.decode(), len(signature)) == (TOPIC, 64)
    assert json.loads(frame)["data"] == house.package
    assert house.is_signed(frame, signature)
    assert last_value(house, TOPIC[:-1]) == [topic, frame, signature]
    for message in ("events.replay", "events.snapshot"):
        [record] = ask(house, message, {"topics": [TOPIC]})["data"]["events"]
        assert json.loads(record["text"]) == record["event"]
        assert (record["text"].encode(), base64.b64decode(record["signature"])) == (frame, signature)
    [unsigned, *_] = ask(house, "events.replay", {"topics": ["pkg/"]})["data"]["events"]
    assert {"text", "signature"} & unsigned.keys() == set()


def test_a_bot_takes_what_a_trusted_key_signed_and_nothing_else(house: House, tmp_path: Path) -> None:
    stranger = SigningKeys(tmp_path).new().key.line
    assert taken(house, house.trusted()) == house.package

    async def compare() -> None:
        async with house.client(house.trusted()) as client:
            latest = await client.latest_package(SYMBOL)
            assert latest.package.package_id == PACKAGE_ID
            assert await client.packages_in_force(SYMBOL, TIMEFRAME, RULE, grades=EVERY) == [house.package]
            assert await client.packages_in_force(SYMBOL, TIMEFRAME, RULE, grades=("tested",)) == []
        async with house.client([stranger]) as client:
            with pytest.raises(Forbidden, match="unknown key"):
                await client.latest_package(SYMBOL)
            assert await client.packages_in_force(SYMBOL, TIMEFRAME, RULE, grades=EVERY) == []

    asyncio.run(compare())
    file = tmp_path / "trusted.keys"
    file.write_text(f"# whom this bot believes\n{stranger}\n")
    heard = run("listen", SYMBOL, "--data-dir", house.folder, "--trusted", file, "--timeout", "2")
    assert heard.returncode == 1
    assert f"refused {PACKAGE_ID[:12]} on {TOPIC}" in said(heard)
    assert f"signed by the unknown key '{house.first}'" in said(heard)


def test_keys_are_rotated_while_the_daemon_runs_and_a_kill_changes_nothing(house: House) -> None:
    second = house.keys.new().keyid
    assert taken(house, house.trusted(second)) == house.package, "what is in force was not signed anew"
    house.keys.retire(house.first)
    house.daemon.kill()
    house.daemon.start()
    assert taken(house, house.trusted()) == house.package
    frames = last_value(house, TOPIC)
    assert json.loads(frames[1])["keyid"] == second
    assert house.is_signed(*frames[1:])


def test_the_audit_log_says_who_revoked_and_who_was_refused(house: House) -> None:
    body = {"package_id": PACKAGE_ID, "reason": "it loses"}

    def post(message: str, token: str | None) -> int:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return httpx.post(f"{house.web}/api/messages/{message}", json=body, headers=headers).status_code

    tokens = (None, "tsm_" + "x" * 43, house.bot, house.desk)
    assert [post("package.revoke", token) for token in tokens] == [401, 401, 403, 200]
    assert ask(house, "package.revoke", {"package_id": "0" * 64})["error"]["code"] == "not_found"

    def entries() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = ask(house, "audit.list", {"limit": 100})["data"]["entries"]
        return found

    wait_until(
        lambda: len(entries()) >= 5, 90.0, lambda: str(entries())
    )  # two of a kind are one and a second later one
    told = [(e["user"], e["role"], e["door"], e["type"], e["target"], e["outcome"], e["n"]) for e in entries()]
    assert sorted(told) == sorted(
        [
            ("", "", "http", "POST /api/messages/{type}", "", "unauthorized", 1),
            ("", "", "http", "POST /api/messages/{type}", "", "unauthorized", 1),
            ("night-bot", "bot", "http", "package.revoke", "", "forbidden", 1),
            ("desk", "operator", "http", "package.revoke", PACKAGE_ID, "ok", 1),
            ("local", "operator", "requests", "package.revoke", "0" * 64, "not_found", 1),
        ]
    )
    assert [e["detail"] for e in entries() if e["user"] == "desk"] == ["it loses"]
    shown = said(run("audit", "--type", "package.revoke", "--data-dir", house.folder))
    assert all(word in shown for word in ("desk (http)", "night-bot (http)", "forbidden", PACKAGE_ID[:12]))
    assert post("audit.list", house.bot) == 403
    house.tokens.revoke("desk")
    assert post("package.revoke", house.desk) == 401


def test_a_daemon_without_the_key_makes_no_bot_trade_on_what_was_revoked(house: House, tmp_path: Path) -> None:
    shutil.copy(house.before, tmp_path / "tunesmith.db")
    impostor = DaemonProcess(tmp_path, {"TUNESMITH_WORKERS__COUNT": "1"})
    impostor.start()
    doors = impostor.doors["requests"], impostor.doors["events"]

    async def believed(trusted: list[str] | None) -> list[str]:
        async with AsyncClient(*doors, trusted=trusted) as client:
            found = await client.packages_in_force(SYMBOL, TIMEFRAME, RULE, grades=EVERY)
            return [package["package_id"] for package in found]

    async def follow(trusted: list[str]) -> dict[str, Any]:
        async with asyncio.timeout(3), AsyncClient(*doors, trusted=trusted) as client:
            return await anext(client.packages(SYMBOL, TIMEFRAME, RULE, grades=EVERY))

    assert asyncio.run(believed(None)) == [PACKAGE_ID], "who trusts nobody in particular believes it"
    assert asyncio.run(believed(house.trusted())) == []
    with pytest.raises(TimeoutError):
        asyncio.run(follow(house.trusted()))
    assert impostor.stop() == 0, impostor.log()[-3000:]


def test_a_length_that_is_said_twice_is_refused(house: House) -> None:
    hidden = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"
    head = b"POST /api/backtest/start HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    lengths = b"Transfer-Encoding: chunked\r\nContent-Length: %d\r\n" % (5 + len(hidden))
    token = f"Authorization: Bearer {house.bot}\r\n\r\n".encode()
    with socket.create_connection(house.daemon.doors["http"].split(":"), timeout=10) as talker:
        talker.sendall(head + lengths + token + b"0\r\n\r\n" + hidden)
        answer = b"".join(iter(lambda: talker.recv(65_536), b""))  # until the daemon closes
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1 ") == 1, "what was hidden behind it is no request"


def test_what_the_daemon_keeps_is_its_owners_alone(house: House) -> None:
    public = set(house.folder.glob("keys/clients/*.json"))
    ours = {house.folder / "before.db", house.folder / FORK_SERVERS, house.daemon.log_file}
    kept = [path for path in house.folder.rglob("*") if path not in public | ours]
    assert {"tunesmith.db", "signing", "tokens.json", "doors.json"} <= {path.name for path in kept}
    assert [path for path in kept if path.stat().st_mode & 0o077] == []


def test_no_secret_is_told_by_any_door_command_or_log(house: House) -> None:
    signing = [file.read_text().strip() for file in (house.folder / "keys" / "signing").glob("*.secret")]
    secrets = ["swordfish", house.desk, house.bot, *signing]
    assert len(signing) >= 1
    asked: list[tuple[str, dict[str, Any]]] = [
        ("server.info", {}),
        ("audit.list", {}),
        ("backtest.start", AWAY),
        ("strategy.get", {"id": house.desk}),
        ("package.revoke", {"package_id": f"Bearer {house.desk}"}),
        ("strategy.delete", {"id": house.desk}),
    ]
    told = [json.dumps(ask(house, message, data)) for message, data in asked]
    assert "http://****@localhost/bars?api_key=****" in told[2]
    headers = {"Authorization": f"Bearer {house.bot}"}
    for path in ("/health", "/metrics", "/api/metrics", "/api/packages", "/api/nothing", "/openapi.json"):
        reply = httpx.get(house.web + path, headers=headers)
        told.append(reply.text + str(reply.headers))
    told.append(httpx.post(f"{house.web}/api/backtest/start", json=AWAY, headers=headers).text)
    for arguments in (("config", "show"), ("audit", "--json")):
        done = run(*arguments, "--data-dir", house.folder, **SECRETS)
        assert done.returncode == 0, done.stderr
        told.append(done.stdout + done.stderr)
    wrong = environment(**{**SECRETS, "TUNESMITH_SOURCES__UPSTREAM": "ftp://feed:swordfish@host/"})
    serve = [*COMMAND, "serve", "--data-dir", str(house.folder / "other"), "--http", ""]
    refused = subprocess.run(serve, capture_output=True, text=True, timeout=60, check=False, env=wrong)
    assert (refused.returncode, "is no address" in refused.stderr) == (1, True)
    log = house.daemon.log()
    assert "download failed" in log
    told += [refused.stderr, (house.folder / "doors.json").read_text(), log]
    leaks = [text[max(0, at - 200) : at + 100] for text in told for s in secrets if (at := text.find(s)) >= 0]
    assert leaks == []
