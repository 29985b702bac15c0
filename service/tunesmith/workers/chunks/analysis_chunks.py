"""Chunks that look at a stored search as a whole: analysis, comparison, export."""

from __future__ import annotations

import contextlib
import hashlib
import time
from operator import attrgetter
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from tunesmith.compute.analysis.comparison import compare
from tunesmith.compute.analysis.convergence import convergence
from tunesmith.compute.analysis.correlation import correlations
from tunesmith.compute.analysis.export import to_csv, to_json, to_parquet
from tunesmith.compute.analysis.importance import effects, importances
from tunesmith.compute.analysis.landscape import heat_map, marginals
from tunesmith.compute.analysis.ranking import front, ranking, summary
from tunesmith.compute.analysis.recommendation import narrow, recommend
from tunesmith.compute.analysis.trial_set import Trials
from tunesmith.domain.array_types import Floats
from tunesmith.domain.parameters import Parameter, encode
from tunesmith.domain.records import JsonObject
from tunesmith.domain.search.findings import Comparison
from tunesmith.domain.space import build_space
from tunesmith.storage.atomic_files import write_content
from tunesmith.storage.tables.trial_columns import Columns, read_columns
from tunesmith.workers.chunks.analysis_payloads import Analyze, Compare, Export, Exported, StoredSearch, export_name

_WRITERS = {"csv": to_csv, "json": to_json, "parquet": to_parquet}
_TYPES: JsonObject = {"int": float, "float": float, "bool": bool, "choice": Any}


def analyze(payload: Analyze) -> JsonObject:
    """The summary and the parts that were asked for, by the names of `AnalysisReply`'s members."""
    trials, values = load(payload.search)
    what, n = payload.what, payload.n
    found: JsonObject = {"summary": summary(trials)}
    if "ranking" in what:
        found |= {"top": ranking(trials, n=n), "bottom": ranking(trials, n=n, worst=True)}
    if "front" in what:
        found["front"] = front(trials, values, list(payload.search.targets), payload.search.directions)
    shares = importances(trials, payload.importance_method) if what & {"importance", "recommendation"} else []
    if "importance" in what:
        found |= {"importance": shares, "effects": effects(trials)}
    if "correlations" in what:
        found["correlations"] = correlations(trials)
    if "marginals" in what:
        found["marginals"] = marginals(trials)
    if "heat_map" in what and payload.x is not None and payload.y is not None:
        found["heat_map"] = heat_map(trials, payload.x, payload.y, payload.statistic, through=payload.through)
    if "convergence" in what:
        found["convergence"] = convergence(trials)
    if "recommendation" in what:
        known = {each.parameter: each.share for each in shares}
        found |= {"box": recommend(trials), "narrow": narrow(trials, known)}
    return found


def compare_searches(payload: Compare) -> Comparison:
    """Search b beside search a."""
    return compare(load(payload.a)[0], load(payload.b)[0])


def export_trials(payload: Export) -> Exported:
    """Write the trials to a file that is named after the search and its bytes; other exports of it are removed."""
    trials, values = load(payload.search)
    targets = payload.search.targets
    more = dict(zip(targets, values.T, strict=True)) if len(targets) > 1 else {}
    content = _WRITERS[payload.format](trials, more)
    version = hashlib.sha256(content).hexdigest()
    name = export_name(payload.search.optimization_id, payload.format, version)
    folder = Path(payload.folder)
    write_content(folder / name, content)
    same = export_name(payload.search.optimization_id, payload.format, "*")
    for file in folder.iterdir():
        with contextlib.suppress(FileNotFoundError):  # another worker was quicker
            is_old = file.stat().st_mtime < time.time() - payload.keep_s
            if file.name != name and (is_old or file.match(same)):
                file.unlink()
    return Exported(name=name, size=len(content), version=version)


def load(search: StoredSearch) -> tuple[Trials, Floats]:
    """The trials of a search that are stored, and all targets' own values float64[n, k]."""
    space = build_space(search.parameters, search.ranges, whole_logs=search.whole_logs)
    wanted = tuple(dict.fromkeys((*search.metrics, *([] if search.by is None else [search.by]))))
    decode = _decoder(search.parameters)
    parts: list[Columns] = []
    points: list[Floats] = []
    k = len(search.targets)
    for part in read_columns(Path(search.database), search.optimization_id, k, wanted):
        points.append(decode(part.params))
        parts.append(msgspec.structs.replace(part, params=[]))
    values = _joined([part.scores for part in parts], (0, k))
    metrics = {name: _joined([part.metrics[name] for part in parts], (0,)) for name in wanted}
    own = values[:, search.target] if search.by is None else metrics[search.by]
    trials = Trials(
        space,
        _joined(points, (0, len(search.parameters))),
        0.0 - own if search.minimized else own,
        np.concatenate([part.eligible for part in parts]) if parts else np.empty(0, np.bool_),
        {name: metrics[name] for name in search.metrics},
        search.minimized,
        np.concatenate([part.numbers for part in parts]) if parts else np.empty(0, np.int64),
    )
    return trials, values


def _joined(parts: list[Floats], empty: tuple[int, ...]) -> Floats:
    return np.concatenate(parts) if parts else np.empty(empty)


def _decoder(parameters: tuple[Parameter, ...]) -> Any:
    """A function from JSON texts of parameters to their codes float64[n, p], several million values a second."""
    fields = [f"p{i}" for i in range(len(parameters))]
    typed = [(name, _TYPES[p.kind]) for name, p in zip(fields, parameters, strict=True)]
    names = {field: parameter.name for field, parameter in zip(fields, parameters, strict=True)}
    row = msgspec.defstruct("Row", typed, rename=names, gc=False)
    read = msgspec.json.Decoder(list[row]).decode  # type: ignore[valid-type]
    columns = [attrgetter(name) for name in fields]
    codes = [
        {(type(choice), choice): encode(p, choice) for choice in p.choices} if p.kind == "choice" else None
        for p in parameters
    ]

    def decode(texts: list[str]) -> Floats:
        rows = read(f"[{','.join(texts)}]")
        points = np.empty((len(rows), len(fields)))
        for i, (column, known) in enumerate(zip(columns, codes, strict=True)):
            values = map(column, rows)
            given = values if known is None else (known[type(value), value] for value in values)
            points[:, i] = np.fromiter(given, np.float64, len(rows))
        return points

    return decode
