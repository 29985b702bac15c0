"""What a user may do at this moment, by every key and token of that name: asked again where a task ends or is due.

A task and a schedule keep the name of who asked for them, so this is by name and not by connection.
"""

from __future__ import annotations

from typing import Protocol

from tunesmith.protocol.envelope import Role
from tunesmith.transport.access.access_control import AccessControl
from tunesmith.transport.access.client_keys import RESERVED


class TokenRoles(Protocol):
    """The bearer tokens by name."""

    def role_of(self, user: str) -> Role | None: ...

    def knows(self, user: str) -> bool: ...


class Authority:
    """The roles of users. Who has both a key and a token has the better role of the two.

    The machine's own names (`RESERVED`) are operators. Where nobody is asked for a key, so is everybody but who has a
    token, or had one that was revoked.
    """

    def __init__(self, gate: AccessControl | None, tokens: TokenRoles) -> None:
        self._gate = gate
        self._tokens = tokens

    def role_of(self, user: str) -> Role | None:
        """The role that is in force; None where every key and token of that name is revoked, or none was made."""
        if user in RESERVED or (self._gate is None and not self._tokens.knows(user)):
            return "operator"
        roles = {self._tokens.role_of(user), self._gate.role_of(user) if self._gate is not None else None}
        return "operator" if "operator" in roles else "bot" if "bot" in roles else None
