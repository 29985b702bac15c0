"""Who is let in over HTTP: bearer tokens.

Writes need one as soon as there is any or the other sockets ask for keys, and always where the socket listens beyond
loopback; there reads of data need one too. Probes, metrics and the descriptions of the API are open: they tell nothing
of strategies or packages. Without tokens, on loopback, whoever reaches the socket is its operator.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from starlette.requests import Request

from tunesmith.errors import Unauthorized
from tunesmith.protocol.envelope import Role
from tunesmith.transport.router import Peer

_READS = ("GET", "HEAD", "OPTIONS")
_SCHEME = "bearer"
_MAX_TOKEN = 256


class TokenHolder(Protocol):
    """Whose a token is."""

    @property
    def name(self) -> str: ...

    @property
    def role(self) -> Role: ...


class Tokens(Protocol):
    """The tokens as they are now; `required` says whether writing needs one."""

    @property
    def required(self) -> bool: ...

    def holder(self, secret: str) -> TokenHolder | None: ...


class NoTokens:
    """There are none."""

    required = False

    def holder(self, secret: str) -> TokenHolder | None:
        """Nobody's."""
        return None


def ignore(what: str) -> None:
    """Nobody listens."""


class BearerAuthentication:
    """Says who asks.

    `local`: the socket listens on loopback alone. `refused` is called with method and route of what was asked in vain.
    """

    def __init__(self, tokens: Tokens, *, local: bool, refused: Callable[[str], None] = ignore) -> None:
        self._tokens = tokens
        self._local = local
        self._refused = refused

    def admit(self, request: Request) -> Peer:
        """Who asks; each connection without a token has a lane of its own. Raises `Unauthorized`."""
        host, port = request.client or ("", 0)
        lane = f"{host}:{port}"
        given = request.headers.get("authorization")
        if given is not None:
            holder = self._holder(given)
            if holder is None:
                raise self._refusal(request, "the token is unknown or revoked", invalid=True)
            return Peer(holder.name, holder.role, "http")
        if request.method in _READS:
            if not self._local:
                raise self._refusal(request, "beyond this machine, data needs a token")
            return Peer(door="http", lane=lane, role="bot" if self._tokens.required else "operator")
        if self._tokens.required or not self._local:
            raise self._refusal(request, "writing needs a token")
        return Peer(door="http", lane=lane)

    def _holder(self, header: str) -> TokenHolder | None:
        scheme, _, secret = header.partition(" ")
        secret = secret.strip()
        if scheme.lower() != _SCHEME or not secret or len(secret) > _MAX_TOKEN:
            return None
        return self._tokens.holder(secret)

    def _refusal(self, request: Request, why: str, *, invalid: bool = False) -> Unauthorized:
        self._refused(f"{request.method} {getattr(request.scope.get('route'), 'path', '')}")
        hint = "" if invalid else " (Authorization: Bearer TOKEN; `tunesmith keys token NAME` makes one)"
        return Unauthorized(why + hint)
