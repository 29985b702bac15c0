"""`data download` as a new user would type it: what is missing is said, what is wrong is named."""

from __future__ import annotations

import importlib.util
import subprocess
from pathlib import Path

import pytest

from cli.command import run


def download(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run("data", "download", *arguments, "--data-dir", folder)


def test_what_is_wrong_is_named(tmp_path: Path) -> None:
    if importlib.util.find_spec("ccxt") is None:
        refused = download(tmp_path, "binance", "BTC/USDT", "1h")
        assert refused.returncode == 1
        assert "pip install 'tunesmith[download]'" in " ".join(refused.stderr.split())
        pytest.skip("ccxt (the extra download) is not installed: that alone was tried")
    for arguments, says in (
        (("binanse", "BTC/USDT", "1h"), "did you mean binance"),
        (("binance", "BTC/USDT", "1h"), "say where to start"),
        (("binance", "../..", "1h", "--start", "2024-01-01"), "is no symbol"),
        (("binance", "BTC/USDT", "1y", "--start", "2024-01-01"), "is no timeframe"),
    ):
        refused = download(tmp_path, *arguments)
        assert refused.returncode == 1, refused.stderr
        assert says in " ".join(refused.stderr.split())
        assert "Traceback" not in refused.stderr
