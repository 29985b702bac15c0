"""The table of trials as CSV, Parquet and JSON. Needs pyarrow, which the daemon's loop does not import."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from tunesmith.compute.analysis.trial_set import Trials
from tunesmith.domain.array_types import Floats, Ints
from tunesmith.domain.parameters import Parameter

# A parameter and a metric may have the same name.
_PARAMETER, _METRIC = "param.", "metric."

Columns = Mapping[str, Floats]
_NONE: Columns = {}


def table(trials: Trials, scores: Columns = _NONE) -> Any:
    """A `pyarrow.Table` of n rows: index, param.<name> in the parameter's own type, score, metric.<name>, eligible.

    `scores` float64[n] by target, where there are several, stand as score.<target> in the place of score. What is
    undefined is null. A choice whose values are of several types is a column of text.
    """
    import pyarrow as pa

    columns: dict[str, Any] = {"index": pa.array(_numbers(trials))}
    for i, parameter in enumerate(trials.space.parameters):
        columns[f"{_PARAMETER}{parameter.name}"] = pa.array(_decoded(parameter, trials.points[:, i]))
    for name, values in _scores(trials, scores).items():
        columns[name] = pa.array(values, from_pandas=True)
    for name, values in trials.metrics.items():
        columns[f"{_METRIC}{name}"] = pa.array(values, from_pandas=True)
    columns["eligible"] = pa.array(trials.eligible)
    return pa.table(columns)


def to_csv(trials: Trials, scores: Columns = _NONE) -> bytes:
    """CSV with a header, UTF-8, "\\n" between lines, empty where undefined, numbers to their last digit."""
    import pyarrow.csv as csv

    out = io.BytesIO()
    csv.write_csv(table(trials, scores), out, csv.WriteOptions(quoting_style="needed"))
    return out.getvalue()


def to_parquet(trials: Trials, scores: Columns = _NONE) -> bytes:
    """A Parquet file, compressed with zstd."""
    import pyarrow.parquet as parquet

    out = io.BytesIO()
    parquet.write_table(table(trials, scores), out, compression="zstd")
    return out.getvalue()


def to_json(trials: Trials, scores: Columns = _NONE) -> bytes:
    """A JSON array of objects {index, params, score, metrics, eligible}, null where undefined; see `table`."""
    params = [_values(p, trials.points[:, i]) for i, p in enumerate(trials.space.parameters)]
    names = [parameter.name for parameter in trials.space.parameters]
    metrics = [values.tolist() for values in trials.metrics.values()]
    numbers, told = _numbers(trials).tolist(), [values.tolist() for values in _scores(trials, scores).values()]
    labels = list(_scores(trials, scores))
    rows = (
        {
            "index": numbers[i],
            "params": dict(zip(names, (column[i] for column in params), strict=True)),
            **{label: column[i] for label, column in zip(labels, told, strict=True)},
            "metrics": dict(zip(trials.metrics, (column[i] for column in metrics), strict=True)),
            "eligible": eligible,
        }
        for i, eligible in enumerate(trials.eligible.tolist())
    )
    encoder = msgspec.json.Encoder()
    return b"[" + b",\n".join(map(encoder.encode, rows)) + b"]"


def _scores(trials: Trials, scores: Columns) -> dict[str, Floats]:
    if not scores:
        return {"score": trials.own(trials.scores)}
    return {f"score.{label}": values for label, values in scores.items()}


def _numbers(trials: Trials) -> Ints:
    return np.arange(len(trials), dtype=np.int64) if trials.numbers is None else trials.numbers


def _values(parameter: Parameter, codes: Floats) -> list[Any]:
    """A column of values, each of its own type."""
    if parameter.kind == "choice":
        return [parameter.choices[int(code)] for code in codes]
    values: list[Any] = _decoded(parameter, codes).tolist()
    return values


def _decoded(parameter: Parameter, codes: Floats) -> NDArray[Any]:
    """A column of values: int64, float64, bool or, for choices, of the choices' own type."""
    if parameter.kind == "int":
        return codes.astype(np.int64)
    if parameter.kind == "bool":
        return codes.astype(np.bool_)
    if parameter.kind == "float":
        return codes
    same = len({type(choice) for choice in parameter.choices}) == 1
    choices = np.array(parameter.choices if same else [str(c) for c in parameter.choices])
    return choices[codes.astype(np.int64)]
