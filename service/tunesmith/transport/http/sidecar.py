"""uvicorn in the daemon's own loop: its port is bound first, its signals stay the daemon's, its end is bounded."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable, Iterator

import uvicorn

from tunesmith.config import Limits
from tunesmith.errors import Invalid
from tunesmith.transport.access.bind_rules import check_http_bind, is_loopback
from tunesmith.transport.http.application import make_app
from tunesmith.transport.http.bearer import BearerAuthentication, NoTokens, Tokens, ignore
from tunesmith.transport.http.client_timeouts import ShortAccessLog, TimeoutProtocol
from tunesmith.transport.http.probes import Probes
from tunesmith.transport.router import Router

SETTING = "server.http"
STOP_TIMEOUT_S = 2.0
BACKLOG = 512

_logger = logging.getLogger("uvicorn.error")


class _Server(uvicorn.Server):
    """Signals are handled by the daemon; handled here as well, they would be handled twice."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.up.set()


class HttpSidecar:
    """The HTTP sidecar. `endpoint` is `host:port` with the port that a free one (`:0`) became.

    `refused` is called with the method and route of what was asked without a token that it needs.
    """

    def __init__(
        self,
        address: str,
        router: Router,
        limits: Limits,
        probes: Probes,
        *,
        insecure_bind: bool = False,
        tokens: Tokens | None = None,
        refused: Callable[[str], None] = ignore,
    ) -> None:
        host, port = check_http_bind(address, SETTING, insecure_bind=insecure_bind)
        self._socket = _listen(host, port, address)
        port = self._socket.getsockname()[1]
        self.endpoint = f"[{host}]:{port}" if ":" in host else f"{host or '0.0.0.0'}:{port}"  # noqa: S104 - as it is
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        local = is_loopback(host)
        gate = BearerAuthentication(tokens or NoTokens(), local=local, refused=refused)
        app = make_app(router, limits, probes, self._stopping, gate, local=local)
        self._terse = ShortAccessLog()
        self._server = _Server(
            uvicorn.Config(
                app,
                http=TimeoutProtocol,
                ws="none",
                lifespan="off",
                log_config=None,
                log_level="warning",
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_graceful_shutdown=round(STOP_TIMEOUT_S),
            )
        )

    async def start(self) -> None:
        """Serve, on the running loop; returns when connections are accepted."""
        _logger.addFilter(self._terse)
        self._task = asyncio.create_task(self._server.serve(sockets=[self._socket]), name="http")
        up = asyncio.create_task(self._server.up.wait())
        await asyncio.wait((up, self._task), return_when=asyncio.FIRST_COMPLETED)
        if self._task.done():
            up.cancel()
            self._task.result()

    async def stop(self) -> None:
        """End every stream, let the rest finish for two seconds, then close."""
        self._stopping.set()
        self._server.should_exit = True
        if self._task is not None:
            done, _ = await asyncio.wait((self._task,), timeout=STOP_TIMEOUT_S + 1.0)
            if not done:
                self._server.force_exit = True
                self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        _logger.removeFilter(self._terse)
        self._socket.close()


def _listen(host: str, port: int, address: str) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio turns Nagle's delay off where the protocol is named; it cost 40 ms a request on a connection that is kept
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        raise Invalid(f"cannot listen on {SETTING} = {address!r}: {error.strerror or error}") from error
    listening.setblocking(False)
    return listening
