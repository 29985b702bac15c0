"""Following topics without missing or repeating an event: what a bot does between the wire and its strategy.

1. Subscribe, then ask `events.snapshot`; hold what arrives meanwhile.
2. Of each topic, take events in the order of `seq` and drop what was seen.
3. An event whose `prev` is not the last one seen tells of a loss: hold it and ask `events.replay`.
4. A heartbeat whose head has moved on may tell of a lost last event: ask as well, but hold nothing for it.
   Of an answer in several pages nothing is passed on before the last one: what the first approves it may revoke.
5. Another epoch means another database: begin anew.

`Follower` decides, without sockets and clocks; `AsyncClient` asks. With trusted keys, `Vouched` says which epoch is the
daemon's and how many events it has, by signed heartbeats: an answer of another epoch is not taken, nor what it claims
beyond. The newest event of each topic about packages is remembered for good: nobody brings an older one back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple, Protocol

import msgspec

from tunesmith.protocol.envelope import Event
from tunesmith.protocol.messages.server import EventRecord, EventsReplay, EventsReply, EventsSnapshot
from tunesmith.protocol.topics import HEARTBEAT

PAGE = 1_000
PACKAGES = "pkg/"


class Numbered(NamedTuple):
    """A durable event, the topic on which it came, and why it must not be believed (None: it may be)."""

    topic: str
    event: Event
    refusal: str | None = None

    @property
    def seq(self) -> int:
        return self.event.seq or 0


def read_plainly(record: EventRecord) -> Numbered:
    """An event of a reply, believed as it stands."""
    return Numbered(record.topic, msgspec.convert(record.event, Event))


class MissedEventsRequest(NamedTuple):
    """A request that mends what a follower misses."""

    type: str
    data: EventsSnapshot | EventsReplay


class Vouched(Protocol):
    """What signed heartbeats say: the daemon's epoch, None before the first, and its newest event's seq."""

    epoch: str | None
    head: int

    def is_over(self, epoch: str) -> bool: ...


class Follower:
    """The state of one subscription to the durable events below `prefixes`; `read` reads the events of a reply.

    `epoch` is that of the events which were passed on last, None before any are known.
    """

    def __init__(
        self,
        prefixes: Iterable[str],
        read: Callable[[EventRecord], Numbered] = read_plainly,
        vouched: Vouched | None = None,
    ) -> None:
        self.prefixes = list(prefixes)
        self._read = read
        self._vouched = vouched
        self._newest: dict[tuple[str, str], int] = {}
        self._package_only = all(prefix.startswith(PACKAGES) for prefix in self.prefixes)
        self.epoch: str | None = None
        self._last: dict[str, int] = {}
        self._sure = 0
        self._held: list[Numbered] = []
        self._found: list[Numbered] = []
        self._whole = False
        self.behind = True
        """Something is missing, what comes is held: `question` must be asked."""
        self.unsure = False
        """Something may be missing: `question` should be asked in a while."""

    def hear(self, topic: str, event: Event) -> list[Numbered]:
        """What can be passed on now that this came: nothing while something before it is missing."""
        if topic == HEARTBEAT:
            self._beat(event)
            return []
        if event.seq is None or not topic.startswith(tuple(self.prefixes)):
            return []
        if self.behind:
            self._held.append(Numbered(topic, event))
            return []
        return self._accept(Numbered(topic, event))

    def begin_anew(self) -> None:
        """Ask for everything again: what was refused may be believed by now."""
        self._forget()

    def question(self) -> MissedEventsRequest:
        """What to ask when `behind` or `unsure`."""
        if self.epoch is None and not self._whole:
            return MissedEventsRequest("events.snapshot", EventsSnapshot(topics=self.prefixes))
        return MissedEventsRequest("events.replay", EventsReplay(topics=self.prefixes, after=self._sure, limit=PAGE))

    def learn(self, asked: MissedEventsRequest, reply: EventsReply) -> list[Numbered]:
        """What can be passed on now that `asked` was answered, oldest first."""
        if asked != self.question():  # of another database, or of a time when other keys were trusted
            return []
        if reply.epoch != self.epoch and asked.type == "events.replay" and self.epoch is not None:
            self._forget()
            return []
        if self._vouched is not None and self._vouched.epoch not in (None, reply.epoch):
            return []  # no heartbeat says so, or not yet
        if asked.type == "events.snapshot" and reply.more:
            self._whole = True  # more topics than a snapshot holds: replay everything instead
            return []
        self.epoch = reply.epoch
        found = self._found
        for record in reply.events:
            told = self._read(record)
            self._sure = max(self._sure, told.seq if told.refusal is None else self._bounded(told.seq))
            if told.seq > self._last.get(told.topic, 0) and not self._is_old(told, reply.epoch):
                if told.refusal is None:  # else the one that is held, or comes later, may be the true one
                    self._remember(told)
                found.append(told)
        if reply.more:
            self.behind = True
            return []
        self._found = []
        self._sure = max(self._sure, self._bounded(reply.head))
        self.behind = self.unsure = False
        held, self._held = self._held, []
        for told in held:
            if self.behind:
                self._held.append(told)
            elif told.event.epoch == self.epoch:
                found += self._accept(told)
        return found

    def _accept(self, told: Numbered) -> list[Numbered]:
        if self._vouched is not None and self._vouched.is_over(told.event.epoch):
            return []
        if told.event.epoch != self.epoch:
            self._forget()
            self._held.append(told)
            return []
        last = self._last.get(told.topic, 0)
        if told.seq <= last or self._is_old(told, told.event.epoch):
            return []
        if told.event.prev != last and told.seq > self._sure:
            self.behind = True
            self._held.append(told)
            return []
        self._remember(told)
        return [told]

    def _remember(self, told: Numbered) -> None:
        self._last[told.topic] = told.seq
        self._newest[told.event.epoch, told.topic] = told.seq

    def _is_old(self, told: Numbered, epoch: str) -> bool:
        """Whether a believed event was sent again by who may not say what is newest: of another epoch, or outdated.

        The newest event about each package is told anew in a new epoch, so that none is missed by this.
        """
        if self._vouched is None or told.refusal is not None or not told.topic.startswith(PACKAGES):
            return False
        return told.event.epoch != epoch or told.seq < self._newest.get((epoch, told.topic), 0)

    def _bounded(self, seq: int) -> int:
        """A seq that nobody has signed: not beyond what a signed heartbeat says there is."""
        return seq if self._vouched is None else min(seq, self._vouched.head)

    def _beat(self, event: Event) -> None:
        if self.behind or not isinstance(event.data, dict):
            return
        if event.data.get("epoch", event.epoch) != self.epoch:
            self._forget()
            return
        head = event.data.get("package_head") if self._package_only else None
        if head is None:
            head = event.data.get("head")
        self.unsure = isinstance(head, int) and head > self._sure

    def _forget(self) -> None:
        self.epoch, self._last, self._sure, self._whole = None, {}, 0, False
        self._found = []
        self.behind = True
