"""Values in the cache: of a known form or a miss, under keys of their meaning."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import cast

import msgspec

from tunesmith.config import Settings
from tunesmith.services.requests.value_cache import key_of, recall, remember
from tunesmith.services.runtime.context import Context
from tunesmith.storage.cache.caches import MemoryCache


class Point(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    x: int
    name: str = ""


def test_what_is_remembered_is_recalled_until_its_time_is_over() -> None:
    async def main() -> None:
        cache = MemoryCache()
        context = cast(Context, SimpleNamespace(cache=cache, settings=Settings()))
        await remember(context, "k", Point(3, "ä"))
        assert await recall(context, "k", Point) == Point(3, "ä")
        assert await recall(context, "other", Point) is None
        await cache.set("k", b'{"x": "3"}')
        assert await recall(context, "k", Point) is None

    asyncio.run(main())


def test_keys_are_of_the_meaning_and_of_the_kind() -> None:
    assert key_of("a", {"x": 1, "y": [True, None]}) == key_of("a", {"y": [True, None], "x": 1.0})
    assert len({key_of("a", [1]), key_of("b", [1]), key_of("a", [2]), key_of("a", ["1"])}) == 4
