"""Values in the cache: of a known form or a miss, and keys that follow the code."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import msgspec
import pytest

from tunesmith.config import Settings
from tunesmith.services.requests import value_cache
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


@pytest.mark.parametrize(
    ("source", "versions"),
    [
        ("compute/simulation/run.py", ("engine_version", "daemon_version")),
        ("compute/strategies/mine.rule", ("engine_version", "daemon_version")),
        ("protocol/messages/tasks.py", ("daemon_version",)),
        ("storage/tables/report_table.py", ("daemon_version",)),
    ],
)
def test_versions_follow_their_sources(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, versions: tuple[str, ...]
) -> None:
    monkeypatch.setattr(value_cache, "__file__", str(tmp_path / "services" / "cached.py"))

    def fresh() -> dict[str, str]:
        value_cache.engine_version.cache_clear()
        return {name: getattr(value_cache, name).__wrapped__() for name in ("engine_version", "daemon_version")}

    try:
        file = tmp_path / source
        file.parent.mkdir(parents=True)
        file.write_text("a = 1\n")
        first = fresh()
        assert fresh() == first
        file.write_text("a = 2\n")
        second = fresh()
        assert {name for name in first if first[name] != second[name]} == set(versions)
    finally:
        monkeypatch.undo()
        value_cache.engine_version.cache_clear()
