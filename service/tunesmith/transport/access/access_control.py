"""Who may come in by CURVE, as what, and what they may hear.

The daemon knows each client by its public key: ZMQ checks that who connects holds the secret, `zap` lets in the keys
that stand in the key store, and every message carries its sender's key (`User-Id`), which is looked up here again. So a
revocation needs no word to any connection: the next look-up finds nobody.

    name and role of a key, or None     who(key)
    options of a server socket          guard(socket)
    topics below which one may hear     audible(who, prefix)
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import structlog
import zmq

from tunesmith.config import Settings
from tunesmith.errors import Invalid
from tunesmith.protocol import topics
from tunesmith.protocol.envelope import Role
from tunesmith.transport.access.client_keys import WITHOUT_KEY, Client, KeyStore

DOMAIN = b"tunesmith"
POLL_S = 0.5
"""How often the key store is looked at: a revocation bites within this time."""
WARN_INTERVAL_S = 1.0

log = structlog.get_logger(__name__)

Refused = Callable[[str, str, str], None]
"""Called with the user, as far as known, the socket, and why a key was refused."""


class Identity(NamedTuple):
    """Who sent a message. Who needs no key is the operator `local`."""

    user: str = WITHOUT_KEY
    role: Role = "operator"


class AccessControl:
    """The keys in force, as the store has them. Raises `Invalid` where the daemon's own pair cannot be read."""

    def __init__(self, store: KeyStore) -> None:
        self._store = store
        self._pair = store.server()
        self._stamps: dict[str, Any] = {}
        self._records: dict[str, Client] = {}
        self._by_key: dict[str, Identity] = {}
        self._names: dict[str, str] = {}
        self._warned_at, self._n_unsaid = -WARN_INTERVAL_S, 0
        self._seen: Any = None
        self._timer: asyncio.TimerHandle | None = None
        self.refused: Refused = _nobody_listens
        self.shut_out: list[Callable[[frozenset[str]], None]] = []
        """Called with the keys that may come in no more, or no more as what they were."""
        self.refresh()

    def start(self) -> None:
        """Begin to look at the store, on the running loop."""
        self._timer = asyncio.get_running_loop().call_later(POLL_S, self._poll)

    def stop(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()

    def guard(self, socket: zmq.Socket[bytes]) -> None:
        """Make a socket, before it is bound, one that lets only keys in that `zap` knows."""
        socket.setsockopt(zmq.CURVE_SERVER, 1)
        socket.setsockopt(zmq.CURVE_PUBLICKEY, self._pair.public.encode())
        socket.setsockopt(zmq.CURVE_SECRETKEY, self._pair.secret.encode())
        socket.setsockopt(zmq.ZAP_DOMAIN, DOMAIN)
        socket.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 1)

    def who(self, key: str | None) -> Identity | None:
        """Whose key it is, if it is in force."""
        return self._by_key.get(key or "")

    def role_of(self, user: str) -> Role | None:
        """What the key of a user allows at this moment; None where there is none, or where it is revoked."""
        try:
            if self._store.changed_at() != self._seen:
                self.refresh()
        except OSError as error:
            log.warning("the keys cannot be read; those known stay in force", reason=str(error))
        client = self._records.get(user)
        return client.role if client is not None and client.revoked is None else None

    def refuse(self, key: str | None, door: str, why: str) -> None:
        """Tell that a key was refused, and whose it was, if it was one's."""
        user = self._names.get(key or "", "")
        self.warn("a key was refused", {"user": user, "key": key, "door": door, "reason": why})
        self.refused(user, door, f"{why}: {key or 'none'}")

    def warn(self, what: str, details: dict[str, Any]) -> None:
        """Log what somebody tried, one line a second: nobody fills the disk by trying."""
        now = time.monotonic()
        if now - self._warned_at < WARN_INTERVAL_S:
            self._n_unsaid += 1
            return
        log.warning(what, **details, unsaid_before=self._n_unsaid)
        self._warned_at, self._n_unsaid = now, 0

    def admit(self, key: str) -> Identity | None:
        """As `who`, for a newcomer: a key that was made a moment ago is known."""
        if key not in self._by_key and self._store.changed_at() != self._seen:
            self.refresh()
        return self._by_key.get(key)

    def refresh(self) -> None:
        """Read what changed in the store, and tell who is shut out by it."""
        self._seen = self._store.changed_at()
        stamps = self._store.stamps()
        if stamps == self._stamps:
            return
        for name in [name for name in self._records if name not in stamps]:
            del self._records[name]
        for name, stamp in stamps.items():
            if self._stamps.get(name) != stamp:
                self._read(name)
        self._stamps = stamps
        before = self._by_key
        self._by_key = {c.public: Identity(c.name, c.role) for c in self._records.values() if c.revoked is None}
        self._names = {client.public: client.name for client in self._records.values()}
        gone = frozenset(key for key, identity in before.items() if self._by_key.get(key) != identity)
        if gone:
            log.info("keys shut out", users=sorted(before[key].user for key in gone))
            for tell in self.shut_out:
                tell(gone)

    def _read(self, name: str) -> None:
        try:
            self._records[name] = self._store.client(name)
        except Invalid as error:
            self._records.pop(name, None)
            log.warning("a key was left out", reason=error.message)

    def _poll(self) -> None:
        self.start()
        try:
            self.refresh()
        except OSError as error:
            log.warning("the keys cannot be read; those known stay in force", reason=str(error))


def _nobody_listens(user: str, door: str, what: str) -> None:
    """Nobody wants to know what was refused."""


def audible(who: Identity, prefix: bytes) -> list[bytes]:
    """As `topics.audible`, for the bytes of a subscription, which need not be text."""
    parts = topics.audible(who.user, who.role, prefix.decode("latin-1"))
    return [part.encode("latin-1") for part in parts]


def open_access_control(settings: Settings) -> AccessControl | None:
    """Open the access control that the settings ask for; None without keys. Raises `Invalid` for wrong key files."""
    store = KeyStore(settings.keys_dir)
    wanted = settings.security.curve
    if wanted == "off" or (wanted == "auto" and not store.has_server):
        return None
    return AccessControl(store)
