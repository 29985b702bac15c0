"""A bot with the client library: python -m tunesmith.examples.bot_client [REQUESTS [EVENTS [SYMBOL]]].

The library finds missed events, reconnects, and refuses packages that are revoked, expired or superseded. A bot says
which is the lowest grade that it takes: "criteria" takes every package, as here, "tested" those that passed every test
of a verdict, "proven" those that held since as well.
"""

from __future__ import annotations

import asyncio
import sys

from tunesmith.client import AsyncClient


async def trade(
    requests: str = "tcp://127.0.0.1:5555", events: str = "tcp://127.0.0.1:5556", symbol: str = "BTC/USDT"
) -> None:
    """Follow what happens to a market's packages; trade while one is in force."""
    async with AsyncClient(requests=requests, events=events, name="example") as client:
        async for event in client.package_events(symbol, grades=("criteria",)):
            if event.package is not None:
                print("trade with", event.package["params"], "until", event.package["valid_until"], flush=True)  # noqa: T201
            else:
                print("stop:", event.kind, event.reason, flush=True)  # noqa: T201


if __name__ == "__main__":
    asyncio.run(trade(*sys.argv[1:]))
