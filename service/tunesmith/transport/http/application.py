"""The application: HTTP requests become messages, outcomes become responses.

A body is a request's `data`, the answer a reply's `data`; the id travels as `Idempotency-Key`, a client's name as
`X-Tunesmith-Client`, a deadline as `X-Tunesmith-Deadline-Ms`.
"""

from __future__ import annotations

import asyncio
import functools
import uuid
from collections.abc import Awaitable, Callable

import msgspec
from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from tunesmith import __version__
from tunesmith.config import Limits
from tunesmith.errors import BadJson, Invalid, TooLarge, TunesmithError
from tunesmith.protocol.codec import convert_query, decode_at, encode, is_id, message_type
from tunesmith.protocol.message_schema import asyncapi
from tunesmith.transport.http import client_timeouts
from tunesmith.transport.http.bearer import BearerAuthentication
from tunesmith.transport.http.log_stream import Streams, stream_logs
from tunesmith.transport.http.openapi import openapi
from tunesmith.transport.http.origin_check import OriginCheck
from tunesmith.transport.http.probes import Probes, add_probes
from tunesmith.transport.http.problems import HttpInvalid, problem_response, refuse
from tunesmith.transport.http.rest_routes import ANY_MESSAGE, ROUTES, TASK_LOGS, Route
from tunesmith.transport.router import Peer, Router

JSON = "application/json"
ID_HEADER = "idempotency-key"
CLIENT_HEADER = "x-tunesmith-client"
DEADLINE_HEADER = "x-tunesmith-deadline-ms"
MAX_DEADLINE_MS = 600_000
_WITH_BODY = ("POST", "PUT")

Endpoint = Callable[[Request, str], Awaitable[Response]]
"""`async (request, id) -> response`."""


def make_app(
    router: Router, limits: Limits, probes: Probes, stopping: asyncio.Event, gate: BearerAuthentication, *, local: bool
) -> FastAPI:
    """The application; streams end when `stopping` is set. `local`: it listens on loopback alone."""
    app = FastAPI(title="Tunesmith", version=__version__, docs_url=None, redoc_url=None)
    app.openapi = openapi  # type: ignore[method-assign]
    streams = Streams(limits.in_flight_per_user)

    def add(method: str, path: str, endpoint: Endpoint) -> None:
        async def answered(request: Request) -> Response:
            id = None
            try:
                id = request_id(request)
                request.state.peer = gate.admit(request)
                return await endpoint(request, id)
            except TunesmithError as error:
                return problem_response(error, id)

        app.add_api_route(path, answered, methods=[method], include_in_schema=False)

    for route in ROUTES:
        add(route.method, route.path, _route_endpoint(router, limits, route))

    async def any_message(request: Request, id: str) -> Response:
        return await _dispatch(router, request, request.path_params["type"], id, await read_body(request, limits))

    async def task_logs(request: Request, id: str) -> Response:
        return await stream_logs(router, streams, stopping, request, functools.partial(gate.admit, request), id)

    async def describe(request: Request) -> Response:
        return Response(encode(asyncapi()), media_type=JSON)

    add("POST", ANY_MESSAGE, any_message)
    add("GET", TASK_LOGS, task_logs)
    app.add_api_route("/asyncapi.json", describe, methods=["GET"], include_in_schema=False)
    add_probes(app, probes)
    app.add_exception_handler(HTTPException, refuse)
    app.add_exception_handler(Exception, refuse)
    app.add_middleware(OriginCheck, local=local)
    return app


def request_id(request: Request) -> str:
    """The id that the client gave, or a new one; raises `Invalid`."""
    id = request.headers.get(ID_HEADER)
    if id is None:
        return uuid.uuid4().hex
    if not is_id(id):
        raise Invalid("Idempotency-Key must be 1 to 64 of A-Z a-z 0-9 . _ : -", path="/id")
    return id


async def read_body(request: Request, limits: Limits) -> bytes:
    """The body, up to the limit; raises `TooLarge` as soon as it is over, and `HttpInvalid` when it is late."""
    limit = limits.max_body_bytes
    chunks, size = [], 0
    try:
        async with asyncio.timeout(client_timeouts.BODY_S):
            async for chunk in request.stream():
                size += len(chunk)
                if size > limit:
                    raise TooLarge(f"the body is over the limit of {limit} bytes")
                chunks.append(chunk)
    except TimeoutError:
        raise HttpInvalid(f"the body did not come within {client_timeouts.BODY_S:g} s", 408) from None
    except ClientDisconnect:
        raise BadJson("the client left before the body's end") from None
    return b"".join(chunks)


def _route_endpoint(router: Router, limits: Limits, route: Route) -> Endpoint:
    request_type = message_type(route.type).request

    async def from_body(request: Request, id: str) -> Response:
        data = await read_body(request, limits)
        if request.path_params:
            data = _with_fields(data, request.path_params)
        return await _dispatch(router, request, route.type, id, data)

    async def from_query(request: Request, id: str) -> Response:
        values = {**request.query_params, **request.path_params}
        return await _dispatch(router, request, route.type, id, encode(convert_query(request_type, values)))

    return from_body if route.method in _WITH_BODY else from_query


def _with_fields(data: bytes, fields: dict[str, str]) -> bytes:
    """`data` with the path's fields in it; raises `Invalid` where the body says otherwise."""
    members = decode_at(dict[str, msgspec.Raw], data, "/data")
    for name, value in fields.items():
        text = encode(value)
        if name in members and bytes(members[name]) != text:
            raise Invalid(f"/data/{name}: the path says {value[:64]!r}", path=f"/data/{name}")
        members[name] = msgspec.Raw(text)
    return encode(members)


async def _dispatch(router: Router, request: Request, type: str, id: str, data: bytes) -> Response:
    client = request.headers.get(CLIENT_HEADER)
    if client is not None and not is_id(client):
        raise Invalid("X-Tunesmith-Client must be 1 to 64 of A-Z a-z 0-9 . _ : -", path="/client")
    peer: Peer = request.state.peer
    outcome = await router.dispatch(type, id, data, peer, deadline_ms=_deadline_ms(request), client=client)
    if outcome.error is not None:
        return problem_response(outcome.error, id)
    return Response(outcome.data, headers={ID_HEADER: id}, media_type=JSON)


def _deadline_ms(request: Request) -> int | None:
    text = request.headers.get(DEADLINE_HEADER)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 7 and 1 <= int(text) <= MAX_DEADLINE_MS):
        raise Invalid(f"X-Tunesmith-Deadline-Ms must be from 1 to {MAX_DEADLINE_MS}", path="/deadline_ms")
    return int(text)
