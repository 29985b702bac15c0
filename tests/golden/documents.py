"""Schemas, OpenAPI and AsyncAPI: what they mean is held, the sentences and the names of definitions in them are not."""

from __future__ import annotations

from typing import Any

from golden.comparing import Compared, same

_WORDS = ("description", "summary", "title")
_GROWING = ("enum", "required", "anyOf", "oneOf", "tags", "messages", "parameters")
_SCHEMA = "schema:"
Json = Any


def gathered(schemas: Json, openapi: Json, asyncapi: Json) -> Json:
    """The three documents as they are recorded: without sentences, each definition once."""
    documents = {"schemas": schemas["messages"], "openapi": _bare(openapi), "asyncapi": _bare(asyncapi)}
    definitions = {name: _bare(each) for name, each in schemas["definitions"].items()}
    for name in ("openapi", "asyncapi"):
        for kind, each in documents[name]["components"].pop("schemas").items():
            assert definitions.setdefault(kind, each) == each or _refs_cut(definitions[kind]) == _refs_cut(each), kind
    return {**{name: _refs_cut(each) for name, each in documents.items()}, "definitions": _refs_cut(definitions)}


def _bare(value: Json) -> Json:
    """`value` without the sentences in it; a property may well be called description."""
    if isinstance(value, dict):
        kept = {key: each for key, each in value.items() if not (key in _WORDS and isinstance(each, str))}
        return {key: _bare(each) for key, each in kept.items()}
    return [_bare(each) for each in value] if isinstance(value, list) else value


def _refs_cut(value: Json) -> Json:
    """`value` with references to schemas as `schema:Name`, wherever the document keeps them."""
    if isinstance(value, dict):
        return {key: _cut(each) if key == "$ref" else _refs_cut(each) for key, each in value.items()}
    return [_refs_cut(each) for each in value] if isinstance(value, list) else value


def _cut(reference: str) -> str:
    for folder in ("#/definitions/", "#/components/schemas/"):
        if reference.startswith(folder):
            return _SCHEMA + reference.removeprefix(folder)
    return reference


def compare_documents(recorded: Json, found: Json) -> Compared:
    """Compare two that `gathered` made; a definition that is called otherwise and says the same is the same."""
    comparison = _Comparison(recorded["definitions"], found["definitions"])
    for name in ("schemas", "openapi", "asyncapi"):
        comparison.walk(recorded[name], found[name], f"/{name}")
    return comparison.compared


class _Comparison:
    def __init__(self, recorded: Json, found: Json) -> None:
        self.compared = Compared()
        self._recorded, self._found = recorded, found
        self._seen: set[tuple[str, str]] = set()

    def walk(self, recorded: Json, found: Json, path: str) -> None:
        """Compare, definitions in the place of references to them."""
        if isinstance(recorded, dict) and isinstance(found, dict):
            if _points(recorded, self._recorded) or _points(found, self._found):
                pair = (str(recorded.get("$ref")), str(found.get("$ref")))
                if pair not in self._seen:
                    self._seen.add(pair)
                    self.walk(_resolved(recorded, self._recorded), _resolved(found, self._found), path)
                return
            for key, each in recorded.items():
                if key in found:
                    self.walk(each, found[key], f"{path}/{key}")
                else:
                    self.compared.differences.append(f"{path}/{key} is gone")
            self.compared.additions += [f"{path}/{key}" for key in found if key not in recorded]
        elif isinstance(recorded, list) and isinstance(found, list):
            self._walk_lists(recorded, found, path)
        elif not same(recorded, found):
            self.compared.differences.append(f"{path}: was {recorded!r}, is {found!r}")

    def _walk_lists(self, recorded: Json, found: Json, path: str) -> None:
        if path.rpartition("/")[2] in _GROWING:
            left = list(found)
            for each in recorded:
                match = next((other for other in left if self._alike(each, other)), None)
                if match is None:
                    self.compared.differences.append(f"{path}: {each!r} is gone")
                else:
                    left.remove(match)
            breaks = path.endswith("/required") and "/request/" in path
            to = self.compared.differences if breaks else self.compared.additions
            to += [f"{path}: {each!r} is new" for each in left]
            return
        if len(recorded) != len(found):
            self.compared.differences.append(f"{path}: had {len(recorded)} entries, has {len(found)}")
        for i, (was, now) in enumerate(zip(recorded, found, strict=False)):
            self.walk(was, now, f"{path}/{i}")

    def _alike(self, recorded: Json, found: Json) -> bool:
        if not isinstance(recorded, dict | list):
            return same(recorded, found)
        inner = _Comparison(self._recorded, self._found)
        inner._seen = set(self._seen)
        inner.walk(recorded, found, "")
        return not inner.compared.differences


def _points(value: Json, definitions: Json) -> bool:
    return "$ref" in value and value["$ref"].removeprefix(_SCHEMA) in definitions


def _resolved(value: Json, definitions: Json) -> Json:
    if not _points(value, definitions):
        return value
    rest = {key: each for key, each in value.items() if key != "$ref"}
    return {**definitions[value["$ref"].removeprefix(_SCHEMA)], **rest}
