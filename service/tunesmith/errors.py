"""The error tree.

    TunesmithError
    ├── BadJson             bad_json             400   the body is not JSON
    ├── UnsupportedVersion  unsupported_version  400   `v` is not 1
    ├── Unauthorized        unauthorized         401   no or wrong credentials
    ├── Forbidden           forbidden            403   the role may not do this
    ├── UnknownType         unknown_type         404   no such message type
    ├── NotFound            not_found            404   no such symbol, strategy, task, …
    ├── Conflict            conflict             409   the id was used with another body, or the name is taken
    ├── TooLarge            too_large            413   body or frames over the limit
    ├── Invalid             invalid              422   a value out of its bounds, with the path of the field
    ├── Busy                busy                 429   over a limit now; try again after `retry_after_ms`
    ├── Internal            internal             500   our fault; the log has the traceback
    ├── Draining            draining             503   the daemon is stopping
    └── DeadlineExceeded    deadline_exceeded    504   no answer before `deadline_ms`

Foreign exceptions are mapped into this tree once, where they enter. On the wire an error is an RFC 9457 problem
object with four more members; `TunesmithError.problem()` makes it and `from_problem` reads it back. Secrets in its
message are masked as it is made.
"""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

from tunesmith.masking import mask
from tunesmith.plain_text import escape


class FieldError(NamedTuple):
    """One refused field: a JSON Pointer from the body's root, and what is wrong with it."""

    path: str
    message: str


class TunesmithError(Exception):
    """The root: carries `code`, `message`, the `path` of the first refused field and whether a retry can help."""

    code: ClassVar[str] = "internal"
    status: ClassVar[int] = 500
    title: ClassVar[str] = "Internal error"
    retryable: ClassVar[bool] = False

    def __init__(
        self,
        message: str,
        *,
        path: str | None = None,
        errors: tuple[FieldError, ...] = (),
        retry_after_ms: int | None = None,
    ) -> None:
        message = escape(mask(message), multiline=True)
        super().__init__(message)
        self.message = message
        self.errors = tuple(FieldError(e.path, escape(mask(e.message), multiline=True)) for e in errors)
        if path is not None and not errors:
            self.errors = (FieldError(path, message),)
        self.path = self.errors[0].path if self.errors else None
        self.retry_after_ms = retry_after_ms

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.message, self.errors, self.retry_after_ms)

    def problem(self, instance: str | None = None) -> dict[str, Any]:
        """The error as an RFC 9457 problem object; `instance` names the request it answers."""
        problem: dict[str, Any] = {
            "type": f"urn:tunesmith:error:{self.code}",
            "title": self.title,
            "status": self.status,
            "detail": self.message,
            "instance": instance,
            "code": self.code,
            "retryable": self.retryable,
            "errors": [{"path": error.path, "message": error.message} for error in self.errors],
        }
        if self.retry_after_ms is not None:
            problem["retry_after_ms"] = self.retry_after_ms
        return problem


class BadJson(TunesmithError):
    code, status, title = "bad_json", 400, "Not JSON"


class UnsupportedVersion(TunesmithError):
    code, status, title = "unsupported_version", 400, "Unsupported protocol version"


class Unauthorized(TunesmithError):
    code, status, title = "unauthorized", 401, "Unauthorized"


class Forbidden(TunesmithError):
    code, status, title = "forbidden", 403, "Forbidden"


class UnknownType(TunesmithError):
    code, status, title = "unknown_type", 404, "Unknown message type"


class NotFound(TunesmithError):
    code, status, title = "not_found", 404, "Not found"


class Conflict(TunesmithError):
    code, status, title = "conflict", 409, "Conflict"


class TooLarge(TunesmithError):
    code, status, title = "too_large", 413, "Too large"


class Invalid(TunesmithError):
    code, status, title = "invalid", 422, "Invalid request"


class Busy(TunesmithError):
    code, status, title, retryable = "busy", 429, "Busy", True


class Internal(TunesmithError):
    code, status, title, retryable = "internal", 500, "Internal error", True


class Draining(TunesmithError):
    code, status, title, retryable = "draining", 503, "Shutting down", True


class DeadlineExceeded(TunesmithError):
    code, status, title, retryable = "deadline_exceeded", 504, "Deadline exceeded", True


BY_CODE: dict[str, type[TunesmithError]] = {
    kind.code: kind
    for kind in (
        BadJson,
        UnsupportedVersion,
        Unauthorized,
        Forbidden,
        UnknownType,
        NotFound,
        Conflict,
        TooLarge,
        Invalid,
        Busy,
        Internal,
        Draining,
        DeadlineExceeded,
    )
}


def from_problem(problem: dict[str, Any]) -> TunesmithError:
    """The error that a problem object describes; unknown codes become `Internal`."""
    errors = tuple(FieldError(e.get("path", ""), e.get("message", "")) for e in problem.get("errors") or ())
    kind = BY_CODE.get(problem.get("code", ""), Internal)
    message = problem.get("detail") or problem.get("title") or kind.title
    return kind(message, errors=errors, retry_after_ms=problem.get("retry_after_ms"))


def _rebuild(
    kind: type[TunesmithError], message: str, errors: tuple[FieldError, ...], retry_after_ms: int | None
) -> TunesmithError:
    return kind(message, errors=errors, retry_after_ms=retry_after_ms)
