"""Strategies: create, read, change, delete. An update is a new version; old ones stay readable and runnable."""

from __future__ import annotations

import difflib
import functools

import msgspec
import structlog

from tunesmith.compute.rules.strategy import Strategy
from tunesmith.compute.strategies import BUILTIN_IDS, builtin
from tunesmith.compute.strategies.installed import installed, installed_strategy
from tunesmith.domain.parameters import ParamValues, parameters_schema
from tunesmith.domain.records import build
from tunesmith.domain.space import encode_points
from tunesmith.errors import Conflict, Forbidden, NotFound
from tunesmith.protocol.catalog import Call
from tunesmith.protocol.messages.strategies import (
    CreateStrategy,
    DeleteStrategy,
    GetStrategy,
    ListStrategies,
    StrategyDeleted,
    StrategyList,
    StrategyReply,
    StrategySummary,
    UpdateStrategy,
)
from tunesmith.services.requests.idempotency import Change
from tunesmith.services.runtime.context import Context
from tunesmith.storage.sqlite.connections import Connection
from tunesmith.storage.sqlite.database import Database
from tunesmith.storage.tables import strategy_table
from tunesmith.storage.tables.strategy_table import StrategyRow, StrategyText
from tunesmith.workers.chunks.payloads import StrategyRef

_PARSED = 64

logger = structlog.get_logger("tunesmith.strategies")


async def create(context: Context, request: CreateStrategy, call: Call) -> Change:
    """Store a new strategy. `invalid` with line and column when the code does not parse, `conflict` when it exists."""
    context.strategy_changes.take(call.user)
    parsed = await context.aside.run(
        lambda: Strategy.parse(request.code, id=request.id, name=request.name, version=request.version)
    )
    defaults = _defaults(parsed, request.default_params)

    async def apply(conn: Connection) -> StrategyReply:
        row = await strategy_table.create(conn, _text(parsed, defaults))
        return _reply(row, parsed, [row.version])

    return Change(apply)


async def update(context: Context, request: UpdateStrategy, call: Call) -> Change:
    """Store a new version. `not_found`, `invalid` for code that does not parse, `conflict` for one that exists."""
    context.strategy_changes.take(call.user)
    row = await load(context, request.id)
    if row.builtin:
        raise Forbidden(f"{request.id!r} is built in or installed; create a strategy of your own", path="/data/id")
    code = request.code if request.code is not None else row.code
    name = request.name or row.name
    parsed = await context.aside.run(lambda: Strategy.parse(code, id=request.id, name=name, version=request.version))
    given = row.default_params if request.default_params is None else request.default_params
    kept = {p.name for p in parsed.parameters}
    if request.default_params is None:
        given = {key: value for key, value in given.items() if key in kept}
    defaults = _defaults(parsed, given)

    async def apply(conn: Connection) -> StrategyReply:
        changed = await strategy_table.update(conn, _text(parsed, defaults))
        return _reply(changed, parsed, await strategy_table.versions(conn, request.id))

    return Change(apply)


async def delete(context: Context, request: DeleteStrategy, call: Call) -> Change:
    """Take a strategy out of the listings. `not_found`, `forbidden` for a built-in one."""
    context.strategy_changes.take(call.user)
    row = await load(context, request.id)
    if row.builtin:
        raise Forbidden(f"{request.id!r} is built in or installed", path="/data/id")

    async def apply(conn: Connection) -> StrategyDeleted:
        return StrategyDeleted(id=request.id, deleted=await strategy_table.delete(conn, request.id))

    return Change(apply)


async def get(context: Context, request: GetStrategy, call: Call) -> StrategyReply:
    """A strategy's newest version, or the one named. `not_found`."""
    row = await load(context, request.id, request.version, deleted=True)
    return _reply(row, _parse_for_show(row), await strategy_table.versions(context.database, request.id))


async def list_all(context: Context, request: ListStrategies, call: Call) -> StrategyList:
    """The newest version of each strategy."""
    rows, total = await strategy_table.listing(context.database, limit=request.limit, offset=request.offset)
    return StrategyList(
        strategies=[build(StrategySummary, row) for row in rows],
        total=total,
    )


async def load(
    context: Context, strategy_id: str, version: str | None = None, *, path: str = "/data/id", deleted: bool = False
) -> StrategyRow:
    """A stored strategy in its newest version or the one named; raises `NotFound` with the nearest right name.

    `deleted` also answers what was deleted: packages and reports go on naming it.
    """
    row = await strategy_table.get(context.database, strategy_id)
    if row is None or (row.deleted_at is not None and not deleted):
        near = difflib.get_close_matches(strategy_id, await strategy_table.ids(context.database), 1)
        hint = f"did you mean {near[0]!r}?" if near else "strategy.list names what is there"
        raise NotFound(f"there is no strategy {strategy_id!r}; {hint}", path=path)
    if version is None or version == row.version:
        return row
    old = await strategy_table.get_version(context.database, strategy_id, version)
    if old is None:
        known = ", ".join(await strategy_table.versions(context.database, strategy_id))
        raise NotFound(f"{strategy_id!r} has no version {version!r}; it has {known}", path="/data/version")
    values = {name: getattr(old, name) for name in ("version", "name", "kind", "code", "code_hash", "doc")}
    return msgspec.structs.replace(row, default_params=old.default_params, updated_at=old.created_at, **values)


def parse(row: StrategyRow) -> Strategy:
    """The parsed strategy of a stored row; raises `Conflict` for a compiled one that is not installed."""
    if row.kind == "rule":
        return _stored_rule(row.code, row.id, row.name, row.version)
    return builtin(row.id) if row.id in BUILTIN_IDS else installed_strategy(row.id, row.code_hash)


@functools.lru_cache(maxsize=_PARSED)
def _stored_rule(code: str, strategy_id: str, name: str, version: str) -> Strategy:
    """A rule that parsed before it was stored; it is asked for again with every search and backtest."""
    return Strategy.parse(code, id=strategy_id, name=name, version=version, is_stored=True)


def parse_ref(ref: StrategyRef) -> Strategy:
    """The parsed strategy of what is stored with a task."""
    if ref.kind == "rule":
        return Strategy.parse(ref.code, id=ref.id, version=ref.version, is_stored=True)
    return builtin(ref.id) if ref.id in BUILTIN_IDS else installed_strategy(ref.id, ref.code_hash)


async def seed(database: Database) -> None:
    """Store the built-in strategies and the installed ones, and log what is installed but cannot be had."""
    rules = [_text(rule, rule.defaults) for rule in map(builtin, BUILTIN_IDS)]
    found = installed()
    texts = [_text(strategy, strategy.defaults) for strategy in found.strategies.values()]

    async def write(conn: Connection) -> list[str]:
        await strategy_table.seed_builtins(conn, rules)
        return await strategy_table.seed_installed(conn, texts, BUILTIN_IDS)

    for failure in found.failures:
        logger.error("an installed strategy failed to load", entry_point=failure.value, reason=failure.reason)
    for strategy_id in await database.write(write):
        logger.error("an installed strategy was left out", id=strategy_id, reason="a stored strategy has its id")


def _parse_for_show(row: StrategyRow) -> Strategy:
    """Like `parse`, but what is not installed has no parameters."""
    try:
        return parse(row)
    except Conflict:
        return Strategy(row.id, row.name, row.version, row.code, "kernel", row.doc, ())


def _text(parsed: Strategy, defaults: ParamValues) -> StrategyText:
    return build(StrategyText, parsed, default_params=defaults)


def _defaults(parsed: Strategy, given: ParamValues) -> ParamValues:
    encode_points(parsed.parameters, given, "/data/default_params")
    return {**parsed.defaults, **given}


def _reply(row: StrategyRow, parsed: Strategy, versions: list[str]) -> StrategyReply:
    return build(
        StrategyReply,
        row,
        parameters=list(parsed.parameters),
        parameters_schema=parameters_schema(parsed.parameters),
        versions=versions,
    )
