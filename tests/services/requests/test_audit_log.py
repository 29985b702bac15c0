"""The audit log: entered with what it tells of, never changed, and not to be filled by asking in vain."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from tunesmith.config import Settings
from tunesmith.errors import Busy, Forbidden, Internal, Invalid, NotFound, TunesmithError
from tunesmith.protocol.catalog import Call
from tunesmith.protocol.messages.audit import AuditEntry, ListAudit
from tunesmith.protocol.messages.backtests import BacktestStarted, StartBacktest
from tunesmith.protocol.messages.packages import RevokePackage
from tunesmith.protocol.messages.strategies import DeleteStrategy, StrategyDeleted
from tunesmith.services.requests import audit_log
from tunesmith.services.requests.audit_log import Refusals
from tunesmith.services.requests.idempotency import Change, once
from tunesmith.services.runtime.context import Context, everybody_operates
from tunesmith.storage.sqlite.database import Database

PARTS: Any = {"settings": Settings(), "role_of": everybody_operates}


class House:
    """Use cases over a real database, and what its audit log says."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.context = cast(Context, SimpleNamespace(database=database, **PARTS))

    async def entries(self, **wanted: Any) -> list[AuditEntry]:
        """Oldest first."""
        request = msgspec.convert(wanted, ListAudit)
        return (await audit_log.list_all(self.context, request, cast(Call, None))).entries[::-1]

    async def do(self, message: str, request: Any, reply: Any, *, id: str = "r1", role: Any = "operator") -> None:
        """Answer a request with `reply`, or refuse it where that is an error; an error in a list comes in the write."""

        async def plan(context: Context, request: Any, call: Call) -> Change:
            if isinstance(reply, TunesmithError):
                raise reply

            async def apply(conn: Any) -> Any:
                if isinstance(reply, list):
                    raise reply[0]
                return reply

            return Change(apply)

        call = Call(message, id, "ann", role, "http", 0.0, "desk")
        await once(self.context, plan)(request, call)  # type: ignore[misc]


def in_house(scene: Callable[[House], Awaitable[None]]) -> Callable[[Path], None]:
    """The scene as a test."""

    def test(tmp_path: Path) -> None:
        async def main() -> None:
            database = await Database.open(tmp_path / "t.db")
            try:
                await scene(House(database))
            finally:
                await database.close()

        asyncio.run(main())

    return test


DELETE, DELETED = DeleteStrategy(id="s1"), StrategyDeleted(id="s1", deleted=True)


@in_house
async def test_an_operators_act_stands_there_once_with_all_that_is_known(house: House) -> None:
    for _ in range(2):
        await house.do("strategy.delete", DELETE, DELETED)
    [entry] = await house.entries()
    shown = msgspec.to_builtins(entry)
    assert shown.pop("time") > "2026"
    assert shown == {
        "id": 1,
        "user": "ann",
        "role": "operator",
        "door": "http",
        "client": "desk",
        "type": "strategy.delete",
        "request_id": "r1",
        "target": "s1",
        "outcome": "ok",
        "detail": "",
        "n": 1,
    }
    await house.do("backtest.start", StartBacktest(symbol="A/B", strategy_id="s"),
                   BacktestStarted(task_id="t", status="pending", estimated_time=1), id="r2")  # fmt: skip
    assert len(await house.entries()) == 1, "a backtest is nobody's privilege"


@in_house
async def test_what_is_refused_stands_there_with_its_reason(house: House) -> None:
    revoke = RevokePackage(package_id="a" * 64, reason="it loses")
    with pytest.raises(NotFound):
        await house.do("package.revoke", revoke, NotFound("there is no such package"))
    with pytest.raises(Invalid):
        await house.do("package.revoke", revoke, [Invalid("refused within the write")], id="r2")
    with pytest.raises(Busy):
        await house.do("package.revoke", revoke, Busy("later"), id="r3")
    with pytest.raises(Forbidden):
        await house.do("optimization.start", DELETE, Forbidden("not for bots"), id="r4", role="bot")
    found = [(e.type, e.role, e.target, e.outcome, e.detail) for e in await house.entries()]
    assert found == [
        ("package.revoke", "operator", "a" * 64, "not_found", "there is no such package"),
        ("package.revoke", "operator", "a" * 64, "invalid", "refused within the write"),
        ("optimization.start", "bot", "s1", "forbidden", "not for bots"),
    ]
    assert [e.outcome for e in await house.entries(user="ann", type="package.revoke", outcome="invalid")] == ["invalid"]
    assert await house.entries(user="bob") == []
    assert await house.entries(since="2999-01-01") == []
    assert len(await house.entries(since="2020-01-01", limit=2)) == 2


@in_house
async def test_nothing_is_changed_or_removed(house: House) -> None:
    await house.do("strategy.delete", DELETE, DELETED)
    for sql in ("UPDATE audit SET user = 'bob'", "DELETE FROM audit", "DELETE FROM audit WHERE id = 1"):
        with pytest.raises(TunesmithError):
            await house.database.write(lambda conn, sql=sql: conn.execute(sql))  # type: ignore[misc]
    assert [entry.user for entry in await house.entries()] == ["ann"]


@in_house
async def test_asking_in_vain_again_and_again_is_counted_not_listed(house: House) -> None:
    refusals = Refusals(house.database)
    for i in range(500):
        call = Call("package.revoke", f"r{i}", "night-bot", "bot", "requests", 0.0)
        refusals.note_call(call, Forbidden("it is for operators"))
        refusals.note_stranger("POST /api/strategies")
    await refusals.flushed()
    entries = await house.entries()
    assert len(entries) == 4
    told = {(e.user, e.role, e.door, e.type, e.outcome) for e in entries}
    assert told == {
        ("night-bot", "bot", "requests", "package.revoke", "forbidden"),
        ("", "", "http", "POST /api/strategies", "unauthorized"),
    }
    assert sorted(e.n for e in entries) == [1, 1, 499, 499]
    assert {e.request_id for e in entries if e.user and e.n == 1} == {"r0"}


@in_house
async def test_a_refused_attempt_that_cannot_be_entered_does_no_harm(house: House) -> None:
    refusals = Refusals(house.database)
    await house.database.write(
        lambda conn: conn.execute(
            "CREATE TRIGGER full BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'the disk is full'); END"
        )
    )
    refusals.note_stranger("POST /api/strategies")
    await refusals.flushed()
    assert await house.entries() == []
    with pytest.raises(Internal):
        await house.do("strategy.delete", DELETE, DELETED)
    assert await house.database.fetch_all("SELECT * FROM requests") == [], "an act that is not entered is not done"
