"""Recorded files: JSON, short values on one line, so that a change shows as few lines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

RECORDED = Path(__file__).with_name("recorded")
_WIDTH = 300


def read(name: str) -> Any:
    """What was recorded under `name`."""
    return json.loads((RECORDED / f"{name}.json").read_text("utf-8"))


def write(name: str, value: Any) -> None:
    """Record `value` under `name`."""
    RECORDED.mkdir(exist_ok=True)
    (RECORDED / f"{name}.json").write_text(_shown(value, "") + "\n", "utf-8")


def _shown(value: Any, indent: str) -> str:
    line = json.dumps(value, ensure_ascii=False)
    if len(line) <= _WIDTH or not isinstance(value, dict | list):
        return line
    inner = indent + " "
    if isinstance(value, dict):
        lines = [f"{inner}{json.dumps(key, ensure_ascii=False)}: {_shown(each, inner)}" for key, each in value.items()]
        return "{\n" + ",\n".join(lines) + f"\n{indent}}}"
    if all(not isinstance(each, dict | list) for each in value) or len(line) < 20 * len(value):
        return line
    return "[\n" + ",\n".join(inner + _shown(each, inner) for each in value) + f"\n{indent}]"
