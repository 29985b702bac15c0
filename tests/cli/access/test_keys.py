"""`tunesmith keys`, and a real daemon that asks for them: from the first key to the last word to a revoked one."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import zmq

from cli.command import read, run, said
from journeys.daemon import DaemonProcess, Dealer
from tunesmith.app import Daemon
from tunesmith.cli.daemon.installation_checks import check_daemon
from tunesmith.cli.daemon.key_checks import check_keys
from tunesmith.cli.daemon_connection import running_doors
from tunesmith.client import Client
from tunesmith.config import Security, Server, Settings
from tunesmith.errors import Forbidden, Invalid, Unauthorized
from tunesmith.protocol.key_files import read_client_key
from tunesmith.transport.access.client_keys import KeyStore


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonProcess]:
    """A daemon that asks for keys, on every interface: what is refused without them."""
    folder = tmp_path_factory.mktemp("keyed")
    made = run("keys", "init", "--data-dir", folder)
    assert (made.returncode, "server.key" in said(made)) == (0, True)
    running = DaemonProcess(folder, {"TUNESMITH_WORKERS__COUNT": "1", "TUNESMITH_SECURITY__CURVE": "on"})
    running.start(host="0.0.0.0")
    yield running
    assert running.stop() == 0, running.log()[-3000:]


@pytest.fixture
def store(daemon: DaemonProcess) -> KeyStore:
    return KeyStore(daemon.folder / "keys")


def here(address: str) -> str:
    return address.replace("0.0.0.0", "127.0.0.1")


def test_commands_on_the_daemons_machine_come_in_by_the_key_made_for_them(daemon: DaemonProcess) -> None:
    assert read("status", "--data-dir", daemon.folder)["tasks"] == []
    about = Settings(server=Server(data_dir=str(daemon.folder)), security=Security(curve="on"))
    found = [check_keys(about), check_daemon(running_doors(daemon.folder), about)]
    assert [check.verdict for check in found] == ["ok", "ok"], found
    assert "CURVE is on" in found[0].says


def test_a_bots_key_is_let_in_at_once_does_its_work_and_no_more(daemon: DaemonProcess, store: KeyStore) -> None:
    made = run("keys", "new", "grid-bot", "--data-dir", daemon.folder)
    assert made.returncode == 0, made.stderr
    file = Path(made.stdout.strip())
    assert file == store.issued("grid-bot")
    with Client(here(daemon.doors["requests"]), here(daemon.doors["events"]), key=file, deadline_s=90) as client:
        assert client.request("server.info")["doors"]["requests"] == daemon.doors["requests"]
        with pytest.raises(Forbidden, match="grid-bot is a bot"):
            client.request("strategy.delete", {"id": "ma_cross_v1.0"})
        listed = {key["name"]: key for key in read("keys", "list", "--data-dir", daemon.folder)["keys"]}
        assert (listed["grid-bot"]["role"], listed["grid-bot"]["revoked"]) == ("bot", None)
        stream = client.packages("BTC/USDT", grades=("tested",), timeout_s=30)
        revoked = run("keys", "revoke", "grid-bot", "--data-dir", daemon.folder)
        assert revoked.returncode == 0, revoked.stderr
        with pytest.raises(Unauthorized, match="revoked"):
            next(stream)
        with pytest.raises(Unauthorized, match="revoked"):
            client.ping()
    assert not file.exists()
    entries = read("audit", "--data-dir", daemon.folder)["entries"]
    refused = {(entry["user"], entry["door"], entry["outcome"]) for entry in entries}
    assert refused >= {("grid-bot", "requests", outcome) for outcome in ("forbidden", "unauthorized")}
    again = run("keys", "revoke", "grid-bot", "--data-dir", daemon.folder)
    assert (again.returncode, "was revoked at" in said(again)) == (1, True)


def test_without_or_with_a_wrong_key_commands_say_what_to_do(daemon: DaemonProcess, tmp_path: Path) -> None:
    at = ("status", "--requests", here(daemon.doors["requests"]), "--data-dir", tmp_path)
    refused = run(*at)
    assert (refused.returncode, "tunesmith keys new" in said(refused)) == (1, True)
    wrong = run(*at, "--key", tmp_path / "absent")
    assert (wrong.returncode, "cannot read the key file" in said(wrong)) == (1, True)
    other = KeyStore(tmp_path / "other")
    other.make_server()
    for command in (at, ("listen", "BTC/USDT", *at[1:], "--events", here(daemon.doors["events"]))):
        astray = run(*command, "--key", other.add(f"{command[0]}-bot", "bot"))
        assert (astray.returncode, "of another daemon" in said(astray)) == (1, True), said(astray)
    named = run(*at, TUNESMITH_KEY=str(KeyStore(daemon.folder / "keys").issued("cli")))
    assert named.returncode == 0, named.stderr


def test_a_plain_bot_gets_no_answer_and_a_keyed_one_in_plain_pyzmq_does(daemon: DaemonProcess, store: KeyStore) -> None:
    key = json.loads(store.add("plain", "bot").read_text())
    with zmq.Context() as context, Dealer(context, here(daemon.doors["requests"])) as keyless:
        keyless.socket.send(b'{"v":1,"type":"ping","id":"a"}')
        with context.socket(zmq.REQ) as req:
            req.linger = 0
            req.curve_publickey, req.curve_secretkey = key["public"].encode(), key["secret"].encode()
            req.curve_serverkey = key["server"].encode()
            req.connect(here(daemon.doors["requests"]))
            req.send(b'{"v":1,"type":"ping","id":"a"}')
            assert req.poll(30_000)
            assert json.loads(req.recv())["ok"]
        assert not keyless.socket.poll(100)


def test_secrets_stand_in_no_log_nor_in_what_it_says_of_itself(daemon: DaemonProcess, store: KeyStore) -> None:
    store.add("quiet", "operator")
    secrets = [store.server().secret, *(read_client_key(file).secret for file in store.issued_folder.glob("*.key"))]
    with Client(here(daemon.doors["requests"]), key=store.issued("cli"), deadline_s=90) as client:
        text = json.dumps(client.request("server.info"))
    text += daemon.log() + run("config", "show", "--data-dir", daemon.folder).stdout
    text += run("keys", "list", "--data-dir", daemon.folder).stderr
    assert [secret for secret in secrets if secret in text or json.dumps(secret)[1:-1] in text] == []
    assert store.server().public in text


def test_the_daemon_does_not_start_with_keys_that_are_open_or_absent(tmp_path: Path) -> None:
    def start(curve: Any) -> None:
        asyncio.run(Daemon(msgspec.structs.replace(settings(tmp_path), security=Security(curve=curve))).start())

    with pytest.raises(Invalid, match="tunesmith keys init"):
        start("on")
    store = KeyStore(tmp_path / "keys")
    store.make_server()
    store.server_file.chmod(0o640)
    with pytest.raises(Invalid, match=f"chmod 600 {store.server_file}"):
        start("auto")


def settings(folder: Path, **more: object) -> Settings:
    server = Server(data_dir=str(folder), **more)  # type: ignore[arg-type]
    return Settings(server=server)


def test_the_doctor_says_what_is_wrong_with_keys(tmp_path: Path) -> None:
    asked = Settings(server=Server(data_dir=str(tmp_path)), security=Security(curve="on"))
    assert (check_keys(asked).verdict, check_keys(settings(tmp_path)).verdict) == ("broken", "note")
    store = KeyStore(tmp_path / "keys")
    store.make_server()
    store.add("a", "bot")
    found = check_keys(settings(tmp_path, requests="tcp://*:5555"))
    assert (found.verdict, found.says[:37]) == ("ok", "CURVE is on: 1 bots, 1 operators; 1 s"), found
    assert check_keys(settings(tmp_path, http="0.0.0.0:80")).verdict == "broken"
    (store.clients_folder / "a.json").chmod(0o666)
    assert "chmod 644" in check_keys(settings(tmp_path)).says
    store.server_file.chmod(0o644)
    assert "chmod 600" in check_keys(settings(tmp_path)).says


def test_where_keys_are_asked_http_writes_need_a_token_too(daemon: DaemonProcess) -> None:
    request = urllib.request.Request(
        f"http://{daemon.doors['http']}/api/strategies/ma_cross_v1.0", method="DELETE", headers={"Idempotency-Key": "k"}
    )
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=90)
    with refused.value:
        assert (refused.value.code, json.load(refused.value)["code"]) == (401, "unauthorized")
