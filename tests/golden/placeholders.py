"""What differs from run to run is replaced by placeholders: the same id by the same placeholder, all else is kept."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

_ID = re.compile(r"\b(bt|opt|vd|wf|re|rp|probe)-[0-9a-f]{16}\b")
_SESSION = re.compile(r"\bsession_\d{8}_\d{6}_\d{4}\b")
_EXPORT = re.compile(r"(?<=-)[0-9a-f]{12}(?=\.(?:csv|json|parquet)$)")
_UUID = re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")
_TIME = re.compile(r"\b2(?:0[2-9]|[1-9]\d)\d-\d\d-\d\d(?:T\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|\+00:00))?")
_ADDRESS = re.compile(r"(?:tcp://)?127\.0\.0\.1:\d+")
_HASH = re.compile(r"\b[0-9a-f]{64}\b")
_TEXTS = (
    (re.compile(r"\b\d+(?:\.\d+)? ms waited"), "<n> ms waited"),
    (re.compile(r"\b[\d,]+(?:\.\d+)? (m?s)\b(?! a page)"), r"<n> \1"),
    (re.compile(r"\b[\d,]+(?:\.\d+)? trials/s"), "<n> trials/s"),
    (re.compile(r"peak memory \d+ MB"), "peak memory <n> MB"),
    (re.compile(r"^\w+(?=: its worker died)"), "<chunk>"),
)
"""Durations and sizes in log lines and messages, and what a worker was doing when it died."""

_CHANCES = (
    (re.compile(r"\bon \d+ of \d+ shuffled"), "on <n> of <n> shuffled"),
    (re.compile(r"\b(p =|probability) [\d.e-]+"), r"\1 <drawn>"),
)
"""What tests on drawn markets came to: the seed follows from the verdict's id, which differs from run to run."""

_TESTS = ("reality_check", "permutations", "holdout_permutations", "combined", "p")
_DRAWN = ("p", "n", "n_reached", "reality_check", "search", "holdout", "combined", "together")

MEASURED = frozenset(
    ("uptime_s", "eta_s", "seconds", "estimated_time", "trials_per_s", "ms_per_trial", "memory_mb", "disk_mb")
)
"""Fields that hold what was measured."""

_NAMED_HASHES = {"package_id": "package", "supersedes": "package", "engine": "engine"}
"""Fields whose hashes cover times or the program's own files, and how their placeholder is called."""


class Placeholders:
    """Replaces, over everything that is given to it in order, what differs from run to run.

    `version`: the program's own version, wherever a field is called so. `folder`: the data directory. Ids and times in
    `kept` and times up to `until` stay: they are those of a stored data directory.
    """

    def __init__(self, version: str, folder: str, kept: Iterable[str] = (), until: str = "") -> None:
        self._version, self._folder, self._until = version, folder, until
        self._names: dict[str, str] = {each: each for each in kept}
        self._counts: dict[str, int] = {}

    def replaced(self, value: Any) -> Any:
        """`value` with its placeholders; ids are collected over the whole of it first."""
        for key, text in _texts(value, ""):
            if key in _NAMED_HASHES and _HASH.fullmatch(text):
                self._name(text, _NAMED_HASHES[key])
        return self._walk(value, "")

    def _walk(self, value: Any, key: str) -> Any:
        if isinstance(value, dict):
            return {self._text(name, ""): self._walk(each, name) for name, each in self._loosened(value, key).items()}
        if isinstance(value, list | tuple):
            return [self._walk(each, key) for each in value]
        if isinstance(value, str):
            return self._text(value, key)
        if key in MEASURED and (value is None or isinstance(value, int | float)):
            return "<measured>"
        return value

    def _loosened(self, value: dict[str, Any], key: str) -> dict[str, Any]:
        """An object whose fields that depend on chance or on speed have placeholders."""
        start, stop = value.get("valid_from"), value.get("valid_until")
        if isinstance(start, str) and isinstance(stop, str) and not self._stays(start):
            value = {**value, "valid_until": _distance(start, stop)}
        if value.get("status") == "cancelled" and "progress" in value:
            value = {**value, "progress": "<loose>"}
        if self._until:
            return value
        drawn = _DRAWN if key in _TESTS else ("value",) if value.get("name") in _TESTS else ()
        return {name: "<drawn>" if name in ("seed", *drawn) and key != "data" else each for name, each in value.items()}

    def _text(self, text: str, key: str) -> str:
        if key == "version" and text == self._version:
            return "<version>"
        text = text.replace(self._folder, "<folder>")
        text = _ID.sub(lambda found: self._name(found[0], found[1]), text)
        text = _UUID.sub(lambda found: self._name(found[0], "uuid"), text)
        text = _SESSION.sub(lambda found: self._name(found[0], "session"), text)
        text = _EXPORT.sub("<hash>", text)
        text = _HASH.sub(lambda found: self._names.get(found[0], found[0]), text)
        text = _ADDRESS.sub("<address>", text)
        text = _TIME.sub(lambda found: found[0] if self._stays(found[0]) else "<time>", text)
        if " " in text:
            for pattern, instead in _TEXTS + (() if self._until else _CHANCES):
                text = pattern.sub(instead, text)
        return text

    def _stays(self, time: str) -> bool:
        return time <= self._until or time in self._names

    def _name(self, text: str, kind: str) -> str:
        if text not in self._names:
            self._counts[kind] = self._counts.get(kind, 0) + 1
            self._names[text] = f"<{kind} {self._counts[kind]}>"
        return self._names[text]


def _texts(value: Any, key: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for name, each in value.items():
            yield from _texts(each, name)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _texts(each, key)
    elif isinstance(value, str):
        yield key, value


def _distance(start: str, stop: str) -> str:
    """How long after `start` `stop` is, in hours: it follows from the bars, while both follow from the clock."""
    moments = [datetime.fromisoformat(text).astimezone(UTC) for text in (start, stop)]
    return f"<valid_from and {round((moments[1] - moments[0]).total_seconds() / 3600)} hours>"
