"""What bots of the last release and of today hear of each grade and event, of a daemon of either."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from golden import recordings
from golden.release_client import Wanted
from storage.opened import MA, add_package
from tunesmith.client.following import Numbered
from tunesmith.client.package_shelf import PackageFilter, PackageShelf
from tunesmith.protocol.envelope import Event
from tunesmith.protocol.grades import accepted_grades
from tunesmith.protocol.topics import package_topic
from tunesmith.services.packages import package_requests, regrading
from tunesmith.storage.sqlite.connections import Connection
from tunesmith.storage.sqlite.database import Database
from tunesmith.storage.tables import outbox, package_table

BOTS = {
    "now, criteria": lambda symbol: PackageFilter(symbol, None, None, accepted_grades(["criteria"]), True),
    "now, tested": lambda symbol: PackageFilter(symbol, None, None, accepted_grades(["tested"]), True),
    "now, proven": lambda symbol: PackageFilter(symbol, None, None, accepted_grades(["proven"]), True),
    "release, both": lambda symbol: Wanted(symbol, None, None, ("proven", "criteria"), True),
    "release, proven": lambda symbol: Wanted(symbol, None, None, ("proven",), True),
}
"""A bot by its client and the grades that it names; the release's took proven alone where it named none."""

HEARS = """
                               | now, criteria | now, tested | now, proven | release, both | release, proven
old: criteria                  | approved      | refused     | refused     | approved      | refused
old: proven                    | approved      | approved    | refused     | approved      | approved
old: criteria after proven     | approved      | superseded  | superseded  | approved      | superseded
old: revoked                   | revoked       | revoked     | revoked     | revoked       | revoked
old: expired                   | expired       | expired     | expired     | expired       | expired
new: criteria                  | approved      | refused     | refused     | approved      | refused
new: tested                    | approved      | approved    | refused     | refused       | refused
new: tested, was called proven | approved      | approved    | superseded  | superseded    | superseded
new: proven, was tested        | approved      | approved    | approved    | approved      | approved
new: suspended                 | suspended     | suspended   | suspended   | revoked       | revoked
new: revoked                   | revoked       | revoked     | revoked     | revoked       | revoked
new: expired                   | expired       | expired     | expired     | expired       | expired
"""
"""What each bot hears of each event of an old daemon, the release's, and of a new one, today's. What is refused or is
superseded by what must not be taken leaves a bot without a package; a client that does not know `tested` takes none."""

PLACES = {"new: criteria": "5m", "new: tested": "15m", "new: tested, was called proven": "1h", "new: suspended": "4h"}
PLACES |= {"new: proven, was tested": "6h", "new: revoked": "1d", "new: expired": "1w"}
PLACES_OF_OLD = "new: tested, was called proven"
LONG_AGO = "2024-03-01T00:00:00.000Z"


class Told(NamedTuple):
    """All events of a package's topic, as the daemon published them; the last is the one that a row is about."""

    events: list[Numbered]

    def heard_by(self, bot: str) -> str:
        """What a bot hears of the last event."""
        last = self.events[-1]
        found = BOTS[bot](str(last.event.subject)).read(last)
        if found is None:
            return "nothing"
        return "suspended" if getattr(found, "suspended", False) else str(found.kind)


def rows() -> dict[str, dict[str, str]]:
    """The table: event → bot → what it hears."""
    head, *lines = [[cell.strip() for cell in line.split("|")] for line in HEARS.strip("\n").splitlines()]
    return {line[0]: dict(zip(head[1:], line[1:], strict=True)) for line in lines}


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Told]:
    """The events of either daemon by the table's names."""
    return {**of_the_release(), **asyncio.run(of_today(tmp_path_factory.mktemp("today")))}


def of_the_release() -> dict[str, Told]:
    """Events of the release's daemon as they are on record; a package that was valid for minutes is made to last."""
    going_on, events = recordings.read("going_on")["steps"], recordings.read("events")
    approved: dict[str, list[Numbered]] = {}
    for record in going_on["events-replay"]["events"]:
        if record["event"]["type"] == "package.approved":
            event = msgspec.convert(record["event"], Event)
            approved.setdefault(event.data["symbol"], []).append(Numbered(record["topic"], event))
    [brief], gold = approved["BRIEF/USDT"], approved["GOLD/USDT"]
    [_, _, kept] = gold
    assert [kept.event.data["grade"], brief.event.data["grade"]] == ["proven", "criteria"]
    lasting = {**brief.event.data, "valid_until": "2999-01-01T00:00:00.000Z"}
    topic, text = events["first_of_each_type"]["package.revoked"][:2]
    expired = msgspec.structs.replace(brief.event, type="package.expired", data=going_on["expired"]["data"])
    return {
        "old: criteria": Told([Numbered(brief.topic, msgspec.structs.replace(brief.event, data=lasting))]),
        "old: proven": Told(gold[:1]),
        "old: criteria after proven": Told(gold[:2]),
        "old: revoked": Told([Numbered(topic, msgspec.convert(json.loads(text), Event))]),
        "old: expired": Told([Numbered(brief.topic, expired)]),
    }


async def of_today(folder: Path) -> dict[str, Told]:
    """Events of today's daemon, made by its services over a real database."""
    database = await Database.open(folder / "t.db")
    ids = {name: f"{i:064x}" for i, name in enumerate(PLACES)}
    grades = dict.fromkeys(PLACES, "tested") | {"new: criteria": "criteria", PLACES_OF_OLD: "proven"}

    async def issue(conn: Connection) -> None:
        for name, timeframe in PLACES.items():
            until = LONG_AGO if name == "new: expired" else "2999-01-01T00:00:00.000Z"
            topic = package_topic("BTC/USDT", timeframe, MA.id)
            await add_package(conn, ids[name], topic=topic, timeframe=timeframe, grade=grades[name], valid_until=until)

    async def happen(conn: Connection) -> None:
        await regrading.promote(conn, ids["new: proven, was tested"], "held for a year")
        await regrading.suspend(conn, ids["new: suspended"], "watch", "earns less than its replay")
        revoked = await package_table.revoke(conn, ids["new: revoked"], "ann", "a trial")
        assert revoked is not None
        await package_requests.announce_withdrawn(conn, "package.revoked", [(revoked, "a trial")])
        expired = await package_table.expire_due(conn)
        await package_requests.announce_withdrawn(conn, "package.expired", [(row, "over") for row in expired])

    try:
        await database.write(issue)
        assert await regrading.regrade_older(database) == 1
        await database.write(happen)
        found = {}
        for name, timeframe in PLACES.items():
            published = (await outbox.replay(database, 0, [f"pkg/BTC/USDT/{timeframe}/"])).events
            found[name] = Told([Numbered(row.topic, msgspec.json.decode(row.frame, type=Event)) for row in published])
        return found
    finally:
        await database.close()


@pytest.mark.parametrize("event", rows())
def test_each_bot_hears_of_each_event_what_the_table_says(told: dict[str, Told], event: str) -> None:
    assert {bot: told[event].heard_by(bot) for bot in BOTS} == rows()[event]


@pytest.mark.parametrize("grade", ["criteria", "tested", "proven"])
def test_the_newest_event_of_a_topic_is_enough_for_a_bot_that_comes_late(told: dict[str, Told], grade: str) -> None:
    def shelved(events: list[Numbered]) -> dict[str, Any] | None:
        wanted, shelf = BOTS[f"now, {grade}"]("BTC/USDT"), PackageShelf()
        shelf.put([heard for heard in map(wanted.read, events) if heard is not None])
        return shelf.take()

    left = {name: shelved(told[name].events) for name in PLACES}
    assert left == {name: shelved(told[name].events[-1:]) for name in PLACES}
    promoted = left["new: proven, was tested"]
    assert promoted is not None
    assert (promoted["grade"], promoted["params"]) == ("proven", {"fast_period": 9})


def test_every_event_of_the_table_is_told_and_no_other(told: dict[str, Told]) -> None:
    assert told.keys() == rows().keys()
