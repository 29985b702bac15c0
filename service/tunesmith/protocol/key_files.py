"""Files that hold a secret, and the key file that a client carries. Needs msgspec alone, as bots read theirs with it.

A secret's file belongs to its owner: one that others may read is refused, with what to do.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec

from tunesmith.errors import Invalid
from tunesmith.protocol.envelope import Role
from tunesmith.protocol.private_files import check_private

NAME = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}(?![\s\S])"
"""What a key may be called: its name is a file's, and a client's in topics and idempotency."""

CurveKey = Annotated[str, msgspec.Meta(pattern=r"^[0-9A-Za-z.:+=^!/*?&<>()\[\]{}@%$#-]{40}(?![\s\S])")]
"""32 bytes as 40 characters of ZeroMQ's Z85."""

_HIDDEN = "****"

T = TypeVar("T")


class ClientKey(msgspec.Struct, frozen=True, kw_only=True):
    """What a client needs to be let in: its pair, and the public key by which it knows the daemon."""

    name: Annotated[str, msgspec.Meta(pattern=NAME)]
    role: Role
    public: CurveKey
    secret: CurveKey
    server: CurveKey

    def __repr__(self) -> str:
        return f"ClientKey(name={self.name!r}, role={self.role!r}, public={self.public!r}, secret={_HIDDEN!r})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("name", self.name), ("role", self.role), ("public", self.public), ("secret", _HIDDEN)]


def read_client_key(path: Path | str) -> ClientKey:
    """The key in a client's file; raises `Invalid` for one that is absent, open to others, or no key."""
    return read_private(Path(path).expanduser(), ClientKey)


def read_private(path: Path, kind: type[T]) -> T:
    """The JSON of a file that is its owner's alone, as `kind`.

    Raises `Invalid` that says what to do; what stands in the file never stands in the error.
    """
    try:
        with path.open("rb") as file:
            check_private(os.fstat(file.fileno()).st_mode, path)
            body = file.read(65_536)
    except OSError as error:
        raise Invalid(f"cannot read the key file {path}: {error.strerror}") from error
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        raise Invalid(f"{path} is no key file: {error}") from None
    except ValueError:
        raise Invalid(f"{path} is no key file: it is not JSON") from None
