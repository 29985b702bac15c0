"""The blocking client: the asynchronous one on a loop in a thread of its own. Any number of threads may use it."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Collection, Coroutine, Mapping
from types import TracebackType
from typing import Any, Generic, Literal, TypeVar

from tunesmith.client.asynchronous import DEADLINE_S, EVENTS, REQUESTS, AsyncClient
from tunesmith.client.package_shelf import PackageEvent
from tunesmith.client.streams import Follow, PackageEvents, Packages
from tunesmith.client.trust import Trusted
from tunesmith.protocol.messages.backtests import BacktestStarted
from tunesmith.protocol.messages.events import TaskDone
from tunesmith.protocol.messages.optimizations import OptimizationStarted
from tunesmith.protocol.messages.packages import PackageAck, PackageReply
from tunesmith.protocol.messages.server import Pong
from tunesmith.protocol.messages.verdicts import VerdictReply

T = TypeVar("T")


class Client:
    """As `AsyncClient`, blocking. Close it, or use `with`; not to be used across a fork."""

    def __init__(
        self,
        requests: str = REQUESTS,
        events: str = EVENTS,
        *,
        name: str | None = None,
        deadline_s: float = DEADLINE_S,
        trusted: Trusted | None = None,
        key: str | os.PathLike[str] | None = None,
    ) -> None:
        self._client = AsyncClient(requests, events, name=name, deadline_s=deadline_s, trusted=trusted, key=key)
        self._loop = asyncio.SelectorEventLoop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="tunesmith-client", daemon=True)
        self._thread.start()

    def request(
        self,
        type: str,
        data: Any = None,
        *,
        deadline_s: float | None = None,
        id: str | None = None,
    ) -> dict[str, Any]:
        """Any message: its reply's data. The same `id` again, also after a crash of the bot, changes nothing twice."""
        return self._run(self._client.request(type, data, deadline_s=deadline_s, id=id))

    def ping(self) -> Pong:
        """Whether the daemon is there, and its version."""
        return self._run(self._client.ping())

    def backtest(
        self,
        symbol: str,
        strategy_id: str,
        params: Mapping[str, Any] | None = None,
        *,
        options: Mapping[str, Any] | None = None,
        id: str | None = None,
    ) -> BacktestStarted:
        """Start a backtest; `options` are further fields of `backtest.start`."""
        return self._run(self._client.backtest(symbol, strategy_id, params, options=options, id=id))

    def optimize(
        self,
        symbol: str,
        strategy_id: str,
        param_ranges: Mapping[str, Any] | None = None,
        *,
        options: Mapping[str, Any] | None = None,
        id: str | None = None,
    ) -> OptimizationStarted:
        """Start a search; without ranges the strategy's own. `options` are further fields of `optimization.start`."""
        return self._run(self._client.optimize(symbol, strategy_id, param_ranges, options=options, id=id))

    def wait(self, task_id: str, timeout_s: float | None = None) -> TaskDone:
        """The end of a task, of any kind; raises `DeadlineExceeded` when it has none within `timeout_s` seconds."""
        return self._run(self._client.wait(task_id, timeout_s))

    def approve(
        self,
        strategy_id: str,
        *,
        optimization_id: str | None = None,
        backtest_id: str | None = None,
        criteria: Mapping[str, Any] | None = None,
        deadline_s: float = 60.0,
        id: str | None = None,
    ) -> VerdictReply:
        """Ask for a verdict on a search or a backtest and wait for it; it may still be running at the deadline."""
        return self._run(
            self._client.approve(
                strategy_id,
                optimization_id=optimization_id,
                backtest_id=backtest_id,
                criteria=criteria,
                deadline_s=deadline_s,
                id=id,
            )
        )

    def latest_package(self, symbol: str, timeframe: str | None = None, strategy_id: str | None = None) -> PackageReply:
        """As `AsyncClient.latest_package`: the newest package in force, of any grade."""
        return self._run(self._client.latest_package(symbol, timeframe, strategy_id))

    def packages_in_force(
        self, symbol: str, timeframe: str, strategy_id: str, *, grades: Collection[str] = ("proven",)
    ) -> list[dict[str, Any]]:
        """As `AsyncClient.packages_in_force`."""
        return self._run(self._client.packages_in_force(symbol, timeframe, strategy_id, grades=grades))

    def acknowledge(
        self,
        package_id: str,
        outcome: Literal["applied", "refused"] = "applied",
        *,
        reason: str = "",
        id: str | None = None,
    ) -> PackageAck:
        """Say what became of a package here, so that its operators see who runs what; `name` tells the bots apart."""
        return self._run(self._client.acknowledge(package_id, outcome, reason=reason, id=id))

    def packages(
        self,
        symbol: str,
        timeframe: str | None = None,
        strategy_id: str | None = None,
        *,
        grades: Collection[str] = ("proven",),
        timeout_s: float | None = None,
    ) -> Blocking[dict[str, Any]]:
        """As `AsyncClient.packages`, to be iterated with `for`."""

        async def follow() -> Packages:
            return self._client.packages(symbol, timeframe, strategy_id, grades=grades, timeout_s=timeout_s)

        return Blocking(self, self._run(follow()))

    def package_events(
        self,
        symbol: str,
        timeframe: str | None = None,
        strategy_id: str | None = None,
        *,
        grades: Collection[str] = ("proven",),
        timeout_s: float | None = None,
        refusals: bool = False,
    ) -> Blocking[PackageEvent]:
        """As `AsyncClient.package_events`, to be iterated with `for`."""

        async def follow() -> PackageEvents:
            return self._client.package_events(
                symbol, timeframe, strategy_id, grades=grades, timeout_s=timeout_s, refusals=refusals
            )

        return Blocking(self, self._run(follow()))

    def close(self) -> None:
        """Close every connection and stream; once is enough."""
        if self._loop.is_closed():
            return
        self._run(self._shut())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    async def _shut(self) -> None:
        await self._client.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        if others:  # they belong to threads that wait for them, and end now
            await asyncio.wait(others)

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:  # such as Ctrl-C while waiting: the work must not go on unseen
            future.cancel()
            raise


class Blocking(Generic[T]):
    """An asynchronous stream, to be iterated with `for`. Ends when it or its client is closed."""

    def __init__(self, client: Client, stream: Follow[T]) -> None:
        self._client = client
        self._stream = stream

    def __iter__(self) -> Blocking[T]:
        return self

    def __next__(self) -> T:
        try:
            return self._client._run(self._stream.__anext__())
        except StopAsyncIteration:
            raise StopIteration from None

    def close(self) -> None:
        """Stop listening."""
        if not self._client._loop.is_closed():
            self._client._loop.call_soon_threadsafe(self._stream.stop)

    def __enter__(self) -> Blocking[T]:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()
