"""The book: every search that counts in a verdict, from what is stored of searches, walk-forwards and backtests.

What counts shares time with the asked markets' in-sample bars and was made on one of these markets, under any of its
names, or on a related one. A search that was made elsewhere counts with its points on the asked markets. Bars of
another time tell nothing of a rule's luck on these; under a name that has given the market other times all count.

    own       made by one of the verdict's users
    opened    made by another, whose results were delivered to one of them
    foreign   made by another on these markets or related ones, and visible before the asked search began: the asker
              may have been told
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence, Set

import msgspec

from tunesmith.errors import Internal, NotFound
from tunesmith.services.market.market_identity import Lineage, Name, lineage_of
from tunesmith.services.market.market_windows import Window
from tunesmith.services.market.related_markets import related_to
from tunesmith.services.runtime.context import Context
from tunesmith.services.verdicts.counted_groups import Group, Member, Openings, grouped, member_of, text_identity
from tunesmith.storage.sqlite.connections import Source
from tunesmith.storage.tables import counted_table
from tunesmith.storage.tables.counted_table import CountedRow, Place
from tunesmith.workers.chunks.null_payloads import CountedRef

Parts = tuple[Sequence[Member], Sequence[Member]]
"""What is in the book of one of the users, and what is foreign to all of them."""

Around = tuple[Window, Lineage, list[Name]]
"""A window, every name of its market, and the related markets' names."""

_ALWAYS = (-(2**62), 2**62)
_ROWS_AT_ONCE = 500


class Book(msgspec.Struct, frozen=True, kw_only=True):
    """The searches that count in a verdict.

    `searches` stand in the order in which they began, so that each comes after all that it has seen; foreign ones come
    last. `asked_id` names the one that the verdict is asked about. `by_user` has for each user the ids of the searches
    in that user's own book, in the order in which they began to count there; the verdict has one clock for all of them.
    Of the searches that are not foreign, `n_opened` are others' that a user opened, and `n_related` were made on
    related markets alone.
    """

    searches: list[CountedRef]
    asked_id: str
    by_user: dict[str, list[str]]
    n_opened: int = 0
    n_related: int = 0

    @property
    def counted(self) -> list[CountedRef]:
        """The searches without the foreign ones."""
        return [search for search in self.searches if not search.foreign]

    @property
    def foreign(self) -> list[CountedRef]:
        """Searches of others, which raise p and never the clock."""
        return [search for search in self.searches if search.foreign]


class BookLine(msgspec.Struct, frozen=True, kw_only=True):
    """A search of a book as a verdict's evidence keeps it: `CountedRef` without what its tasks say."""

    search_id: str
    tasks: list[str]
    n_made: int
    seen: list[str] = []
    foreign: bool = False


class BookEvidence(msgspec.Struct, frozen=True, kw_only=True):
    """A book as a verdict's evidence keeps it."""

    lines: list[BookLine]
    asked_id: str
    by_user: dict[str, list[str]]
    n_opened: int
    n_related: int


async def book_of(context: Context, users: Sequence[str], windows: Sequence[Window], optimization_id: str) -> Book:
    """The book for a verdict that `users` (who asks, and whose search it is) want on a search, on its `windows`.

    `windows` have the boundary that is in force. Raises `NotFound` for a search that is not there.
    """
    asked = await counted_table.of_task(context.database, optimization_id)
    if asked is None:
        raise NotFound(f"there is no optimization {optimization_id!r}", path="/data/optimization_id")
    users = list(dict.fromkeys([*users, asked.user]))
    around = [await _around(context, window) for window in windows]
    async with context.database.reader() as source:
        on_lineage = await _on_lineages(source, around)
        on_lineage.setdefault(asked.id, Place(asked.id, asked.user, asked.visible_from or asked.id))
        nearby = await _places(source, [(window, related) for window, _, related in around])
        found = [place for _, place in sorted({**nearby, **on_lineage}.items())]
        everybody = {*users, *(place.user for place in found)}
        openings = Openings(await counted_table.openings(source, sorted(everybody)))
        mine, others = [], []
        for place in found:
            if any(place.user == user or openings.opened(user, place.id) for user in users):
                mine.append(place.id)
            elif place.visible_from < asked.id:
                others.append(place.id)
        members, foreign = [await _members(context, source, part) for part in (mine, others)]
    related = {place.id for place in found} - on_lineage.keys()
    return await context.aside.run(lambda: _book(asked.task_id, users, openings, (members, foreign), related))


async def n_counted(context: Context, user: str, windows: Sequence[Window]) -> int:
    """How many searches that `user` made or opened count on the markets of `windows` by now."""
    around = [await _around(context, window) for window in windows]
    async with context.database.reader() as source:
        nearby = await _places(source, [(window, related) for window, _, related in around])
        found = nearby | await _on_lineages(source, around)
        openings = Openings(await counted_table.openings(source, [user]))
    return sum(place.user == user or openings.opened(user, place.id) for place in found.values())


def evidence_of(book: Book) -> BookEvidence:
    """What is kept of a book so that a replay can make it again, whatever was searched since."""
    lines = [msgspec.convert(search, BookLine, from_attributes=True) for search in book.searches]
    return msgspec.convert(
        {**{name: getattr(book, name) for name in ("asked_id", "by_user", "n_opened", "n_related")}, "lines": lines},
        BookEvidence,
    )


async def book_again(context: Context, kept: BookEvidence) -> Book:
    """The book that a verdict was made with, from its evidence and the tasks, which are kept for good.

    Raises `Internal` where a task is gone.
    """
    rows = await counted_table.of_tasks(context.database, [task for line in kept.lines for task in line.tasks])
    members = {row.task_id: member_of(row) for row in rows}
    searches = []
    for line in kept.lines:
        gone = [task for task in line.tasks if task not in members]
        if gone:
            raise Internal(f"the task {gone[0]} that the verdict counted is gone")
        group = Group([members[task] for task in line.tasks])
        ref = group.ref(line.seen, foreign=line.foreign)
        searches.append(msgspec.structs.replace(ref, n_made=line.n_made))
    return Book(
        searches=searches,
        asked_id=kept.asked_id,
        by_user=kept.by_user,
        n_opened=kept.n_opened,
        n_related=kept.n_related,
    )


def null_keys(searches: Sequence[CountedRef]) -> dict[str, str]:
    """Search id → the hash of all that its null depends on beside the market and the secret: what it is, what it saw.

    Who made it and under which id does not matter. To be a part of the `ground` of stored null vectors.
    """
    keys: dict[str, str] = {}
    for search in searches:
        about = msgspec.to_builtins(search)
        for name in ("search_id", "counted_id", "user", "foreign", "tasks", "boundaries", "spans"):
            del about[name]
        about["strategy"] = list(text_identity(search.strategy))
        about["seen"] = [keys[each] for each in search.seen]
        keys[search.search_id] = hashlib.sha256(msgspec.json.encode(about, order="sorted")).hexdigest()
    return keys


async def _around(context: Context, window: Window) -> Around:
    """The window, every name of its market, and the related markets' names."""
    lineage = await lineage_of(context, window.venue, window.symbol)
    related = await related_to(context, window.venue, window.symbol, window.boundary_ms)
    return window, lineage, [name for name in related if name not in lineage.all_names]


async def _on_lineages(source: Source, around: Sequence[Around]) -> dict[int, Place]:
    """By id, what was searched on the windows' markets under any of their names."""
    found = await _places(source, [(window, lineage.names) for window, lineage, _ in around])
    for _, lineage, _ in around:
        for venue, symbol in lineage.elsewhen:
            found |= {place.id: place for place in await counted_table.places(source, venue, symbol, _ALWAYS)}
    return found


async def _places(source: Source, asked: Sequence[tuple[Window, Sequence[Name]]]) -> dict[int, Place]:
    """By id, what was searched under any of the names beside each window on bars of the window's in-sample part."""
    found: dict[int, Place] = {}
    for window, names in asked:
        span = window.start_ms, window.boundary_ms
        for venue, symbol in names:
            found |= {place.id: place for place in await counted_table.places(source, venue, symbol, span)}
    return found


async def _members(context: Context, source: Source, counted_ids: Sequence[int]) -> list[Member]:
    """The counted tasks of these ids, some at a time, so that thousands of them hold nobody up."""
    found: list[Member] = []
    for at in range(0, len(counted_ids), _ROWS_AT_ONCE):
        rows = await counted_table.some(source, counted_ids[at : at + _ROWS_AT_ONCE])
        found += await context.aside.run(functools.partial(_decoded, rows))
    return found


def _decoded(rows: Sequence[CountedRow]) -> list[Member]:
    return [member_of(row) for row in rows]


def _book(asked: str, users: Sequence[str], openings: Openings, members: Parts, related: Set[int]) -> Book:
    counted, foreign = (grouped(part) for part in members)
    everybody = {*users, *(group.first.user for group in counted)}
    visible = {user: [group.visible_to(user, openings) for group in counted] for user in everybody}
    searches = [group.ref(_seen(group, counted, visible[group.first.user]), foreign=False) for group in counted]
    searches += [group.ref([], foreign=True) for group in foreign]
    return Book(
        searches=searches,
        asked_id=next(group.search_id for group in counted if asked in [each.task_id for each in group.members]),
        by_user={user: _order(user, counted, visible[user]) for user in users},
        n_opened=sum(group.first.user not in users for group in counted),
        n_related=sum(all(member.id in related for member in group.members) for group in counted),
    )


def _seen(group: Group, counted: Sequence[Group], visible: Sequence[int | None]) -> list[str]:
    """The searches whose results the group's user could see when its first task began; `visible` says since when."""
    since = zip(counted, visible, strict=True)
    return [each.search_id for each, at in since if each is not group and at is not None and at < group.first.id]


def _order(user: str, counted: Sequence[Group], visible: Sequence[int | None]) -> list[str]:
    """A user's own book: the user's own searches count from their beginning, those of others from their opening."""
    places = []
    for group, at in zip(counted, visible, strict=True):
        if group.first.user == user:
            places.append((group.first.id, False, group.first.id, group.search_id))
        elif at is not None:
            places.append((at, True, group.first.id, group.search_id))
    return [search_id for *_, search_id in sorted(places)]
