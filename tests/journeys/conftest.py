"""Journeys: bytes in, bytes out, against a real daemon process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq

from journeys.daemon import FEW_DRAWS, DaemonProcess, Dealer
from journeys.edges import plant
from tunesmith.storage.market.market_folder import MarketFolder

SAMPLE = Path(__file__).resolve().parents[2] / "service" / "tunesmith" / "sample" / "BTC_USDT-1h.parquet"


def import_markets(folder: Path) -> None:
    """The real sample and a market with a planted edge."""
    MarketFolder(folder / "market").import_file(SAMPLE, symbol="BTC/USDT", timeframe="1h", venue="demo")
    plant(folder, "PLANTED/USDT")


@pytest.fixture
def symbol(daemon: DaemonProcess) -> str:
    """A planted market that is the test's own."""
    return plant(daemon.folder)


@pytest.fixture(scope="session")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonProcess]:
    """A running daemon with both markets, shared by all tests that do not disturb it."""
    folder = tmp_path_factory.mktemp("daemon")
    import_markets(folder)
    running = DaemonProcess(folder, FEW_DRAWS)
    running.start()
    yield running
    code = running.stop()
    assert code == 0, running.log()[-3000:]


@pytest.fixture
def context() -> Iterator[zmq.Context[Any]]:
    with zmq.Context() as made:
        yield made


@pytest.fixture
def dealer(daemon: DaemonProcess, context: zmq.Context[Any]) -> Iterator[Dealer]:
    made = Dealer(context, daemon.doors["requests"])
    yield made
    made.close()
