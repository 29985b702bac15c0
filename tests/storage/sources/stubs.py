"""Data services on loopback: an HTTP one, a ZeroMQ one, and one that speaks as much of Binance as candles need."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import zmq

HOUR = 3_600_000
FIRST = 1_704_067_200_000
"""2024-01-01, UTC milliseconds."""

Answer = tuple[int, bytes]


def bar(n: int) -> tuple[int, float, float, float, float, float]:
    """The n-th hour's bar."""
    price = 100.0 + n % 7
    return FIRST + n * HOUR, price, price + 2.0, price - 1.0, price + 1.0, 10.0 + n


@dataclass
class Service:
    """Bars of A/B from hour 0 to `n_bars`; `faults` are answered first, one a request. Requests are kept.

    Each answer takes `pause_s` seconds.
    """

    n_bars: int = 100
    pause_s: float = 0.0
    faults: list[Answer] = field(default_factory=list)
    asked: list[dict[str, Any]] = field(default_factory=list)

    def bars(self, start_ms: int, end_ms: int, limit: int) -> list[tuple[int, float, float, float, float, float]]:
        return [row for row in map(bar, range(self.n_bars)) if start_ms <= row[0] < end_ms][:limit]

    def contract(self, body: bytes) -> Answer:
        """The answer that the contract asks for."""
        request = json.loads(body)
        self.asked.append(request)
        time.sleep(self.pause_s)
        if self.faults:
            return self.faults.pop(0)
        data = request["data"]
        reply: dict[str, Any] = {"v": 1, "type": "bars.get.reply", "ok": data["symbol"] == "A/B"}
        if reply["ok"]:
            reply["data"] = {"bars": self.bars(data["start_ms"], data["end_ms"], data["limit"])}
        else:
            reply["error"] = {"code": "not_found", "detail": "no such symbol"}
        return (200 if reply["ok"] else 404), json.dumps(reply).encode()

    def binance(self, path: str) -> Answer:
        """Exchange information and candles of the spot market AB."""
        url = urlsplit(path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        self.asked.append({"path": url.path, **query})
        if self.faults:
            return self.faults.pop(0)
        if url.path.endswith("/exchangeInfo"):
            market = {"symbol": "AB", "status": "TRADING", "baseAsset": "A", "quoteAsset": "B", "filters": [],
                      "isSpotTradingAllowed": True, "permissions": ["SPOT"], "permissionSets": [["SPOT"]],
                      "baseAssetPrecision": 8, "quoteAssetPrecision": 8, "orderTypes": ["LIMIT"]}  # fmt: skip
            return 200, json.dumps({"symbols": [market]}).encode()
        found = self.bars(int(query.get("startTime", 0)), 2**62, int(query.get("limit", 500)))
        rows = [[t, str(o), str(h), str(low), str(c), str(v), t + HOUR - 1, "0", 1, "0", "0", "0"]
                for t, o, h, low, c, v in found]  # fmt: skip
        return 200, json.dumps(rows).encode()


@contextmanager
def http_service(service: Service) -> Iterator[str]:
    """Its URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.answer(service.contract(self.rfile.read(int(self.headers["content-length"]))))

        def do_GET(self) -> None:
            self.answer(service.binance(self.path))

        def answer(self, found: Answer) -> None:
            self.send_response(found[0])
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(found[1])))
            if found[0] == 302:
                self.send_header("location", "/elsewhere")
            self.end_headers()
            self.wfile.write(found[1])

        def log_message(self, *arguments: Any) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        serving.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            serving.join()


@contextmanager
def zmq_service(service: Service) -> Iterator[str]:
    """Its address; a fault without a body is not answered at all."""
    with zmq.Context() as context, context.socket(zmq.ROUTER) as socket:
        port = socket.bind_to_random_port("tcp://127.0.0.1")
        stop = threading.Event()

        def answer() -> None:
            while not stop.is_set():
                if socket.poll(10):
                    *route, body = socket.recv_multipart()
                    reply = service.contract(body)[1]
                    if reply:
                        socket.send_multipart([*route, reply])

        serving = threading.Thread(target=answer)
        serving.start()
        try:
            yield f"tcp://127.0.0.1:{port}"
        finally:
            stop.set()
            serving.join()


SERVICES: dict[str, Callable[[Service], Any]] = {"http": http_service, "zmq": zmq_service, "exchange": http_service}
