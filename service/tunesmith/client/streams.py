"""Streams of events: a subscription that finds out what it missed and gets it."""

from __future__ import annotations

import asyncio
import logging
import random
from collections import deque
from collections.abc import Awaitable, Callable, Collection
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

import msgspec
import zmq

from tunesmith.client.following import Follower, MissedEventsRequest, Numbered, read_plainly
from tunesmith.client.heartbeats import SignedHeartbeats
from tunesmith.client.package_shelf import PackageEvent, PackageFilter, PackageShelf
from tunesmith.client.sockets import ClientSocket, Context, DaemonAddress
from tunesmith.client.trust import Trust
from tunesmith.errors import BadJson, TunesmithError
from tunesmith.protocol.codec import decode_event
from tunesmith.protocol.envelope import Event
from tunesmith.protocol.messages.server import EventsReply
from tunesmith.protocol.topics import HEARTBEAT

ASK_DEADLINE_S = 5.0
ASK_AGAIN_S = 0.25
JITTER_S = 1.0
"""Many bots hear the same heartbeat; they do not all ask at once."""

SILENCE_S = 10.0
"""A subscription that hears nothing for this long, or for five heartbeats, is made anew."""

MAX_BEAT_S = 60.0
REFUSALS_KEPT = 256
SIGNED_FRAMES = 3

Ask = Callable[[str, Any, float], Awaitable[Any]]
"""`await ask(type, data, deadline_s)` → the reply's data."""

log = logging.getLogger("tunesmith.client")

T = TypeVar("T")


class EventStream:
    """The durable events below some prefixes, each once, in order, none missing. Belongs to one loop.

    With `trust` every event says whether it may be believed. One that came over the wire and may not be changes
    nothing of what is known to be missing: whoever can send it must not be able to hide others by it. And those that
    may be are passed on only while signed heartbeats vouch for their epoch: what was signed once can be sent again.
    """

    def __init__(
        self, context: Context, place: DaemonAddress, prefixes: list[str], ask: Ask, trust: Trust | None = None
    ) -> None:
        self._context = context
        self._place = place
        self._ask = ask
        self._trust = trust
        self._generation = trust.generation if trust else 0
        self._pulse = SignedHeartbeats(trust) if trust else None
        self._follower = Follower(prefixes, trust.read if trust else read_plainly, self._pulse)
        self._beat_refusal: str | None = None
        self._arrived: deque[Numbered] = deque()
        self._refused: deque[tuple[str, int, str]] = deque(maxlen=REFUSALS_KEPT)
        self._beat: Event | None = None
        self._ready: list[Numbered] = []
        self._news = asyncio.Event()
        self._ask_at = 0.0
        self._inquiry: asyncio.Task[None] | None = None
        self._refusal: TunesmithError | None = None
        self._heard_at = self._opened_at = asyncio.get_running_loop().time()
        self._beat_at: float | None = None
        self._beat_s = 0.0
        self._shut = False
        self._wire: ClientSocket | None = self._open()

    @property
    def closed(self) -> bool:
        """Whether it stopped listening."""
        return self._wire is None

    async def next(self, timeout_s: float | None = None) -> list[Numbered]:
        """All that can be passed on by now, at least one event; empty after `timeout_s` seconds or when closed."""
        await self._until(self._has_news, timeout_s)
        return self.arrived()

    async def settled(self, timeout_s: float | None = None) -> bool:
        """Ask for what is known to be missing, as after a silence; whether all of it is there within `timeout_s`."""
        return await self._until(self._is_current, timeout_s)

    async def _until(self, reached: Callable[[], bool], timeout_s: float | None) -> bool:
        loop = asyncio.get_running_loop()
        deadline = None if timeout_s is None else loop.time() + timeout_s
        if self._shut and self._refusal is None:
            self._renew()
        while self._wire is not None:
            self._take_in()
            if self._refusal is not None:
                refusal, self._refusal = self._refusal, None
                raise refusal
            if self._must_ask():
                self._inquiry = asyncio.create_task(self._inquire())
            if reached():
                return True
            if deadline is not None and loop.time() >= deadline:
                break
            await self._wait(deadline)
            self._renew_if_silent()
        return False

    def _is_current(self) -> bool:
        return self.vouched and self._is_fresh() and not (self._follower.behind or self._follower.unsure)

    @property
    def vouched(self) -> bool:
        """Whether a signed heartbeat of a moment ago names the epoch of what is passed on; always without `trust`."""
        return self._pulse is None or (
            self._beat_at is not None and self._is_fresh() and self._follower.epoch == self._pulse.epoch
        )

    def _is_fresh(self) -> bool:
        since = self._opened_at if self._beat_at is None else self._beat_at
        return asyncio.get_running_loop().time() < since + self._patience_s

    def _has_news(self) -> bool:
        return bool(self._ready) and (self.vouched or any(told.refusal is not None for told in self._ready))

    def arrived(self) -> list[Numbered]:
        """What can be passed on at once, without asking or waiting."""
        if self._wire is not None:
            self._take_in()
        ready, self._ready = self._ready, []
        if self.vouched:
            return ready
        self._ready = [told for told in ready if told.refusal is None]
        return [told for told in ready if told.refusal is not None]

    def close(self) -> None:
        """Stop listening; who waits in `next` gets an empty list."""
        if self._wire is not None:
            self._wire.close()
            self._wire = None
            if self._inquiry is not None and not self._inquiry.done():
                self._inquiry.cancel()
            self._news.set()

    def _open(self) -> ClientSocket:
        self._shut = False
        wire = ClientSocket(self._context, zmq.SUB, self._place, self._hear, lambda: None, self._shut_out)
        for prefix in (*self._follower.prefixes, HEARTBEAT):  # heartbeats last: who hears one has the others
            wire.subscribe(prefix)
        return wire

    def _shut_out(self, error: TunesmithError) -> None:
        """The daemon shut the socket: who asks for the next event learns why, and asking again tries again."""
        self._shut, self._refusal = True, error
        self._news.set()

    def _hear(self, frames: list[bytes]) -> None:
        now = asyncio.get_running_loop().time()
        self._heard_at = now
        try:
            topic, event = frames[0].decode(), decode_event(frames[1])
        except (TunesmithError, UnicodeDecodeError, IndexError):
            log.warning("an event that cannot be read was dropped")
            return
        signature = frames[2] if len(frames) >= SIGNED_FRAMES else None
        if topic == HEARTBEAT:
            self._hear_heartbeat(event, frames[1], signature)
        else:
            signed = self._trust is not None and event.seq is not None
            refusal = self._trust.refusal(frames[1], signature, event.keyid) if self._trust and signed else None
            self._arrived.append(Numbered(topic, event, refusal))
        self._news.set()

    def _hear_heartbeat(self, event: Event, frame: bytes, signature: bytes | None) -> None:
        if self._pulse is not None:
            refusal = self._pulse.refusal(event, frame, signature)
            if refusal is not None:
                if refusal != self._beat_refusal:
                    log.warning("heartbeat refused: %s", refusal)
                self._beat_refusal = refusal
                return
            self._pulse.believe(event)
            self._beat_refusal = None
        before = self._opened_at if self._beat_at is None else self._beat_at
        self._beat, self._beat_s, self._beat_at = event, min(self._heard_at - before, MAX_BEAT_S), self._heard_at

    def _take_in(self) -> None:
        self._news.clear()
        while self._arrived:
            told = self._arrived.popleft()
            if told.refusal is None:
                self._ready += self._follower.hear(told.topic, told.event)
            else:
                self._refuse(told)
        self._believe_anew()
        if self._beat is not None:
            beat, self._beat = self._beat, None
            if self._pulse is not None and self._follower.epoch not in (None, self._pulse.epoch):
                self._ready = [told for told in self._ready if told.refusal is not None]
            was_unsure = self._follower.unsure
            self._follower.hear(HEARTBEAT, beat)
            if self._follower.unsure and not was_unsure:
                self._postpone(random.uniform(0.0, JITTER_S))  # noqa: S311 - not for secrets

    def _believe_anew(self) -> None:
        """With other trusted keys than before, what was refused is asked for again."""
        if self._trust is None:
            return
        self._trust.renew()
        if self._trust.generation != self._generation:
            self._generation = self._trust.generation
            if self._refused:
                self._refused.clear()
                self._follower.begin_anew()

    def _refuse(self, told: Numbered) -> None:
        """Pass a refused event on, once: the last ones of a topic are sent again for every new subscription."""
        known = (told.topic, told.seq, told.refusal or "")
        if known not in self._refused and told.topic.startswith(tuple(self._follower.prefixes)):
            self._refused.append(known)
            self._ready.append(told)

    def _must_ask(self) -> bool:
        due = self._inquiry is None and asyncio.get_running_loop().time() >= self._ask_at
        return due and (self._follower.behind or self._follower.unsure)

    async def _inquire(self) -> None:
        """Ask what is missing; a task of its own, so that who stops waiting for events does not stop it."""
        question = self._follower.question()
        try:
            answer = await self._ask(question.type, question.data, ASK_DEADLINE_S)
            self._learn(question, msgspec.convert(answer, EventsReply))
        except TunesmithError as error:
            if not error.retryable:
                self._refusal = error
            self._postpone(ASK_AGAIN_S)
        except msgspec.ValidationError as error:
            self._refusal = BadJson(f"the answer to {question.type} is malformed: {error}")
        finally:
            self._inquiry = None
            self._news.set()

    def _learn(self, question: MissedEventsRequest, reply: EventsReply) -> None:
        found = self._follower.learn(question, reply)
        for told in found:
            if told.refusal is None:
                self._ready.append(told)
            else:
                self._refuse(told)
        if self._follower.behind and not found and not reply.more:
            self._postpone(ASK_AGAIN_S)

    def _postpone(self, seconds: float) -> None:
        self._ask_at = asyncio.get_running_loop().time() + seconds

    async def _wait(self, deadline: float | None) -> None:
        times = [self._silent_at()]
        if deadline is not None:
            times.append(deadline)
        if self._inquiry is None and (self._follower.behind or self._follower.unsure):
            times.append(self._ask_at)
        try:
            async with asyncio.timeout_at(min(times)):
                await self._news.wait()
        except TimeoutError:
            return

    @property
    def _patience_s(self) -> float:
        return max(SILENCE_S, 5 * self._beat_s)

    def _silent_at(self) -> float:
        return self._heard_at + self._patience_s

    def _renew_if_silent(self) -> None:
        now = asyncio.get_running_loop().time()
        if now >= self._silent_at():
            address = self._place.address
            log.warning("nothing was heard from %s for %.0f s; connecting anew", address, now - self._heard_at)
            self._renew()

    def _renew(self) -> None:
        if self._wire is not None:
            self._wire.close()
            self._wire = self._open()
            self._heard_at = asyncio.get_running_loop().time()


class Follow(Generic[T]):
    """An asynchronous iterator that survives the cancellation of one step. Ends when closed, or after a silence."""

    def __init__(self, stream: EventStream, wanted: PackageFilter, timeout_s: float | None) -> None:
        self._stream = stream
        self._wanted = wanted
        self._timeout_s = timeout_s

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        loop = asyncio.get_running_loop()
        deadline = None if self._timeout_s is None else loop.time() + self._timeout_s
        self._take_in(self._stream.arrived())  # what waits to be taken may be out of force by now
        while (found := self._pop()) is None:
            left_s = None if deadline is None else max(0.0, deadline - loop.time())
            news = await self._stream.next(left_s)
            if not news:
                raise StopAsyncIteration
            self._take_in(news)
        return found

    def stop(self) -> None:
        """Stop listening; to be called on the loop."""
        self._stream.close()

    async def aclose(self) -> None:
        """Stop listening."""
        self.stop()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stream.close()

    def __del__(self) -> None:
        self._stream.close()

    def _take_in(self, news: list[Numbered]) -> None:
        read = (self._wanted.read(told) for told in news)
        self._push([event for event in read if event is not None])

    def _push(self, events: Collection[PackageEvent]) -> None:
        raise NotImplementedError

    def _pop(self) -> T | None:
        raise NotImplementedError


class PackageEvents(Follow[PackageEvent]):
    """Everything that happens to the packages that were asked for, in order."""

    def __init__(self, stream: EventStream, wanted: PackageFilter, timeout_s: float | None) -> None:
        super().__init__(stream, wanted, timeout_s)
        self._events: deque[PackageEvent] = deque()

    def _push(self, events: Collection[PackageEvent]) -> None:
        self._events.extend(events)

    def _pop(self) -> PackageEvent | None:
        return self._events.popleft() if self._events else None


class Packages(Follow[dict[str, Any]]):
    """The packages in force that were asked for, each once; of several of one topic and venue the newest."""

    def __init__(self, stream: EventStream, wanted: PackageFilter, timeout_s: float | None) -> None:
        super().__init__(stream, wanted, timeout_s)
        self._shelf = PackageShelf()

    async def __anext__(self) -> dict[str, Any]:
        self._take_in(self._stream.arrived())
        waits = self._shelf.n_waiting and not self._stream.closed
        if waits and not await self._stream.settled(self._timeout_s):  # it may be revoked without our having heard
            raise StopAsyncIteration
        return await super().__anext__()

    def _push(self, events: Collection[PackageEvent]) -> None:
        self._shelf.put(events)

    def _pop(self) -> dict[str, Any] | None:
        return self._shelf.take()
