"""The parameter space: which points a search may try, by arithmetic instead of by lists."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tunesmith.domain.parameters import Parameter, Range, Scalar
from tunesmith.errors import FieldError, Invalid

_STEPS_WITHOUT_STEP = 10


@dataclass(frozen=True, slots=True)
class Dimension:
    """One searched parameter.

    Either `values` lists its points (codes, see `encode`), or it is the arithmetic sequence low, low + step, … <= high,
    or, with `step` None, the continuous interval [low, high] (log-uniform with `log`), which a grid samples at
    `n_steps` points.
    """

    parameter: Parameter
    low: float = 0.0
    high: float = 0.0
    step: float | None = None
    log: bool = False
    values: tuple[float, ...] = ()
    n_steps: int = _STEPS_WITHOUT_STEP

    @property
    def name(self) -> str:
        return self.parameter.name

    @property
    def size(self) -> int:
        """Number of grid points along this dimension."""
        if self.values:
            return len(self.values)
        if self.step is None:
            return self.n_steps if self.high > self.low else 1
        return math.floor((self.high - self.low) / self.step + 1e-9) + 1

    def at(self, index: NDArray[np.int64]) -> NDArray[np.float64]:
        """Codes of the grid points `index` int64[n] (0 <= index < size); float64[n]."""
        if self.values:
            return np.asarray(self.values, np.float64)[index]
        if self.step is not None:
            return self._settle(self.low + index.astype(np.float64) * self.step)
        if self.size == 1:
            return np.full(len(index), self.low)
        return self.sample(index / (self.size - 1))

    def sample(self, unit: NDArray[np.float64]) -> NDArray[np.float64]:
        """Codes at the positions `unit` float64[n] in [0, 1): how samplers draw; float64[n]."""
        if self.values or self.step is not None:
            return self.at(np.minimum((unit * self.size).astype(np.int64), self.size - 1))
        if self.log:
            low, high = math.log(self.low), math.log(self.high)
            return np.clip(np.exp(low + unit * (high - low)), self.low, self.high)
        return self.low + unit * (self.high - self.low)

    def _settle(self, code: NDArray[np.float64]) -> NDArray[np.float64]:
        """Codes without the rounding dust of repeated steps: 0.30000000000000004 is 0.3."""
        return np.minimum(np.round(code, 12), self.high)


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
        return all(d.values or d.step is not None or d.size == 1 for d in self.dimensions)

    def grid(self, start: int, stop: int) -> NDArray[np.float64]:
        """Points with the grid indices start to stop (exclusive); float64[stop - start, p]."""
        return self.grid_at(np.arange(start, stop, dtype=np.int64))

    def grid_at(self, index: NDArray[np.int64]) -> NDArray[np.float64]:
        """Points with the grid indices `index` int64[n]; float64[n, p]."""
        columns = {}
        rest = index
        for dimension in reversed(self.dimensions):
            rest, digit = np.divmod(rest, dimension.size)
            columns[dimension.name] = dimension.at(digit)
        return self._assemble(len(index), columns)

    def sample(self, unit: NDArray[np.float64]) -> NDArray[np.float64]:
        """Points at `unit` float64[n, len(dimensions)] in [0, 1); float64[n, p]."""
        columns = {d.name: d.sample(unit[:, i]) for i, d in enumerate(self.dimensions)}
        return self._assemble(len(unit), columns)

    def _assemble(self, n: int, columns: Mapping[str, NDArray[np.float64]]) -> NDArray[np.float64]:
        points = np.empty((n, len(self.parameters)))
        for column, parameter in enumerate(self.parameters):
            points[:, column] = columns.get(parameter.name, self.fixed.get(parameter.name, np.nan))
        return points


def encode(parameter: Parameter, value: Any) -> float:
    """The code of a checked value: numbers are themselves, a bool is 0 or 1, a choice is its index."""
    if parameter.kind == "choice":
        return float(next(i for i, c in enumerate(parameter.choices) if type(c) is type(value) and c == value))
    return float(value)


def decode(parameter: Parameter, code: float) -> Scalar:
    """The value of a code, in the parameter's own type."""
    if parameter.kind == "choice":
        return parameter.choices[int(code)]
    if parameter.kind == "bool":
        return bool(code)
    return int(code) if parameter.kind == "int" else float(code)


def decode_point(parameters: Sequence[Parameter], codes: NDArray[np.float64]) -> dict[str, Scalar]:
    """One point's values by parameter name; `codes` float64[p]."""
    return {p.name: decode(p, float(code)) for p, code in zip(parameters, codes, strict=True)}


def encode_points(
    parameters: Sequence[Parameter], params: Mapping[str, Any], path: str = "/params"
) -> NDArray[np.float64]:
    """Zipped parameter values as points float64[n, p]: arrays of one length or scalars; the unnamed take defaults.

    Raises `Invalid` with the field's path for unknown names, values out of bounds and differing lengths.
    """
    _refuse_unknown(parameters, params, path)
    given = {name: np.asarray(values) for name, values in params.items()}
    lengths = {len(values) for values in given.values() if values.ndim}
    if len(lengths) > 1 or any(values.ndim > 1 for values in given.values()):
        raise Invalid(f"parameter arrays must be flat and of one length, got lengths {sorted(lengths)}", path=path)
    n = lengths.pop() if lengths else 1
    points = np.empty((n, len(parameters)))
    for column, parameter in enumerate(parameters):
        values = given.get(parameter.name)
        if values is None:
            points[:, column] = encode(parameter, parameter.default)
            continue
        distinct, inverse = np.unique(values, return_inverse=True)
        codes = np.empty(len(distinct))
        for i, value in enumerate(distinct.tolist()):
            wrong = parameter.check(value)
            if wrong:
                raise Invalid(wrong, path=f"{path}/{parameter.name}")
            codes[i] = encode(parameter, value)
        points[:, column] = codes[inverse.reshape(values.shape)]
    return points


def build_space(
    parameters: Sequence[Parameter], ranges: Mapping[str, Any] | None, path: str = "/data/param_ranges"
) -> Space:
    """The space that `ranges` asks for; an empty one means every range that the strategy declares.

    `ranges` maps names to a `Range` (or its dict), a list of values or one fixed value; parameters left out keep their
    defaults. Raises `Invalid` with a path for each refused field.
    """
    _refuse_unknown(parameters, ranges or {}, path)
    dimensions: list[Dimension] = []
    fixed: dict[str, float] = {}
    errors: list[FieldError] = []
    for parameter in parameters:
        if not ranges:
            dimensions.append(_declared(parameter))
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
    return Space(tuple(parameters), tuple(dimensions), fixed)


def _place(parameter: Parameter, spec: Any, where: str, dimensions: list[Dimension], fixed: dict[str, float]) -> None:
    if isinstance(spec, Mapping):
        unknown = [name for name in spec if name not in Range.__struct_fields__]
        if unknown:
            raise Invalid(f"a range has no member {unknown[0]!r}", path=f"{where}/{unknown[0]}")
        spec = Range(**spec)
    if isinstance(spec, Range):
        dimensions.append(_ranged(parameter, spec, where))
    elif isinstance(spec, list | tuple | np.ndarray | range):
        dimensions.append(_listed(parameter, list(spec), where))
    else:
        wrong = parameter.check(spec)
        if wrong:
            raise Invalid(wrong, path=where)
        fixed[parameter.name] = encode(parameter, spec)


def _declared(parameter: Parameter) -> Dimension:
    if parameter.kind == "bool":
        return Dimension(parameter, values=(0.0, 1.0))
    if parameter.kind == "choice":
        return Dimension(parameter, values=tuple(float(i) for i in range(len(parameter.choices))))
    low, high = parameter.low, parameter.high
    if low is None or high is None:
        return Dimension(parameter, values=(encode(parameter, parameter.default),))
    step = parameter.step or (1.0 if parameter.kind == "int" and not parameter.log else None)
    return _spaced(parameter, low, high, step, parameter.log)


def _ranged(parameter: Parameter, spec: Range, where: str) -> Dimension:
    if spec.values is not None:
        if spec.min is not None or spec.max is not None or spec.step is not None or spec.log:
            raise Invalid("give either values, or min and max", path=where)
        return _listed(parameter, spec.values, f"{where}/values")
    if parameter.kind in ("choice", "bool"):
        raise Invalid(f"{parameter.name} is a {parameter.kind}; give values", path=where)
    low = parameter.low if spec.min is None else spec.min
    high = parameter.high if spec.max is None else spec.max
    for name, bound in (("min", low), ("max", high)):
        wrong = None if bound is None else parameter.check(bound)
        if wrong:
            raise Invalid(wrong, path=f"{where}/{name}")
    if low is None or high is None:
        raise Invalid("min and max are needed: the strategy declares no bounds", path=where)
    if low > high:
        raise Invalid(f"min {low:g} is above max {high:g}", path=f"{where}/min")
    if spec.log and low <= 0:
        raise Invalid("a log range needs min > 0", path=f"{where}/min")
    if spec.log and spec.step is not None:
        raise Invalid("a log range has no step", path=f"{where}/step")
    if parameter.kind == "int" and spec.step is not None and spec.step != int(spec.step):
        raise Invalid(f"{spec.step:g} is not a whole number", path=f"{where}/step")
    step = spec.step
    if step is None and not spec.log:
        step = parameter.step or (1.0 if parameter.kind == "int" else None)
    return _spaced(parameter, float(low), float(high), None if step is None else float(step), spec.log)


def _spaced(parameter: Parameter, low: float, high: float, step: float | None, log: bool) -> Dimension:
    if log and parameter.kind == "int":
        raw = np.exp(np.linspace(math.log(low), math.log(high), min(int(high - low) + 1, 64)))
        return Dimension(parameter, values=tuple(float(v) for v in np.unique(np.clip(np.rint(raw), low, high))))
    return Dimension(parameter, low=low, high=high, step=step, log=log)


def _listed(parameter: Parameter, values: list[Any], where: str) -> Dimension:
    if not values:
        raise Invalid("the list of values is empty", path=where)
    codes: dict[float, None] = {}
    for i, raw in enumerate(values):
        value = raw.item() if isinstance(raw, np.generic) else raw
        wrong = parameter.check(value)
        if wrong:
            raise Invalid(wrong, path=f"{where}/{i}")
        codes[encode(parameter, value)] = None
    return Dimension(parameter, values=tuple(codes))


def _refuse_unknown(parameters: Sequence[Parameter], given: Mapping[str, Any], path: str) -> None:
    names = [parameter.name for parameter in parameters]
    for name in given:
        if name not in names:
            import difflib

            near = difflib.get_close_matches(str(name), names, 1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; it has {', '.join(names) or 'no parameters'}"
            raise Invalid(f"the strategy has no parameter {name!r}{hint}", path=f"{path}/{name}")
