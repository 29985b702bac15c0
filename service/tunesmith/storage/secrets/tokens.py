"""Bearer tokens of the HTTP door, in one file of mode 0600: names, roles and the tokens' sha256, never the tokens.

A token is 32 random bytes, so its plain hash gives nothing away. The file is looked at again whenever it has changed:
a token that is revoked is refused from the next request on. A file that cannot be read lets nobody in.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import msgspec

from tunesmith.errors import Conflict, Invalid, NotFound
from tunesmith.protocol.envelope import Role
from tunesmith.storage.secrets.secret_files import changing, read_secret, write_secret
from tunesmith.storage.timestamps import now

logger = logging.getLogger(__name__)

PREFIX = "tsm_"
"""What every token begins with, so that one that stands where it should not is found."""

RESERVED = {"local": "those without a token are", "settings": "the user of the settings' schedules is"}
"""Users that no token may be named like, and who is called so."""

_TOKEN_BYTES = 32

_State = tuple[int, int, int, int]


class Token(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A token as it is kept; `hash` is its sha256."""

    name: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}(?![\s\S])")]
    role: Role
    hash: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}(?![\s\S])")]
    created_at: str
    revoked_at: str | None = None


class TokenFile:
    """The tokens in `path`, which need not be there. `always`: writing needs one even before there is any."""

    def __init__(self, path: Path, *, always: bool = False) -> None:
        self._path = path
        self._always = always
        self._seen: _State | None = None
        self._tokens: list[Token] | None = []
        self._last: list[Token] = []
        """The tokens when they could be read last: a file that is damaged for a while demotes nobody for good."""

    @property
    def required(self) -> bool:
        """Whether writing needs a token: one was made at some time, or nobody can tell."""
        tokens = self._current()
        return self._always or tokens is None or bool(tokens)

    def holder(self, secret: str) -> Token | None:
        """Whose token that is; None for one that is unknown or revoked."""
        digest = _hash(secret)
        found = None
        for token in self._current() or ():
            if hmac.compare_digest(token.hash, digest) and token.revoked_at is None:
                found = token
        return found

    def role_of(self, user: str) -> Role | None:
        """What the token of a user allows at this moment; None where there is none, or where it is revoked."""
        self._current()
        for token in self._last:
            if token.name == user and token.revoked_at is None:
                return token.role
        return None

    def knows(self, user: str) -> bool:
        """Whether a token of that name was ever made."""
        self._current()
        return any(token.name == user for token in self._last)

    def listing(self) -> list[Token]:
        """Every token, the oldest first. Raises `Invalid` for a file that others may read, or that is none."""
        if not self._path.exists():
            return []
        try:
            return msgspec.json.decode(read_secret(self._path), type=list[Token])
        except msgspec.MsgspecError as error:
            raise Invalid(f"{self._path} is no file of tokens: {error}") from error

    def new(self, name: str, role: Role) -> str:
        """Make a token and say it, this once. Raises `Conflict` for a name in use, `Invalid` for one that is none."""
        with self._changing():
            return self._new(name, role)

    def _new(self, name: str, role: Role) -> str:
        tokens = self.listing()
        if any(token.name == name and token.revoked_at is None for token in tokens):
            raise Conflict(f"there is a token {name!r} already; revoke it first, or choose another name")
        secret = PREFIX + secrets.token_urlsafe(_TOKEN_BYTES)
        token = {"name": name, "role": role, "hash": _hash(secret), "created_at": now()}
        try:
            tokens.append(msgspec.convert(token, Token))
        except msgspec.ValidationError as error:
            raise Invalid(f"{name!r} is no name: 1 to 64 of A-Z a-z 0-9 . _ -, a letter or digit first") from error
        if name in RESERVED:
            raise Invalid(f"{name!r} is what {RESERVED[name]} called; choose another name")
        self._write(tokens)
        return secret

    def revoke(self, name: str) -> Token:
        """Have a token let in nobody any more. Raises `NotFound`."""
        with self._changing():
            tokens = self.listing()
            for i, token in enumerate(tokens):
                if token.name == name and token.revoked_at is None:
                    tokens[i] = msgspec.structs.replace(token, revoked_at=now())
                    self._write(tokens)
                    return tokens[i]
        raise NotFound(f"there is no token {name!r}; `tunesmith keys tokens` lists them")

    def _current(self) -> list[Token] | None:
        """The tokens; None where they cannot be read."""
        state = self._state()
        if state != self._seen:
            try:
                self._tokens = self._last = self.listing()
            except Invalid as error:
                self._tokens = None
                logger.error("the tokens cannot be read; nobody is let in: %s", error.message)
            self._seen = state
        return self._tokens

    def _state(self) -> _State | None:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_ino, found.st_size, found.st_mode

    @contextmanager
    def _changing(self) -> Iterator[None]:
        try:
            with changing(self._path.parent):
                yield
        except OSError as error:
            raise Invalid(f"cannot write {self._path}: {error.strerror}") from error

    def _write(self, tokens: list[Token]) -> None:
        try:
            write_secret(self._path, msgspec.json.format(msgspec.json.encode(tokens)).decode() + "\n")
        except OSError as error:
            raise Invalid(f"cannot write {self._path}: {error.strerror}") from error


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
