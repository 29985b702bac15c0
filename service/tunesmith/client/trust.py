"""Whom a bot believes: the public keys that signatures of events about packages are checked with.

Needs the package cryptography (`pip install 'tunesmith[verify]'`), but only where keys are given.
"""

from __future__ import annotations

import base64
import binascii
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from tunesmith.client.following import Numbered
from tunesmith.errors import Invalid, TunesmithError
from tunesmith.protocol.codec import decode_event
from tunesmith.protocol.envelope import Event
from tunesmith.protocol.messages.server import EventRecord
from tunesmith.protocol.signatures import PublicKey, read_lines

ENVIRONMENT = "TUNESMITH_TRUSTED_KEYS"
"""Names the file of trusted keys where the program does not."""

Trusted = str | os.PathLike[str] | Sequence[str]
"""A file of trusted keys, or its lines."""

_OPEN_TO_OTHERS = 0o022

log = logging.getLogger("tunesmith.client")


class Trust:
    """The keys that a bot believes. Those of a file are read again when it changes, so that keys can be rotated."""

    def __init__(self, lines: Sequence[str] | None = None, file: Path | None = None) -> None:
        try:
            from cryptography.exceptions import InvalidSignature
            from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
        except ImportError:
            raise Invalid("signatures are checked with cryptography: pip install 'tunesmith[verify]'") from None
        self._load_key: Any = Ed25519PublicKey.from_public_bytes
        self._mismatch: type[Exception] = InvalidSignature
        self._file = file
        self._keys = _checked(read_lines("\n".join(lines or ()))) if file is None else _read(file)
        self._seen = _state(file)
        self.generation = 0
        """Counts the times that other keys came to be trusted."""

    def refusal(self, frame: bytes, signature: bytes | None, keyid: str | None) -> str | None:
        """Why an event must not be believed; None for one whose bytes `frame` a trusted key has signed."""
        if signature is None or keyid is None:
            return "it is not signed"
        self.renew()
        key = self._keys.get(keyid)
        if key is None:
            return f"it is signed by the unknown key {keyid[:64]!r}"
        if key.retired:
            return f"it is signed by the retired key {keyid}"
        try:
            self._load_key(key.public).verify(signature, frame)
        except self._mismatch:
            return f"it was tampered with: the signature of the key {keyid} does not match"
        return None

    def read(self, record: EventRecord) -> Numbered:
        """An event of a reply: what was signed of it, and why it must not be believed."""
        try:
            frame = (record.text or "").encode()
            event = decode_event(frame) if record.text is not None else msgspec.convert(record.event, Event)
            signature = base64.b64decode(record.signature, validate=True) if record.signature is not None else None
        except (TunesmithError, binascii.Error, ValueError):
            event = msgspec.convert(record.event, Event)
            return Numbered(record.topic, event, "its text or its signature cannot be read")
        return Numbered(record.topic, event, self.refusal(frame, signature, event.keyid))

    def renew(self) -> None:
        """Read the file again if it has changed; one that cannot be read leaves the keys as they were."""
        if self._file is None or (state := _state(self._file)) == self._seen:
            return
        self._seen = state
        try:
            self._keys = _read(self._file)
            self.generation += 1
        except Invalid as error:
            log.warning("the trusted keys stay as they were: %s", error.message)


def trust_in(trusted: Trusted | None) -> Trust | None:
    """The trust that was asked for, here or in the environment; None: nothing is verified. Raises `Invalid`."""
    if trusted is None:
        trusted = os.environ.get(ENVIRONMENT) or None
    if trusted is None:
        return None
    if isinstance(trusted, str | os.PathLike):
        return Trust(file=Path(trusted).expanduser())
    return Trust(lines=trusted)


def _read(file: Path) -> dict[str, PublicKey]:
    try:
        mode, text = file.stat().st_mode, file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Invalid(f"cannot read the trusted keys in {file}: {getattr(error, 'strerror', None) or error}") from None
    if os.name == "posix" and mode & _OPEN_TO_OTHERS:
        raise Invalid(f"{file} says whom to trust and others may write it (mode {mode & 0o777:04o}): chmod 644 {file}")
    try:
        return _checked(read_lines(text))
    except Invalid as error:
        raise Invalid(f"{file}: {error.message}") from None


def _checked(keys: dict[str, PublicKey]) -> dict[str, PublicKey]:
    if not keys:
        raise Invalid("there are no trusted keys; `tunesmith keys signing list --trusted` prints the daemon's")
    return keys


def _state(file: Path | None) -> tuple[int, int, int] | None:
    if file is None:
        return None
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size
