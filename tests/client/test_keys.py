"""A client with a key: let in, or told why not, at once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from client.daemon import SYMBOL, TOPIC, FakeDaemon, package
from tunesmith.client import AsyncClient, Client
from tunesmith.errors import DeadlineExceeded, Invalid, Unauthorized
from tunesmith.transport.keyfile import read_client_key
from tunesmith.transport.keys import KeyStore

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


def test_with_its_key_it_asks_and_hears_under_the_keys_name(guarded: FakeDaemon, store: KeyStore) -> None:
    with connect(guarded, store.issued("bot")) as client:
        assert client.ping().protocol == 1
        assert next(client.packages(SYMBOL))["package_id"] == "a" * 64
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
            next(client.packages(SYMBOL, timeout_s=PATIENCE_S))


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
            next(client.package_events(SYMBOL, timeout_s=PATIENCE_S))


def test_another_daemons_key_runs_into_the_deadline_and_says_what_may_be_wrong(
    guarded: FakeDaemon, tmp_path: Path
) -> None:
    other = KeyStore(tmp_path / "keys")
    other.make_server()
    with (
        connect(guarded, other.add("astray", "bot"), deadline_s=1.0) as client,
        pytest.raises(DeadlineExceeded, match=r"breaks off the handshake: is the key 'astray' of another daemon"),
    ):
        client.ping()


def test_a_key_revoked_on_the_way_ends_requests_and_streams_with_the_reason(
    guarded: FakeDaemon, store: KeyStore
) -> None:
    file = store.add("leaver", "bot")
    copy = file.with_name("copy.key")
    copy.write_bytes(file.read_bytes())
    copy.chmod(0o600)

    async def main() -> None:
        async with AsyncClient(guarded.requests, guarded.events, key=copy, deadline_s=PATIENCE_S) as client:
            stream = client.packages(SYMBOL)
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
