"""A symbol without a slash, ETH, begins ETH/USDT: who asks for its packages alone hears no other market's."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import zmq

from storage.opened import MA, add_package
from tunesmith.client.following import Numbered
from tunesmith.client.package_shelf import PackageFilter
from tunesmith.protocol.envelope import Event
from tunesmith.protocol.topics import market_prefix, package_topic, package_topics
from tunesmith.services.packages.package_requests import announce, announce_withdrawn
from tunesmith.services.packages.reissuing import tell_on_second_topics
from tunesmith.storage.sqlite.connections import Connection
from tunesmith.storage.sqlite.database import Database
from tunesmith.storage.tables import outbox, package_table

A, B = "a" * 64, "b" * 64
SYMBOLS = ("ETH", "ETH/USDT", "ETH/1INCH", "ETHW", "BTC/USDT", "BTC/USDT:USDT")


def test_a_markets_prefix_begins_its_topics_and_no_others() -> None:
    assert package_topics("BTC/USDT", "1h", "s") == [package_topic("BTC/USDT", "1h", "s")] == ["pkg/BTC/USDT/1h/s/"]
    assert package_topics("ETH", "1h", "s") == ["pkg/ETH/1h/s/", "pkg/ETH//1h/s/"]
    topics = {topic: symbol for symbol in SYMBOLS for topic in package_topics(symbol, "1h", "s")}
    with zmq.Context() as context, context.socket(zmq.XPUB) as events:
        events.setsockopt(zmq.LINGER, 0)
        events.setsockopt(zmq.RCVTIMEO, 5_000)
        events.bind("inproc://events")
        for symbol in SYMBOLS:
            with context.socket(zmq.SUB) as bot:
                bot.setsockopt(zmq.RCVTIMEO, 5_000)
                bot.connect("inproc://events")
                bot.subscribe("end")
                bot.subscribe(market_prefix(symbol))
                while market_prefix(symbol).encode() not in events.recv():
                    continue
                for topic in [*topics, "end"]:
                    events.send_string(topic)
                assert [topics[topic] for topic in iter(bot.recv_string, "end")] == [symbol]


def test_events_come_on_every_topic_of_a_market_also_of_packages_that_were_there_before(tmp_path: Path) -> None:
    async def main() -> None:
        database = await Database.open(tmp_path / "t.db")
        try:
            await scene(database)
        finally:
            await database.close()

    async def scene(database: Database) -> None:
        async def add(conn: Connection) -> None:
            await add_package(conn, A, topic=f"pkg/ETH/1h/{MA.id}/", symbol="ETH")
            await add_package(conn, B, topic=f"pkg/ETH/USDT/1h/{MA.id}/", symbol="ETH/USDT")

        await database.write(add)
        assert await topics_of(database, market_prefix("ETH")) == []
        assert [await tell_on_second_topics(database) for _ in range(2)] == [1, 0]
        assert await topics_of(database, market_prefix("ETH")) == [f"pkg/ETH//1h/{MA.id}/"]
        row = await package_table.get(database, A)
        assert row is not None
        await database.write(lambda conn: announce(conn, row, "package.approved", row.doc))
        await database.write(lambda conn: announce_withdrawn(conn, "package.revoked", [(row, "a trial")]))
        alone = (await outbox.replay(database, 0, [market_prefix("ETH")])).events
        assert [event.subject for event in alone] == ["ETH"] * len(alone)
        first = (await outbox.replay(database, 0, [f"pkg/ETH/1h/{MA.id}/"])).events
        assert [event.type for event in alone] == [event.type for event in first]
        assert "package.revoked" in [event.type for event in alone]
        bot = PackageFilter("ETH", None, None, ("criteria", "tested"), refusals=True)
        told = (await outbox.replay(database, 0, ["pkg/ETH/"])).events
        heard = [bot.read(Numbered(row.topic, msgspec.json.decode(row.event, type=Event))) for row in told]
        assert {event.topic for event in heard if event is not None} == {f"pkg/ETH/1h/{MA.id}/"}

    asyncio.run(main())


async def topics_of(database: Database, prefix: str) -> list[str]:
    return [event.topic for event in (await outbox.replay(database, 0, [prefix])).events]
