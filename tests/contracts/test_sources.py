"""What every source of candles does: ours over real sockets on loopback, and one made outside of the package."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import pytest

from storage.sources.stubs import FIRST, HOUR, SERVICES, Service, bar
from tunesmith.errors import Internal, Invalid, NotFound
from tunesmith.storage.market.market_folder import MarketFolder
from tunesmith.storage.sources import SOURCES, open_source, register_source
from tunesmith.storage.sources.download import download
from tunesmith.storage.sources.exchange import Exchange
from tunesmith.storage.sources.source import Market, Row, Source
from tunesmith.storage.sources.upstream import decode_reply, encode_request
from tunesmith.transport.access.bind_rules import check_upstream
from tunesmith.workers.chunks.download_chunks import fetch_bars
from tunesmith.workers.chunks.payloads import FetchBars

MARKET = Market("binance", "A/B", "1h")
SHELF = "shelf://127.0.0.1/first"


class Shelf:
    """A source that no file of the package knows: a service of the contract in this process."""

    page_bars = 7
    empty_is_end = True
    services: ClassVar[dict[str, Service]] = {}

    def __init__(self, address: str, timeout_s: float) -> None:
        self.address = address

    def fetch(self, market: Market, start_ms: int, end_ms: int, limit: int) -> list[Row]:
        service = self.services[self.address]
        return decode_reply(service.contract(encode_request(market, start_ms, end_ms, limit))[1], self.address)


@contextmanager
def shelf_service(service: Service) -> Iterator[str]:
    register_source("shelf", Shelf)
    Shelf.services[SHELF] = service
    try:
        yield SHELF
    finally:
        del SOURCES["shelf"]


STANDS = {**SERVICES, "shelf": shelf_service}


class Stand(NamedTuple):
    source: Source
    service: Service


@pytest.fixture(params=STANDS)
def stand(request: pytest.FixtureRequest) -> Iterator[Stand]:
    service = Service()
    with STANDS[request.param](service) as address:
        yield Stand(source_at(request.param, address), service)


def source_at(kind: str, address: str) -> Source:
    if kind != "exchange":
        return open_source(address, 0.5)
    if importlib.util.find_spec("ccxt") is None:
        pytest.skip("ccxt (the extra download) is not installed")
    settings: dict[str, Any] = {
        "urls": {"api": {"public": f"{address}/api/v3"}},
        "options": {"fetchMarkets": {"types": ["spot"]}},
        "enableRateLimit": False,
    }
    return Exchange("binance", 0.5, settings, wait=lambda seconds: None)


def test_it_gives_the_first_bars_of_a_span(stand: Stand) -> None:
    source = stand.source
    assert source.fetch(MARKET, FIRST, FIRST + 1000 * HOUR, 10) == [bar(n) for n in range(10)]
    assert source.fetch(MARKET, FIRST + 90 * HOUR, FIRST + 1000 * HOUR, 50) == [bar(n) for n in range(90, 100)]
    assert source.fetch(MARKET, FIRST + 5 * HOUR, FIRST + 7 * HOUR, 50) == [bar(5), bar(6)]
    assert source.fetch(MARKET, FIRST + 100 * HOUR, FIRST + 200 * HOUR, 50) == []


def test_a_market_that_it_does_not_have_is_not_found(stand: Stand) -> None:
    with pytest.raises(NotFound):
        stand.source.fetch(Market("binance", "C/D", "1h"), FIRST, FIRST + HOUR, 10)


@pytest.mark.parametrize(
    "fault",
    [(200, b"not json"), (200, b'{"v": 1}'), (500, b"broken"), (200, b"[[1]]"), (200, b'[["x", 1, 2, 3, 4, 5]]')],
    ids=["text", "another form", "500", "short rows", "text for a time"],
)
def test_nonsense_is_no_candles(stand: Stand, fault: tuple[int, bytes]) -> None:
    stand.source.fetch(MARKET, FIRST, FIRST + HOUR, 1)
    stand.service.faults.extend([fault] * 5)
    try:
        rows = stand.source.fetch(MARKET, FIRST, FIRST + HOUR, 10)
    except Internal as error:
        said = error.message
    else:
        assert isinstance(stand.source, Exchange), "ccxt alone takes nonsense for no candles"
        assert rows == []
        assert fault[0] == 200
        return
    assert "127.0.0.1" in said or "binance" in said


def test_an_upstream_does_not_send_us_elsewhere() -> None:
    service = Service(faults=[(302, b"")])
    with SERVICES["http"](service) as address, pytest.raises(Internal, match="302"):
        open_source(address, 0.5).fetch(MARKET, FIRST, FIRST + HOUR, 10)
    assert len(service.asked) == 1


@pytest.mark.parametrize("address", ["http://127.0.0.1:9", "tcp://127.0.0.1:9"])
def test_nobody_there_is_an_error_in_time(address: str) -> None:
    with pytest.raises(Internal, match=r"127\.0\.0\.1:9"):
        open_source(address, 0.1).fetch(MARKET, FIRST, FIRST + HOUR, 10)


def test_an_exchange_that_stumbles_is_asked_again() -> None:
    service = Service()
    with SERVICES["exchange"](service) as address:
        source = source_at("exchange", address)
        source.fetch(MARKET, FIRST, FIRST + HOUR, 1)
        service.faults.extend([(503, b"{}"), (429, b"{}")])
        assert source.fetch(MARKET, FIRST, FIRST + 2 * HOUR, 10) == [bar(0), bar(1)]
        assert service.faults == []


def test_an_unknown_exchange_is_refused_with_the_nearest() -> None:
    pytest.importorskip("ccxt", reason="ccxt (the extra download) is not installed")
    with pytest.raises(NotFound, match="binance"):
        open_source("binanse")


def test_a_source_from_outside_is_downloaded_from_by_its_scheme(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="no address"):
        check_upstream(SHELF, SOURCES)
    with shelf_service(Service()) as address:
        check_upstream(address, SOURCES)
        store = MarketFolder(tmp_path / "market")
        assert download(open_source(address), store, MARKET, (FIRST, FIRST + 40 * HOUR)) == 40
        payload = FetchBars(
            market=str(tmp_path / "market"),
            upstream=address,
            timeout_s=1.0,
            venue=MARKET.venue,
            symbol=MARKET.symbol,
            timeframe=MARKET.timeframe,
            start_ms=None,
            end_ms=FIRST + 60 * HOUR,
        )
        assert fetch_bars(payload) == 20
        assert store.load(*MARKET).timestamp.tolist() == [bar(n)[0] for n in range(60)]
        with pytest.raises(ValueError, match="shelf:// already"):
            register_source("shelf", Shelf)
