"""What watches a daemon: liveness, readiness, metrics."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import structlog
from fastapi import FastAPI
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import Response

from tunesmith import telemetry
from tunesmith.protocol.codec import encode

CHECK_TIMEOUT_S = 2.0

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Health:
    """How the daemon is: not ready for each of `reasons`, ready but poorer for each of `degraded`."""

    reasons: tuple[str, ...] = ()
    degraded: tuple[str, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)


async def _nothing() -> None:
    """Every gauge is up to date already."""


@dataclass(frozen=True, slots=True)
class Probes:
    """What the composition root knows: `health` looks at the parts, `refresh` brings gauges up to date for a scrape."""

    health: Callable[[], Awaitable[Health]]
    refresh: Callable[[], Awaitable[None]] = _nothing


def add_probes(app: FastAPI, probes: Probes) -> None:
    """Add `/livez`, `/readyz`, `/health`, `/metrics` and `/api/metrics`."""

    async def livez(request: Request) -> Response:
        return _json({"status": "alive"})

    async def readyz(request: Request) -> Response:
        health = await _look(probes)
        status = "not ready" if health.reasons else "ready"
        return _json({"status": status, "reasons": health.reasons, "degraded": health.degraded}, _status(health))

    async def whole(request: Request) -> Response:
        health = await _look(probes)
        status = "unavailable" if health.reasons else "degraded" if health.degraded else "ok"
        told = {"status": status, "reasons": health.reasons, "degraded": health.degraded, **health.details}
        return _json(told, _status(health))

    async def metrics(request: Request) -> Response:
        await probes.refresh()
        return Response(telemetry.metrics_text(), headers={"content-type": CONTENT_TYPE_LATEST})

    async def metrics_json(request: Request) -> Response:
        await probes.refresh()
        return _json(telemetry.metrics_tree())

    for path, endpoint in (("/livez", livez), ("/readyz", readyz), ("/health", whole)):
        app.add_api_route(path, endpoint, methods=["GET", "HEAD"], include_in_schema=False)
    for path, endpoint in (("/metrics", metrics), ("/api/metrics", metrics_json)):
        app.add_api_route(path, endpoint, methods=["GET"], include_in_schema=False)


async def _look(probes: Probes) -> Health:
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_S):
            return await probes.health()
    except TimeoutError:
        return Health(reasons=(f"the parts did not answer within {CHECK_TIMEOUT_S:g} s",))
    except Exception:
        log.exception("the readiness check failed")
        return Health(reasons=("the readiness check itself failed; the log has the details",))


def _status(health: Health) -> int:
    return 503 if health.reasons else 200


def _json(value: Any, status: int = 200) -> Response:
    return Response(encode(value), status, media_type="application/json")
