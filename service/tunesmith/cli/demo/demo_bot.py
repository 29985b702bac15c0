"""The demo's bot: a process that knows the daemon's addresses and prints each package it receives as one JSON line.

python -m tunesmith.cli.demo.demo_bot REQUESTS EVENTS SYMBOL …
"""

from __future__ import annotations

import asyncio
import json
import sys

from tunesmith.client import AsyncClient


async def listen(requests: str, events: str, symbols: list[str]) -> None:
    """Follow every symbol and print what arrives: packages of the grade tested, or better."""
    async with AsyncClient(requests, events, key="") as client:
        await client.request("ping", {})
        print("listening", flush=True)
        async with asyncio.TaskGroup() as group:
            for symbol in symbols:
                group.create_task(_follow(client, symbol))


async def _follow(client: AsyncClient, symbol: str) -> None:
    async for package in client.packages(symbol, grades=("tested",)):
        print(json.dumps(package), flush=True)


if __name__ == "__main__":
    asyncio.run(listen(sys.argv[1], sys.argv[2], sys.argv[3:]))
