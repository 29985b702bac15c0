"""Kernels are compiled at their first call, into the folder that is named, and anew when what they call has changed."""

from __future__ import annotations

import importlib
import os
import pkgutil
import subprocess
import sys
from pathlib import Path
from types import FunctionType

import pytest

import tunesmith.compute
from tunesmith.compute.kernels import compiling, source_stamps

SCRIPT = """
import numpy as np
from tunesmith.compute.simulation.arrays import Market
from tunesmith.compute.simulation.range_tables import build_tables, build_tables_nb
prices = np.ones(20)
build_tables(Market(prices, prices, prices, prices))
print(build_tables_nb.folder)
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
    assert compiling.cache_folder() == tmp_path / "user" / "tunesmith" / "kernels"


def test_another_users_folder_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUNESMITH_KERNEL_CACHE", str(tmp_path))
    assert compiling.cache_folder() == tmp_path
    monkeypatch.setattr(os, "getuid", lambda: tmp_path.stat().st_uid + 1)
    with pytest.raises(OSError, match="TUNESMITH_KERNEL_CACHE"):
        compiling.cache_folder()


TOY = """
from toys.parts import BASE, doubled_nb
from tunesmith.compute.kernels.compiling import kernel

@kernel
def toy_nb(x: float) -> float:
    return doubled_nb(x) + BASE
"""
PARTS = """
from tunesmith.compute.kernels.compiling import inlined
from .numbers import FACTOR

BASE = {base}

@inlined
def doubled_nb(x: float) -> float:
    return FACTOR * x
"""
CALL = """
import sys
from toys.toy import toy_nb
before = "numba" in sys.modules
print(before, toy_nb(10.0), toy_nb.folder, sum(toy_nb.stats.cache_hits.values()))
"""


class Toys:
    """A package outside the product: a kernel, a function that it calls, a number that this reads."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "toys").mkdir()
        (folder / "toys" / "__init__.py").touch()
        (folder / "toys" / "toy.py").write_text(TOY)
        self.write()

    def write(self, base: float = 1.0, factor: float = 2.0, unrelated: int = 0) -> None:
        (self.folder / "toys" / "parts.py").write_text(PARTS.format(base=base))
        (self.folder / "toys" / "numbers.py").write_text(f"FACTOR = {factor}\n")
        (self.folder / "toys" / "unrelated.py").write_text(f"N = {unrelated}\n")

    def call(self) -> tuple[str, float, str, int]:
        environ = os.environ | {"TUNESMITH_KERNEL_CACHE": str(self.folder / "kernels")}
        command = [sys.executable, "-B", "-c", CALL]
        done = subprocess.run(command, env=environ, cwd=self.folder, capture_output=True, text=True, check=True)
        before, value, folder, hits = done.stdout.split()
        return before, float(value), folder, int(hits)


def test_a_kernel_of_another_package_is_compiled_anew_after_a_change_of_what_it_calls(tmp_path: Path) -> None:
    toys = Toys(tmp_path)
    before, value, folder, hits = toys.call()
    assert (before, value, hits) == ("False", 21.0, 0)
    assert Path(folder).parent == tmp_path / "kernels"
    assert toys.call() == (before, value, folder, 1)
    toys.write(unrelated=1)
    assert toys.call() == (before, value, folder, 1)
    toys.write(base=2.0)
    assert toys.call()[1] == 22.0
    toys.write(factor=3.0)
    assert toys.call()[1] == 31.0
    toys.write()
    assert toys.call() == (before, value, folder, 1)


def kernels() -> list[tuple[str, compiling.Kernel]]:
    """Every kernel and inlined part in the product."""
    found = {}
    for module in pkgutil.walk_packages(tunesmith.compute.__path__, "tunesmith.compute."):
        for value in vars(importlib.import_module(module.name)).values():
            if isinstance(value, compiling.Kernel):
                found[f"{value.__module__}.{value.__qualname__}"] = value
    return sorted(found.items())


def test_the_stamp_covers_every_function_that_a_kernel_calls() -> None:
    def check(function: FunctionType, covered: frozenset[Path]) -> None:
        for name in function.__code__.co_names:
            called = function.__globals__.get(name)
            inner = getattr(called, "__wrapped__", called)
            if isinstance(inner, FunctionType) and inner.__module__.startswith("tunesmith"):
                assert Path(inner.__code__.co_filename) in covered, f"{function.__qualname__} calls {name}"
                check(inner, covered)

    found = kernels()
    assert {"sma_nb", "walk_nb", "path_nb", "grid_nb"} <= {name.rpartition(".")[2] for name, _ in found}
    for _, each in found:
        function = each.__wrapped__
        path = Path(function.__code__.co_filename)
        check(function, source_stamps._reached(path, function.__module__) | {path})


def test_an_edit_of_an_analysis_compiles_no_kernel_anew() -> None:
    for name, each in kernels():
        function = each.__wrapped__
        covered = source_stamps._reached(Path(function.__code__.co_filename), function.__module__)
        parts = [path.relative_to(source_stamps.OWN_PACKAGE).parts for path in covered]
        rooms = {each[1] for each in parts if each[0] == "compute"}
        assert rooms <= {"kernels", "graph", "indicators", "simulation", "measures", "stepping.py"}, name


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("import a.b as c, d", {"a.b", "d"}),
        ("    from a import (\n    b,  # (\n    c as d,\n)", {"a", "a.b", "a.c"}),
        ("from a.b import c, \\\n    d", {"a.b", "a.b.c", "a.b.d"}),
        ("from . import b", {"p.q", "p.q.b"}),
        ("from ..r import s", {"p.r", "p.r.s"}),
        ("# from a import b", set()),
    ],
)
def test_imports_are_found_however_they_are_written(line: str, names: set[str]) -> None:
    assert set(source_stamps._imported_names(line, "p.q")) == names


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
    left = [path.name for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".lock"]
    assert left == []
