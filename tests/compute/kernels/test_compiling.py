"""Compiled kernels go where they are told to, and a change of any kernel's source is a new place."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tunesmith.compute.kernels import compiling

SCRIPT = """
import numpy as np
from tunesmith.compute.simulation.arrays import Market
from tunesmith.compute.kernels.compiling import cache_folder
from tunesmith.compute.simulation.range_tables import build_tables, build_tables_nb
prices = np.ones(20)
build_tables(Market(prices, prices, prices, prices))
print(cache_folder())
print(sum(build_tables_nb.stats.cache_hits.values()))
"""


def run(environ: dict[str, str]) -> tuple[Path, int]:
    keep = {k: v for k, v in os.environ.items() if k not in ("TUNESMITH_KERNEL_CACHE", "NUMBA_CACHE_DIR")}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], env=keep | environ, capture_output=True, text=True, check=True
    )
    folder, hits = done.stdout.split()
    return Path(folder), int(hits)


@pytest.mark.parametrize("variable", ["TUNESMITH_KERNEL_CACHE", "NUMBA_CACHE_DIR"])
def test_kernels_are_compiled_once_into_the_folder_that_is_named(variable: str, tmp_path: Path) -> None:
    folder, hits = run({variable: str(tmp_path)})
    assert folder.parent == tmp_path
    assert list(folder.rglob("*build_tables_nb*.nbc"))
    assert hits == 0
    assert run({variable: str(tmp_path)}) == (folder, 1)


def test_a_folder_that_cannot_be_written_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    monkeypatch.setenv("TUNESMITH_KERNEL_CACHE", str(blocked))
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))
    assert compiling.cache_folder().parent == tmp_path / "user" / "tunesmith" / "kernels"


def test_another_users_folder_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUNESMITH_KERNEL_CACHE", str(tmp_path))
    assert compiling.cache_folder().parent == tmp_path
    monkeypatch.setattr(os, "getuid", lambda: tmp_path.stat().st_uid + 1)
    with pytest.raises(OSError, match="TUNESMITH_KERNEL_CACHE"):
        compiling.cache_folder()


def test_another_source_has_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUNESMITH_KERNEL_CACHE", str(tmp_path))
    before = compiling.cache_folder()
    copy = tmp_path / "source"
    copy.mkdir()
    source = Path(compiling.__file__)
    (copy / source.name).write_text(source.read_text() + "\n")
    monkeypatch.setattr(compiling, "__file__", str(copy / source.name))
    assert compiling.cache_folder() != before


FULL = """
import resource
import numpy as np
from tunesmith.compute.simulation.arrays import Market
from tunesmith.compute.simulation.range_tables import build_tables
resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
prices = np.ones(20)
build_tables(Market(prices, prices, prices, prices))
"""


def test_on_a_full_disk_kernels_work_and_leave_no_half_file(tmp_path: Path) -> None:
    environ = os.environ | {"TUNESMITH_KERNEL_CACHE": str(tmp_path)}
    subprocess.run([sys.executable, "-c", FULL], env=environ, check=True)
    left = [path.name for path in tmp_path.rglob("*") if path.is_file()]
    assert left == []
