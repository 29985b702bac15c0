"""A client with a key: let in, or told why not, at once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from client.daemon import SYMBOL, TESTED, TOPIC, FakeDaemon, package
from client.relay import Relay
from journeys.daemon import wait_until
from tunesmith.client import AsyncClient, Client, sockets
from tunesmith.client.sockets import BREAKS
from tunesmith.errors import DeadlineExceeded, Invalid, Unauthorized
from tunesmith.protocol.key_files import read_client_key
from tunesmith.transport.access.access_control import AccessControl
from tunesmith.transport.access.client_keys import KeyStore
from tunesmith.transport.zmq import endpoints

PATIENCE_S = 20.0
"""Far above what a refusal takes, so that one which comes by the deadline is seen to be none."""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> KeyStore:
    made = KeyStore(tmp_path_factory.mktemp("client") / "keys")
    made.make_server()
    made.add("bot", "bot")
    return made


@pytest.fixture(scope="module")
def guarded(store: KeyStore) -> Iterator[FakeDaemon]:
    daemon = FakeDaemon()
    daemon.keys = store
    with daemon:
        daemon.append(TOPIC, "package.approved", package())
        yield daemon


@pytest.fixture(scope="module")
def plain() -> Iterator[FakeDaemon]:
    with FakeDaemon() as daemon:
        yield daemon


def connect(daemon: FakeDaemon, key: Path | str | None, deadline_s: float = PATIENCE_S, **more: Any) -> Client:
    return Client(daemon.requests, daemon.events, key=key, deadline_s=deadline_s, **more)


def astray(folder: Path) -> Path:
    """The file of a key that another daemon made."""
    other = KeyStore(folder / "keys")
    other.make_server()
    return other.add("astray", "bot")


def test_with_its_key_it_asks_and_hears_under_the_keys_name(guarded: FakeDaemon, store: KeyStore) -> None:
    with connect(guarded, store.issued("bot")) as client:
        assert client.ping().protocol == 1
        assert next(client.packages(SYMBOL, grades=TESTED))["package_id"] == "a" * 64
        assert client._client._name == "bot"


def test_the_environment_names_the_key_unless_the_program_does(
    guarded: FakeDaemon, plain: FakeDaemon, store: KeyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TUNESMITH_KEY", str(store.issued("bot")))
    with connect(guarded, None) as client:
        assert client.ping().protocol == 1
    with connect(plain, "") as client:
        assert client.ping().protocol == 1


def test_without_a_key_it_is_told_to_get_one(guarded: FakeDaemon) -> None:
    with connect(guarded, "") as client:
        with pytest.raises(Unauthorized, match=r"asks for a key.*tunesmith keys new"):
            client.ping()
        with pytest.raises(Unauthorized, match="asks for a key"):
            next(client.packages(SYMBOL, timeout_s=PATIENCE_S, grades=TESTED))


def test_with_a_key_where_none_is_asked_it_is_told(plain: FakeDaemon, store: KeyStore) -> None:
    with connect(plain, store.issued("bot")) as client, pytest.raises(Unauthorized, match="takes no keys"):
        client.ping()


def test_an_unknown_key_is_told_so_every_time(guarded: FakeDaemon, store: KeyStore, tmp_path: Path) -> None:
    stranger = KeyStore(tmp_path / "keys")
    stranger.make_server()
    key = read_client_key(stranger.add("stranger", "operator"))
    file = tmp_path / "stranger.key"
    file.write_bytes(msgspec.json.encode(msgspec.structs.replace(key, server=store.server().public)))
    file.chmod(0o600)
    with connect(guarded, file) as client:
        for _ in range(2):
            with pytest.raises(Unauthorized, match=r"'stranger'.*revoked, or is none of the keys"):
                client.ping()
        with pytest.raises(Unauthorized, match="'stranger'"):
            next(client.package_events(SYMBOL, timeout_s=PATIENCE_S, grades=TESTED))


def test_another_daemons_key_is_told_what_may_be_wrong(guarded: FakeDaemon, tmp_path: Path) -> None:
    file = astray(tmp_path)
    with connect(guarded, file) as client:
        for _ in range(2):
            with pytest.raises(Unauthorized, match=r"breaks off .* 'astray'.*of another daemon.*tunesmith keys new"):
                client.ping()
        with pytest.raises(Unauthorized, match="of another daemon"):
            next(client.packages(SYMBOL, timeout_s=PATIENCE_S, grades=TESTED))
    with (
        connect(guarded, file, deadline_s=0.05) as client,
        pytest.raises(DeadlineExceeded, match=r"breaks off the handshake: is the key 'astray' of another daemon"),
    ):
        client.ping()


def test_a_daemon_that_comes_back_behind_a_proxy_is_waited_for(store: KeyStore) -> None:
    """Until then the proxy takes every connection and drops it, as the daemon does with another's key."""
    daemon = FakeDaemon()
    daemon.keys = store
    with (
        daemon,
        Relay(daemon.requests) as relay,
        ThreadPoolExecutor(1) as aside,
        Client(relay.address, daemon.events, key=store.issued("bot"), deadline_s=PATIENCE_S) as client,
    ):
        client.ping()
        daemon.stop()
        relay.cut()
        answer = aside.submit(client.ping)
        wait_until(lambda: relay.n_dropped > 4 * BREAKS, 20, lambda: f"{relay.n_dropped} dropped")
        daemon.start()
        assert answer.result().protocol == 1


def test_a_daemon_that_cannot_check_a_key_just_now_is_waited_for(
    store: KeyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says nothing and breaks off late; one without a key would learn that it is there."""
    admit, tries = AccessControl.admit, []

    def fail_first(gate: AccessControl, key: str) -> Any:
        tries.append(key)
        if len(tries) <= BREAKS + 1:
            raise OSError("the keys cannot be read")
        return admit(gate, key)

    monkeypatch.setattr(AccessControl, "admit", fail_first)
    monkeypatch.setattr(endpoints, "HANDSHAKE_MS", 300)
    monkeypatch.setattr(sockets, "AT_ONCE_S", 0.1)
    daemon = FakeDaemon()
    daemon.keys = store
    with capture_logs(), daemon, connect(daemon, store.issued("bot")) as client:  # rendering them would take long
        assert client.ping().protocol == 1
    assert len(tries) == BREAKS + 2


def test_a_key_revoked_on_the_way_ends_requests_and_streams_with_the_reason(
    guarded: FakeDaemon, store: KeyStore
) -> None:
    file = store.add("leaver", "bot")
    copy = file.with_name("copy.key")
    copy.write_bytes(file.read_bytes())
    copy.chmod(0o600)

    async def main() -> None:
        async with AsyncClient(guarded.requests, guarded.events, key=copy, deadline_s=PATIENCE_S) as client:
            stream = client.packages(SYMBOL, grades=TESTED)
            assert (await anext(stream))["package_id"] == "a" * 64
            waiting = asyncio.create_task(anext(stream))
            await asyncio.sleep(0)
            store.revoke("leaver")
            with pytest.raises(Unauthorized, match="revoked"):
                await waiting
            with pytest.raises(Unauthorized, match="revoked"):
                await client.ping()

    asyncio.run(asyncio.wait_for(main(), PATIENCE_S))


def test_a_key_that_is_let_in_later_is_let_in(guarded: FakeDaemon, store: KeyStore) -> None:
    file = store.add("late", "bot")
    record = store.clients_folder / "late.json"
    text = record.read_text()
    record.unlink()
    with connect(guarded, file) as client:
        with pytest.raises(Unauthorized):
            client.ping()
        record.write_text(text)
        assert client.ping().protocol == 1


def test_requests_outlive_a_restart_of_a_guarded_daemon(store: KeyStore) -> None:
    daemon = FakeDaemon()
    daemon.keys = store
    with daemon, connect(daemon, store.issued("bot")) as client:
        client.ping()
        daemon.stop()
        daemon.start()
        assert client.ping().protocol == 1


def test_a_key_file_that_is_wrong_is_refused_before_any_connection(store: KeyStore, tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="cannot read the key file"):
        AsyncClient(key=tmp_path / "absent.key")
    file = tmp_path / "a.key"
    file.write_text(json.dumps({"name": "a"}))
    with pytest.raises(Invalid, match="chmod 600"):
        AsyncClient(key=file)
    file.chmod(0o600)
    with pytest.raises(Invalid, match="is no key file"):
        AsyncClient(key=file)
