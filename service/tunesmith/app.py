"""The composition root: how the daemon's parts are put together.

python -m tunesmith.app [--config FILE] [--data-dir DIR] [--requests ADDR] [--events ADDR] [--inbox ADDR]
                        [--http HOST:PORT]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import functools
import gc
import json
import os
import resource
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import structlog
import zmq

from tunesmith import __version__, telemetry
from tunesmith.config import Settings, load
from tunesmith.errors import Invalid, TunesmithError
from tunesmith.masking import hide_credentials
from tunesmith.routes import handlers
from tunesmith.services.daemon.daemon_health import condition
from tunesmith.services.daemon.housekeeping import keep_house, set_gauges
from tunesmith.services.packages.publisher import Publisher
from tunesmith.services.packages.regrading import regrade_older
from tunesmith.services.packages.reissuing import tell_on_second_topics
from tunesmith.services.requests.audit_log import Refusals
from tunesmith.services.requests.program_version import program_version
from tunesmith.services.runtime.context import Context
from tunesmith.services.runtime.task_runner import Tasks
from tunesmith.services.runtime.upstream_bars import Upstream
from tunesmith.services.schedules import schedule_requests
from tunesmith.services.strategies import strategy_requests
from tunesmith.services.tasks.task_kinds import install_drivers
from tunesmith.storage.atomic_files import write_content
from tunesmith.storage.cache import open_cache
from tunesmith.storage.faults import Damaged, WrongVersion
from tunesmith.storage.market.market_schemes import open_market
from tunesmith.storage.private_tree import close_to_others
from tunesmith.storage.secrets.signing_keys import SigningKeys
from tunesmith.storage.secrets.tokens import TokenFile
from tunesmith.storage.sources import SOURCES
from tunesmith.storage.sqlite.database import Database
from tunesmith.storage.sqlite.opening import BackupPolicy
from tunesmith.transport.access.access_control import open_access_control
from tunesmith.transport.access.authority import Authority
from tunesmith.transport.access.bind_rules import check_upstream
from tunesmith.transport.http import Health, HttpSidecar, Probes
from tunesmith.transport.router import Router
from tunesmith.transport.zmq.endpoints import BindPolicy
from tunesmith.transport.zmq.event_socket import EventSocket, Origin
from tunesmith.transport.zmq.request_sockets import InboxSocket, RequestSocket
from tunesmith.transport.zmq.zap import ZapHandler
from tunesmith.workers.daemon_pools import start_pools
from tunesmith.workers.executor import Executor

logger = structlog.get_logger("tunesmith.app")

FAILED, USAGE, UNFIT = 1, 2, 5
"""Exit codes; `UNFIT`: the database is damaged, gone or a newer program's, and starting again does not help."""

_SWITCH_S = 0.001
_DESCRIPTORS = 65_536
"""Each connection takes one; many systems allow a process 1,024 unless it asks for more."""

DOORS_FILE = "doors.json"
"""In the data directory while the daemon runs: its process id and the addresses in force."""


class WrongKeys(Invalid):
    """Signing keys that cannot be read: the daemon does not publish unsigned what it may have to sign."""


class Daemon:
    """The parts of a running daemon. Start-up and recovery are one path."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._stack = AsyncExitStack()
        self._router: Router | None = None
        self._alive: dict[str, Callable[[], bool]] = {}

    async def start(self) -> dict[str, str | None]:
        """Start every part: database, workers (they warm up behind it), doors last; the addresses in force.

        Raises `TunesmithError` for a data directory in use, an address that cannot be bound, and the like; what was
        started by then is stopped.
        """
        async with AsyncExitStack() as stack:
            context = await self._open(stack)
            n_resumed = await context.tasks.recover()
            await schedule_requests.load(context)
            doors = await self._open_doors(stack, context)
            context.doors.update(doors)
            file = self.settings.data_dir / DOORS_FILE
            text = json.dumps({"pid": os.getpid(), "curve": self._entry.gate is not None, **doors})
            write_content(file, text.encode())
            stack.callback(_remove, file)
            logger.info("ready", version=__version__, tasks_resumed=n_resumed, **doors)
            self._stack = stack.pop_all()
        return doors

    async def stop(self) -> None:
        """Answer what is in flight, publish what is committed, stop every part; unfinished tasks go on next time."""
        if self._router is not None:
            self._router.draining = True
            await self._router.drained(self.settings.server.drain_timeout_s)
        await self._stack.aclose()

    async def _open(self, stack: AsyncExitStack) -> Context:
        settings = self.settings
        check_upstream(settings.sources.upstream, SOURCES, insecure=settings.sources.insecure_upstream)
        gate = open_access_control(settings)
        signing_keys = _open_signing_keys(settings)  # what is wrong with secrets is said before anything is begun
        self._tokens = TokenFile(settings.keys_dir / "tokens.json", always=gate is not None)
        self._tokens.listing()
        cache = open_cache(settings.cache.redis_url, settings.cache.max_mb * 2**20)
        stack.push_async_callback(cache.close)
        program_version()  # of the sources that are loaded now
        database = await _open_database(settings)
        stack.push_async_callback(database.close)
        listeners: list[Callable[[str, str, Any], None]] = []
        pool = start_pools(settings, stack, lambda task_id, kind, payload: listeners[0](task_id, kind, payload))
        database.signing_key = signing_keys.current
        await _bring_up_to_date(database)
        wires: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        stack.callback(wires.term)
        if gate is not None:
            zap = ZapHandler(wires, gate)
            stack.callback(zap.stop)
            zap.start()
        self._entry = BindPolicy(settings.server.insecure_bind, gate)
        events = EventSocket(
            wires,
            settings.server.events,
            settings.events,
            settings.limits,
            origin=Origin(settings.server.instance, database.epoch, signing_keys.current),
            head=lambda: database.head,
            entry=self._entry,
        )
        stack.callback(events.stop)
        self._wires, self._events = wires, events
        publisher = Publisher(database, events.publish)
        await publisher.start(events.prime)
        stack.push_async_callback(publisher.close)
        self._alive["publisher"] = lambda: publisher.alive
        events.start()
        market = open_market(settings.market)
        upstream = Upstream(settings, market, pool)
        stack.push_async_callback(upstream.close)
        running = Tasks(settings, database, pool, events)
        stack.push_async_callback(running.close, settings.server.drain_timeout_s)
        listeners.append(running.hear)
        context = Context(
            settings=settings,
            database=database,
            market=market,
            cache=cache,
            upstream=upstream,
            executor=pool,
            tasks=running,
            started=asyncio.get_running_loop().time(),
            doors={},
            role_of=Authority(gate, self._tokens).role_of,
        )
        install_drivers(context)
        return context

    async def _open_doors(self, stack: AsyncExitStack, context: Context) -> dict[str, str | None]:
        where, limits, dropped = self.settings.server, self.settings.limits, telemetry.count_dropped
        router = self._router = Router(handlers(context), limits, telemetry.observe_request)
        router.is_starting = _until_able(context.executor)
        refusals = Refusals(context.database)
        stack.push_async_callback(refusals.flushed)
        router.refused = refusals.note_call
        entry = self._entry
        if entry.gate is not None:
            entry.gate.refused = refusals.note_key
        requests = RequestSocket(self._wires, where.requests, router, limits, entry=entry, dropped=dropped)
        stack.callback(requests.stop)
        publish = self._events.publish
        inbox = InboxSocket(self._wires, where.inbox, router, publish, limits, entry=entry, dropped=dropped)
        stack.callback(inbox.stop)
        http = None
        if where.http:
            look = functools.partial(health, context, router, self._alive)
            probes = Probes(look, functools.partial(refresh, context, look))
            http = HttpSidecar(
                where.http,
                router,
                limits,
                probes,
                insecure_bind=where.insecure_bind,
                tokens=self._tokens,
                refused=refusals.note_stranger,
            )
            stack.push_async_callback(http.stop)
            await http.start()
        requests.start()
        inbox.start()
        housekeeper = asyncio.create_task(keep_house(context), name="housekeeping")
        stack.push_async_callback(_end, housekeeper)
        self._alive["housekeeping"] = lambda: not housekeeper.done()
        for name, door in (("requests", requests), ("events", self._events), ("inbox", inbox)):
            self._alive[f"{name} door"] = functools.partial(getattr, door, "alive")
        return {
            "requests": requests.endpoint,
            "events": self._events.endpoint,
            "inbox": inbox.endpoint,
            "http": http.endpoint if http else None,
        }


async def health(context: Context, router: Router, alive: Mapping[str, Callable[[], bool]]) -> Health:
    """How the daemon is, as its probes say it."""
    return Health(*await condition(context, alive, draining=router.draining))


async def refresh(context: Context, look: Callable[[], Awaitable[Health]]) -> None:
    """Bring gauges up to date for a scrape."""
    telemetry.READY.set(not (await look()).reasons)
    await set_gauges(context)


async def _open_database(settings: Settings) -> Database:
    n_closed = await asyncio.to_thread(close_to_others, settings.data_dir)
    if n_closed:
        logger.warning("files that others could read are the daemon's alone now", n=n_closed)
    keeping = BackupPolicy(settings.backups_dir, settings.backups.keep)
    return await Database.open(settings.data_dir / "tunesmith.db", instance=settings.server.instance, keeping=keeping)


async def _bring_up_to_date(database: Database) -> None:
    """Store the strategies of this program, and tell of packages that an older one published as this one does."""
    await strategy_requests.seed(database)
    await regrade_older(database)
    await tell_on_second_topics(database)


def _until_able(executor: Executor) -> Callable[[], bool]:
    """A function that says whether the workers are still being started; once they are there it looks no more."""
    able = False

    def is_starting() -> bool:
        nonlocal able
        able = able or executor.stats().able
        return not able

    return is_starting


def _open_signing_keys(settings: Settings) -> SigningKeys:
    keys = SigningKeys(settings.keys_dir / "signing")
    try:
        keys.open()
    except Invalid as error:
        raise WrongKeys(error.message) from error
    return keys


def _remove(file: Path) -> None:
    try:
        file.unlink(missing_ok=True)
    except OSError as error:  # the disk is read-only by now: what has to end ends all the same
        logger.warning("the file of the doors stays behind", reason=str(error))


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def _be_prompt() -> None:
    """Let the loop have the interpreter back soon from other threads, and as many connections as the system allows."""
    sys.setswitchinterval(_SWITCH_S)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, _DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


async def serve(settings: Settings) -> None:
    """Run a daemon until SIGINT or SIGTERM; a second one ends it at once, with the exit code 128 + its number."""
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()

    def stop(number: signal.Signals) -> None:
        if stopping.is_set():
            os._exit(128 + number)
        logger.info("stopping", signal=number.name)
        stopping.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop, number)
    _be_prompt()
    daemon = Daemon(settings)
    await daemon.start()
    gc.freeze()  # what was loaded stays: collections need not look at it again
    try:
        await stopping.wait()
    finally:
        await daemon.stop()
    logger.info("stopped")


def main(arguments: list[str] | None = None) -> int:
    """BindPolicy point of the daemon process; the exit code (0: it was told to stop)."""
    parser = argparse.ArgumentParser(prog="tunesmith serve", description="Run the daemon.", allow_abbrev=False)
    parser.add_argument("--config", type=Path, metavar="FILE", help="TOML file with settings")
    for option, what in (
        ("--data-dir", "folder of database and market data"),
        ("--requests", "address of the requests door (ROUTER)"),
        ("--events", "address of the events door (XPUB)"),
        ("--inbox", "address of the inbox door (SUB)"),
        ("--http", "host:port of the HTTP sidecar; empty for none"),
    ):
        parser.add_argument(option, help=what)
    options = vars(parser.parse_args(arguments))
    file = options.pop("config")
    try:
        settings = load(file, overrides={f"server.{name}": value for name, value in options.items()})
    except Invalid as error:
        print(f"tunesmith: {error.message}", file=sys.stderr)  # noqa: T201 - there is no logging yet
        return USAGE
    telemetry.configure_logging(settings.log)
    for address in (settings.cache.redis_url, settings.sources.upstream):
        hide_credentials(address)
    try:
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(serve(settings))
    except TunesmithError as error:
        logger.error("could not start", code=error.code, reason=error.message)
        if isinstance(error, WrongKeys):
            return USAGE
        return UNFIT if isinstance(error, Damaged | WrongVersion) else FAILED
    return 0


if __name__ == "__main__":
    sys.exit(main())
