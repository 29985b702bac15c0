"""The blocking client: `AsyncClient` on an event loop in a thread of its own. Any number of threads may use it.

Its methods are those of `AsyncClient`, with the same parameters and docstrings; they are made from them below.
"""

from __future__ import annotations

import asyncio
import functools
import os
import threading
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar

from tunesmith.client.asynchronous import DEADLINE_S, EVENTS, REQUESTS, AsyncClient
from tunesmith.client.streams import Follow
from tunesmith.client.trust import Trusted

P = ParamSpec("P")
T = TypeVar("T")


def _blocking(
    method: Callable[Concatenate[AsyncClient, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[Client, P], T]:
    """Make a method that runs `method` on the client's event loop and waits for what it returns."""

    @functools.wraps(method)
    def call(self: Client, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self._run(method(self._client, *args, **kwargs))

    return call


def _iterated(
    method: Callable[Concatenate[AsyncClient, P], Follow[T]],
) -> Callable[Concatenate[Client, P], Blocking[T]]:
    """Make a method that opens the stream of `method` on the client's event loop, to be iterated with `for`."""

    @functools.wraps(method)
    def call(self: Client, /, *args: P.args, **kwargs: P.kwargs) -> Blocking[T]:
        async def opened() -> Follow[T]:
            return method(self._client, *args, **kwargs)

        return Blocking(self, self._run(opened()))

    return call


class Client:
    """Asks the daemon and follows packages as `AsyncClient` does, blocking. Close it, or use `with`.

    It does not survive a fork: make a new one in the child.
    """

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

    request = _blocking(AsyncClient.request)
    ping = _blocking(AsyncClient.ping)
    backtest = _blocking(AsyncClient.backtest)
    optimize = _blocking(AsyncClient.optimize)
    wait = _blocking(AsyncClient.wait)
    approve = _blocking(AsyncClient.approve)
    latest_package = _blocking(AsyncClient.latest_package)
    packages_in_force = _blocking(AsyncClient.packages_in_force)
    acknowledge = _blocking(AsyncClient.acknowledge)
    packages = _iterated(AsyncClient.packages)
    package_events = _iterated(AsyncClient.package_events)

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
