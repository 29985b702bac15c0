"""The bots' library: ask the daemon over ZeroMQ, and follow the packages that it approves.

It needs msgspec and pyzmq alone.
"""

from tunesmith.client.asynchronous import AsyncClient
from tunesmith.client.blocking import Client
from tunesmith.client.package_shelf import PackageEvent
from tunesmith.protocol.grades import GRADES

__all__ = ["GRADES", "AsyncClient", "Client", "PackageEvent"]
