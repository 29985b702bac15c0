"""Counting code tokens, files and shared names on a small package."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.code_size import Size, files_by_folder, n_tokens, shared_names, sizes


@pytest.mark.parametrize(
    ("text", "n"),
    [
        ("", 0),
        ('"""A module."""\n\n# a comment\nx = 1  # one\n', 3),
        ('def f(a: int) -> str:\n    """What it\n    does."""\n    return f"{a + 1} {a!r:>{9}}"\n', 12),
        ('LIMIT = 3\n"""Why three."""\n', 3),
        ('x = """text\n"""\n', 3),
        ('x = (f"a{f(1)}" "b")\n', 6),
    ],
)
def test_tokens_are_those_of_the_code(text: str, n: int) -> None:
    assert n_tokens(text) == n


def test_rooms_folders_and_shared_names(tmp_path: Path) -> None:
    files = {
        "__init__.py": '"""The face."""\n',
        "app.py": "x = 1\n",
        "a/__init__.py": "",
        "a/tasks.py": "x = 1\n",
        "a/inner/tasks.py": "x = y\nz = 2\n",
        "b/work.py": "pass\n",
        "b/notes.txt": "not Python",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert sizes(tmp_path) == {"__init__": Size(1, 0), "app": Size(1, 3), "a": Size(3, 9), "b": Size(1, 1)}
    assert files_by_folder(tmp_path) == {".": 2, "a": 2, "a/inner": 1, "b": 1}
    assert shared_names(tmp_path) == {"tasks": ["a/inner/tasks", "a/tasks"]}
