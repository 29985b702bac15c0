"""Strategies and their versions. The newest version stands in `strategies`, every version in `strategy_versions`."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import ClassVar

import msgspec

from tunesmith.domain.records import JsonObject, build
from tunesmith.errors import Conflict, NotFound
from tunesmith.storage.sqlite.connections import Connection, Source
from tunesmith.storage.sqlite.rows import Page, Row, insert, json_text, page, select_one
from tunesmith.storage.timestamps import now


class StrategyText(msgspec.Struct, frozen=True, kw_only=True):
    """What a version of a strategy is: its `kind` is rule (in the language) or kernel (compiled)."""

    id: str
    name: str
    version: str
    code: str
    default_params: JsonObject
    kind: str = "rule"
    doc: str = ""

    @property
    def code_hash(self) -> str:
        """sha256 of the code."""
        return hashlib.sha256(self.code.encode()).hexdigest()


class StrategyRow(Row, frozen=True, kw_only=True):
    """A strategy in its newest version."""

    table: ClassVar[str] = "strategies"

    id: str
    name: str
    version: str
    kind: str
    code: str
    code_hash: str
    doc: str
    default_params: JsonObject
    builtin: bool
    created_at: str
    updated_at: str
    deleted_at: str | None


class VersionRow(Row, frozen=True, kw_only=True):
    """One version of a strategy; `number` counts a strategy's versions from 1."""

    table: ClassVar[str] = "strategy_versions"

    strategy_id: str
    version: str
    name: str
    kind: str
    code: str
    code_hash: str
    doc: str
    default_params: JsonObject
    created_at: str
    number: int


async def create(conn: Connection, text: StrategyText, *, builtin: bool = False) -> StrategyRow:
    """A new strategy in its first version; raises `Conflict` when the id is taken, also by a deleted one."""
    if await get(conn, text.id) is not None:
        raise Conflict(f"there is (or was) a strategy {text.id!r}; choose another id, or update it", path="/data/id")
    time = now()
    row = build(StrategyRow, text, builtin=builtin, created_at=time, updated_at=time, deleted_at=None)
    await insert(conn, row)
    await _insert_version(conn, text, time, 1)
    return row


async def update(conn: Connection, text: StrategyText) -> StrategyRow:
    """Makes `text` the newest version of its strategy.

    Raises `NotFound` for an unknown or deleted strategy, `Conflict` when that version is there already.
    """
    current = await get(conn, text.id)
    if current is None or current.deleted_at is not None:
        raise NotFound(f"there is no strategy {text.id!r}", path="/data/id")
    known = await versions(conn, text.id)
    if text.version in known:
        raise Conflict(f"strategy {text.id!r} has a version {text.version!r} already", path="/data/version")
    time = now()
    await _insert_version(conn, text, time, len(known) + 1)
    await conn.execute(
        """UPDATE strategies SET name = ?, version = ?, kind = ?, code = ?, code_hash = ?, doc = ?, default_params = ?,
               updated_at = ? WHERE id = ?""",
        (
            text.name,
            text.version,
            text.kind,
            text.code,
            text.code_hash,
            text.doc,
            json_text(text.default_params),
            time,
            text.id,
        ),
    )
    updated = await get(conn, text.id)
    return updated or current


async def delete(conn: Connection, strategy_id: str) -> bool:
    """Takes a strategy out of listings; its versions stay readable. False when it is not there."""
    sql = "UPDATE strategies SET deleted_at = ? WHERE id = ? AND deleted_at IS NULL"
    return await conn.execute(sql, (now(), strategy_id)) == 1


async def get(source: Source, strategy_id: str) -> StrategyRow | None:
    """The strategy in its newest version, or None; a deleted one has `deleted_at`."""
    return await select_one(source, StrategyRow, "WHERE id = ?", (strategy_id,))


async def get_version(source: Source, strategy_id: str, version: str) -> VersionRow | None:
    """One version of a strategy, also of a deleted one, or None."""
    return await select_one(source, VersionRow, "WHERE strategy_id = ? AND version = ?", (strategy_id, version))


async def versions(source: Source, strategy_id: str) -> list[str]:
    """The names of a strategy's versions, oldest first."""
    sql = "SELECT version FROM strategy_versions WHERE strategy_id = ? ORDER BY number"
    return [row[0] for row in await source.fetch_all(sql, (strategy_id,))]


async def listing(source: Source, *, limit: int = 100, offset: int = 0) -> Page:
    """`StrategyRow`s that are not deleted, by id."""
    return await page(source, StrategyRow, {}, order="id", limit=limit, offset=offset, also="deleted_at IS NULL")


async def ids(source: Source) -> list[str]:
    """The ids of the strategies that are not deleted: what a wrong name is compared with."""
    return [row[0] for row in await source.fetch_all("SELECT id FROM strategies WHERE deleted_at IS NULL ORDER BY id")]


async def seed_builtins(conn: Connection, texts: Iterable[StrategyText]) -> list[str]:
    """Stores the built-in strategies; one whose code or defaults changed gets a new version. The ids that changed.

    A version name that is taken by other code becomes `<version>-r2`, `-r3`, …
    """
    changed = []
    for text in texts:
        current = await get(conn, text.id)
        if current is None:
            await create(conn, text, builtin=True)
        elif (current.code_hash, current.default_params) == (text.code_hash, text.default_params):
            restored = await conn.execute(
                "UPDATE strategies SET deleted_at = NULL WHERE id = ? AND deleted_at IS NOT NULL", (text.id,)
            )
            if not restored:
                continue
        else:
            await conn.execute("UPDATE strategies SET builtin = 1, deleted_at = NULL WHERE id = ?", (text.id,))
            await update(conn, msgspec.structs.replace(text, version=await _free_version(conn, text)))
        changed.append(text.id)
    return changed


async def seed_installed(conn: Connection, texts: Iterable[StrategyText], kept: Iterable[str]) -> list[str]:
    """Stores installed strategies as `seed_builtins` does, but for ids that are a user's own; answers those.

    Other compiled strategies than these and the `kept` ids leave the listings: they are installed no more.
    """
    texts = list(texts)
    taken = [row.id for text in texts if (row := await get(conn, text.id)) is not None and not row.builtin]
    ours = [text for text in texts if text.id not in taken]
    await seed_builtins(conn, ours)
    sql = "SELECT id FROM strategies WHERE kind = 'kernel' AND builtin AND deleted_at IS NULL"
    compiled = await conn.fetch_all(sql)
    for (strategy_id,) in compiled:
        if strategy_id not in {*kept, *(text.id for text in ours)}:
            await delete(conn, strategy_id)
    return taken


async def _free_version(conn: Connection, text: StrategyText) -> str:
    known = await versions(conn, text.id)
    names = (text.version, *(f"{text.version}-r{n}" for n in range(2, len(known) + 3)))
    return next(name for name in names if name not in known)


async def _insert_version(conn: Connection, text: StrategyText, time: str, number: int) -> None:
    row = build(VersionRow, text, strategy_id=text.id, created_at=time, number=number)
    await insert(conn, row)
