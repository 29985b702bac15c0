"""Keys as files: made whole, their owner's alone, shut out by a word in a record."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from pathlib import Path

import pytest
from rich.pretty import pretty_repr

from tunesmith.errors import Conflict, Invalid, NotFound
from tunesmith.protocol.key_files import read_client_key
from tunesmith.transport.access.client_keys import COMMAND_LINE, KeyStore


@pytest.fixture
def store(tmp_path: Path) -> KeyStore:
    made = KeyStore(tmp_path / "keys")
    assert made.make_server()
    return made


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_the_daemons_pair_is_made_once_with_an_operators_key_for_its_machine(store: KeyStore) -> None:
    pair = store.server()
    assert not store.make_server()
    assert store.server() == pair
    [operator] = store.clients().clients
    assert (operator.name, operator.role) == (COMMAND_LINE, "operator")
    assert read_client_key(store.issued(COMMAND_LINE)).server == pair.public


def test_secrets_are_their_owners_alone_from_the_first_byte(store: KeyStore, tmp_path: Path) -> None:
    elsewhere = store.add("a", "bot", tmp_path / "a.key")
    files = [store.server_file, store.issued(COMMAND_LINE), elsewhere]
    assert {mode(file) for file in files} == {0o600}
    assert {mode(folder) for folder in (store.folder, store.clients_folder, store.issued_folder)} == {0o700}
    secrets = [json.loads(file.read_text())["secret"] for file in files]
    assert all(secret not in record.read_text() for secret in secrets for record in store.clients_folder.iterdir())
    assert [file.name for file in store.folder.rglob(".*")] == []


@pytest.mark.parametrize("opened", [0o640, 0o604, 0o660, 0o666, 0o644])
def test_a_secret_that_others_may_read_is_refused_with_what_to_do(store: KeyStore, opened: int) -> None:
    file = store.add("a", "bot")
    for path in (file, store.server_file):
        path.chmod(opened)
    with pytest.raises(Invalid, match=rf"mode {opened:04o}\): chmod 600 {file}"):
        read_client_key(file)
    with pytest.raises(Invalid, match=rf"chmod 600 {store.server_file}"):
        store.server()
    file.chmod(0o400)
    assert read_client_key(file).name == "a"


def test_a_secret_is_in_no_text_and_no_error(store: KeyStore) -> None:
    file = store.add("a", "bot")
    key, pair = read_client_key(file), store.server()
    shown = f"{key!r} {key} {pair!r} {pair} {pretty_repr(key)} {pretty_repr(pair)}"
    assert not {key.secret, pair.secret} & set(re.split(r"['\" ]", shown))
    assert key.public in shown
    broken = json.loads(file.read_text()) | {"secret": key.secret + "~"}
    file.write_text(json.dumps(broken))
    with pytest.raises(Invalid, match=r"is no key file: .*secret") as refused:
        read_client_key(file)
    assert key.secret not in str(refused.value)


def test_a_folder_in_which_others_may_put_keys_is_refused(store: KeyStore) -> None:
    store.clients_folder.chmod(0o777)
    with pytest.raises(Invalid, match=f"chmod 700 {store.clients_folder}"):
        store.server()


def test_a_name_is_taken_until_its_key_is_revoked(store: KeyStore) -> None:
    first = read_client_key(store.add("a", "bot"))
    with pytest.raises(Conflict, match="revoke it first"):
        store.add("a", "operator")
    assert store.revoke("a").revoked is not None
    assert not store.issued("a").exists()
    with pytest.raises(Conflict, match="was revoked at"):
        store.revoke("a")
    second = read_client_key(store.add("a", "operator"))
    assert second.secret != first.secret
    [now] = [client for client in store.clients().clients if client.name == "a"]
    assert (now.role, now.revoked, now.public) == ("operator", None, second.public)


def test_an_unknown_name_is_refused_with_those_that_there_are(store: KeyStore) -> None:
    with pytest.raises(NotFound, match="there are cli"):
        store.revoke("nobody")


@pytest.mark.parametrize("name", ["", ".", "..", "../a", "a/b", "local", "-a", "a b", "é", "a\n", "x" * 65])
def test_a_name_that_is_no_file_or_not_free_is_refused(store: KeyStore, name: str) -> None:
    with pytest.raises(Invalid, match="name"):
        store.add(name, "bot")
    assert [client.name for client in store.clients().clients] == [COMMAND_LINE]


def test_a_file_in_the_way_is_kept_and_nobody_is_let_in(store: KeyStore, tmp_path: Path) -> None:
    file = tmp_path / "mine"
    file.write_text("precious")
    with pytest.raises(Conflict, match="is there already"):
        store.add("a", "bot", file)
    with pytest.raises(Invalid, match="cannot write"):
        store.add("a", "bot", tmp_path / "absent" / "a.key")
    assert file.read_text() == "precious"
    assert [client.name for client in store.clients().clients] == [COMMAND_LINE]


def test_records_that_are_none_or_that_others_may_write_let_nobody_in(store: KeyStore) -> None:
    for name in ("open", "torn", "stolen"):
        store.add(name, "bot")
    records = {name: store.clients_folder / f"{name}.json" for name in ("open", "torn", "stolen")}
    records["open"].chmod(0o666)
    records["torn"].write_text(records["torn"].read_text()[:40])
    records["stolen"].rename(store.clients_folder / "other.json")
    clients, problems = store.clients()
    assert [client.name for client in clients] == [COMMAND_LINE]
    assert [next(word for word in ("chmod 644", "no client's", "names another") if word in p) for p in problems] == [
        "chmod 644",
        "names another",
        "no client's",
    ]


def test_every_change_of_a_record_shows(store: KeyStore) -> None:
    states = [store.stamps()]
    store.add("a", "bot")
    states.append(store.stamps())
    store.revoke("a")
    states.append(store.stamps())
    store.add("a", "bot")
    states.append(store.stamps())
    assert all(before != after for before, after in pairwise(states))
    assert store.stamps() == states[-1]
