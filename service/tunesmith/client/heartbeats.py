"""Which heartbeats a bot with trusted keys believes, and what they vouch for: the daemon's epoch and its newest event.

Events are signed once and can be sent again by anybody, a revoked approval too. A heartbeat is signed every second: who
has no key cannot make one that is of now. So a bot takes nothing before it has heard one, and nothing of another epoch.
"""

from __future__ import annotations

import time
from datetime import datetime

from tunesmith.client.trust import Trust
from tunesmith.protocol.envelope import Event

CLOCKS_APART_S = 300.0
"""How far the daemon's clock and this machine's may be apart: what is older may be a copy of long ago."""

TYPE = "heartbeat"


class SignedHeartbeats:
    """Follows the heartbeats of one subscription. `head`: the newest event that there is in `epoch`."""

    def __init__(self, trust: Trust) -> None:
        self._trust = trust
        self._newest_s = 0.0
        self._over: set[str] = set()
        self.epoch: str | None = None
        self.head = 0

    def refusal(self, event: Event, frame: bytes, signature: bytes | None) -> str | None:
        """Why a heartbeat must not be believed; None for one that a trusted key signed a moment ago, and its first."""
        refusal = self._trust.refusal(frame, signature, event.keyid)
        if refusal is not None:
            return refusal
        sent_s = _seconds(event.time)
        if event.type != TYPE or sent_s is None:
            return "it is no heartbeat"
        if self.is_over(event.epoch):
            return f"its epoch {event.epoch} is over"
        if sent_s <= self._newest_s:
            return "one as new as it came before"
        if abs(time.time() - sent_s) > CLOCKS_APART_S:
            return f"it was sent at {event.time}, and this machine's clock says otherwise: one of the two is wrong"
        return None

    def believe(self, event: Event) -> None:
        """Take in a heartbeat that was not refused."""
        if event.epoch != self.epoch:
            if self.epoch is not None:
                self._over.add(self.epoch)
            self.epoch, self.head = event.epoch, 0
        head = event.data.get("head") if isinstance(event.data, dict) else None
        if isinstance(head, int):
            self.head = max(self.head, head)
        self._newest_s = _seconds(event.time) or self._newest_s

    def is_over(self, epoch: str) -> bool:
        """Whether the daemon had this epoch before the one that it has now."""
        return epoch in self._over


def _seconds(text: str) -> float | None:
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return None
