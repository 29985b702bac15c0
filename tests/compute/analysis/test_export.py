"""The table of trials as CSV, Parquet and JSON: the same values in each."""

from __future__ import annotations

import io
import json

import numpy as np
import pyarrow.csv
import pyarrow.parquet
import pytest

from compute.analysis.searches import no_trials, search
from tunesmith.compute.analysis.export import table, to_csv, to_json, to_parquet
from tunesmith.compute.analysis.trial_set import Trials
from tunesmith.domain.parameters import Parameter
from tunesmith.domain.space import build_space


def test_all_three_hold_the_same_values() -> None:
    trials = search(120)
    whole = table(trials)
    assert pyarrow.parquet.read_table(io.BytesIO(to_parquet(trials))).equals(whole)
    assert pyarrow.csv.read_csv(io.BytesIO(to_csv(trials))).to_pylist() == whole.to_pylist()
    rows = json.loads(to_json(trials))
    for i, (row, flat) in enumerate(zip(rows, whole.to_pylist(), strict=True)):
        assert row["params"] == trials.params(i)
        assert {f"param.{name}": value for name, value in row["params"].items()}.items() <= flat.items()
        assert {f"metric.{name}": value for name, value in row["metrics"].items()}.items() <= flat.items()
        assert (row["index"], row["score"], row["eligible"]) == (i, flat["score"], flat["eligible"])
    assert rows[0]["score"] is None
    assert rows[1]["score"] == trials.scores[1]


def test_values_keep_their_types() -> None:
    types = {field.name: str(field.type) for field in table(search(10)).schema}
    assert types["param.fast"] == "int64"
    assert types["param.kind"] == "string"
    assert types["param.risk"] == "double"
    assert types["param.short"] == types["eligible"] == "bool"


def test_an_empty_search_has_a_header() -> None:
    assert to_csv(no_trials()).decode().strip() == (
        '"index","param.fast","param.kind","param.risk","param.short","param.lag","score","eligible"'
    )
    assert json.loads(to_json(no_trials())) == []
    assert pyarrow.parquet.read_table(io.BytesIO(to_parquet(no_trials()))).num_rows == 0


@pytest.mark.parametrize("choices", [("a", 1, True), (1, 2.5)])
def test_choices_of_several_types_are_a_column_of_text(choices: tuple[object, ...]) -> None:
    space = build_space((Parameter(name="c", kind="choice", default=choices[0], choices=choices),), {})  # type: ignore[arg-type]
    n = len(choices)
    trials = Trials(space, space.grid(0, n), np.zeros(n), np.ones(n, bool))
    assert table(trials).column("param.c").to_pylist() == [str(choice) for choice in choices]
    assert [row["params"]["c"] for row in json.loads(to_json(trials))] == list(choices)
