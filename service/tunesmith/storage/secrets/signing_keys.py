"""The keys that sign events, in a folder: `<keyid>.secret` (mode 0600) and `<keyid>.json`, which is public.

The newest key that is not retired signs. A retired key has no secret file any more, and its public file stays, so that
bots can be told that it is retired. The folder is looked at again whenever something in it has changed.
"""

from __future__ import annotations

import base64
import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from tunesmith.errors import Conflict, Invalid, NotFound
from tunesmith.protocol.signatures import PublicKey, decode_key, keyid_of
from tunesmith.storage.atomic_files import write_content
from tunesmith.storage.secrets.secret_files import changing, read_secret, write_secret
from tunesmith.storage.timestamps import iso, milliseconds, now

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

logger = logging.getLogger(__name__)

_PUBLIC = ".json"


class KeyFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The public side of a signing key; `public` is base64."""

    keyid: str
    public: str
    created_at: str
    retired_at: str | None = None

    @property
    def key(self) -> PublicKey:
        """The key as bots have it."""
        return PublicKey(self.keyid, decode_key(self.public), self.retired_at is not None)


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key that signs."""

    keyid: str
    private: Ed25519PrivateKey

    def sign(self, frame: bytes) -> bytes:
        """The 64 bytes of the signature over `frame`."""
        return self.private.sign(frame)


class SigningKeys:
    """The keys below `folder`, which need not be there."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seen: object = None
        self._current: SigningKey | None = None

    def listing(self) -> list[KeyFile]:
        """Every key, the oldest first. Raises `Invalid` for a file that is none, and a folder that cannot be read."""
        try:
            files = [file for file in self._folder.iterdir() if file.suffix == _PUBLIC and file.name[0] != "."]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise Invalid(
                f"cannot read the signing keys in {self._folder}: {error.strerror}; where there may be a key, nothing "
                "is published unsigned: let the daemon's account read the folder, or take it away"
            ) from error
        return sorted(map(_read, files), key=lambda file: (file.created_at, file.keyid))

    def new(self) -> KeyFile:
        """Make a key; it signs from now on. Raises `OSError`."""
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        private = Ed25519PrivateKey.generate()
        public = private.public_key().public_bytes_raw()
        with changing(self._folder):
            newest = max((file.created_at for file in self.listing()), default=None)
            file = KeyFile(keyid=keyid_of(public), public=_base64(public), created_at=_later_than(newest))
            write_secret(self._secret(file.keyid), _base64(private.private_bytes_raw()) + "\n")
            self._write(file)
        return file

    def retire(self, keyid: str) -> KeyFile:
        """Have a key vouch for nothing any more; its secret is removed.

        Raises `NotFound`, and `Conflict` for the only key that can sign: make its successor first.
        """
        if not self._folder.is_dir():
            raise NotFound("there are no signing keys; `tunesmith keys signing new` makes one")
        with changing(self._folder):
            return self._retire({file.keyid: file for file in self.listing()}, keyid)

    def _retire(self, files: dict[str, KeyFile], keyid: str) -> KeyFile:
        if keyid not in files:
            raise NotFound(f"there is no signing key {keyid!r}")
        if files[keyid].retired_at is not None:
            raise Conflict(f"the key {keyid} is retired already")
        if all(file.retired_at is not None for file in files.values() if file.keyid != keyid):
            raise Conflict(f"{keyid} is the only key that signs; make its successor first, and tell the bots of it")
        retired = msgspec.structs.replace(files[keyid], retired_at=now())
        self._write(retired)
        self._secret(keyid).unlink(missing_ok=True)
        return retired

    def load(self) -> SigningKey | None:
        """The key that signs, None where there is none. Raises `Invalid` for files that others may read, or no keys."""
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        able = [file for file in self.listing() if file.retired_at is None]
        if not able:
            return None
        file = able[-1]
        private = Ed25519PrivateKey.from_private_bytes(decode_key(read_secret(self._secret(file.keyid)).strip()))
        if private.public_key().public_bytes_raw() != file.key.public:
            raise Invalid(f"{self._secret(file.keyid)} is not the secret of the key {file.keyid}")
        return SigningKey(file.keyid, private)

    def open(self) -> None:
        """Load the key that signs from now on. Raises `Invalid` as `load` does."""
        self._seen, self._current = self._state(), self.load()

    def current(self) -> SigningKey | None:
        """As `load`, read again only where the folder has changed.

        What cannot be read, or is gone, leaves the key as it was: a daemon that signs never goes on without.
        """
        changed = self._state()
        if changed != self._seen:
            self._seen = changed
            try:
                found = self.load()
                if found is None and self._current is not None:
                    raise Invalid(f"there are none in {self._folder} any more")
            except Invalid as error:
                logger.error("the signing keys cannot be read; the key stays as it was: %s", error.message)
            else:
                self._current = found
                logger.info("events are signed with %s", found.keyid if found else "no key")
        return self._current

    def _state(self) -> object:
        """Something that differs whenever a file was written, added or taken away."""
        try:
            with os.scandir(self._folder) as entries:
                return sorted((e.name, s.st_ino, s.st_mtime_ns, s.st_mode) for e in entries for s in (e.stat(),))
        except OSError:
            return ()

    def _secret(self, keyid: str) -> Path:
        return self._folder / f"{keyid}.secret"

    def _write(self, file: KeyFile) -> None:
        content = msgspec.json.format(msgspec.json.encode(file)) + b"\n"
        write_content(self._folder / f"{file.keyid}.json", content)


def _read(path: Path) -> KeyFile:
    try:
        file = msgspec.json.decode(path.read_bytes(), type=KeyFile)
    except (OSError, msgspec.MsgspecError) as error:
        raise Invalid(f"{path} is no signing key: {error}") from error
    if file.keyid != path.stem or keyid_of(file.key.public) != file.keyid:
        raise Invalid(f"{path} is not the key that its name says")
    return file


def _later_than(newest: str | None) -> str:
    """Now, or just after the newest key where the clock was set back: the last one made is the one that signs."""
    time = now()
    if newest is None or time > newest:
        return time
    return iso(milliseconds(newest) + 1)


def _base64(key: bytes) -> str:
    return base64.b64encode(key).decode()
