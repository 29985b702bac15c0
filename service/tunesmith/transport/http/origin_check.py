"""Keeps web pages that a browser on this machine has open from reaching the daemon behind its user's back.

Every write must be JSON by its content type, which a page of another site cannot send unasked; a write that names its
origin must come from the host that it goes to; and a daemon on loopback answers to loopback names alone, so that a
foreign name pointed at 127.0.0.1 (DNS rebinding) gets nowhere. A request whose length is said in two ways is refused
and its connection closed: a proxy before the daemon may see another end of it, and what follows as its own.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tunesmith.errors import Forbidden, TunesmithError
from tunesmith.transport.access.bind_rules import is_loopback
from tunesmith.transport.http.problems import HttpInvalid, problem_response

_READS = ("GET", "HEAD", "OPTIONS")
_HAVE_BODIES = ("POST", "PUT", "PATCH")


class OriginCheck:
    """ASGI middleware that refuses cross-site writes and foreign host names; `local`: the sidecar is on loopback."""

    def __init__(self, app: ASGIApp, *, local: bool) -> None:
        self._app = app
        self._local = local

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        if "transfer-encoding" in headers and "content-length" in headers:
            twice = HttpInvalid("the body's length is said twice, by Content-Length and by Transfer-Encoding", 400)
            await problem_response(twice, headers={"connection": "close"})(scope, receive, send)
            return
        refused = self._refusal(scope["method"], headers)
        if refused is not None:
            await problem_response(refused)(scope, receive, send)
            return

        async def send_marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["x-content-type-options"] = "nosniff"
                headers["cache-control"] = "no-store"
            await send(message)

        await self._app(scope, receive, send_marked)

    def _refusal(self, method: str, headers: Headers) -> TunesmithError | None:
        host = headers.get("host", "")
        if self._local and not is_loopback(_hostname(host)):
            return Forbidden(f"this daemon listens on this machine alone and does not answer to {host[:100]!r}")
        if method in _READS:
            return None
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
            return Forbidden(f"a page of {origin[:100]!r} may not write here")
        if method in _HAVE_BODIES and headers.get("content-type", "").partition(";")[0].strip() != "application/json":
            return HttpInvalid("the content type must be application/json", 415)
        return None


def _hostname(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
