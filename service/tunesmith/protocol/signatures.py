"""Ed25519 keys as they are named and written: by whom an event was signed, and whom a bot trusts.

A bot's file of trusted keys has one key a line, `KEYID PUBLIC [retired]`; `#` begins a comment:

    21fe31dfa154a261 11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import NamedTuple

from tunesmith.errors import Invalid

KEYID_DIGITS = 16
KEY_BYTES = 32
RETIRED = "retired"


class PublicKey(NamedTuple):
    """A key that signatures are checked with; a retired one vouches for nothing any more."""

    keyid: str
    public: bytes
    retired: bool = False

    @property
    def line(self) -> str:
        """The key's line in a file of trusted keys."""
        words = [self.keyid, base64.b64encode(self.public).decode(), *([RETIRED] if self.retired else [])]
        return " ".join(words)


def keyid_of(public: bytes) -> str:
    """The key's name, made of the key itself: the first 16 digits of its sha256."""
    return hashlib.sha256(public).hexdigest()[:KEYID_DIGITS]


def decode_key(text: str) -> bytes:
    """The 32 bytes of a key in base64. Raises `Invalid`."""
    try:
        key = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != KEY_BYTES:
        raise Invalid(f"not an Ed25519 key: base64 of {KEY_BYTES} bytes is expected")
    return key


def read_lines(text: str) -> dict[str, PublicKey]:
    """Keyid → key, of a file of trusted keys. Raises `Invalid` that names the line."""
    keys: dict[str, PublicKey] = {}
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        try:
            key = _read_words(words)
        except Invalid as error:
            raise Invalid(f"line {number}: {error.message}") from None
        keys[key.keyid] = key
    return keys


def _read_words(words: list[str]) -> PublicKey:
    if len(words) not in (2, 3) or (len(words) == 3 and words[2] != RETIRED):
        raise Invalid("KEYID PUBLIC, and perhaps the word retired, are expected")
    public = decode_key(words[1])
    if keyid_of(public) != words[0]:
        raise Invalid(f"the key is not the one that {words[0][:64]!r} names")
    return PublicKey(words[0], public, len(words) == 3)
