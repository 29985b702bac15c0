"""Signing keys as files: one signs, several are known, secrets belong to their owner alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from benchmarks import signatures
from tunesmith.errors import Conflict, Invalid, NotFound
from tunesmith.protocol.signatures import read_lines
from tunesmith.storage.secrets import signing_keys
from tunesmith.storage.secrets.signing_keys import KeyFile, SigningKeys


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "keys" / "signing"


@pytest.fixture
def keys(folder: Path) -> SigningKeys:
    return SigningKeys(folder)


def signs(keys: SigningKeys, file: KeyFile) -> None:
    """The key in force is this one, and its public side agrees."""
    key = keys.current()
    assert key is not None
    assert key.keyid == file.keyid
    Ed25519PublicKey.from_public_bytes(file.key.public).verify(key.sign(b"frame"), b"frame")


def test_without_keys_nothing_signs(keys: SigningKeys) -> None:
    assert (keys.current(), keys.load(), keys.listing()) == (None, None, [])


def test_the_newest_signs_and_a_retired_one_never_again(keys: SigningKeys, folder: Path) -> None:
    first = keys.new()
    signs(keys, first)
    second = keys.new()
    signs(keys, second)
    assert {(p.name, p.stat().st_mode & 0o777) for p in folder.glob("*.secret")} == {
        (f"{file.keyid}.secret", 0o600) for file in (first, second)
    }
    assert folder.stat().st_mode & 0o777 == 0o700
    keys.retire(second.keyid)
    signs(keys, first)
    assert [file.retired_at is None for file in keys.listing()] == [True, False]
    assert [p.stem for p in folder.glob("*.secret")] == [first.keyid]
    with pytest.raises(Conflict, match="retired already"):
        keys.retire(second.keyid)
    with pytest.raises(Conflict, match="the only key that signs"):
        keys.retire(first.keyid)
    with pytest.raises(NotFound):
        keys.retire("0" * 16)
    text = "\n".join(f"{file.key.line}  # {file.created_at}" for file in keys.listing())
    assert {k.keyid: k.retired for k in read_lines(text).values()} == {first.keyid: False, second.keyid: True}


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660])
def test_a_secret_that_others_may_read_is_refused(keys: SigningKeys, folder: Path, mode: int) -> None:
    first, second = keys.new(), keys.new()
    (folder / f"{second.keyid}.secret").chmod(mode)
    with pytest.raises(Invalid, match=f"mode {mode:04o}.*chmod 600"):
        SigningKeys(folder).load()
    (folder / f"{second.keyid}.secret").chmod(0o600)
    signs(SigningKeys(folder), second)
    assert first.keyid != second.keyid


def test_what_cannot_be_read_later_leaves_the_key_as_it_was(keys: SigningKeys, folder: Path) -> None:
    first = keys.new()
    signs(keys, first)
    (folder / ("f" * 16 + ".json")).write_text("{}")
    signs(keys, first)
    with pytest.raises(Invalid, match="is no signing key"):
        keys.load()


def test_another_keys_secret_is_noticed(keys: SigningKeys, folder: Path) -> None:
    first, second = keys.new(), keys.new()
    secret = folder / f"{second.keyid}.secret"
    secret.write_text((folder / f"{first.keyid}.secret").read_text())
    with pytest.raises(Invalid, match="is not the secret"):
        keys.load()
    secret.write_text("hush\n")
    with pytest.raises(Invalid) as caught:
        keys.load()
    assert "hush" not in caught.value.message


@pytest.mark.parametrize(
    "line",
    ["0123456789abcdef", "0123456789abcdef AAAA", "0123456789abcdef " + "A" * 43 + "=", "x y retired z", "a b c"],
)
def test_a_line_that_is_no_key_is_named(line: str) -> None:
    with pytest.raises(Invalid, match="line 2"):
        read_lines(f"# keys\n{line}")


def test_the_last_one_made_signs_though_the_clock_was_set_back(
    keys: SigningKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    signs(keys, keys.new())
    for time in ("2001-01-01T00:00:00.000Z", "2001-01-01T00:00:00.000Z", "2000-01-01T00:00:00.000Z"):
        monkeypatch.setattr(signing_keys, "now", lambda time=time: time)
        signs(keys, keys.new())
    assert len({file.created_at for file in keys.listing()}) == 4


def test_the_benchmark_of_signatures_runs(capsys: pytest.CaptureFixture[str]) -> None:
    signatures.main(["--events", "200"])
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["append,", "append,", "sign", "check"]


def test_a_folder_that_cannot_be_read_or_is_gone_never_means_unsigned(keys: SigningKeys, folder: Path) -> None:
    file = keys.new()
    keys.open()
    aside = folder.rename(folder.with_name("aside"))
    signs(keys, file)
    folder.write_text("no folder")
    signs(keys, file)
    for refuse in (SigningKeys(folder).open, SigningKeys(folder).listing):
        with pytest.raises(Invalid, match=f"cannot read the signing keys in {folder}.*nothing is published unsigned"):
            refuse()
    folder.unlink()
    aside.rename(folder)
    signs(keys, file)
