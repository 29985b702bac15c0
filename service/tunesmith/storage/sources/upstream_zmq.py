"""An upstream data service behind a ZeroMQ REP or ROUTER socket."""

from __future__ import annotations

import zmq

from tunesmith.errors import Internal
from tunesmith.storage.sources.source import Market, Row
from tunesmith.storage.sources.upstream import MAX_REPLY_BYTES, PAGE_BARS, decode_reply, encode_request


class ZmqUpstream:
    """The service at `address`, `tcp://host:port` or `ipc://path`."""

    page_bars = PAGE_BARS
    empty_is_end = True

    def __init__(self, address: str, timeout_s: float = 10.0) -> None:
        self.address, self.timeout_s = address, timeout_s

    def fetch(self, market: Market, start_ms: int, end_ms: int, limit: int) -> list[Row]:
        """See `Source.fetch`."""
        request = encode_request(market, start_ms, end_ms, limit)
        try:
            with zmq.Context() as context, context.socket(zmq.REQ) as socket:
                socket.setsockopt(zmq.LINGER, 0)
                socket.setsockopt(zmq.MAXMSGSIZE, MAX_REPLY_BYTES)
                socket.connect(self.address)
                socket.send(request)
                if not socket.poll(round(1000 * self.timeout_s)):
                    raise Internal(f"{self.address} did not answer within {self.timeout_s:g} s")
                body = socket.recv()
        except zmq.ZMQError as error:
            raise Internal(f"{self.address} cannot be asked: {error}") from error
        return decode_reply(body, self.address)
