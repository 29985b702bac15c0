"""The walk of a path-dependent strategy: a kernel generated around its step, compiled once on a machine.

A step may call functions of its own module, those of `compute.stepping`, and what numba knows; each plain Python
function among them is compiled with it.
"""

from __future__ import annotations

import hashlib
import inspect
import threading
from collections.abc import Callable
from types import FunctionType
from typing import Any

import numba
import numpy as np
from numba.core.errors import NumbaError

from tunesmith.compute import stepping
from tunesmith.compute.kernels.generated_kernels import PARTS, is_compiled, load_kernel
from tunesmith.compute.rules.strategy import Strategy
from tunesmith.compute.simulation.arrays import Results, Terms
from tunesmith.compute.simulation.run import PreparedBars, plain
from tunesmith.compute.simulation.step_orders import N_BOOK, SIZING, SIZINGS
from tunesmith.compute.stepping import Stepped
from tunesmith.compute.strategies.grid_trading import walk_grids
from tunesmith.domain.array_types import Floats
from tunesmith.errors import Internal, Invalid

Walk = Callable[[PreparedBars, Floats, Terms, Results], None]
"""Walks points float64[n, p], columns in the order of the declared parameters, into a row of totals each."""

_lock = threading.Lock()

_SOURCE = '''"""The walk around the step {key}."""
from functools import partial
import numpy as np
from tunesmith.compute.simulation.account import SIZE, mark_nb, open_account_nb
from tunesmith.compute.simulation.arrays import Market, Results, Terms
from tunesmith.compute.kernels.compiling import kernel
from tunesmith.compute.kernels.generated_kernels import PARTS
from tunesmith.compute.simulation.step_orders import fill_nb, guard_nb, view_nb
from tunesmith.compute.stepping import Bar, Orders

step_nb = PARTS["{key}"]


@partial(kernel, allocates=True, beside=True)
def conditions(market_, volume, points, limits, memory, book, terms_, out_):
    market = Market(*market_)
    terms = Terms(*terms_)
    out = Results(*out_)
    state = out.state
    start = int(terms.start)
    at_open = terms.at_open != 0.0
    for i in range(len(out.totals)):
        totals = out.totals[i]
        open_account_nb(state, totals, terms.initial_cash)
        memory[:] = 0.0
        book[:2] = 0.0
        orders = Orders(0.0, 0.0, 0.0, np.nan, np.nan)
        for bar in range(len(market.close)):
            close = market.close[bar]
            if bar > start:
                if at_open:
                    fill_nb(state, totals, book, limits[i], orders, bar, market.open[bar], terms, out)
                if state[SIZE] != 0.0:
                    guard_nb(state, totals, book, orders, market, bar, terms, out)
            seen = Bar(float(bar - start), market.open[bar], market.high[bar], market.low[bar], close, volume[bar])
            orders = step_nb(memory, view_nb(state, totals, book, close), seen, points[i])
            if bar >= start:
                if not at_open:
                    fill_nb(state, totals, book, limits[i], orders, bar, close, terms, out)
                mark_nb(state, totals, market.close, bar, start, out)
'''


def walk_of(strategy: Strategy) -> Walk:
    """What walks the points of a strategy that is not a rule.

    The walk raises `Invalid` for a step that numba does not compile, `Internal` for one that raises.
    """
    if strategy.stepped is None:
        return _walk_grid
    return _SteppedWalk(strategy, strategy.stepped)


def is_ready(strategy: Strategy) -> bool:
    """Whether the walk of a strategy that is not a rule has been compiled on this machine before."""
    return strategy.stepped is None or is_compiled(_SOURCE.format(key=_key(strategy, strategy.stepped)))


def _walk_grid(prepared: PreparedBars, points: Floats, terms: Terms, out: Results) -> None:
    walk_grids(prepared.market, points, terms, out)


class _SteppedWalk:
    def __init__(self, strategy: Strategy, declared: Stepped) -> None:
        self._id = strategy.id
        self._declared = declared
        with _lock:
            key = _key(strategy, declared)
            if key not in PARTS:
                PARTS[key] = _compiled(declared.step, {})
        self._kernel = load_kernel(_SOURCE.format(key=key))

    def __call__(self, prepared: PreparedBars, points: Floats, terms: Terms, out: Results) -> None:
        points = np.ascontiguousarray(points)
        book = np.zeros(N_BOOK)
        book[SIZING] = SIZINGS.index(self._declared.sizing.kind)
        arrays = (plain(prepared.bars.volume, np.float64), points, self._declared.limits(points))
        scratch = (np.zeros(self._declared.n_state), book)
        try:
            self._kernel(tuple(prepared.market), *arrays, *scratch, tuple(terms), tuple(out))
        except NumbaError as error:
            raise Invalid(f"the step of strategy {self._id!r} cannot be compiled: {_gist(error)}") from error
        except Exception as error:  # an operator's code is foreign: whatever it raises
            raise Internal(f"the step of strategy {self._id!r} raised {type(error).__name__}: {error}") from error


def _key(strategy: Strategy, declared: Stepped) -> str:
    """A hash of the strategy's code and of the numbers that its functions take from elsewhere.

    The module's name is a part of it: machine code that numba finds on disk asks for its module by name.
    """
    step = declared.plain_step
    digest = hashlib.sha256(f"{strategy.code_hash} {step.__module__} {step.__qualname__}\n".encode())
    digest.update(inspect.getsource(stepping).encode())
    for function in _reached(step, {}).values():
        digest.update(function.__code__.co_code)
        for name in function.__code__.co_names:
            value = function.__globals__.get(name)
            if isinstance(value, bool | int | float | str | tuple):
                digest.update(f"{name}={value!r}\n".encode())
    return digest.hexdigest()[:32]


def _reached(function: Any, found: dict[int, Any]) -> dict[int, Any]:
    """The Python functions of a module that `function` is made of, itself too, by id."""
    found[id(function)] = function
    for name in function.__code__.co_names:
        value = function.__globals__.get(name)
        inner = getattr(value, "py_func", value)
        if isinstance(inner, FunctionType) and id(inner) not in found:
            if inner.__module__ not in (function.__module__, stepping.__name__):
                raise Invalid(
                    f"{function.__qualname__} calls {name} of {inner.__module__}: a step's functions stand in its own "
                    "module, whose hash says which code it is"
                )
            _reached(inner, found)
    return found


def _compiled(function: Any, done: dict[int, Any]) -> Any:
    """`function` compiled with the plain functions that it calls; what is compiled already stays as it is."""
    if not isinstance(function, FunctionType):
        return function
    if id(function) not in done:
        known = {
            name: _compiled(value, done)
            for name, value in function.__globals__.items()
            if name in function.__code__.co_names and value is not function
        }
        copy = FunctionType(
            function.__code__, {**function.__globals__, **known}, function.__name__, function.__defaults__
        )
        copy.__kwdefaults__ = function.__kwdefaults__
        done[id(function)] = numba.njit(error_model="numpy", nogil=True)(copy)
    return done[id(function)]


def _gist(error: NumbaError) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:4])[:400]
