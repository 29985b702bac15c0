"""A daemon for the commands that talk to one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from journeys.conftest import import_markets
from journeys.daemon import FEW_DRAWS, DaemonProcess


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The data directory of a running daemon with both markets, shared by all tests of the command line."""
    where = tmp_path_factory.mktemp("cli")
    import_markets(where)
    daemon = DaemonProcess(where, FEW_DRAWS)
    daemon.start()
    yield where
    assert daemon.stop() == 0, daemon.log()[-3000:]
