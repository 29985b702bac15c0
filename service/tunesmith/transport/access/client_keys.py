"""The keys of the daemon and of those who may come in, as files.

    server.key              the daemon's pair                                                     0600
    clients/<name>.json     one client: role, public key, since when, revoked when
    issued/<name>.key       what a client carries, until it is copied to where it belongs         0600

The daemon reads clients/ alone beside its own pair: what it does not know it cannot lose. A revoked key stays listed; a
new key under its name takes its place.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, NamedTuple
from uuid import uuid4

import msgspec
import zmq

from tunesmith.errors import Conflict, Invalid, NotFound
from tunesmith.protocol.envelope import Role
from tunesmith.protocol.key_files import NAME, ClientKey, CurveKey, read_private
from tunesmith.protocol.private_files import PRIVATE, PRIVATE_FOLDER

COMMAND_LINE = "cli"
"""The operator's key that is made with the server's, for the commands on the daemon's own machine."""

WITHOUT_KEY = "local"
"""Who comes without a key is called so; no key may be."""

RESERVED = {WITHOUT_KEY: "those without a key are", "settings": "the user of the settings' schedules is"}
"""Users that no key may be named like, and who is called so."""

_RECORD = ".json"
_PUBLIC = 0o644


Stamp = tuple[int, ...]


class ServerKey(msgspec.Struct, frozen=True, kw_only=True):
    """The daemon's pair."""

    public: CurveKey
    secret: CurveKey

    def __repr__(self) -> str:
        return f"ServerKey(public={self.public!r})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("public", self.public)]


class Client(msgspec.Struct, frozen=True, kw_only=True):
    """One who may come in, or, `revoked` (a UTC time), may not any more."""

    name: Annotated[str, msgspec.Meta(pattern=NAME)]
    role: Role
    public: CurveKey
    created: str
    revoked: str | None = None


class Listing(NamedTuple):
    """The clients by name, and what was wrong with files that were left out."""

    clients: list[Client]
    problems: list[str]


class KeyStore:
    """The keys below one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.server_file = folder / "server.key"
        self.clients_folder = folder / "clients"
        self.issued_folder = folder / "issued"

    @property
    def has_server(self) -> bool:
        """Whether the daemon has a pair; raises `Invalid` where that cannot be seen."""
        try:
            self.server_file.stat()
        except FileNotFoundError:
            return False
        except OSError as error:
            raise Invalid(f"cannot read the keys in {self.folder}: {error.strerror}") from error
        return True

    def server(self) -> ServerKey:
        """The daemon's pair; raises `Invalid` where it is absent, open to others, or no key."""
        for folder in (self.folder, self.clients_folder):
            _check_folder(folder)
        return read_private(self.server_file, ServerKey)

    def make_server(self) -> bool:
        """Make the daemon's pair, and the command line's key, unless they are there; whether they were made."""
        for folder in (self.folder, self.clients_folder, self.issued_folder):
            folder.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
        if self.has_server:
            return False
        public, secret = _pair()
        _write(self.server_file, ServerKey(public=public, secret=secret), PRIVATE, replace=False)
        self.add(COMMAND_LINE, "operator")
        return True

    def issued(self, name: str) -> Path:
        """Where a client's file is put."""
        return self.issued_folder / f"{name}.key"

    def add(self, name: str, role: Role, file: Path | None = None) -> Path:
        """Make a key for `name` and let it in; where the client's file is now (`file`, else in issued/).

        Raises `Invalid` for a name that cannot be one, `Conflict` for one that is in use and for a file that is there.
        """
        _check_name(name)
        if name in RESERVED:
            raise Invalid(f"{name!r} is what {RESERVED[name]} called; choose another name")
        record = self._record(name)
        before = _read_client(record) if record.exists() else None
        if before is not None and before.revoked is None:
            raise Conflict(f"there is a key {name!r} already; revoke it first, or choose another name")
        public, secret = _pair()
        key = ClientKey(name=name, role=role, public=public, secret=secret, server=self.server().public)
        where = self.issued(name) if file is None else file
        _write(where, key, PRIVATE, replace=False)
        client = Client(name=name, role=role, public=public, created=_now())
        try:
            _write(record, client, _PUBLIC, replace=before is not None)
        except BaseException:
            where.unlink(missing_ok=True)
            raise
        return where

    def revoke(self, name: str) -> Client:
        """Let `name` in no more; its file in issued/ is deleted. Raises `NotFound`, `Conflict` when it is revoked."""
        _check_name(name)
        record = self._record(name)
        if not record.exists():
            raise NotFound(f"there is no key {name!r}; there are {', '.join(self._names()) or 'none'}")
        client = _read_client(record)
        if client.revoked is not None:
            raise Conflict(f"the key {name!r} was revoked at {client.revoked}")
        client = msgspec.structs.replace(client, revoked=_now())
        _write(record, client, _PUBLIC, replace=True)
        self.issued(name).unlink(missing_ok=True)
        return client

    def clients(self) -> Listing:
        """Every client; a file that cannot be read, or that others may write, lets nobody in and is a problem."""
        listing = Listing([], [])
        for name in self._names():
            try:
                listing.clients.append(self.client(name))
            except Invalid as error:
                listing.problems.append(error.message)
        return listing

    def client(self, name: str) -> Client:
        """One client; raises `Invalid` as `clients` leaves it out."""
        return _read_client(self._record(name))

    def stamps(self) -> dict[str, Stamp]:
        """What tells of each client whether its file was written since; empty where there are none."""
        try:
            with os.scandir(self.clients_folder) as entries:
                files = [entry for entry in entries if entry.name.endswith(_RECORD) and entry.name[0] != "."]
                stats = [(file.name.removesuffix(_RECORD), file.stat()) for file in files]
        except FileNotFoundError:
            return {}
        return {name: (s.st_ino, s.st_mtime_ns, s.st_size, s.st_mode) for name, s in stats}

    def changed_at(self) -> int | None:
        """When a client was last added, revoked or taken away, in nanoseconds, as far as the folder tells."""
        try:
            return self.clients_folder.stat().st_mtime_ns
        except FileNotFoundError:
            return None

    def _record(self, name: str) -> Path:
        return self.clients_folder / f"{name}{_RECORD}"

    def _names(self) -> Iterable[str]:
        return sorted(file.stem for file in self.clients_folder.glob(f"*{_RECORD}") if not file.name.startswith("."))


def _read_client(file: Path) -> Client:
    try:
        mode, body = file.stat().st_mode, file.read_bytes()
        client = msgspec.json.decode(body, type=Client)
    except OSError as error:
        raise Invalid(f"cannot read {file}: {error.strerror}") from error
    except ValueError as error:
        raise Invalid(f"{file} is no client's record: {error}") from None
    if client.name != file.stem:
        raise Invalid(f"{file} names another client, {client.name!r}")
    if os.name == "posix" and mode & 0o022:
        raise Invalid(f"{file} lets others write it (mode {stat.S_IMODE(mode):04o}): chmod 644 {file}")
    return client


def _check_name(name: str) -> None:
    if not re.match(NAME, name):
        raise Invalid(f"{name!r} is no name for a key: 1 to 64 of A-Z a-z 0-9 . _ - that begin with a letter or digit")


def _check_folder(folder: Path) -> None:
    try:
        mode = folder.stat().st_mode
    except OSError as error:
        raise Invalid(f"cannot read the keys in {folder}: {error.strerror}; make them: tunesmith keys init") from error
    if os.name == "posix" and mode & 0o022:
        raise Invalid(f"{folder} lets others put keys there (mode {stat.S_IMODE(mode):04o}): chmod 700 {folder}")


def _pair() -> tuple[str, str]:
    public, secret = zmq.curve_keypair()
    return public.decode(), secret.decode()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _write(file: Path, value: msgspec.Struct, mode: int, *, replace: bool) -> None:
    """Write a whole file or none, with this mode from its first byte; raises `Conflict` where one is in the way."""
    draft = file.with_name(f".{uuid4().hex}.tmp")
    try:
        fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(fd, "wb") as out:
            os.fchmod(fd, mode)
            out.write(msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n")
            out.flush()
            os.fsync(fd)
        if replace:
            draft.replace(file)
        else:
            os.link(draft, file)
    except FileExistsError:
        raise Conflict(f"{file} is there already") from None
    except OSError as error:
        raise Invalid(f"cannot write {file}: {error.strerror}") from error
    finally:
        draft.unlink(missing_ok=True)
