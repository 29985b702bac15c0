"""The only imports of the package's inside that these tests make beside the public client and errors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tunesmith.errors import BY_CODE
from tunesmith.protocol.canonical import canonical_hash, canonical_json
from tunesmith.storage.secrets.signing_keys import SigningKeys


def canonical(value: Any) -> str:
    """The canonical JSON of a value."""
    text = canonical_json(value)
    return text.decode() if isinstance(text, bytes) else text


def package_id(package: dict[str, Any]) -> str:
    """The id of a package: the hash of all its other fields."""
    return canonical_hash({name: value for name, value in package.items() if name != "package_id"})


def sign(keys: Path, frame: bytes) -> bytes:
    """The signature over `frame` of the key below the folder `keys` that signs now."""
    key = SigningKeys(keys).load()
    assert key is not None
    return key.sign(frame)


def errors() -> dict[str, Any]:
    """Each error code with all that is said of it on the wire."""
    return {code: kind("why", path="/data/x", retry_after_ms=5).problem("urn:x") for code, kind in BY_CODE.items()}
