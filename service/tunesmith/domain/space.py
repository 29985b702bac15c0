"""The parameter space: which points a search may try, by arithmetic instead of by lists.

A `Space` is the product of its `Dimension`s, one for each parameter that is searched.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tunesmith.domain.array_types import Floats, Ints
from tunesmith.domain.dimension import Dimension, digits
from tunesmith.domain.parameters import EXACT, Parameter, Range, encode, not_finite, pointer_step, refuse_unknown, shown
from tunesmith.errors import FieldError, Invalid

_MAX_VALUES = 1_000_000


@dataclass(frozen=True, slots=True)
class Space:
    """The product of its dimensions; parameters that are not searched are `fixed`.

    A point is a row of codes float64[p], one column for each of the strategy's parameters in declared order (see
    `encode`). Grid index i counts with the last dimension fastest.
    """

    parameters: tuple[Parameter, ...]
    dimensions: tuple[Dimension, ...]
    fixed: Mapping[str, float]

    @property
    def size(self) -> int:
        """Number of grid points, conditions between parameters not counted; exact, may be astronomically large."""
        return math.prod(dimension.size for dimension in self.dimensions)

    @property
    def is_discrete(self) -> bool:
        """Whether the grid holds every point of the space (no continuous dimension)."""
        return all(dimension.is_discrete for dimension in self.dimensions)

    def grid(self, start: int, stop: int) -> Floats:
        """Points with the grid indices start to stop (exclusive); float64[stop - start, p]."""
        return self.grid_at(np.arange(start, stop, dtype=np.int64))

    def grid_at(self, index: Ints) -> Floats:
        """Points with the grid indices `index` int64[n]; float64[n, p]."""
        places = digits(index, [dimension.size for dimension in self.dimensions])
        columns = {d.name: d.at(place) for d, place in zip(self.dimensions, places, strict=True)}
        return self.assemble(len(index), columns)

    def sample(self, unit: Floats) -> Floats:
        """Points at `unit` float64[n, len(dimensions)] in [0, 1); float64[n, p]."""
        columns = {d.name: d.sample(unit[:, i]) for i, d in enumerate(self.dimensions)}
        return self.assemble(len(unit), columns)

    def assemble(self, n: int, columns: Mapping[str, Floats]) -> Floats:
        """Points float64[n, p] from codes float64[n] by name; the rest is fixed, NaN where it is not."""
        points = np.empty((n, len(self.parameters)))
        for column, parameter in enumerate(self.parameters):
            points[:, column] = columns.get(parameter.name, self.fixed.get(parameter.name, np.nan))
        return points


def encode_points(parameters: Sequence[Parameter], params: Mapping[str, Any], path: str = "/params") -> Floats:
    """Zipped parameter values as points float64[n, p]: arrays of one length or scalars; the unnamed take defaults.

    Raises `Invalid` with the field's path for unknown names, values out of bounds and differing lengths.
    """
    refuse_unknown(parameters, params, path)
    columns = {p.name: _codes(p, params[p.name], f"{path}/{p.name}") for p in parameters if p.name in params}
    lengths = {len(codes) for codes in columns.values() if codes.ndim}
    if len(lengths) > 1:
        raise Invalid(f"parameter arrays must be of one length, got lengths {sorted(lengths)}", path=path)
    points = np.empty((lengths.pop() if lengths else 1, len(parameters)))
    for column, parameter in enumerate(parameters):
        points[:, column] = columns.get(parameter.name, encode(parameter, parameter.default))
    return points


def _codes(parameter: Parameter, given: Any, where: str) -> Floats:
    """Codes of an array or a scalar: float64[n] or float64[]."""
    values = _array(given)
    if values.ndim > 1:
        raise Invalid(f"the values of {parameter.name} must be a flat array, got {values.ndim} dimensions", path=where)
    if values.dtype.kind in "mM":
        raise Invalid(f"{values.dtype} values are no numbers", path=where)
    if values.dtype.kind in "iu" and values.size and parameter.kind in ("int", "float"):
        # Bounds are all that whole numbers may break: the least and the greatest tell.
        edges = (int(values.min()), int(values.max()))
        if parameter.check(edges[0]) is None and parameter.check(edges[1]) is None:
            return values.astype(np.float64)
    if values.dtype.kind in "biufU":
        distinct, inverse = np.unique(values, return_inverse=True)
    else:
        distinct, inverse = values.ravel(), np.arange(values.size)
    codes = np.empty(len(distinct))
    for i, raw in enumerate(distinct.tolist()):
        value = _plain(raw)
        parameter.require(value, where)
        codes[i] = encode(parameter, value)
    return codes[inverse.reshape(values.shape)]


def _array(given: Any) -> NDArray[Any]:
    """What was given as an array that keeps the type of each value; anything but a list or an array is a scalar."""
    if isinstance(given, np.ndarray):
        return given
    if hasattr(given, "__array__"):
        return np.asarray(given)
    if not isinstance(given, list | tuple | range):
        scalar = np.empty(1, object)
        scalar[0] = given
        return scalar.reshape(())
    kinds = set(map(type, given))
    if kinds in ({int}, {float}, {bool}, {str}):
        return np.asarray(given)
    return np.fromiter(given, object, len(given))


def build_space(
    parameters: Sequence[Parameter],
    ranges: Mapping[str, Any] | None,
    path: str = "/data/param_ranges",
    *,
    whole_logs: bool = True,
) -> Space:
    """The space that `ranges` asks for; an empty one means every range that the strategy declares.

    A log range of whole numbers has all of them; without `whole_logs` at most 64, as it had before there was this.

    `ranges` maps names to a `Range` (or its dict; an empty one is the declared range), a list of values or one fixed
    value; parameters left out keep their defaults. Raises `Invalid` with a path for each refused field.
    """
    refuse_unknown(parameters, ranges or {}, path)
    dimensions: list[Dimension] = []
    fixed: dict[str, float] = {}
    errors: list[FieldError] = []
    for parameter in parameters:
        if not ranges:
            dimensions.append(_declared(parameter, f"{path}/{parameter.name}"))
        elif parameter.name not in ranges:
            fixed[parameter.name] = encode(parameter, parameter.default)
        else:
            spec, where = ranges[parameter.name], f"{path}/{parameter.name}"
            try:
                _place(parameter, spec, where, dimensions, fixed)
            except Invalid as error:
                errors.extend(error.errors)
    if errors:
        raise Invalid(errors[0].message, errors=tuple(errors))
    return Space(tuple(parameters), tuple(dimensions if whole_logs else map(_thinned, dimensions)), fixed)


def _place(parameter: Parameter, spec: Any, where: str, dimensions: list[Dimension], fixed: dict[str, float]) -> None:
    if isinstance(spec, Mapping):
        unknown = [name for name in spec if name not in Range.__struct_fields__]
        if unknown:
            raise Invalid(f"a range has no member {shown(unknown[0])}", path=f"{where}/{pointer_step(unknown[0])}")
        spec = Range(**spec)
    if isinstance(spec, Range):
        dimensions.append(_ranged(parameter, spec, where))
    elif _is_list(spec):
        dimensions.append(_listed(parameter, spec, where))
    else:
        value = _plain(spec)
        parameter.require(value, where)
        fixed[parameter.name] = encode(parameter, value)


def _declared(parameter: Parameter, where: str) -> Dimension:
    if parameter.kind == "bool":
        return Dimension(parameter, values=(0.0, 1.0))
    if parameter.kind == "choice":
        return Dimension(parameter, values=tuple(float(i) for i in range(len(parameter.choices))))
    low, high = parameter.low, parameter.high
    if low is None or high is None:
        return Dimension(parameter, values=(encode(parameter, parameter.default),))
    step = parameter.step or (1.0 if parameter.kind == "int" and not parameter.log else None)
    return _spaced(parameter, Dimension(parameter, low, high, step, parameter.log), where)


def _ranged(parameter: Parameter, spec: Range, where: str) -> Dimension:
    if spec.values is not None:
        if spec.min is not None or spec.max is not None or spec.step is not None or spec.log:
            raise Invalid("give either values, or min and max", path=where)
        return _listed(parameter, spec.values, f"{where}/values")
    if parameter.kind in ("choice", "bool"):
        if all(getattr(spec, name) is getattr(Range(), name) for name in Range.__struct_fields__):
            return _declared(parameter, where)
        raise Invalid(f"{parameter.name} is a {parameter.kind}; give values", path=where)
    if not isinstance(spec.log, bool):
        raise Invalid(f"{shown(spec.log)} is not true or false", path=f"{where}/log")
    low = parameter.low if spec.min is None else _plain(spec.min)
    high = parameter.high if spec.max is None else _plain(spec.max)
    for name, bound in (("min", low), ("max", high)):
        if bound is not None:
            parameter.require(bound, f"{where}/{name}")
    if low is None or high is None:
        raise Invalid("min and max are needed: the strategy declares no bounds", path=where)
    if low > high:
        raise Invalid(f"min {low:g} is above max {high:g}", path=f"{where}/min")
    if spec.log and low <= 0:
        raise Invalid("a log range needs min > 0", path=f"{where}/min")
    step = None if spec.step is None else _checked_step(parameter, spec, f"{where}/step")
    if step is None and not spec.log:
        step = parameter.step or (1.0 if parameter.kind == "int" else None)
    return _spaced(parameter, Dimension(parameter, float(low), float(high), step, spec.log), where)


def _checked_step(parameter: Parameter, spec: Range, where: str) -> float:
    step = _plain(spec.step)
    if spec.log:
        raise Invalid("a log range has no step", path=where)
    wrong = not_finite(step)
    if wrong is None and step <= 0:
        wrong = f"{step:g} is not above 0"
    if wrong is None and parameter.kind == "int" and step != int(step):
        wrong = f"{step:g} is not a whole number"
    if wrong:
        raise Invalid(wrong, path=where)
    return float(step)


def _spaced(parameter: Parameter, asked: Dimension, where: str) -> Dimension:
    """The dimension as asked for, when its points can be counted."""
    if asked.log and parameter.kind == "int":
        asked = replace(asked, step=1.0)
    low, high, step = asked.low, asked.high, asked.step
    span = high - low
    if not math.isfinite(span):
        raise Invalid(f"{low:g} to {high:g} is too wide a range", path=f"{where}/max")
    if step is not None and span > 0 and not (step >= math.ulp(max(-low, high)) and span / step < EXACT):
        raise Invalid(f"a step of {step!r} is too small for numbers from {low:g} to {high:g}", path=f"{where}/step")
    return asked


def _thinned(dimension: Dimension) -> Dimension:
    """A log range of whole numbers as the list of at most 64 of them that searches had at first."""
    if not (dimension.log and dimension.step is not None):
        return dimension
    low, high = dimension.low, dimension.high
    raw = np.exp(np.linspace(math.log(low), math.log(high), int(min(high - low + 1, 64))))
    raw[0], raw[-1] = low, high
    values = np.unique(np.clip(np.rint(raw), low, high))
    return Dimension(dimension.parameter, values=tuple(float(v) for v in values))


def _listed(parameter: Parameter, values: Any, where: str) -> Dimension:
    if not _is_list(values):
        raise Invalid(f"{shown(values)} is not a list of values", path=where)
    if not len(values[:1]):
        raise Invalid("the list of values is empty", path=where)
    if len(values[: _MAX_VALUES + 1]) > _MAX_VALUES:
        raise Invalid(f"a list holds at most {_MAX_VALUES:,} values", path=where)
    codes: dict[float, None] = {}
    for i, raw in enumerate(values):
        value = _plain(raw)
        parameter.require(value, f"{where}/{i}")
        codes[encode(parameter, value)] = None
    return Dimension(parameter, values=tuple(codes))


def _is_list(spec: Any) -> bool:
    return isinstance(spec, list | tuple | range) or (isinstance(spec, np.ndarray) and spec.ndim > 0)


def _plain(value: Any) -> Any:
    """A NumPy scalar as Python's own; anything else, and times, whose counts are no parameters, as it is."""
    if isinstance(value, np.ndarray) and not value.ndim:
        value = value[()]
    is_time = isinstance(value, np.datetime64 | np.timedelta64)
    return value.item() if isinstance(value, np.generic) and not is_time else value
