"""The cache in Redis. It may be away, frozen, flushed, slow or full of foreign values: slower, never wrong or stuck.

A value is stored as 4 bytes that name this format, 16 bytes of BLAKE2b over key and value, and the value. What does not
check, or stands under another key than it was written for, is a miss. A call takes at most `TIMEOUT_S` and is not
tried again. After `FAILURES` failures in a row nothing is asked any more (the circuit is open), while a task of its own
asks every `RETRY_S` whether Redis is back; so an outage costs requests `FAILURES` timeouts, however long it lasts.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import structlog
from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.connection import parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError

from tunesmith.errors import Invalid
from tunesmith.storage.redis_address import split

logger = structlog.get_logger(__name__)

T = TypeVar("T")

TIMEOUT_S = 0.05
FAILURES = 3
RETRY_S = 2.0
MAX_VALUE_BYTES = 8 * 2**20

_PREFIX = "tunesmith:"
_FORMAT = b"TSM1"
_DIGEST_BYTES = 16
_HEAD_BYTES = len(_FORMAT) + _DIGEST_BYTES
_FAILED = (RedisError, OSError, TimeoutError)


class RedisCache:
    """Values in the Redis at `url`. Raises `Invalid` for a URL that is none; one that nobody answers at is fine."""

    def __init__(self, url: str, *, retry_s: float = RETRY_S) -> None:
        self._redis = _client(url)
        self._retry_s = retry_s
        self._n_failures = 0
        self._failure = ""
        self._refusal: str | None = None
        self._probe: asyncio.Task[None] | None = None

    async def get(self, key: str) -> bytes | None:
        """The value, unless it is not there, is not sound, or Redis does not answer in time."""
        sealed = await self._ask(lambda: self._redis.getrange(_PREFIX + key, 0, _HEAD_BYTES + MAX_VALUE_BYTES))
        return unseal(key, sealed) if isinstance(sealed, bytes) else None

    async def set(self, key: str, value: bytes, ttl_s: float | None = None) -> None:
        """Keeps `value`, for `ttl_s` seconds at most; one of more than `MAX_VALUE_BYTES` is not kept."""
        if len(value) > MAX_VALUE_BYTES:
            await self.delete(key)
            return
        expires_ms = None if ttl_s is None else max(1, round(ttl_s * 1000))
        if await self._ask(lambda: self._redis.set(_PREFIX + key, seal(key, value), px=expires_ms)):
            self._refusal = None

    async def delete(self, key: str) -> None:
        """Forgets `key`; nothing happens when it is not there."""
        await self._ask(lambda: self._redis.delete(_PREFIX + key))

    async def trouble(self) -> str | None:
        """Why the cache is of no use at present; None when it is well."""
        for _ in range(FAILURES):
            if self._is_open or await self._ask(self._redis.ping):
                break
        if self._is_open:
            return f"Redis does not answer ({self._failure}); answers are computed again meanwhile"
        return self._refusal

    async def close(self) -> None:
        """Drop the connections."""
        if self._probe is not None:
            self._probe.cancel()
            await asyncio.gather(self._probe, return_exceptions=True)
        with contextlib.suppress(*_FAILED):
            await self._redis.aclose()

    @property
    def _is_open(self) -> bool:
        return self._probe is not None and not self._probe.done()

    async def _ask(self, call: Callable[[], Awaitable[T]]) -> T | None:
        """What Redis answers; None when it does not in time, refuses, or is not to be asked."""
        if self._is_open:
            return None
        try:
            async with asyncio.timeout(TIMEOUT_S):
                answer = await call()
        except ResponseError as error:
            if not str(error).startswith("WRONGTYPE"):
                self._refusal = f"Redis refuses: {error}"
            return None
        except _FAILED as error:
            await self._fail(error)
            return None
        self._n_failures = 0
        return answer

    async def _fail(self, error: Exception) -> None:
        self._n_failures += 1
        self._failure = type(error).__name__
        if self._n_failures >= FAILURES and not self._is_open:
            logger.warning("the cache is not asked any more until Redis answers", reason=self._failure)
            self._probe = asyncio.create_task(self._until_back(), name="redis probe")
        await self._drop_idle()

    async def _drop_idle(self) -> None:
        """Close what is connected but not in use: an answer may still be under way there to a call that gave up."""
        with contextlib.suppress(*_FAILED):
            async with asyncio.timeout(TIMEOUT_S):
                await self._redis.connection_pool.disconnect(inuse_connections=False)

    async def _until_back(self) -> None:
        """Ask again and again, out of the way of requests, until Redis answers."""
        back = False
        while not back:
            await asyncio.sleep(self._retry_s)
            try:
                async with asyncio.timeout(TIMEOUT_S):
                    back = bool(await self._redis.ping())
            except _FAILED:
                await self._drop_idle()
        self._n_failures = 0
        logger.info("Redis answers again; the cache is in use")


def seal(key: str, value: bytes) -> bytes:
    """The value as it is stored under `key`."""
    return _FORMAT + _digest(key, value) + value


def unseal(key: str, sealed: bytes) -> bytes | None:
    """The value that `seal` was given for `key`; None for anything else."""
    value = sealed[_HEAD_BYTES:]
    return value if sealed[:_HEAD_BYTES] == _FORMAT + _digest(key, value) else None


def _digest(key: str, value: bytes) -> bytes:
    digest = hashlib.blake2b(digest_size=_DIGEST_BYTES)
    digest.update(len(key.encode()).to_bytes(8, "big") + key.encode())
    digest.update(value)
    return digest.digest()


def _client(url: str) -> Redis:
    address, password = split(url)
    try:
        options: dict[str, Any] = dict(parse_url(address))
    except ValueError as error:
        raise Invalid(f"setting cache.redis_url: {error}") from error
    options |= {
        "socket_timeout": TIMEOUT_S,
        "socket_connect_timeout": TIMEOUT_S,
        "retry": Retry(NoBackoff(), 0),
        "retry_on_error": [],
        "protocol": 2,
        "decode_responses": False,
    }
    if password is not None:
        options["credential_provider"] = password
    return Redis.from_pool(ConnectionPool(**options))
