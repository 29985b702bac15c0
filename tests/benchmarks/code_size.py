"""How much code there is: tokens by room, files by folder, and names that modules of several folders share.

    python tests/benchmarks/code_size.py [PACKAGE] [--against PACKAGE]

A token is what Python's tokenizer makes of the code, without comments, docstrings, line ends and indentation; a string
is one, with whatever it holds. A docstring is any string that stands alone as a statement. A room is a folder of the
package, or a module that lies in none. PACKAGE is a checkout or the folder of the package; the default is this one.
"""

from __future__ import annotations

import argparse
import ast
import io
import sys
import tokenize
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
NOT_CODE = (
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENCODING,
    tokenize.ENDMARKER,
)
F_STRING_START = getattr(tokenize, "FSTRING_START", None)
F_STRING_END = getattr(tokenize, "FSTRING_END", None)
"""Python 3.12 and later take an f-string apart; it counts as the one token that it was before."""


class Size(NamedTuple):
    """The Python files of a room and their tokens."""

    files: int = 0
    tokens: int = 0


def n_tokens(text: str) -> int:
    """The number of code tokens of a Python source."""
    docs = {
        line
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }
    n = depth = 0
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        is_doc = token.type == tokenize.STRING and token.start[0] in docs
        n += depth == 0 and token.type not in NOT_CODE and not is_doc
        depth += (token.type == F_STRING_START) - (token.type == F_STRING_END)
    return n


def sizes(package: Path) -> dict[str, Size]:
    """Room → its size."""
    found: dict[str, Size] = defaultdict(Size)
    for file in package.rglob("*.py"):
        room = file.relative_to(package).parts[0].removesuffix(".py")
        before = found[room]
        found[room] = Size(before.files + 1, before.tokens + n_tokens(file.read_text("utf-8")))
    return found


def files_by_folder(package: Path) -> Counter[str]:
    """Folder → the number of Python files that lie in it."""
    return Counter(file.parent.relative_to(package).as_posix() for file in package.rglob("*.py"))


def shared_names(package: Path) -> dict[str, list[str]]:
    """Name → the modules that have it, where there are several; `__init__` apart."""
    found: dict[str, list[str]] = defaultdict(list)
    for file in sorted(package.rglob("*.py")):
        if file.stem != "__init__":
            found[file.stem].append(file.relative_to(package).with_suffix("").as_posix())
    return {name: modules for name, modules in sorted(found.items()) if len(modules) > 1}


def package_of(path: Path) -> Path:
    """The package's folder in a checkout, or the path where it is that folder."""
    inside = path / "service" / "tunesmith"
    found = inside if inside.is_dir() else path
    if not (found / "__init__.py").is_file():
        raise SystemExit(f"{path} holds no service/tunesmith and is no package: name a checkout or a package's folder")
    return found.resolve()


def show_rooms(packages: Sequence[Path]) -> None:
    """Print files and tokens of each room; packages across."""
    found = [sizes(package) for package in packages]
    print(f"{'room':16}" + f"{'files':>9}{'tokens':>10}" * len(found) + "   tokens, new / old" * (len(found) - 1))
    for room in sorted(set().union(*found)):
        print(_line(room, [each.get(room, Size()) for each in found]))
    print(_line("all", [Size(*map(sum, zip(*each.values(), strict=True))) for each in found]))


def show_folders(package: Path, n_most: int) -> None:
    """Print the fullest folders, and the names that several modules have."""
    counted = files_by_folder(package)
    print(f"\n{package}\nmost files in a folder: {max(counted.values())}")
    for folder, n in counted.most_common(n_most):
        print(f"{n:5}  {folder}")
    shared = shared_names(package)
    print(f"names that several modules have: {len(shared)}, {sum(map(len, shared.values()))} modules")
    for name, modules in sorted(shared.items(), key=lambda item: (-len(item[1]), item[0])):
        print(f"{len(modules):5}  {name}: {', '.join(modules)}")


def _line(name: str, found: Sequence[Size]) -> str:
    line = f"{name:16}" + "".join(f"{size.files:9}{size.tokens:10,}" for size in found)
    old, new = found[0], found[-1]
    return line + (f"{new.tokens / old.tokens:20.2f}" if len(found) > 1 and old.tokens else "")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("package", type=Path, nargs="?", default=ROOT)
    parser.add_argument("--against", type=Path, metavar="PACKAGE", help="an older one, printed first")
    parser.add_argument("--folders", type=int, default=8, metavar="N", help="how many of the fullest folders to print")
    given = parser.parse_args()
    packages = [package_of(path) for path in (given.against, given.package) if path is not None]
    show_rooms(packages)
    for package in packages:
        show_folders(package, given.folders)
    return 0


if __name__ == "__main__":
    sys.exit(main())
