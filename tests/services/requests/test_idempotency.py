"""A request that changes something happens once. A real database; the use case is a counter."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from tunesmith.config import Settings
from tunesmith.errors import Busy, Conflict, NotFound, TunesmithError
from tunesmith.protocol.catalog import MESSAGES, Call
from tunesmith.protocol.messages.strategies import DeleteStrategy, StrategyDeleted
from tunesmith.services.requests.idempotency import Change, accepted_prints, fingerprint, once
from tunesmith.services.runtime.context import Context, everybody_operates
from tunesmith.storage.sqlite.database import Database
from tunesmith.storage.tables import reply_table

REQUEST = DeleteStrategy(id="s1")


def call(request_id: str = "r1", user: str = "local", client: str | None = None) -> Call:
    return Call("strategy.delete", request_id, user, "operator", "requests", 0.0, client)


PARTS: Any = {"settings": Settings(), "role_of": everybody_operates}


class Counter:
    """A use case that counts how often it was done; `refusal` makes it refuse."""

    def __init__(self, refusal: TunesmithError | None = None) -> None:
        self.done = 0
        self.after = 0
        self.refusal = refusal

    async def plan(self, context: Context, request: DeleteStrategy, call: Call) -> Change:
        if self.refusal is not None:
            raise self.refusal

        async def apply(conn: Any) -> StrategyDeleted:
            self.done += 1
            return StrategyDeleted(id=f"{request.id}-{self.done}", deleted=True)

        def after() -> None:
            self.after += 1

        return Change(apply, after)


def with_database(path: Path, scene: Callable[[Context], Awaitable[None]]) -> None:
    async def main() -> None:
        database = await Database.open(path / "t.db")
        try:
            await scene(cast(Context, SimpleNamespace(database=database, **PARTS)))
        finally:
            await database.close()

    asyncio.run(main())


def test_the_same_request_gets_the_stored_reply_also_after_a_restart(tmp_path: Path) -> None:
    counter = Counter()
    replies: list[Any] = []

    async def ask(context: Context) -> None:
        replies.append(await once(context, counter.plan)(REQUEST, call()))

    with_database(tmp_path, ask)
    with_database(tmp_path, ask)
    assert replies[0] == replies[1]
    assert (counter.done, counter.after) == (1, 1)


def test_many_at_once_are_done_once(tmp_path: Path) -> None:
    counter = Counter()

    async def scene(context: Context) -> None:
        handle = once(context, counter.plan)
        replies = await asyncio.gather(*(handle(REQUEST, call()) for _ in range(50)))
        assert len({msgspec.json.encode(reply) for reply in replies}) == 1

    with_database(tmp_path, scene)
    assert (counter.done, counter.after) == (1, 1)


def test_another_body_is_a_conflict_and_another_client_or_user_is_another_request(tmp_path: Path) -> None:
    counter = Counter()

    async def scene(context: Context) -> None:
        handle = once(context, counter.plan)
        await handle(REQUEST, call())
        with pytest.raises(Conflict, match="used before"):
            await handle(DeleteStrategy(id="s2"), call())
        await handle(REQUEST, call(client="bot7"))
        await handle(REQUEST, call(user="ann"))

    with_database(tmp_path, scene)
    assert counter.done == 3


@pytest.mark.parametrize(
    ("refusal", "second"), [(NotFound("gone", path="/data/id"), NotFound), (Busy("later"), None)], ids=["kept", "not"]
)
def test_a_refusal_is_kept_unless_a_retry_can_mend_it(
    tmp_path: Path, refusal: TunesmithError, second: type[TunesmithError] | None
) -> None:
    counter = Counter(refusal)

    async def scene(context: Context) -> None:
        handle = once(context, counter.plan)
        with pytest.raises(type(refusal)):
            await handle(REQUEST, call())
        counter.refusal = None
        if second is None:
            await handle(REQUEST, call())
        else:
            with pytest.raises(second, match="gone") as caught:
                await handle(REQUEST, call())
            assert caught.value.path == "/data/id"

    with_database(tmp_path, scene)


def test_of_refusals_the_newest_of_each_user_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reply_table, "MOST_PASSING", 3)

    async def scene(context: Context) -> None:
        counter = Counter()
        handle = once(context, counter.plan)
        await handle(REQUEST, call("done"))
        counter.refusal = NotFound("there is no such strategy")
        for user in ("ann", "bob"):
            for i in range(10):
                with pytest.raises(NotFound):
                    await handle(REQUEST, call(f"r{i}", user))
        found = await context.database.fetch_all("SELECT user, id FROM requests ORDER BY rowid")
        kept = [f"r{i}" for i in range(7, 10)]
        assert [tuple(row) for row in found] == [
            ("local", "done"), *(("ann", id) for id in kept), *(("bob", id) for id in kept)
        ]  # fmt: skip
        counter.refusal = None
        with pytest.raises(NotFound):
            await handle(REQUEST, call("r9", "bob"))

    with_database(tmp_path, scene)


def test_what_looks_at_nothing_first_is_done_refused_and_audited_once_as_well(tmp_path: Path) -> None:
    done: list[str] = []

    def plan(context: Context, request: DeleteStrategy, call: Call) -> Change:
        async def apply(conn: Any) -> StrategyDeleted:
            if request.id == "gone":
                raise NotFound("gone", path="/data/id")
            done.append(call.id)
            return StrategyDeleted(id=request.id, deleted=True)

        return Change(apply, after=lambda: done.append("after"))

    async def scene(context: Context) -> None:
        handle = once(context, plan)
        for _ in range(3):
            assert await handle(REQUEST, call()) == StrategyDeleted(id="s1", deleted=True)
            with pytest.raises(NotFound, match="gone"):
                await handle(DeleteStrategy(id="gone"), call("r2"))
        with pytest.raises(Conflict, match="used before"):
            await handle(DeleteStrategy(id="gone"), call())
        entries = await context.database.fetch_all("SELECT request_id, outcome FROM audit ORDER BY id")
        assert [tuple(entry) for entry in entries] == [("r1", "ok"), ("r2", "not_found")]

    with_database(tmp_path, scene)
    assert done == ["r1", "after"]


def test_the_reply_is_finished_each_time(tmp_path: Path) -> None:
    counter = Counter()
    finished: list[str] = []

    async def finish(context: Context, reply: Any, of: Call) -> Any:
        finished.append(of.id)
        return reply

    async def scene(context: Context) -> None:
        handle = once(context, counter.plan, finish)
        await handle(REQUEST, call())
        await handle(REQUEST, call())

    with_database(tmp_path, scene)
    assert finished == ["r1", "r1"]


def test_the_fingerprint_is_of_the_meaning_not_of_the_text() -> None:
    decode = msgspec.json.Decoder(DeleteStrategy).decode
    assert fingerprint("a", decode(b'{"id":"x"}')) == fingerprint("a", decode(b' { "id" : "\\u0078" } '))
    assert fingerprint("a", REQUEST) != fingerprint("b", REQUEST)


def test_a_copy_that_overtakes_gets_the_reply_of_the_first_and_not_a_refusal_of_what_the_first_has_done(
    tmp_path: Path,
) -> None:
    done: list[str] = []

    async def plan(context: Context, request: DeleteStrategy, call: Call) -> Change:
        if done:
            raise Conflict("it is done already")
        done.append(call.id)
        await asyncio.sleep(0)  # as plans do that look into the database
        await context.database.fetch_one("SELECT 1")

        async def apply(conn: Any) -> StrategyDeleted:
            return StrategyDeleted(id=request.id, deleted=True)

        return Change(apply)

    async def scene(context: Context) -> None:
        handle = once(context, plan)
        copies = await asyncio.gather(*(handle(REQUEST, call()) for _ in range(3)), return_exceptions=True)
        assert copies == [StrategyDeleted(id="s1", deleted=True)] * 3
        with pytest.raises(Conflict, match="done already"):
            await handle(REQUEST, call("r2"))

    with_database(tmp_path, scene)
    assert done == ["r1"]


def test_copies_of_what_must_be_sent_again_are_tried_one_by_one(tmp_path: Path) -> None:
    counter = Counter(Busy("later"))

    async def scene(context: Context) -> None:
        handle = once(context, counter.plan)
        first, second = handle(REQUEST, call()), handle(REQUEST, call())
        assert [type(found) for found in await asyncio.gather(first, second, return_exceptions=True)] == [Busy, Busy]
        counter.refusal = None
        await handle(REQUEST, call())

    with_database(tmp_path, scene)
    assert counter.done == 1


OF_BEFORE: list[tuple[str, str, str]] = [
    ("backtest.start", '{"symbol":"BTC/USDT","strategy_id":"macd"}', "ae1a96fe4ed9"),
    ("backtest.start", '{"symbol":"BTC/USDT","strategy_id":"macd","direction":"long"}', "ae1a96fe4ed9"),
    ("optimization.start", '{"symbol":"BTC/USDT","strategy_id":"macd","param_ranges":{"fast":[1]}}', "7361e0e8e5eb"),
    ("schedule.create", '{"schedule_id":"a","every":"1d","search":{"symbol":"BTC/USDT","strategy_id":"macd"}}',
     "6ee8251b4897"),
    ("data.import", '{"symbol":"A","timeframe":"1h","venue":"x","bars":[[1704067200000,1.0,1.0,1.0,1.0,1.0]]}',
     "cd79f6766116"),
]  # fmt: skip
"""Requests, and how their fingerprints began that release 0.1 stored."""


@pytest.mark.parametrize(("message_type", "text", "begins"), OF_BEFORE)
def test_a_request_that_the_release_before_answered_is_known_when_it_is_sent_again(
    message_type: str, text: str, begins: str
) -> None:
    request = msgspec.json.decode(text, type=MESSAGES[message_type].request)
    accepted = accepted_prints(message_type, request)
    assert [each for each in accepted if each.startswith(begins)]
    assert not fingerprint(message_type, request).startswith(begins)
    assert fingerprint(message_type, request) in accepted


def test_who_names_long_and_who_names_no_direction_ask_for_different_things() -> None:
    unnamed, long = (
        msgspec.convert({"symbol": "A", "strategy_id": "macd", **more}, MESSAGES["backtest.start"].request)
        for more in ({}, {"direction": "long"})
    )
    assert fingerprint("backtest.start", long) not in accepted_prints("backtest.start", unnamed)
    assert fingerprint("backtest.start", unnamed) not in accepted_prints("backtest.start", long)
