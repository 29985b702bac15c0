"""Processes that need the same kernel at the same time compile it once."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import time
from pathlib import Path

MODULE = """
from tunesmith.compute.kernels.compiling import kernel

@kernel
def twice_nb(x):
    return x + x
"""
USE = """
import sys
from module_of_test import twice_nb
twice_nb.compiled
print("ready", flush=True)
twice_nb(1.5)
print(sum(twice_nb.stats.cache_misses.values()), sum(twice_nb.stats.cache_hits.values()), flush=True)
"""


def start(folder: Path, code: str) -> subprocess.Popen[str]:
    paths = os.pathsep.join([str(folder), *sys.path])
    known = {**os.environ, "TUNESMITH_KERNEL_CACHE": str(folder / "kernels"), "PYTHONPATH": paths}
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=known)


def test_of_two_processes_one_compiles_and_the_other_reads_it(tmp_path: Path) -> None:
    (tmp_path / "module_of_test.py").write_text(MODULE)
    first = start(tmp_path, "from module_of_test import twice_nb; twice_nb(1)")
    assert first.communicate()[0] == ""
    assert first.returncode == 0
    (lock,) = (tmp_path / "kernels").rglob("*.lock")
    with lock.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        two = [start(tmp_path, USE) for _ in range(2)]
        for each in two:
            assert each.stdout is not None
            assert each.stdout.readline() == "ready\n"
        time.sleep(0.2)
        assert [each.poll() for each in two] == [None, None]
    told = sorted(each.communicate()[0].strip() for each in two)
    assert told == ["0 1", "1 0"]
