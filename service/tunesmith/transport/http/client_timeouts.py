"""How long the HTTP sidecar waits for a client, and how much it says of those that talk nonsense.

uvicorn waits for ever for the first bytes of a request, and for the rest of them: connections that say nothing would
hold descriptors until there are none left. It also logs every line that is no HTTP.
"""

from __future__ import annotations

import asyncio
import logging
import time

from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_S = 10.0
"""Seconds within which a request's head must have come, from the connection's or its own beginning on."""
BODY_S = 30.0
"""Seconds within which a body must have come."""
_WARN_INTERVAL_S = 1.0


class TimeoutProtocol(H11Protocol):
    """A connection that is closed when it neither has a request under way nor sends a whole one in time."""

    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait_for_head()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._wait_for_head()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._stop_waiting()

    def _wait_for_head(self) -> None:
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop_waiting()
        elif self._timer is None:
            self._timer = self.loop.call_later(HEAD_S, self.transport.close)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class ShortAccessLog(logging.Filter):
    """Lets one warning a second pass: nobody fills the disk by sending nonsense."""

    def __init__(self) -> None:
        super().__init__()
        self._warned_at, self._n_unsaid = -_WARN_INTERVAL_S, 0

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno != logging.WARNING:
            return True
        now = time.monotonic()
        if now - self._warned_at < _WARN_INTERVAL_S:
            self._n_unsaid += 1
            return False
        if self._n_unsaid:
            record.msg, record.args = f"{record.getMessage()} ({self._n_unsaid} more before)", None
        self._warned_at, self._n_unsaid = now, 0
        return True
