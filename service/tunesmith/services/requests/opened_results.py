"""Results of others that are delivered: a message that names a search and shows what it found opens it for its sender.

A verdict counts what its user has seen, so whoever opens another's results is entered, once, before the reply goes out.
Which replies show results follows from their fields: wherever a struct is about a task and has some of `RESULTS`, it
shows them. A listing that names nobody's task opens nothing: what it tells is counted as a foreign search is.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, get_args

import msgspec

from tunesmith.protocol.catalog import MESSAGES, Call, Handler, Written, finished
from tunesmith.protocol.envelope import Reply, Request
from tunesmith.protocol.messages.server import EventsReply
from tunesmith.services.requests import audit_log
from tunesmith.services.runtime.context import Context
from tunesmith.storage.sqlite.connections import Connection
from tunesmith.storage.tables import counted_table

NAMES = ("walkforward_id", "task_id", "report_id", "optimization_id")
"""Fields that name the task whose results a struct shows; the first of them that a struct declares and that is set."""

USED = ("warm_start",)
"""Fields of requests, and of requests within them, that name a search whose results the request makes use of."""

ASKED = (*NAMES, "session_id", "verdict_id", "backtest_id", "a", "b", "topics")
"""Fields of requests that name what is asked for."""

RESULTS = frozenset({
    "best", "best_params", "best_score", "bottom", "checks", "comparison", "content", "convergence", "correlations",
    "cannot_say", "effects", "efficiency", "equity", "evidence", "front", "heat_map", "importance", "marginals",
    "metrics", "parameter_package", "parameter_packages", "params", "recommendation", "result", "score", "scores",
    "size", "stats", "summary", "top", "trades", "trials", "windows",
})  # fmt: skip
"""Fields that hold what a task found."""

MOST_KNOWN = 100_000
"""Pairs of user and task that are known to need no further look; beyond that all are looked up again."""

_MOST_LOOKED = 500
"""Replies that are remembered as looked through, for each message."""

_NOTHING: tuple[Any, ...] = (None, "", [], {}, ())


class _Layout(NamedTuple):
    """Fields of a struct that name its task, that hold results, and whose structs are about tasks themselves."""

    names: tuple[str, ...]
    results: tuple[str, ...]
    parts: tuple[str, ...]


def entering_opened(context: Context, message_type: str, handle: Handler, *, repeats: bool = False) -> Handler:
    """The handler of a message that shows results, around `handle`; `handle` itself where its reply shows none.

    With `repeats` the same reply is delivered again and again, as those of ended tasks are: it is looked through once.
    """
    looked: dict[tuple[str, int], Reply | Written] = {}
    message = MESSAGES[message_type]
    asked = [name for name in ASKED if name in message.request.__struct_fields__]
    names_of: Callable[[Request, Reply], Iterable[str]]
    if message.reply is EventsReply:
        names_of = _named_in_topics
    elif asked and may_show(message.reply):
        names_of = functools.partial(_named_and_shown, asked)
    else:
        return _entering_used(context, message.request, handle) if message.changes else handle

    def deliver(request: Request, made: Reply | Written, call: Call) -> Reply | Written | Awaitable[Reply]:
        key = call.user, id(made)
        if looked.get(key) is made:
            return made
        reply = made.reply if isinstance(made, Written) else made
        fresh = [name for name in names_of(request, reply) if (call.user, name) not in context.opened]
        if fresh:
            return _opened(context, call, fresh, reply)
        if repeats:
            if len(looked) >= _MOST_LOOKED:
                looked.clear()
            looked[key] = made
        return made

    async def wait(request: Request, making: Awaitable[Reply], call: Call) -> Reply:
        reply = await making
        delivered = deliver(request, reply, call)
        return await delivered if isinstance(delivered, Awaitable) else reply

    def answer(request: Request, call: Call) -> Reply | Written | Awaitable[Reply]:
        made = handle(request, call)
        return deliver(request, made, call) if isinstance(made, (Reply, Written)) else wait(request, made, call)

    return answer


def _entering_used(context: Context, kind: type[Request], handle: Handler) -> Handler:
    """The handler of a message whose request can make use of another's results; they are entered before it does."""
    if not any(name in of.__struct_fields__ for of in (kind, *_structs_within(kind)) for name in USED):
        return handle

    async def use(request: Request, call: Call, fresh: Sequence[str]) -> Reply:
        await _enter_new(context, call, fresh)
        return await finished(handle(request, call))

    def answer(request: Request, call: Call) -> Reply | Written | Awaitable[Reply]:
        fresh = [name for name in _used_in(request) if (call.user, name) not in context.opened]
        return use(request, call, fresh) if fresh else handle(request, call)

    return answer


def may_show(kind: Any) -> bool:
    """Whether a value of this type can show what a task found."""
    return any(
        (layout.results and (layout.names or layout.parts)) or any(map(may_show, _types(of, layout.parts)))
        for of in _structs_in(kind)
        for layout in (_layout(of),)
    )


def shown_in(value: Any) -> Iterator[str]:
    """The ids of the tasks, and of the reports, that a value shows results of."""
    for struct in _structs_of(value):
        layout = _layout(type(struct))
        if any(getattr(struct, name) not in _NOTHING for name in layout.results):
            yield from _named_in(struct)
        for name in layout.parts:
            yield from shown_in(getattr(struct, name))


async def _opened(context: Context, call: Call, names: Sequence[str], reply: Reply) -> Reply:
    """The reply, once it is entered that it shows results of these tasks and reports to the caller."""
    await _enter_new(context, call, names)
    if len(context.opened) > MOST_KNOWN:
        context.opened.clear()
    context.opened.update((call.user, name) for name in names)
    return reply


async def _enter_new(context: Context, call: Call, names: Sequence[str]) -> None:
    """Enter those of the tasks and reports that are another's and have results; what has none yet may be used later."""
    task_ids = await counted_table.unopened(context.database, call.user, names)
    if task_ids:
        await context.database.write(functools.partial(_enter, call, task_ids))


async def _enter(call: Call, task_ids: Sequence[str], conn: Connection) -> None:
    for task_id in await counted_table.open_for(conn, call.user, task_ids):
        await audit_log.enter_opened(conn, call, task_id)


def _named_and_shown(asked: Sequence[str], request: Request, reply: Reply) -> Iterable[str]:
    return dict.fromkeys(shown_in(reply)) if any(getattr(request, name) for name in asked) else ()


def _used_in(request: msgspec.Struct) -> Iterator[str]:
    for name in request.__struct_fields__:
        value = getattr(request, name)
        if name in USED and value:
            yield value
        elif isinstance(value, msgspec.Struct):
            yield from _used_in(value)


def _named_in_topics(request: Any, reply: Any) -> Iterator[str]:
    """The tasks that the topics of a request for events name, and whose end with its result is among the events."""
    named = {parts[1] for topic in request.topics if len(parts := topic.split("/")) > 1 and parts[0] == "task"}
    for record in reply.events:
        data = record.event.get("data", {})
        if data.get("task_id") in named and data.get("result"):
            yield data["task_id"]


def _named_in(struct: msgspec.Struct) -> Iterator[str]:
    """The task that a struct is about, or else those that its parts are about."""
    layout = _layout(type(struct))
    own = next((name for field in layout.names if (name := getattr(struct, field))), None)
    if own is not None:
        yield own
        return
    for field in layout.parts:
        for part in _structs_of(getattr(struct, field)):
            yield from _named_in(part)


@functools.cache
def _layout(kind: type[msgspec.Struct]) -> _Layout:
    fields = {field.name: field.type for field in msgspec.structs.fields(kind)}
    parts = tuple(name for name, of in fields.items() if any(map(_is_about_tasks, _structs_in(of))))
    return _Layout(
        names=tuple(name for name in fields if name in NAMES),
        results=tuple(name for name in fields if name in RESULTS and name not in parts),
        parts=parts,
    )


def _is_about_tasks(kind: type[msgspec.Struct]) -> bool:
    layout = _layout(kind)
    return bool(layout.names or layout.parts)


def _types(kind: type[msgspec.Struct], names: Sequence[str]) -> list[Any]:
    return [field.type for field in msgspec.structs.fields(kind) if field.name in names]


def _structs_within(kind: type[msgspec.Struct]) -> list[type[msgspec.Struct]]:
    return [of for field in msgspec.structs.fields(kind) for of in _structs_in(field.type)]


def _structs_in(annotation: Any) -> list[type[msgspec.Struct]]:
    """The structs that a type allows, in lists and dicts too."""
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        return [annotation]
    return [kind for part in get_args(annotation) for kind in _structs_in(part)]


def _structs_of(value: Any) -> Iterator[msgspec.Struct]:
    """The structs that a value is or holds, in lists and dicts too."""
    if isinstance(value, msgspec.Struct):
        yield value
    elif isinstance(value, list | tuple | dict):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _structs_of(each)
