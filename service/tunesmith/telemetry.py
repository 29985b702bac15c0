"""What the daemon says about itself: Prometheus metrics and structured logs. Bots do not import this."""

from __future__ import annotations

import io
import itertools
import logging
import sys
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from typing import Any, TextIO

import structlog
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.metrics_core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString
from structlog.contextvars import get_contextvars, merge_contextvars
from structlog.typing import Processor

from tunesmith.config import Log
from tunesmith.masking import mask
from tunesmith.plain_text import escape

_CHATTY = ("numba", "aiosqlite")
"""Libraries that at debug write every step of a compilation or a query, a hundred thousand lines for one strategy."""

LATENCY_BUCKETS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

REGISTRY = CollectorRegistry()
"""Holds every metric below, and the process's own."""
ProcessCollector(registry=REGISTRY)
PlatformCollector(registry=REGISTRY)
GCCollector(registry=REGISTRY)

IN_FLIGHT = Gauge("tunesmith_requests_in_flight", "Requests that handlers are at work on.", registry=REGISTRY)
DROPPED = Counter(
    "tunesmith_replies_dropped", "Replies whose client was gone or did not read.", ("door",), registry=REGISTRY
)
TASKS = Gauge("tunesmith_tasks", "Tasks by state.", ("status",), registry=REGISTRY)
TASKS_FINISHED = Counter("tunesmith_tasks_finished", "Tasks that ended.", ("kind", "status"), registry=REGISTRY)
QUEUE_DEPTH = Gauge("tunesmith_queue_depth", "Chunks that wait for a worker.", registry=REGISTRY)
WORKERS = Gauge("tunesmith_workers", "Worker processes that are alive.", registry=REGISTRY)
WORKER_DEATHS = Counter("tunesmith_worker_deaths", "Workers that died at work.", registry=REGISTRY)
TRIALS = Counter("tunesmith_trials", "Trials evaluated; its rate is trials a second.", registry=REGISTRY)
VERDICTS = Counter("tunesmith_verdicts", "Decisions by verdict.", ("verdict",), registry=REGISTRY)
PACKAGES = Counter("tunesmith_packages", "Packages by what became of them.", ("state",), registry=REGISTRY)
EVENTS = Counter("tunesmith_events_published", "Events sent, by kind of topic.", ("kind",), registry=REGISTRY)
RESENDS = Counter("tunesmith_events_resent", "Last values sent again for late bots.", registry=REGISTRY)
EVENT_HEAD = Gauge("tunesmith_event_head", "The newest durable event's seq.", registry=REGISTRY)
CACHE = Counter(
    "tunesmith_cache", "Cache look-ups, by what was looked for, hit and miss.", ("of", "result"), registry=REGISTRY
)
DATABASE_FAILURES = Counter(
    "tunesmith_database_failures", "Groups of writes that the disk refused or that broke.", registry=REGISTRY
)
DATABASE_REFUSING = Gauge(
    "tunesmith_database_refusing", "1 while the disk takes no writes (full, read-only).", registry=REGISTRY
)
DATABASE_DAMAGED = Gauge(
    "tunesmith_database_damaged", "1 when the database was found damaged; restore a backup.", registry=REGISTRY
)
DISK_FREE = Gauge("tunesmith_disk_free_bytes", "Free bytes where the database is.", registry=REGISTRY)
EVENTS_UNPUBLISHED = Gauge("tunesmith_events_unpublished", "Durable events that wait to be sent.", registry=REGISTRY)
BACKUPS = Counter("tunesmith_backups", "Scheduled backups, made and failed.", ("result",), registry=REGISTRY)
BACKUP_TIME = Gauge(
    "tunesmith_backup_timestamp_seconds", "When the newest backup was made, Unix time; 0: none.", registry=REGISTRY
)
BACKUP_FAILING = Gauge("tunesmith_backup_failing", "1 when the last scheduled backup failed.", registry=REGISTRY)
CLOCK_JUMPS = Counter("tunesmith_clock_jumps", "Times that the clock was set by more than 5 s.", registry=REGISTRY)
for _counter, _values in (
    (VERDICTS, ("approved", "rejected", "insufficient_data")),
    (PACKAGES, ("approved", "revoked", "expired")),
    (BACKUPS, ("made", "failed")),
):
    for _value in _values:
        _counter.labels(_value)  # from 0: what begins at 1 is no increase to Prometheus
READY = Gauge("tunesmith_ready", "1 when /readyz says ready.", registry=REGISTRY)


class RequestTally(Collector):
    """Requests by type and code, and how long they took by type.

    Prometheus' own counters lock for each count; these are counted on the daemon's loop alone, thousands a second.
    """

    def __init__(self) -> None:
        self._codes: dict[tuple[str, str], int] = {}
        self._times: dict[str, list[int]] = {}
        self._sums: dict[str, float] = {}

    def count(self, type: str, code: str, seconds: float) -> None:
        """Count one answered request."""
        self._codes[type, code] = self._codes.get((type, code), 0) + 1
        times = self._times.get(type)
        if times is None:
            times = self._times[type] = [0] * (len(LATENCY_BUCKETS_S) + 1)
        times[bisect_left(LATENCY_BUCKETS_S, seconds)] += 1
        self._sums[type] = self._sums.get(type, 0.0) + seconds

    def collect(self) -> Iterable[Metric]:
        """The families as Prometheus reads them."""
        answered = CounterMetricFamily("tunesmith_requests", "Requests answered.", labels=("type", "code"))
        for labels, n in list(self._codes.items()):
            answered.add_metric(labels, n)
        took = HistogramMetricFamily(
            "tunesmith_request_seconds", "Seconds from a request's arrival to its answer.", labels=("type",)
        )
        bounds = [*map(floatToGoString, LATENCY_BUCKETS_S), "+Inf"]
        for type, times in list(self._times.items()):
            took.add_metric((type,), list(zip(bounds, itertools.accumulate(times), strict=True)), self._sums[type])
        return answered, took


_requests = RequestTally()
REGISTRY.register(_requests)
observe_request = _requests.count
"""Count one answered request, its type, code and seconds; the router's observer."""


def begin_counts(kinds: Iterable[str]) -> None:
    """Have ended tasks of these kinds counted from 0: what begins at 1 is no increase to Prometheus."""
    for kind, status in itertools.product(kinds, ("completed", "failed", "cancelled")):
        TASKS_FINISHED.labels(kind=kind, status=status)


def count_dropped(door: str) -> None:
    """Count one reply that could not be delivered; the doors' observer."""
    DROPPED.labels(door).inc()


def metrics_text() -> bytes:
    """Every metric in Prometheus' text format."""
    return generate_latest(REGISTRY)


def metrics_tree() -> dict[str, dict[str, Any]]:
    """Every metric as plain values: name → type, help, and samples with their labels."""
    return {
        family.name: {
            "type": family.type,
            "help": family.documentation,
            "samples": [
                {"name": sample.name, "labels": dict(sample.labels), "value": sample.value}
                for sample in family.samples
                if not sample.name.endswith("_created")
            ],
        }
        for family in REGISTRY.collect()
    }


def configure_logging(settings: Log, stream: TextIO | None = None) -> None:
    """Send every log line, of our own and of libraries, to `stream` (default: standard error) as JSON or for humans."""
    target = sys.stderr if stream is None else stream
    human = settings.format == "human" or (settings.format == "auto" and target.isatty())
    shared: list[Processor] = [
        merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    rendering: list[Processor] = (
        [_escape_texts, structlog.dev.ConsoleRenderer(colors=target.isatty(), exception_formatter=_write_traceback)]
        if human
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(default=str)]
    )
    handler = logging.StreamHandler(target)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendering, _mask_line],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.level.upper())
    for name in _CHATTY:
        logging.getLogger(name).setLevel(max(logging.INFO, root.level))


def _escape_texts(logger: Any, name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """What others wrote must not move the cursor, or begin a line of its own; JSON escapes it by itself."""
    return {key: escape(value) if isinstance(value, str) else value for key, value in event.items()}


def _write_traceback(stream: TextIO, error: Any) -> None:
    text = io.StringIO()
    structlog.dev.plain_traceback(text, error)
    stream.write(escape(text.getvalue(), multiline=True))


def _mask_line(logger: Any, name: str, line: Any) -> str:
    """The last step of every log line, tracebacks included."""
    return mask(line)


log_context: Callable[[], Mapping[str, Any]] = get_contextvars
"""The request and task ids of the current context, to be handed to a worker process."""
