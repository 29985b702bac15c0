"""What every source of candles does, over real sockets on loopback."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from storage.sources.stubs import FIRST, HOUR, SERVICES, Service, bar
from tunesmith.errors import Internal, NotFound
from tunesmith.storage.sources import open_source
from tunesmith.storage.sources.exchange import Exchange
from tunesmith.storage.sources.source import Market, Source

MARKET = Market("binance", "A/B", "1h")


class Stand(NamedTuple):
    source: Source
    service: Service


@pytest.fixture(params=SERVICES)
def stand(request: pytest.FixtureRequest) -> Iterator[Stand]:
    service = Service()
    with SERVICES[request.param](service) as address:
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
