"""The follower against a reference: whatever is lost, repeated or late, each event is passed on once and in order."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunesmith.client.following import Follower, MissedEventsRequest, Numbered
from tunesmith.protocol.envelope import Event
from tunesmith.protocol.messages.server import EventRecord, EventsReplay, EventsReply

TOPICS = ("pkg/A/1h/s/", "pkg/A/1d/s/", "pkg/A/1h/t/")


class Log:
    """The daemon's side: a gapless log, snapshot and replay."""

    def __init__(self, epoch: str = "e1", page: int = 1000) -> None:
        self.epoch = epoch
        self.page = page
        self.rows: list[tuple[str, Event]] = []

    def append(self, topic: str) -> tuple[str, Event]:
        seq = len(self.rows) + 1
        prev = max((e.seq or 0 for t, e in self.rows if t == topic), default=0)
        self.rows.append((topic, event(self.epoch, seq, prev)))
        return self.rows[-1]

    def answer(self, question: MissedEventsRequest, prefixes: tuple[str, ...] = ("pkg/A/",)) -> EventsReply:
        rows = [(t, e) for t, e in self.rows if t.startswith(prefixes)]
        if isinstance(question.data, EventsReplay):
            after = question.data.after
            rows = [(t, e) for t, e in rows if (e.seq or 0) > after]
            kept = rows[: self.page]
        else:
            newest = dict(rows)
            rows = sorted(newest.items(), key=lambda row: row[1].seq or 0)
            kept = rows[-self.page :]
        records = [EventRecord(topic=t, event=msgspec.to_builtins(e)) for t, e in kept]
        return EventsReply(epoch=self.epoch, head=len(self.rows), events=records, more=len(kept) < len(rows))

    def beat(self, **data: Any) -> tuple[str, Event]:
        heads = {"epoch": self.epoch, "head": len(self.rows), **data}
        return "hb/", event(self.epoch, None, None, heads)


def event(epoch: str, seq: int | None, prev: int | None, data: Any = None) -> Event:
    return Event(
        specversion="1.0",
        v=1,
        id=f"{epoch}-{seq}",
        source="s",
        type="package.approved",
        time="t",
        epoch=epoch,
        data=data,
        seq=seq,
        prev=prev,
    )


def seqs(found: list[Numbered]) -> list[int]:
    return [told.seq for told in found]


def caught_up(follower: Follower, log: Log) -> list[int]:
    """Ask until nothing is missing; what was passed on meanwhile."""
    found: list[Numbered] = []
    for _ in range(100):
        if not (follower.behind or follower.unsure):
            return seqs(found)
        question = follower.question()
        found += follower.learn(question, log.answer(question))
    raise AssertionError("it never catches up")


def test_it_begins_with_a_snapshot_and_holds_what_comes_meanwhile() -> None:
    log, follower = Log(), Follower(["pkg/A/"])
    log.append(TOPICS[0])
    log.append(TOPICS[0])
    question = follower.question()
    assert question.type == "events.snapshot"
    reply = log.answer(question)
    assert follower.hear(*log.append(TOPICS[1])) == []
    assert seqs(follower.learn(question, reply)) == [2, 3]
    assert seqs(follower.hear(*log.append(TOPICS[0]))) == [4]


def test_repeats_are_dropped() -> None:
    log, follower = Log(), Follower(["pkg/A/"])
    first = log.append(TOPICS[0])
    assert caught_up(follower, log) == [1]
    assert follower.hear(*first) == []
    second = log.append(TOPICS[0])
    assert seqs(follower.hear(*second)) == [2]
    assert follower.hear(*first) == follower.hear(*second) == []


def test_a_gap_is_held_until_it_is_filled() -> None:
    log, follower = Log(), Follower(["pkg/A/"])
    log.append(TOPICS[0])
    caught_up(follower, log)
    log.append(TOPICS[0])
    assert follower.hear(*log.append(TOPICS[0])) == []
    assert follower.behind
    assert follower.question().type == "events.replay"
    assert follower.hear(*log.append(TOPICS[1])) == []
    assert caught_up(follower, log) == [2, 3, 4]


def test_a_first_event_that_was_lost_is_a_gap_too() -> None:
    log, follower = Log(), Follower(["pkg/A/"])
    caught_up(follower, log)
    log.append(TOPICS[0])
    assert follower.hear(*log.append(TOPICS[0])) == []
    assert caught_up(follower, log) == [1, 2]


def test_a_heartbeat_tells_of_a_lost_last_event_and_holds_nothing() -> None:
    log, follower = Log(), Follower(["pkg/A/"])
    log.append(TOPICS[0])
    caught_up(follower, log)
    follower.hear(*log.beat())
    assert not follower.unsure
    log.append(TOPICS[0])
    follower.hear(*log.beat())
    assert follower.unsure
    assert not follower.behind
    assert seqs(follower.hear(*log.append(TOPICS[1]))) == [3]
    assert caught_up(follower, log) == [2]
    follower.hear(*log.beat())
    assert not follower.unsure


def test_other_events_do_not_make_a_bot_ask_when_the_heartbeat_tells_them_apart() -> None:
    log, follower = Log(), Follower(["pkg/A/"])
    log.append(TOPICS[0])
    caught_up(follower, log)
    log.append("task/t/done/")
    follower.hear(*log.beat(package_head=1))
    assert not follower.unsure
    tasks = Follower(["task/t/done/"])
    tasks.learn(tasks.question(), Log().answer(tasks.question()))
    tasks.hear(*log.beat(package_head=1, epoch="e1"))
    assert tasks.unsure


def test_another_database_begins_anew() -> None:
    old, new = Log(), Log("e2")
    follower = Follower(["pkg/A/"])
    old.append(TOPICS[0])
    late = old.append(TOPICS[0])
    caught_up(follower, old)
    new.append(TOPICS[0])
    assert follower.hear(*new.append(TOPICS[1])) == []
    assert caught_up(follower, new) == [1, 2]
    assert follower.hear(*late) == []
    assert caught_up(follower, new) in ([], [1, 2])
    third = Log("e3")
    third.append(TOPICS[2])
    follower.hear(*third.beat())
    assert follower.behind
    assert caught_up(follower, third) == [1]


def test_a_database_that_changes_between_question_and_answer() -> None:
    old, new = Log(), Log("e2")
    follower = Follower(["pkg/A/"])
    old.append(TOPICS[0])
    caught_up(follower, old)
    old.append(TOPICS[0])
    follower.hear(*old.append(TOPICS[0]))
    new.append(TOPICS[0])
    assert caught_up(follower, new) == [1]


def test_an_answer_to_what_was_asked_of_another_database_is_none() -> None:
    old, new = Log(), Log("e2")
    follower = Follower(["pkg/A/"])
    for _ in range(3):
        old.append(TOPICS[0])
    caught_up(follower, old)
    old.append(TOPICS[0])
    follower.hear(*old.beat())
    asked = follower.question()
    for topic in TOPICS:
        new.append(topic)
    follower.hear(*new.beat())
    assert follower.learn(asked, new.answer(asked)) == []
    assert caught_up(follower, new) == [1, 2, 3]


def test_no_page_is_passed_on_before_the_last_one() -> None:
    """What the first page approves, the second may revoke."""
    log, follower = Log(page=2), Follower(["pkg/A/"])
    log.append(TOPICS[0])
    caught_up(follower, log)
    for _ in range(3):
        log.append(TOPICS[0])
    follower.hear(*log.beat())
    question = follower.question()
    assert follower.learn(question, log.answer(question)) == []
    assert follower.hear(*log.append(TOPICS[0])) == []
    assert caught_up(follower, log) == [2, 3, 4, 5]


def test_more_topics_than_a_snapshot_holds_are_replayed() -> None:
    log, follower = Log(page=2), Follower(["pkg/A/"])
    for i in range(7):
        log.append(TOPICS[i % 3])
    assert caught_up(follower, log) == [1, 2, 3, 4, 5, 6, 7]


def test_what_the_log_no_longer_has_does_not_stop_it() -> None:
    log, follower = Log(), Follower(["pkg/A/"])
    log.append(TOPICS[0])
    caught_up(follower, log)
    log.append(TOPICS[0])
    follower.hear(*log.append(TOPICS[0]))
    log.rows[1] = ("elsewhere/", log.rows[1][1])
    assert caught_up(follower, log) == [3]


def test_foreign_topics_and_events_without_a_number_are_ignored() -> None:
    log, follower = Log(), Follower(["pkg/A/"])
    caught_up(follower, log)
    assert follower.hear("pkg/B/1h/s/", event("e1", 1, 0)) == []
    assert follower.hear(TOPICS[0], event("e1", None, None)) == []
    assert follower.hear("hb/", event("e1", None, None, "text")) == []
    assert not follower.behind


@pytest.mark.parametrize("page", [1, 3, 1000])
@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_whatever_is_lost_late_or_repeated_each_event_comes_once_and_in_order(page: int, seed: int) -> None:
    chance = random.Random(seed)
    log, follower = Log(page=page), Follower(["pkg/A/"])
    for _ in range(chance.randrange(4)):
        log.append(chance.choice(TOPICS))
    begun: list[int] = []  # what a snapshot covers is passed on as the newest of each topic only
    got: dict[str, list[int]] = {}

    def take(found: list[Numbered]) -> None:
        for told in found:
            got.setdefault(told.topic, []).append(told.seq)

    sent: list[tuple[str, Event]] = []
    for _ in range(40):
        step = chance.random()
        if step < 0.5:
            row = log.append(chance.choice((*TOPICS, "task/x/done/")))
            sent.append(row)
            if chance.random() < 0.6:
                take(follower.hear(*row))
        elif step < 0.6 and sent:
            take(follower.hear(*chance.choice(sent)))
        elif step < 0.7:
            take(follower.hear(*log.beat()))
        elif follower.behind or follower.unsure:
            question = follower.question()
            begun.append(len(log.rows))
            reply = log.answer(question)
            if chance.random() < 0.3:
                take(follower.hear(*log.append(chance.choice(TOPICS))))
            take(follower.learn(question, reply))
    take(follower.hear(*log.beat()))
    for _ in range(100):
        if not (follower.behind or follower.unsure):
            break
        question = follower.question()
        begun.append(len(log.rows))
        take(follower.learn(question, log.answer(question)))
    for topic in TOPICS:
        whole = [e.seq for t, e in log.rows if t == topic]
        seen = got.get(topic, [])
        assert seen == sorted(set(seen))
        assert seen == whole[len(whole) - len(seen) :]
        assert [seq for seq in whole if (seq or 0) > begun[0]] == [seq for seq in seen if seq > begun[0]]
        assert seen[-1:] == whole[-1:]


class Heard:
    """What signed heartbeats say."""

    def __init__(self, epoch: str | None = None, head: int = 0, over: frozenset[str] = frozenset()) -> None:
        self.epoch, self.head, self.over = epoch, head, over

    def is_over(self, epoch: str) -> bool:
        return epoch in self.over


def test_where_epochs_are_vouched_for_nothing_of_another_is_taken_and_nothing_older_comes_back() -> None:
    topic, true, false = TOPICS[0], Log("e1"), Log("e1")
    heartbeats = Heard("e1", 1)
    follower = Follower(["pkg/A/"], vouched=heartbeats)
    for log in (true, false):
        log.append(topic)
    question = follower.question()
    assert follower.learn(question, Log("e0").answer(question)) == [], "no heartbeat names that epoch"
    assert [told.seq for told in follower.learn(question, true.answer(question))] == [1]
    assert [told.seq for told in follower.hear(*true.append(topic))] == [2]
    heartbeats.head = 2

    follower.begin_anew()
    assert follower.learn(follower.question(), false.answer(follower.question())) == [], "2 was seen on that topic"
    assert [told.seq for told in follower.learn(follower.question(), true.answer(follower.question()))] == [2]

    follower.begin_anew()
    lie = msgspec.structs.replace(true.answer(follower.question()), head=10**9)
    assert [told.seq for told in follower.learn(follower.question(), lie)] == [2], "the newest may come again"
    true.append(topic)
    follower.hear(*true.beat())
    assert follower.unsure, "what a reply claims beyond the heartbeats hides nothing"

    heartbeats.epoch, heartbeats.over = "e2", frozenset(["e1"])
    follower.hear(*Log("e2").beat())
    restored = Log("e2")
    restored.rows = [*true.rows, (topic, event("e2", 4, 3))]
    told = follower.learn(follower.question(), restored.answer(follower.question()))
    assert [(each.event.epoch, each.seq) for each in told] == [("e2", 4)]
    assert follower.hear(topic, event("e1", 9, 4)) == [], "an epoch that is over stays so"
    assert not follower.behind
