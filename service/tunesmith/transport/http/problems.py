"""Refusals over HTTP: `application/problem+json`, the same object as on every socket."""

from __future__ import annotations

import math
from collections.abc import Mapping

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from tunesmith.errors import Internal, Invalid, NotFound, TunesmithError, Unauthorized
from tunesmith.protocol.codec import encode, instance

PROBLEM = "application/problem+json"

CHALLENGE = 'Bearer realm="tunesmith"'
"""What a refusal for want of a token asks for."""

_TITLES = {400: "Bad request", 408: "Request timeout", 405: "Method not allowed", 415: "Unsupported media type"}


class HttpInvalid(Invalid):
    """A refusal for which HTTP has a status of its own; its code is `invalid`."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.http_status = status


def problem_response(
    error: TunesmithError, id: str | None = None, headers: Mapping[str, str] | None = None
) -> Response:
    """The response that refuses the request with this id."""
    status = error.http_status if isinstance(error, HttpInvalid) else error.status
    problem = error.problem(instance(id)) | {"status": status}
    if status != error.status:
        problem["title"] = _TITLES.get(status, error.title)
    more = dict(headers or {})
    if isinstance(error, Unauthorized):
        more["www-authenticate"] = CHALLENGE
    if error.retry_after_ms is not None:
        more["retry-after"] = str(math.ceil(error.retry_after_ms / 1000))
    return Response(encode(problem), status, more, PROBLEM)


async def refuse(request: Request, error: Exception) -> Response:
    """The response to any exception; the framework's own become problems too."""
    if isinstance(error, TunesmithError):
        return problem_response(error)
    if isinstance(error, HTTPException):
        if error.status_code == 404:
            return problem_response(NotFound(f"there is nothing at {request.url.path[:200]}"))
        what = f"{request.method} is not possible here" if error.status_code == 405 else str(error.detail)
        return problem_response(HttpInvalid(what, error.status_code), headers=error.headers)
    return problem_response(Internal("something went wrong here; the log has the details"))
