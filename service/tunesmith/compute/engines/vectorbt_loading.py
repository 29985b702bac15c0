"""vectorbt, loaded when it is needed and without what it would compile in every process anew.

Its `reduce_mapped_*` functions take the reducing function as an argument, so numba compiles them for each and keeps
none: ten compilations, about 3 s of CPU in every worker. The same functions of vectorbt, run as the Python that they
are written in, loop over columns only; the reducing functions themselves stay compiled and cached.
"""

from __future__ import annotations

from typing import Any


def load_vectorbt() -> Any:
    """The module `vectorbt`; any number of threads may ask at once."""
    import vectorbt
    from vectorbt.records import nb

    for name in dir(nb):
        if name.startswith("reduce_mapped_"):
            function = getattr(nb, name)
            setattr(nb, name, getattr(function, "py_func", function))
    return vectorbt
