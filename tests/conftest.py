"""What all tests share."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parents[1]

settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")  # how long an example takes says something of the machine, nothing of the code

LONG_FIRST = (
    "journeys",
    "golden",
    "cli",
    "examples",
    "benchmarks",
    "contracts",
    "services",
    "compute/engines",
    "compute",
)
"""Folders in the order of their longest files. What is left at the end is short, so that no worker waits long."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with long files; the workers take whole files in this order."""
    tests = ROOT / "tests"

    def place(item: pytest.Item) -> int:
        file = item.path.relative_to(tests).as_posix() if item.path.is_relative_to(tests) else ""
        folders = (i for i, folder in enumerate(LONG_FIRST) if file.startswith(f"{folder}/"))
        return next(folders, len(LONG_FIRST))

    items.sort(key=place)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with real candles beside the checkout; tests that need it are skipped where it is absent."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("real candles (../shared/data) are not there")
    return folder
