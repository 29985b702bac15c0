"""The events socket: XPUB. Publishes, answers a new subscription with what it missed last, and beats.

    out  [topic] [JSON] [Ed25519 signature over the JSON's bytes, where a key is configured]

Heartbeats are signed as events are, so that a bot can tell a daemon from who sends again what it once signed.

Behind a gate, a subscription is taken for the topics that its sender may hear (`gate.audible`), and whoever is shut out
is cut off. So is, gate or not, who has subscribed to `SUBSCRIBED_BYTES` of topics in one connection: libzmq takes
subscriptions before it can be asked not to, and a client that never ends would fill the memory and stop the loop.

A subscriber that reads too slowly loses events beyond the high-water mark and finds the gap by `prev`; it slows nobody.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left, insort
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NamedTuple, Protocol

import msgspec
import structlog
import zmq

from tunesmith import telemetry
from tunesmith.config import Events, Limits
from tunesmith.protocol.envelope import VERSION, Event
from tunesmith.protocol.messages.events import Heartbeat
from tunesmith.protocol.topics import HEARTBEAT, progress_topic
from tunesmith.transport.access.access_control import audible
from tunesmith.transport.zmq.endpoints import OPEN, BindPolicy, Endpoint, bind, listen
from tunesmith.transport.zmq.keyed_connections import Connections

PROGRESS_INTERVAL_S = 0.1
PACKAGES = "pkg/"
_UNSUBSCRIBED, _SUBSCRIBED = b"\x00", b"\x01"
_LATE_S = 10.0
_WARN_INTERVAL_S = 1.0

SUBSCRIBED_BYTES = 262_144
"""Of topics that one connection may subscribe to, counted since it came: some 8,000 packages' topics."""

log = structlog.get_logger(__name__)


class Signer(Protocol):
    """A key that signs heartbeats."""

    @property
    def keyid(self) -> str: ...

    def sign(self, frame: bytes) -> bytes: ...


def _no_signer() -> Signer | None:
    """Nothing is signed."""
    return None


class Origin(NamedTuple):
    """Whose events these are: the daemon's instance and its epoch, and the key that signs at this moment, if any."""

    instance: str
    epoch: str
    signer: Callable[[], Signer | None] = _no_signer


class _Numbered(msgspec.Struct):
    seq: int = 0


_numbered_decoder = msgspec.json.Decoder(_Numbered)
_event_encoder = msgspec.json.Encoder()


class EventSocket(Endpoint):
    """XPUB: everybody hears what they subscribed to; the last event of each package topic is kept for the late.

    A subscription is one frame; whatever says that more follow must not swallow the next peer's.

    `head` says the newest durable event's seq. Instance and epoch of `origin` stand in the events made here.
    """

    _frame_by_frame = True
    _whence = True

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        address: str,
        events: Events,
        limits: Limits,
        *,
        origin: Origin,
        head: Callable[[], int],
        entry: BindPolicy = OPEN,
    ) -> None:
        socket = listen(context, zmq.XPUB, limits, entry)
        socket.setsockopt(zmq.XPUB_VERBOSE, 1)
        if entry.gate is not None:
            socket.setsockopt(zmq.XPUB_MANUAL, 1)
            entry.gate.shut_out.append(self._cut_off)
        socket.setsockopt(zmq.SNDHWM, events.high_water_mark)
        super().__init__(socket, bind(socket, address, "server.events", entry), entry.gate)
        self._connections = Connections()
        self._descriptor = -1
        self._misplaced = False
        self._warned_at = -_WARN_INTERVAL_S
        self._origin = origin
        self._head = head
        self._package_head = 0
        self._heartbeat_s = events.heartbeat_s
        self._last = LastValues(events.resend_ms / 1000, self._resend)
        self._throttle = Throttle(PROGRESS_INTERVAL_S, self._put)
        self._n_own = 0
        self._beat: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin to take subscriptions and to beat, on the running loop."""
        super().start()
        self._heartbeat(asyncio.get_running_loop().time())

    @property
    def alive(self) -> bool:
        """Whether the loop reads its socket, and heartbeats leave."""
        late_s = _LATE_S + self._heartbeat_s
        return (
            super().alive and self._beat is not None and self._beat.when() + late_s > asyncio.get_running_loop().time()
        )

    def stop(self) -> None:
        """Stop beating and close."""
        if self._beat is not None:
            self._beat.cancel()
        self._last.stop()
        self._throttle.stop()
        super().stop()

    def prime(self, topic: str, frame: bytes, signature: bytes | None = None) -> None:
        """Remember the last durable event of a package topic, at start, without publishing it."""
        self._remember(topic, _frames(topic, frame, signature))

    def publish(self, topic: str, frame: bytes, signature: bytes | None = None) -> None:
        """Send an event; it never waits. Its last durable event is remembered for each `pkg/` topic."""
        frames = _frames(topic, frame, signature)
        if topic.startswith(PACKAGES):
            self._remember(topic, frames)
        elif topic.endswith("/done/"):
            self._throttle.forget(topic.removesuffix("done/") + "progress/")
        self._put(topic, frames)

    def progress(self, task_id: str, data: dict[str, Any]) -> None:
        """Send a task's progress, the newest at most ten times a second."""
        topic = progress_topic(task_id)
        self._throttle.put(topic, lambda: [topic.encode(), self._event("task.progress", data, task_id)])

    def _take(self, frames: list[bytes], n_frames: int) -> None:
        kind, prefix = frames[0][:1], frames[0][1:]
        if kind not in (_SUBSCRIBED, _UNSUBSCRIBED):
            self._distrust()
            return
        subscribed = kind == _SUBSCRIBED
        if subscribed and self._connections.count(self._descriptor, len(prefix)) > SUBSCRIBED_BYTES:
            self._connections.end_one(self._descriptor)
            self._warn("a subscriber that subscribes without end was cut off")
            return
        granted = [prefix] if self._gate is None else self._grant(prefix, subscribed=subscribed)
        if subscribed:
            for topics in granted:
                self._last.wanted(topics)

    def _grant(self, prefix: bytes, *, subscribed: bool) -> list[bytes]:
        """Take a subscription of the peer that was read last as far as it may go, or its end; the topics it is for."""
        if self._misplaced:
            if subscribed:
                self._connections.end_one(self._descriptor)  # it comes again, and its subscriptions with it
            return []
        if not subscribed:
            self._socket.setsockopt(zmq.UNSUBSCRIBE, prefix)
            return []
        granted = [] if self._who is None else audible(self._who, prefix)
        for topics in granted:
            self._socket.setsockopt(zmq.SUBSCRIBE, topics)
        if not granted and self._gate is not None:
            user = self._who.user if self._who else None
            self._gate.warn("a subscription was refused", {"user": user, "topics": repr(prefix[:80])})
        return granted

    def _distrust(self) -> None:
        """A peer sent something else than a subscription.

        libzmq then takes the next ones that wait for those of their followers, and would give one peer what another
        may hear. None is taken until all that waits is read; who sent it is cut off.
        """
        if self._gate is not None:
            self._misplaced = True
            self._gate.warn("a subscriber sent a message", {"user": self._who and self._who.user})
            self._connections.end_one(self._descriptor)

    def _emptied(self) -> None:
        self._misplaced = False

    def _warn(self, what: str) -> None:
        now = asyncio.get_running_loop().time()
        if self._gate is not None:
            self._gate.warn(what, {"user": self._who and self._who.user})
        elif now - self._warned_at >= _WARN_INTERVAL_S:  # nobody fills the disk by trying
            self._warned_at = now
            log.warning(what)

    def _identify(self, frame: zmq.Frame) -> None:
        super()._identify(frame)
        self._descriptor = self._connections.note(frame, self._key)

    def _cut_off(self, keys: frozenset[str]) -> None:
        self._connections.end(keys)

    def _remember(self, topic: str, frames: list[bytes]) -> None:
        self._package_head = max(self._package_head, _numbered_decoder.decode(frames[1]).seq)
        self._last.keep(topic.encode(), frames)

    def _resend(self, frames: list[bytes]) -> None:
        self._send(frames)
        telemetry.RESENDS.inc()

    def _put(self, topic: str, frames: list[bytes]) -> None:
        self._send(frames)
        telemetry.EVENTS.labels(topic.partition("/")[0]).inc()

    def _heartbeat(self, due: float) -> None:
        head = self._head()
        telemetry.EVENT_HEAD.set(head)
        beat = Heartbeat(epoch=self._origin.epoch, head=head, package_head=self._package_head)
        key = self._origin.signer()
        frame = self._event("heartbeat", beat, None, key.keyid if key else None)
        self._put(HEARTBEAT, _frames(HEARTBEAT, frame, key.sign(frame) if key else None))
        loop = asyncio.get_running_loop()
        due = max(due + self._heartbeat_s, loop.time())
        self._beat = loop.call_at(due, self._heartbeat, due)

    def _event(self, type: str, data: Any, subject: str | None, keyid: str | None = None) -> bytes:
        """An event that is not durable: the envelope without `seq` and `prev`."""
        self._n_own += 1
        event = Event(
            specversion="1.0",
            v=VERSION,
            id=f"{self._origin.epoch}-{type}-{self._n_own}",
            source=f"urn:tunesmith:{self._origin.instance}",
            type=type,
            time=datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            epoch=self._origin.epoch,
            data=data,
            subject=subject,
            keyid=keyid,
        )
        return _event_encoder.encode({k: v for k, v in msgspec.structs.asdict(event).items() if v is not None})


class LastValues:
    """The last frames of each topic, sent again for whoever subscribes: once a topic for all who come together.

    The first subscription opens a window of `window_s` seconds; while more arrive it stays open, up to `STRETCH`
    windows. Then each topic that a subscription of the window matches is sent once. A crowd comes with pauses, when its
    handshakes or the machine hold it up: for each `CROWD` subscriptions one window more without any is waited for, up
    to `PATIENCE`.
    """

    STRETCH = 50
    CROWD, PATIENCE = 100, 4

    def __init__(self, window_s: float, send: Callable[[list[bytes]], None]) -> None:
        self._window_s = window_s
        self._send = send
        self._frames: dict[bytes, list[bytes]] = {}
        self._topics: list[bytes] = []
        self._wanted: set[bytes] = set()
        self._opened = self._latest = 0.0
        self._n_wanted = 0
        self._timer: asyncio.TimerHandle | None = None

    def keep(self, topic: bytes, frames: list[bytes]) -> None:
        """`frames` are the topic's last ones from now on."""
        if topic not in self._frames:
            insort(self._topics, topic)
        self._frames[topic] = frames

    def wanted(self, prefix: bytes) -> None:
        """Somebody subscribed to `prefix`."""
        loop = asyncio.get_running_loop()
        self._latest = loop.time()
        self._wanted.add(prefix)
        self._n_wanted += 1
        if self._timer is None:
            self._opened = self._latest
            self._timer = loop.call_at(self._latest + self._window_s, self._flush)

    def stop(self) -> None:
        """Send nothing more."""
        if self._timer is not None:
            self._timer.cancel()
        self._wanted.clear()

    def _flush(self) -> None:
        loop = asyncio.get_running_loop()
        quiet_s = (1 + min(self._n_wanted // self.CROWD, self.PATIENCE)) * self._window_s
        due = min(self._latest + quiet_s, self._opened + self.STRETCH * self._window_s)
        if due > loop.time():
            self._timer = loop.call_at(due, self._flush)
            return
        self._timer = None
        wanted, self._wanted, self._n_wanted = self._wanted, set(), 0
        for topic in sorted({topic for prefix in wanted for topic in self._below(prefix)}):
            self._send(self._frames[topic])

    def _below(self, prefix: bytes) -> list[bytes]:
        low = bisect_left(self._topics, prefix)
        high = low
        while high < len(self._topics) and self._topics[high].startswith(prefix):
            high += 1
        return self._topics[low:high]


class Throttle:
    """Passes on the newest message of each topic, at most one in `interval_s` seconds, and always the last one."""

    def __init__(self, interval_s: float, send: Callable[[str, list[bytes]], None]) -> None:
        self._interval_s = interval_s
        self._send = send
        self._held: dict[str, Callable[[], list[bytes]] | None] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}

    def put(self, topic: str, frames: Callable[[], list[bytes]]) -> None:
        """Send what `frames` makes now, or when the topic's turn comes, unless something newer is put before."""
        if topic in self._timers:
            self._held[topic] = frames
        else:
            self._pass(topic, frames)

    def forget(self, topic: str) -> None:
        """Drop what is held for the topic."""
        self._held.pop(topic, None)
        timer = self._timers.pop(topic, None)
        if timer is not None:
            timer.cancel()

    def stop(self) -> None:
        """Drop everything that is held."""
        for topic in list(self._timers):
            self.forget(topic)

    def _pass(self, topic: str, frames: Callable[[], list[bytes]]) -> None:
        self._send(topic, frames())
        loop = asyncio.get_running_loop()
        self._timers[topic] = loop.call_later(self._interval_s, self._turn, topic)

    def _turn(self, topic: str) -> None:
        del self._timers[topic]
        held = self._held.pop(topic, None)
        if held is not None:
            self._pass(topic, held)


def _frames(topic: str, frame: bytes, signature: bytes | None) -> list[bytes]:
    frames = [topic.encode(), frame]
    return frames if signature is None else [*frames, signature]
