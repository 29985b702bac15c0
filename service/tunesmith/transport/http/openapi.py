"""The OpenAPI document, generated from the routes and the message types."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from tunesmith import __version__
from tunesmith.domain.records import JsonObject
from tunesmith.protocol.catalog import MESSAGES
from tunesmith.protocol.envelope import Problem
from tunesmith.protocol.message_schema import COMPONENTS, struct_schemas, summary_of
from tunesmith.protocol.messages.tasks import LogLine
from tunesmith.transport.http.log_stream import FOLLOW
from tunesmith.transport.http.problems import PROBLEM
from tunesmith.transport.http.rest_routes import ANY_MESSAGE, ROUTES, TASK_LOGS, Route

JSON = "application/json"
_HEADERS = (
    ("Idempotency-Key", "The request's id: the same id with the same body gets the stored reply.", {"type": "string"}),
    ("X-Tunesmith-Client", "The client's name.", {"type": "string"}),
    ("X-Tunesmith-Deadline-Ms", "How long to wait for the answer.", {"type": "integer", "minimum": 1}),
)
_PROBES = (
    ("/health", "How the daemon is, in full.", JSON),
    ("/livez", "Whether the event loop answers.", JSON),
    ("/readyz", "Whether it can take work; 503 with the reasons when not.", JSON),
    ("/metrics", "Metrics in Prometheus' text format.", "text/plain"),
    ("/api/metrics", "The same metrics as JSON.", JSON),
)


def openapi() -> JsonObject:
    """The HTTP sidecar as an OpenAPI 3.1 document."""
    structs = [struct for m in MESSAGES.values() for struct in (m.request, m.reply)]
    paths: JsonObject = {}
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    for name in MESSAGES:
        route = Route("POST", ANY_MESSAGE.replace("{type}", name), name)
        paths[route.path] = {"post": _operation(route)}
    paths[TASK_LOGS] = {"get": _logs_operation()}
    for path, summary, media_type in _PROBES:
        paths[path] = {"get": {"summary": summary, "responses": {"200": _content("Now.", media_type, {})}}}
    for path in ("/health", "/readyz"):
        paths[path]["get"]["responses"]["503"] = _content("Not ready.", JSON, {})
    return {
        "openapi": "3.1.0",
        "info": {"title": "Tunesmith", "version": __version__, "license": {"name": "MIT", "identifier": "MIT"}},
        "paths": paths,
        "security": [{}, {"token": []}],
        "components": {
            "schemas": struct_schemas([*structs, Problem, LogLine], COMPONENTS),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(route: Route) -> JsonObject:
    message = MESSAGES[route.type]
    operation: JsonObject = {
        "operationId": f"{route.method.lower()}_{re.sub(r'[^a-z]+', '_', route.path.lower()).strip('_')}",
        "summary": summary_of(message.request),
        "parameters": [_parameter("header", *header) for header in _HEADERS],
        "responses": {
            "200": _content("The reply's data.", JSON, _ref(message.reply)),
            "default": _content("Refused.", PROBLEM, _ref(Problem)),
        },
    }
    in_path = re.findall(r"\{(\w+)\}", route.path)
    fields = {field.encode_name: field for field in msgspec.structs.fields(message.request)}
    operation["parameters"] += [_parameter("path", name, "", _schema(fields[name].type)) for name in in_path]
    if route.method in ("POST", "PUT"):
        operation["requestBody"] = {"required": True, "content": {JSON: {"schema": _body(message.request, in_path)}}}
    else:
        operation["parameters"] += [
            _parameter("query", name, "", _schema(field.type)) for name, field in fields.items() if name not in in_path
        ]
    return operation


def _logs_operation() -> JsonObject:
    return {
        "operationId": "get_api_tasks_logs",
        "summary": "A task's log lines as they are written, until the task has ended.",
        "parameters": [
            _parameter("path", "task_id", "", {"type": "string"}),
            _parameter("query", "after", "Skip lines up to this number.", {"type": "integer", "minimum": 0}),
            _parameter("query", "follow", "0 ends with the last line that is there.", {"enum": list(FOLLOW)}),
        ],
        "responses": {
            "200": {
                "description": "One line each.",
                "content": {
                    "application/x-ndjson": {"schema": _ref(LogLine)},
                    "text/plain": {"schema": {"type": "string"}},
                },
            },
            "default": _content("Refused.", PROBLEM, _ref(Problem)),
        },
    }


def _parameter(place: str, name: str, description: str, schema: JsonObject) -> JsonObject:
    parameter: JsonObject = {"name": name, "in": place, "schema": schema}
    if description:
        parameter["description"] = description
    if place == "path":
        parameter["required"] = True
    return parameter


def _body(request: type, in_path: list[str]) -> JsonObject:
    """The request's schema; what the path says need not stand in the body."""
    if not in_path:
        return _ref(request)
    schemas = struct_schemas([request], COMPONENTS)
    whole = schemas[request.__name__]
    return {**whole, "required": [name for name in whole.get("required", ()) if name not in in_path]}


def _schema(kind: Any) -> JsonObject:
    return msgspec.json.schema(kind)


def _ref(struct: type) -> dict[str, str]:
    return {"$ref": COMPONENTS + struct.__name__}


def _content(description: str, media_type: str, schema: JsonObject) -> JsonObject:
    return {"description": description, "content": {media_type: {"schema": schema}}}
