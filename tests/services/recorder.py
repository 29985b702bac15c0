"""An announcer that remembers what it was told."""

from __future__ import annotations

from typing import Any


class Recorder:
    def __init__(self) -> None:
        self.heard: list[tuple[str, dict[str, Any]]] = []

    def progress(self, task_id: str, data: dict[str, Any]) -> None:
        self.heard.append((task_id, data))

    def progress_of(self, task_id: str) -> list[Any]:
        return [data["progress"] for heard, data in self.heard if heard == task_id]
