"""What `tunesmith doctor` says of keys: who can reach the doors, and whether the files are as they must be."""

from __future__ import annotations

from collections.abc import Iterator

from tunesmith.cli.daemon.installation_checks import Check
from tunesmith.config import Settings
from tunesmith.errors import Invalid
from tunesmith.protocol.key_files import read_client_key
from tunesmith.storage.secrets.signing_keys import SigningKeys
from tunesmith.storage.secrets.tokens import TokenFile
from tunesmith.transport.access.bind_rules import check_bind, check_http_bind
from tunesmith.transport.access.client_keys import COMMAND_LINE, KeyStore

_MAKE = "make them: tunesmith keys init"


def check_keys(settings: Settings) -> Check:
    """Who can reach the doors, and by which keys."""
    store, curve = KeyStore(settings.keys_dir), settings.security.curve
    try:
        keyed = curve != "off" and store.has_server
        if curve == "on" and not keyed:
            return Check("keys", "broken", f"there are none in {store.folder}, and security.curve asks for them", _MAKE)
        wrong = list(_wrong_files(store)) if keyed else []
    except Invalid as error:
        wrong, keyed = [error.message], True
    if wrong:
        return Check("keys", "broken", "; ".join(wrong[:3]), "correct or delete the files; nobody is let in by them")
    exposed = list(_exposed(settings, keyed=keyed))
    if exposed:
        advice = f"bind to 127.0.0.1, or {_MAKE}; server.insecure_bind inside a private network"
        return Check("keys", "broken", f"{', '.join(exposed)} can be reached from elsewhere without a key", advice)
    return Check("keys", "ok" if keyed else "note", _state(settings, store, keyed=keyed))


def check_signing(settings: Settings) -> Check:
    """Whether packages are signed, and who may write over HTTP."""
    try:
        key = SigningKeys(settings.keys_dir / "signing").load()
        tokens = [token for token in TokenFile(settings.keys_dir / "tokens.json").listing() if token.revoked_at is None]
    except Invalid as error:
        return Check(
            "signing", "broken", error.message, "the daemon does not start with it: correct or delete the file"
        )
    except ModuleNotFoundError:
        return Check("signing", "note", "it cannot be seen here", "pip install 'tunesmith[verify]'")
    held = f"{len(tokens)} tokens for HTTP" if tokens else "no tokens for HTTP"
    if key is None:
        return Check("signing", "note", f"packages are not signed, {held}", "to sign them: tunesmith keys signing new")
    return Check("signing", "ok", f"packages are signed with {key.keyid}, {held}")


def _wrong_files(store: KeyStore) -> Iterator[str]:
    server = store.server()
    yield from store.clients().problems
    own = store.issued(COMMAND_LINE)
    if own.exists() and read_client_key(own).server != server.public:
        yield f"{own} is of another daemon"


def _exposed(settings: Settings, *, keyed: bool) -> Iterator[str]:
    """Addresses at which the daemon would refuse to listen."""
    server = settings.server
    for name, address in (("requests", server.requests), ("events", server.events), ("inbox", server.inbox)):
        try:
            check_bind(address, f"server.{name}", insecure_bind=server.insecure_bind, keyed=keyed)
        except Invalid:
            yield address
    if server.http:
        try:
            check_http_bind(server.http, "server.http", insecure_bind=server.insecure_bind)
        except Invalid:
            yield server.http


def _state(settings: Settings, store: KeyStore, *, keyed: bool) -> str:
    if not keyed:
        if settings.server.insecure_bind:
            return "none; insecure_bind says that a private network is the fence"
        return "none; every door is on loopback, whoever is on this machine is trusted"
    in_force = [client for client in store.clients().clients if client.revoked is None]
    n_operators = sum(client.role == "operator" for client in in_force)
    n_waiting = sum(1 for file in store.issued_folder.glob("*.key") if file.stem != COMMAND_LINE)
    waiting = f"; {n_waiting} secrets wait in {store.issued_folder} to be moved to their bots" if n_waiting else ""
    return f"CURVE is on: {len(in_force) - n_operators} bots, {n_operators} operators{waiting}"
