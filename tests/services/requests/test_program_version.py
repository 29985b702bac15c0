"""The hashes of the program follow every file that computes or decides, and nothing else."""

from __future__ import annotations

import ast
import shutil
from collections.abc import Callable, Iterator
from importlib.metadata import packages_distributions, version
from pathlib import Path

import pytest

from test_architecture import MAY_IMPORT
from tunesmith.services.requests import program_version
from tunesmith.services.requests.program_version import DECISIONS, ENGINE, LIBRARIES, PACKAGE

Versions = Callable[[], tuple[str, str]]


def files_of(folder: Path, room: str) -> list[Path]:
    path = folder / room
    found = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return [file for file in sorted(found) if "__pycache__" not in file.parts]


@pytest.fixture
def versions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Versions]:
    """The engine's and the program's version, computed anew from a copy of the package in `tmp_path`."""
    shutil.copytree(PACKAGE, tmp_path, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(program_version, "PACKAGE", tmp_path)

    def compute() -> tuple[str, str]:
        program_version.engine_version.cache_clear()
        program_version.program_version.cache_clear()
        return program_version.engine_version(), program_version.program_version()

    yield compute
    monkeypatch.undo()
    compute()


@pytest.mark.parametrize("room", [*ENGINE, *DECISIONS])
def test_an_edit_of_any_file_of_a_room_is_another_hash(room: str, versions: Versions, tmp_path: Path) -> None:
    before = program_version._hash_of([room], "")
    files = files_of(tmp_path, room)
    assert files
    for file in files:
        content = file.read_bytes()
        file.write_bytes(content + b"\n")
        assert program_version._hash_of([room], "") != before, file
        file.write_bytes(content)
    assert program_version._hash_of([room], "") == before


@pytest.mark.parametrize("room", [*ENGINE, *DECISIONS])
def test_a_room_decides_its_versions(room: str, versions: Versions, tmp_path: Path) -> None:
    before = versions()
    file = files_of(tmp_path, room)[-1]
    file.write_bytes(file.read_bytes() + b"\n")
    after = versions()
    assert after[1] != before[1]
    assert (after[0] != before[0]) == (room in ENGINE)


def test_a_new_file_and_one_that_is_renamed_are_other_versions(versions: Versions, tmp_path: Path) -> None:
    seen = {versions()}
    (tmp_path / "compute" / "strategies" / "mine.rule").write_text("enter_long(close > open)\n")
    seen.add(versions())
    (tmp_path / "compute" / "strategies" / "mine.rule").rename(tmp_path / "compute" / "strategies" / "yours.rule")
    seen.add(versions())
    assert len({engine for engine, _ in seen}) == 3


def test_what_neither_computes_nor_decides_changes_nothing(versions: Versions, tmp_path: Path) -> None:
    before = versions()
    for name in ("cli/tables.py", "transport/router.py", "client/__init__.py", "compute/__pycache__/x.pyc"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("changed = 1\n")
    for name in ("README.md", "tests/test_x.py", "docs/guide.md"):
        (tmp_path.parent / name).parent.mkdir(exist_ok=True)
        (tmp_path.parent / name).write_text("changed\n")
    assert versions() == before


def test_another_version_of_a_library_is_another_engine(versions: Versions, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = {versions()}
    for name in LIBRARIES:
        monkeypatch.setattr(program_version, "_installed_version", lambda library, of=name: f"9 {library == of}")
        seen.add(versions())
    assert len(seen) == 1 + len(LIBRARIES)


def test_the_installed_versions_are_those_of_the_package_metadata() -> None:

    assert {name: program_version._installed_version(name) for name in ("numpy", "numba", "msgspec")} == {
        name: version(name) for name in ("numpy", "numba", "msgspec")
    }
    assert program_version._installed_version("no such library") == "absent"


def test_the_rooms_are_all_that_the_workers_and_the_services_may_import() -> None:
    def rooms(names: set[str]) -> set[str]:
        return {f"{name}.py" if (PACKAGE / f"{name}.py").is_file() else name for name in names}

    assert set(ENGINE) == rooms({"workers", *MAY_IMPORT["workers"]})
    assert {*ENGINE, *DECISIONS} == rooms({"services", *MAY_IMPORT["services"]})


def test_every_library_that_computes_is_listed() -> None:
    distributions = packages_distributions()
    imported = set()
    for room in ("compute", "domain"):
        for file in (PACKAGE / room).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text("utf-8"))):
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                names += [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
                imported |= {name.split(".")[0] for name in names}
    foreign = {name for module in imported - {"tunesmith"} for name in distributions.get(module, ())}
    assert {name.lower() for name in foreign} <= set(LIBRARIES)
    assert {"numpy", "numba", "vectorbt"} <= {name.lower() for name in foreign}
