"""Trials: stored once each, sorted by any metric, and the best one under constraints. Against plain Python."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.opened import add_optimization, over_database
from tunesmith.domain.metrics import METRICS
from tunesmith.errors import Internal, Invalid
from tunesmith.storage import optimizations, trials
from tunesmith.storage.database import Database

numbers = st.one_of(st.integers(-3, 3).map(float), st.sampled_from([math.nan, math.inf, -math.inf]))
rows = st.lists(st.tuples(numbers, numbers, st.sampled_from([None, "broke"])), min_size=1, max_size=12)


async def insert(database: Database, start: int, sharpe: list[float], **more: object) -> int:
    n = len(sharpe)
    metrics = {"sharpe": np.array(sharpe), **more.pop("metrics", {})}  # type: ignore[dict-item]
    params = [f'{{"p": {start + i}}}' for i in range(n)]
    return await database.write(
        lambda conn: trials.insert_batch(conn, "o1", range(start, start + n), params, metrics, **more)  # type: ignore[arg-type]
    )


@over_database
async def test_a_trial_comes_back_with_every_metric(database: Database) -> None:
    await database.write(lambda conn: add_optimization(conn, "o1"))
    values = {name: [float(i)] for i, name in enumerate(METRICS)}
    await database.write(lambda conn: trials.insert_batch(conn, "o1", [3], ['{"a": 1, "b": "x"}'], values))
    trial = await trials.get(database, "o1", 3)
    assert trial is not None
    assert trial.params == {"a": 1, "b": "x"}
    assert trial.metrics == {name: float(i) for i, name in enumerate(METRICS)}
    assert trial.error is None
    assert await trials.get(database, "o1", 4) is None


@over_database
async def test_a_repeated_chunk_changes_nothing(database: Database) -> None:
    await database.write(lambda conn: add_optimization(conn, "o1"))
    assert await insert(database, 0, [1.0, 2.0, 3.0]) == 3
    assert await insert(database, 1, [9.0, 9.0, 4.0]) == 1
    assert [t.metrics["sharpe"] for t in await page(database, "index")] == [1.0, 2.0, 3.0, 4.0]
    search = await optimizations.get(database, "o1")
    assert search is not None
    assert (await trials.count(database, "o1"), search.n_done) == (4, 4)


async def page(database: Database, sort: str, descending: bool = False, offset: int = 0) -> list[trials.TrialRow]:
    return await trials.page(database, "o1", sort=sort, descending=descending, limit=100, offset=offset)


@over_database
async def test_what_is_done_comes_as_ranges(database: Database) -> None:
    await database.write(lambda conn: add_optimization(conn, "o1"))
    assert await trials.done_ranges(database, "o1") == []
    for start, n in ((10, 5), (0, 3), (3, 2), (20, 1)):
        await insert(database, start, [0.0] * n)
    assert await trials.done_ranges(database, "o1") == [(0, 5), (10, 15), (20, 21)]


@over_database
async def test_what_does_not_fit_is_refused_whole(database: Database) -> None:
    await database.write(lambda conn: add_optimization(conn, "o1"))
    with pytest.raises(Invalid, match="2 values for 1 trials"):
        await database.write(lambda conn: trials.insert_batch(conn, "o1", [0], ["{}"], {"sharpe": [1.0, 2.0]}))
    with pytest.raises(Internal, match="FOREIGN KEY"):
        await database.write(lambda conn: trials.insert_batch(conn, "nowhere", [0], ["{}"], {}))
    assert await trials.count(database, "o1") == 0


@over_database
async def test_only_metrics_are_sorted_by(database: Database) -> None:
    for name in ("idx", "params", "sharpe; DROP TABLE trials", ""):
        with pytest.raises(Invalid, match="no metric") as refused:
            await page(database, name)
        assert refused.value.path == "/data/sort"
    with pytest.raises(Invalid, match="no operator"):
        await trials.best(database, "o1", "sharpe", "maximize", [("n_trades", "OR 1 >=", 1)])  # type: ignore[list-item]


@settings(max_examples=40, deadline=None)
@given(
    rows,
    st.booleans(),
    st.lists(
        st.tuples(st.sampled_from(["sharpe", "calmar"]), st.sampled_from([">=", "<="]), st.integers(-2, 2).map(float)),
        max_size=2,
    ),
)
def test_sorting_and_the_best_trial(
    data: list[tuple[float, float, str | None]], descending: bool, constraints: list[trials.Constraint]
) -> None:
    sharpe, calmar, errors = (list(column) for column in zip(*data, strict=True))

    def key(index: int) -> tuple[bool, float, int]:
        value = sharpe[index]
        undefined = not math.isfinite(value)
        return undefined, 0.0 if undefined else (-value if descending else value), index

    def meets(index: int) -> bool:
        if errors[index] is not None or not math.isfinite(sharpe[index]):
            return False
        for name, operator, bound in constraints:
            value = (sharpe if name == "sharpe" else calmar)[index]
            if not math.isfinite(value) or not (value >= bound if operator == ">=" else value <= bound):
                return False
        return True

    @over_database
    async def main(database: Database) -> None:
        await database.write(lambda conn: add_optimization(conn, "o1"))
        await insert(database, 0, sharpe, metrics={"calmar": calmar}, errors=errors)
        expected = sorted(range(len(data)), key=key)
        listed = await page(database, "sharpe", descending)
        assert [trial.index for trial in listed] == expected
        assert [trial.index for trial in await page(database, "sharpe", descending, offset=2)] == expected[2:]
        for trial in listed:
            value = sharpe[trial.index]
            assert trial.metrics["sharpe"] == (value if math.isfinite(value) else None)
            assert trial.error == errors[trial.index]
        direction: trials.Direction = "maximize" if descending else "minimize"
        best = await trials.best(database, "o1", "sharpe", direction, constraints)
        fit = [index for index in expected if meets(index)]
        assert (best.index if best else None) == (fit[0] if fit else None)

    with tempfile.TemporaryDirectory() as folder:
        main(Path(folder))
