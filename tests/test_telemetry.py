from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from tunesmith import telemetry
from tunesmith.config import Log


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield io.StringIO()
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def test_lines_are_json_with_the_ids_of_their_context(lines: io.StringIO) -> None:
    telemetry.configure_logging(Log(level="info", format="auto"), lines)
    with structlog.contextvars.bound_contextvars(request_id="r1", task_id="t1"):
        assert telemetry.log_context() == {"request_id": "r1", "task_id": "t1"}
        structlog.get_logger("tunesmith.x").info("hello", n=1)
        logging.getLogger("uvicorn.error").warning("theirs %s", "too")
        structlog.get_logger("tunesmith.x").debug("not said")
    own, theirs = map(json.loads, lines.getvalue().splitlines())
    assert (own["event"], own["n"], own["level"], own["request_id"], own["task_id"]) == ("hello", 1, "info", "r1", "t1")
    assert (theirs["event"], theirs["request_id"], theirs["logger"]) == ("theirs too", "r1", "uvicorn.error")
    assert own["timestamp"].endswith("Z")


def test_a_traceback_is_one_json_line(lines: io.StringIO) -> None:
    telemetry.configure_logging(Log(format="json"), lines)
    try:
        raise ValueError("broken")
    except ValueError:
        structlog.get_logger("x").exception("failed")
    (line,) = map(json.loads, lines.getvalue().splitlines())
    assert "ValueError: broken" in line["exception"]


def test_humans_get_text(lines: io.StringIO) -> None:
    telemetry.configure_logging(Log(format="human"), lines)
    structlog.get_logger("x").warning("hello", n=1)
    assert "hello" in lines.getvalue()
    with pytest.raises(json.JSONDecodeError):
        json.loads(lines.getvalue())


def test_requests_are_counted_by_type_and_code() -> None:
    def value(name: str, **labels: str) -> float:
        return telemetry.REGISTRY.get_sample_value(name, labels) or 0.0

    before = value("tunesmith_requests_total", type="ping", code="busy")
    slow = value("tunesmith_request_seconds_bucket", type="ping", le="0.001")
    telemetry.observe_request("ping", "busy", 0.002)
    assert value("tunesmith_requests_total", type="ping", code="busy") == before + 1
    assert value("tunesmith_request_seconds_bucket", type="ping", le="0.001") == slow
    telemetry.count_dropped("inbox")
    assert value("tunesmith_replies_dropped_total", door="inbox") >= 1


def test_the_tree_and_the_text_name_the_same_metrics() -> None:
    text, tree = telemetry.metrics_text().decode(), telemetry.metrics_tree()
    for name, metric in tree.items():
        assert f"# HELP {name}" in text
        assert metric["help"]
    json.dumps(tree)
