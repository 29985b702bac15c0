"""What handlers and jobs work with: the parts that the composition root put together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from weakref import WeakValueDictionary

from tunesmith.config import Settings
from tunesmith.protocol.envelope import Role
from tunesmith.services.runtime.incidents import Noticed
from tunesmith.services.runtime.off_loop import Aside
from tunesmith.services.runtime.rate_limits import Rate
from tunesmith.services.runtime.speed_estimates import Speeds
from tunesmith.services.runtime.task_runner import Tasks
from tunesmith.services.runtime.upstream_bars import Upstream
from tunesmith.storage.cache.caches import Cache
from tunesmith.storage.market.market_store import MarketStore
from tunesmith.storage.sqlite.database import Database
from tunesmith.workers.executor import Executor


def everybody_operates(user: str) -> Role | None:
    """Where nobody is asked for a key, everybody is an operator."""
    return "operator"


@dataclass(slots=True)
class Identity:
    """What this process knows of which markets were marked; see `services.market.market_identity`.

    `marked` has timeframe and hash of marked series by venue and symbol; `hopeless` are markets of an older program
    that could not be marked. Who marks has the `lock`.
    """

    marked: dict[tuple[str, str], frozenset[tuple[str, str]]] = field(default_factory=dict)
    hopeless: set[tuple[str, str]] = field(default_factory=set)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


@dataclass(slots=True)
class Context:
    """The daemon's parts. `started` is the loop's time at start, seconds; `doors` the addresses in force.

    `opened` has (user, id of a task or a report) where results may be delivered without another look: they are the
    user's own, or it is entered that they were delivered; see `requests.opened_results`. `role_of` says what a user's
    keys and tokens allow at this moment, None where none is in force. `answering` are the turns of users for whose
    requests workers are at work; see `requests.waited_answers`.
    """

    settings: Settings
    database: Database
    market: MarketStore
    cache: Cache
    upstream: Upstream
    executor: Executor
    tasks: Tasks
    started: float
    doors: dict[str, str | None]
    noticed: Noticed = field(default_factory=Noticed)
    aside: Aside = field(default_factory=Aside)
    speeds: Speeds = field(default_factory=Speeds)
    opened: set[tuple[str, str]] = field(default_factory=set)
    role_of: Callable[[str], Role | None] = everybody_operates
    identity: Identity = field(default_factory=Identity)
    answering: WeakValueDictionary[str, asyncio.Semaphore] = field(default_factory=WeakValueDictionary)
    strategy_changes: Rate = field(init=False)

    def __post_init__(self) -> None:
        self.strategy_changes = Rate(self.settings.limits.strategy_changes_per_minute, "changes of strategies")
