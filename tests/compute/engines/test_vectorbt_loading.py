"""What is run as Python instead of compiled gives vectorbt's own numbers."""

from __future__ import annotations

import importlib

import numpy as np
from vectorbt.records import nb

from tunesmith.compute.engines.vectorbt_loading import load_vectorbt


def test_reducing_functions_run_as_python_and_give_what_compiled_ones_give() -> None:
    vectorbt = load_vectorbt()
    rng = np.random.default_rng(5)
    values, columns = rng.standard_normal(60), np.repeat(np.arange(3), 20)
    mapped = vectorbt.MappedArray(vectorbt.ArrayWrapper(np.arange(60), ["a", "b", "c"], 2), values, columns)
    ours = {name: getattr(mapped, name)() for name in ("mean", "std", "sum", "min", "max", "median")}
    assert not hasattr(nb.reduce_mapped_nb, "py_func")
    importlib.reload(nb)
    assert hasattr(nb.reduce_mapped_nb, "py_func")
    for name in ("mean", "std"):  # each is compiled for about half a second
        np.testing.assert_array_equal(getattr(mapped.copy(), name)(), ours[name])
    assert load_vectorbt() is vectorbt
    assert not hasattr(nb.reduce_mapped_nb, "py_func")
    parts = values.reshape(3, 20)
    np.testing.assert_allclose(ours["mean"], parts.mean(axis=1), rtol=1e-12)
    np.testing.assert_allclose(ours["std"], parts.std(axis=1, ddof=1), rtol=1e-12)
