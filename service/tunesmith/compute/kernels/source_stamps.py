"""Hashes of the source that a kernel is compiled from: its own module, and every module that this one imports.

numba compiles again when the file of a kernel changes, and not when a function that the kernel calls does. What a
kernel reads (functions, constants, named tuples) stands in its module or is imported there, so one hash over all of
these files changes with each of them. Imports are followed within the module's own top-level package and within
`tunesmith`; libraries are covered by numba's version and by the program's (see `program_version`).

Each file is read once in a process, while the module that imports it is loaded: the hash is that of the code which
runs, also where the file is replaced later.
"""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

OWN_PACKAGE = Path(__file__).resolve().parents[2]

_COMMENT = re.compile(r"#[^\n]*|\\\n")
_IMPORT = re.compile(
    r"^[ \t]*(?:from[ \t]+(\.*[\w.]*)[ \t]+import[ \t]+(\([^)]*\)|[^\n;]+)|import[ \t]+([^\n;]+))", re.MULTILINE
)


@functools.cache
def stamp_of_file(path: Path, module: str) -> str:
    """Hash the file of the module `module` and every file that it imports, directly or not."""
    return _stamp({path, *_reached(path, module)})


def stamp_of_source(source: str) -> str:
    """Hash every file below `tunesmith` that a generated module with this text imports; its text is not a part."""
    reached: set[Path] = set()
    for name in _imported_names(source, ""):
        for path, module in _files_of(name, "", OWN_PACKAGE):
            reached |= {path, *_reached(path, module)}
    return _stamp(reached)


def _stamp(paths: set[Path]) -> str:
    digest = hashlib.sha256(_numba_version().encode())
    for path in sorted(paths):
        digest.update(path.name.encode() + _content(path))
    return digest.hexdigest()[:16]


@functools.cache
def _reached(path: Path, module: str) -> frozenset[Path]:
    """The files that a module imports, and those that they import."""
    found: set[Path] = set()
    waiting = [(path, module)]
    while waiting:
        file, name = waiting.pop()
        for each in _direct_imports(file, name):
            if each[0] not in found:
                found.add(each[0])
                waiting.append(each)
    return frozenset(found)


@functools.cache
def _direct_imports(path: Path, module: str) -> tuple[tuple[Path, str], ...]:
    """(file, module name) of each module that this one imports."""
    top = module.partition(".")[0]
    is_package = path.name == "__init__.py"
    depth = module.count(".") + is_package
    root = path.parents[depth - 1] if 0 < depth <= len(path.parents) else path.parent
    package = module if is_package else module.rpartition(".")[0]
    names = _imported_names(_content(path).decode(errors="replace"), package)
    return tuple(each for name in names for each in _files_of(name, top, root))


def _imported_names(text: str, package: str) -> Iterator[str]:
    """The dotted names that import statements name; `from a import b` may mean the module a.b or a name in a."""
    for base, names, plain in _IMPORT.findall(_COMMENT.sub(" ", text)):
        if plain:
            yield from (item.split()[0] for item in plain.split(",") if item.split())
            continue
        name = base.lstrip(".")
        dots = len(base) - len(name)
        if dots:
            above = package.split(".")[: package.count(".") + 2 - dots]
            name = ".".join(part for part in (*above, name) if part)
        yield name
        yield from (f"{name}.{item.split()[0]}" for item in names.strip("() \t\n").split(",") if item.split())


def _files_of(name: str, top: str, root: Path) -> Iterator[tuple[Path, str]]:
    """The file of a module by its dotted name, where it is one of `tunesmith` or of the package `top` in `root`."""
    first, _, rest = name.partition(".")
    if first == OWN_PACKAGE.name:
        place = OWN_PACKAGE
    elif first == top:
        place = root
    else:
        return
    below = place.joinpath(*rest.split(".")) if rest else place
    for path in (below.with_suffix(".py"), below / "__init__.py"):
        if _is_file(path):
            yield path, name


@functools.cache
def _numba_version() -> str:
    return version("numba")


@functools.cache
def _is_file(path: Path) -> bool:
    return path.is_file()


@functools.cache
def _content(path: Path) -> bytes:
    return path.read_bytes()
