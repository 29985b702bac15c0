"""The HTTP sidecar: the same messages through the same router, for people and tools without ZeroMQ."""

from tunesmith.transport.http.probes import Health, Probes
from tunesmith.transport.http.sidecar import HttpSidecar

__all__ = ["Health", "HttpSidecar", "Probes"]
