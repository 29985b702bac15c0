"""The HTTP sidecar: the same messages through the same router, for people and tools without ZeroMQ."""

from tunesmith.transport.http.probes import Health, Probes
from tunesmith.transport.http.sidecar import HttpDoor

__all__ = ["Health", "HttpDoor", "Probes"]
