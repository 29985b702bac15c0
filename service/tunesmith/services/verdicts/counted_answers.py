"""Answers of a verdict's checks about all searches that count: their null vectors, the clock, and the p-value.

Vectors that are known are read from the database, the others are made by workers, draws side by side, and kept for the
next verdict. What comes of it depends on neither.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec
import numpy as np

from tunesmith.compute.decision.checks.check_registry import progress_within, work_named
from tunesmith.compute.decision.checks.counted_searches import COUNTED
from tunesmith.compute.decision.inputs import WorkRequest
from tunesmith.compute.decision.nulls.asked_book import AskedBook, count_asked, test_asked
from tunesmith.compute.decision.nulls.counted_search import REAL
from tunesmith.compute.decision.nulls.draw_table import Drawn, DrawRequest, Finds
from tunesmith.compute.decision.nulls.null_plan import Counted, SearchTest
from tunesmith.compute.decision.nulls.null_vectors import USUAL_CUT, Null, Nulls, T, with_answer
from tunesmith.compute.decision.nulls.null_vectors import Work as NullPlan
from tunesmith.compute.decision.statistics.permuted_markets import TIE
from tunesmith.compute.decision.statistics.record_clock import N_DRAWS
from tunesmith.compute.rules.strategy import Strategy
from tunesmith.domain.array_types import Floats
from tunesmith.domain.market.calendars import calendar_named
from tunesmith.domain.market.timeframes import timeframe_ms
from tunesmith.domain.records import JsonObject
from tunesmith.domain.space import encode_points
from tunesmith.errors import Internal, TunesmithError
from tunesmith.services.market.market_identity import Name, lineage_of
from tunesmith.services.market.market_windows import Assignment, Window, prepared, work_of
from tunesmith.services.requests.program_version import program_version
from tunesmith.services.runtime.context import Context
from tunesmith.services.runtime.task_runner import Job
from tunesmith.services.strategies.strategy_requests import parse_ref
from tunesmith.services.verdicts.search_book import Book, null_keys
from tunesmith.storage.tables import counted_table, null_vector_table
from tunesmith.storage.tables.null_vector_table import NullRow
from tunesmith.workers.chunks.null_payloads import CountedRef
from tunesmith.workers.chunks.null_requests import NullDraws, NullGround, NullsBySymbol, search_of
from tunesmith.workers.chunks.payloads import OtherMarket, StrategyRef, WinnerRef


@dataclass(frozen=True, eq=False)
class CountedGround:
    """The searches that count in a verdict and its markets in sample, as workers get them, and the point that is asked.

    `secret` is the database's, `keys` are those of `null_keys`.
    """

    book: Book
    asked: AskedBook
    payload: NullGround
    secret: bytes
    keys: dict[str, str]

    @property
    def holdout_seed(self) -> int:
        """The seed of the draws on the hold-out, which nobody can know or choose."""
        text = f"hold|{self.payload.boundary_ms}".encode()
        return int.from_bytes(hmac.new(self.secret, text, hashlib.sha256).digest()[:6], "big")

    @property
    def secret_hash(self) -> str:
        """What evidence says of the secret: with another one the draws are others."""
        return hashlib.sha256(self.secret).hexdigest()


async def counted_ground(
    context: Context, job: Job, of: Assignment, windows: Sequence[Window], winner: WinnerRef, book: Book
) -> CountedGround:
    """What the searches of `book` are evaluated on. Those on other timeframes get the verdict's markets in these.

    One that was made on another part of the verdict's markets counts twice: its points on the verdict's bars, and on
    the bars that it was given. Else whoever searches from many dates on could ask where chance was kindest.

    Searches that cannot be made again here, as their strategy is not installed any more or the verdict's market has no
    bars of their timeframe, count by their number of trials.
    """
    secret = await counted_table.draw_secret(context.database)
    own = [OtherMarket(symbol=winner.symbol, work=winner.work), *winner.others]
    markets = {windows[0].timeframe: own}
    lineages = [await lineage_of(context, window.venue, window.symbol) for window in windows]
    names = {name for lineage in lineages for name in lineage.names}
    listed, parts = _with_parts(book.searches, windows[0], names)
    for timeframe in dict.fromkeys(search.timeframe for search in listed):
        if timeframe not in markets:
            on = [_part_of(window, parts.get(timeframe, Part(timeframe, window.start_ms, None))) for window in windows]
            markets[timeframe] = await _markets(context, job, of, on, timeframe)
    rules = await context.aside.run(lambda: _installed(listed))
    kept = [search for search in listed if markets[search.timeframe] and search.strategy in rules]
    gone = {search.search_id for search in listed} - {search.search_id for search in kept}
    if book.asked_id in gone:
        raise Internal("the strategy of the search that is asked about is not there any more")
    refs = [msgspec.structs.replace(each, seen=[name for name in each.seen if name not in gone]) for each in kept]
    rule = next(rules[search.strategy] for search in kept if search.search_id == book.asked_id)
    asked = AskedBook(
        searches=await context.aside.run(lambda: [search_of(ref, rules[ref.strategy]) for ref in refs]),
        asked_id=book.asked_id,
        point=encode_points(rule.parameters, winner.params)[0],
        n_opened=book.n_opened,
        n_related=book.n_related,
        parts=frozenset(search.search_id for search in kept if search.timeframe in parts),
        n_unmade=sum(search.n_made for search in book.counted if search.search_id in gone),
        boundaries=frozenset([windows[0].boundary_ms, *(at for each in book.counted for at in each.boundaries)]),
    )
    keys = null_keys(refs)  # as they stand: a null may follow no search that is gone
    payload = NullGround(
        book=refs,
        book_hash=_hash([[each.search_id, keys[each.search_id]] for each in refs]),
        markets={timeframe: works for timeframe, works in markets.items() if works},
        aggregate=winner.plan.aggregate,
        key=secret,
        boundary_ms=windows[0].boundary_ms,
    )
    return CountedGround(book, asked, payload, secret, keys)


class CountedAnswers:
    """Answers the works of one verdict that are `of_searches`."""

    def __init__(self, context: Context, job: Job, ground: CountedGround, edition: int) -> None:
        self._context, self._job, self._ground, self._edition = context, job, ground, edition
        self._counted: Counted | None = None

    async def answer(self, request: WorkRequest) -> JsonObject:
        """The evidence of a work."""
        if request.work == COUNTED.name:
            known = await self._known()
            evidence, counted = await self._follow(count_asked(self._ground.asked, known), known, request)
            await self._keep(counted.nulls)
            self._counted = counted
            return evidence
        if self._counted is None:
            raise Internal("the searches were to be tested before they were counted")
        plan = test_asked(self._ground.asked, self._counted, request.real, request.n_draws, request.stop_at)
        evidence, test = await self._follow(plan, self._counted.nulls, request)
        await self._keep(test.nulls)
        if request.by_symbol:
            evidence["apart"] = await self._apart(test, request)
        return evidence

    async def _follow(self, plan: NullPlan[T], known: Nulls, request: WorkRequest) -> T:
        """Follow a plan; its own steps are made beside the event loop, its requests by workers.

        What takes long is kept as it is made, so that a daemon that is started again goes on where it was.
        """
        answers: list[Drawn] | None = None
        total = request.n_draws or N_DRAWS
        while True:
            step = await self._context.aside.run(functools.partial(_step, plan, answers))
            if isinstance(step, _Came):
                came_to: T = step.to
                return came_to
            requests = [each for each in step if each.searches]
            answers = await self._draw(step)
            if not requests:
                continue
            self._advance(request, min(max(each.draws[-1] for each in requests) + 1, total), total)
            if len(requests[0].draws) < USUAL_CUT.draws and len(requests) > 1:
                known = functools.reduce(with_answer, answers, known)
                await self._keep(known)

    async def _draw(self, requests: Sequence[DrawRequest]) -> list[Drawn]:
        async def one(i: int) -> tuple[int, Drawn]:
            payload = NullDraws(ground=self._ground.payload, request=requests[i])
            return i, await self._job.run("null_draws", payload)

        found = [answer async for answer in self._job.map(one, range(len(requests)))]
        return [drawn for _, drawn in sorted(found, key=lambda answer: answer[0])]

    async def _apart(self, test: SearchTest, request: WorkRequest) -> JsonObject:
        """For each symbol alone, how often what is best on all symbols together is as good as the winner on this one.

        A draw on which a search reached the winner on all symbols together counts as reached on each alone.
        """
        asked = self._ground.asked
        best = [_best_on(number, asked, test.nulls, request.real) for number in range(test.n)]
        points = [(REAL, asked.asked_id, asked.point), *(each for each in best if each is not None)]
        payload = NullsBySymbol(ground=self._ground.payload, points=points)
        found: dict[str, Floats] = await self._job.run("null_symbols", payload)
        apart = {}
        for symbol, values in found.items():
            n_reached = test.n_reached + int((values[1:] >= values[0] - TIE).sum())
            apart[symbol] = {"p": min(1.0, (1 + n_reached) / (test.n + 1)), "n_reached": n_reached}
        return apart

    def _advance(self, request: WorkRequest, done: int, total: int) -> None:
        before, share = progress_within(work_named(request.work), self._edition)
        self._job.advance(done + round(before / share * total), round(total / share))

    async def _known(self) -> Nulls:
        """The nulls that are stored, of searches that are as they were and on the same ground."""
        names = {self._ground_of(search): search.search_id for search in self._ground.payload.book}
        async with self._context.database.reader() as source:
            rows = await null_vector_table.get(source, list(names))
        return {names[row.counted_id, row.ground]: _null_of(row) for row in rows}

    async def _keep(self, nulls: Nulls) -> None:
        rows = []
        for search in self._ground.payload.book:
            if search.search_id in nulls:
                counted_id, ground = self._ground_of(search)
                rows.append(_row_of(counted_id, ground, nulls[search.search_id]))
        await self._context.database.write(lambda conn: null_vector_table.put(conn, rows))

    def _ground_of(self, search: CountedRef) -> tuple[int, str]:
        """A search's id, and the hash of all that its null depends on."""
        payload = self._ground.payload
        markets = {
            timeframe: [[each.symbol, each.work.snapshot, each.work.first] for each in works]
            for timeframe, works in payload.markets.items()
        }
        about = [markets, payload.aggregate, payload.boundary_ms, self._ground.secret_hash, program_version()]
        return search.counted_id, _hash([about, self._ground.keys[search.search_id]])


class _Came(NamedTuple):
    """What a plan came to."""

    to: Any


def _step(plan: NullPlan[T], answers: list[Drawn] | None) -> list[DrawRequest] | _Came:
    """The next requests of a plan, or what it came to: `StopIteration` cannot pass through a future."""
    try:
        return next(plan) if answers is None else plan.send(answers)
    except StopIteration as stop:
        return _Came(stop.value)


def _best_on(number: int, asked: AskedBook, nulls: Nulls, t: float) -> tuple[int, str, Floats] | None:
    """The best trial of all own searches on a draw; None where there is none, or one is known to reach t."""
    found = [(float(nulls[each.search_id].finds.v[number]), each.search_id) for each in asked.own]
    v, name = max(found, key=lambda pair: pair[0])
    if np.isnan([value for value, _ in found]).any() or v >= t - TIE or v == -np.inf:
        return None
    return number, name, nulls[name].finds.places[number]


class Part(NamedTuple):
    """Bars that a search was given: timeframe, and the time from `start_ms` to `end_ms`; None: to the hold-out."""

    timeframe: str
    start_ms: int
    end_ms: int | None


def _with_parts(
    book: Sequence[CountedRef], asked: Window, names: set[Name]
) -> tuple[list[CountedRef], dict[str, Part]]:
    """The book with each search of other bars of these markets once more, on these; the parts by what they are called.

    A part takes the place of a timeframe, so that draws on it are its own.
    """
    whole = asked.start_ms, None if asked.withheld else asked.end_ms
    parts: dict[str, Part] = {}
    searches: list[CountedRef] = []
    for search in book:
        searches.append(search)
        if search.foreign:
            continue
        spans = {(start, end) for venue, symbol, start, end in search.spans if (venue, symbol) in names}
        for start_ms, end_ms in sorted(spans - {whole}, key=str):
            called = f"{search.timeframe} from {start_ms} to {end_ms or 'the hold-out'}"
            parts[called] = Part(search.timeframe, start_ms, end_ms)
            name = f"{search.search_id} on {called}"
            searches.append(msgspec.structs.replace(search, search_id=name, timeframe=called, seen=[]))
    return searches, parts


def _part_of(window: Window, part: Part) -> Window:
    end_ms = window.boundary_ms if part.end_ms is None else min(part.end_ms, window.boundary_ms)
    end_ms = min(end_ms, window.end_ms) if part.end_ms is None else end_ms
    calendar = window.calendar
    if isinstance(calendar, str) and timeframe_ms(part.timeframe) < timeframe_ms(window.timeframe):
        calendar = None if calendar_named(calendar).kind == "sessions" else calendar  # whole days say nothing of hours
    return msgspec.structs.replace(
        window,
        timeframe=part.timeframe,
        start_ms=part.start_ms,
        end_ms=end_ms,
        calendar=calendar,
        max_missing=1.0,  # what was searched counts, whatever is missing in a part of it
    )


async def _markets(
    context: Context, job: Job, of: Assignment, windows: Sequence[Window], called: str
) -> list[OtherMarket]:
    """The markets in another timeframe or part; none where one of them has no bars of it."""
    found = []
    for i, window in enumerate(windows):
        try:
            data = await prepared(context, job, window, slot=f"in_sample/{i} {called}")
        except TunesmithError as error:
            job.log(f"searches on {called} count by their trials: {error}")
            return []
        work = work_of(context, msgspec.structs.replace(of, window=window), data)
        found.append(OtherMarket(symbol=window.symbol, work=work))
    return found


def _installed(searches: Sequence[CountedRef]) -> dict[StrategyRef, Strategy]:
    """The strategies of the searches by their references, as far as they are there."""
    found = {}
    for ref in dict.fromkeys(search.strategy for search in searches):
        with contextlib.suppress(TunesmithError):
            found[ref] = parse_ref(ref)
    return found


def _hash(value: Any) -> str:
    return hashlib.sha256(msgspec.json.encode(value)).hexdigest()


class _Kept(msgspec.Struct, frozen=True, array_like=True):
    """The small part of a null as it is stored; arrays of float64 as bytes."""

    best: float
    best_point: bytes
    holder: str
    beta: bytes | None


def _row_of(counted_id: int, ground: str, null: Null) -> NullRow:
    finds = null.finds
    kept = _Kept(null.best, null.best_point.tobytes(), null.holder, None if null.beta is None else null.beta.tobytes())
    return NullRow(
        counted_id=counted_id,
        ground=ground,
        n=int((~np.isnan(finds.v)).sum()),
        v=np.stack([finds.v, finds.lift]).tobytes(),
        places=finds.places.tobytes(),
        links=msgspec.msgpack.encode(kept),
    )


def _null_of(row: NullRow) -> Null:
    kept = msgspec.msgpack.decode(row.links or b"", type=_Kept)
    point = np.frombuffer(kept.best_point)
    v, lift = np.frombuffer(row.v).reshape(2, -1)
    places = np.frombuffer(row.places or b"").reshape(len(v), len(point))
    beta = None if kept.beta is None else np.frombuffer(kept.beta)
    return Null(kept.best, point, Finds(v, lift, places), kept.holder, beta)
