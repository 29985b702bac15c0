"""Staged search: the parameters in groups, one after the other, the best so far carried on.

1. It starts at the warm points and the parameters' defaults; the seed does not matter.
2. A stage tries every combination of its own ranges, all other parameters staying at the best of all trials so far.
   What is known takes no trial. A stage in which no trial has a score is an answer too: what was carried stays.
3. A second pass through all stages finds what the first could not, a stage's best depending on the stages after it.

Without stages, each parameter is one: a pass tries at most 12 of its values, spread evenly over a window around the
best that is the whole range at first and a quarter as wide in every pass after.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tunesmith.compute.search.samplers.axes import nearest
from tunesmith.compute.search.samplers.learner import Learner, best_first
from tunesmith.compute.search.samplers.sampler import Problem
from tunesmith.domain.array_types import Flags, Floats
from tunesmith.domain.dimension import Dimension
from tunesmith.domain.parameters import decode, encode
from tunesmith.domain.search.methods import Stage
from tunesmith.domain.space import Space, build_space
from tunesmith.errors import FieldError, Invalid

_BLOCK = 1024
_VALUES = 12
_NARROWER = 4.0
_LEAST_PASSES = 2
_CHECKED = 65_536


@dataclass(frozen=True)
class StageAnswer:
    """What one stage found: its name and pass (from 1), how many trials it took, whether it brought a better best, and
    the point float64[p] that is carried on.
    """

    name: str
    number: int
    n_trials: int
    improved: bool
    carried: Floats


class Staged(Learner):
    """Defaults: `stages` one for each parameter; `passes` two, and more while they bring something better.

    `answers` are those of the stages that are over.
    """

    def __init__(self, problem: Problem) -> None:
        """Raises `Invalid` with the path of a stage's value that the region's space does not have."""
        super().__init__(problem)
        self.answers: list[StageAnswer] = []
        self._stages = [
            (stage.name, _ranges(self.region.space, stage, f"/data/options/stages/{i}/params"))
            for i, stage in enumerate(problem.options.stages or ())
        ]
        self._carried = self.points[:0]
        self._best = -np.inf
        self._batches = self._plan()
        self._under_way = self.points

    def size(self, batch: int, start: int) -> int:
        self._under_way = next(self._batches, self.points[:0])
        return len(self._under_way)

    def begin(self, n: int, rng: np.random.Generator) -> Floats:
        return self._under_way[:n]

    def propose(self, batch: int, n: int, rng: np.random.Generator) -> Floats:
        return self._under_way[:n]

    def _plan(self) -> Iterator[Floats]:
        """Batch after batch, each asked for when all trials before it were told; float64[at least 1, p]."""
        first = self._start()
        self._carried = first[:1]
        yield first
        self._carry()
        number = 1
        while self._goes_on(number):
            for name, dimensions in self._stages or self._windows(number):
                yield from self._stage(name, dimensions, number)
            number += 1

    def _stage(self, name: str, dimensions: Sequence[Dimension], number: int) -> Iterator[Floats]:
        parameters = self.region.space.parameters
        held = {p.name: float(code) for p, code in zip(parameters, self._carried[0], strict=True)}
        space = Space(parameters, tuple(dimensions), held)
        n_before = len(self.points)
        for start in range(0, space.size, _BLOCK):
            self.known.learn(self.points)
            fresh = self.known.new(space.grid(start, min(start + _BLOCK, space.size)))
            if len(fresh):
                yield fresh
        improved = self._carry()
        self.answers.append(StageAnswer(name, number, len(self.points) - n_before, improved, self._carried[0]))

    def _start(self) -> Floats:
        """The warm points and the defaults, or any point where neither keeps the conditions; float64[at least 1, p]."""
        space = self.region.space
        defaults = {p.name: encode(p, p.default) for p in space.parameters}
        point = nearest(self.region, space.assemble(1, {n: np.array([c]) for n, c in defaults.items()}))
        first = self.known.new(np.concatenate([self.warm, point]))
        return first if len(first) else self.region.draw(0, 0, 1)

    def _carry(self) -> bool:
        """Carry on the best of all trials so far; whether it is better than what was carried."""
        scores = self.scores[:, 0]
        best = best_first(scores)[:1]
        if not len(best) or not scores[best[0]] > self._best:
            return False
        self._best, self._carried = scores[best[0]], self.points[best]
        return True

    def _goes_on(self, number: int) -> bool:
        passes = self.problem.options.passes
        if passes is not None:
            return number <= passes
        last = [answer for answer in self.answers if answer.number == number - 1]
        at_least = _LEAST_PASSES if self._stages else max(_LEAST_PASSES, self._finest)
        return number <= at_least or any(answer.improved for answer in last)

    @property
    def _finest(self) -> int:
        """The pass whose windows leave out no value between; of a continuous axis, whose values are close enough."""
        widest = float(np.max(1.0 / self.axes.cell, initial=1.0))
        return 1 + max(0, math.ceil(math.log(widest / _VALUES, _NARROWER)))

    def _windows(self, number: int) -> Iterator[tuple[str, list[Dimension]]]:
        """Each parameter as a stage: values spread over its window around the best."""
        for axis, dimension in enumerate(self.region.dimensions):
            if self.axes.categorical[axis]:
                yield dimension.name, [dimension]
                continue
            centre = self.region.to_unit(self._carried)[0, axis]
            side = min(1.0, max(_NARROWER ** (1 - number), _VALUES * self.axes.cell[axis]))
            low = min(max(centre - side / 2.0, 0.0), 1.0 - side)
            codes = np.unique(dimension.sample(low + side * (np.arange(_VALUES) + 0.5) / _VALUES))
            yield dimension.name, [Dimension(dimension.parameter, values=tuple(codes.tolist()))]


def _ranges(space: Space, stage: Stage, path: str) -> list[Dimension]:
    """The dimensions that a stage varies; raises `Invalid` for values that `space` does not have."""
    asked = build_space(space.parameters, stage.params, path)
    dimensions = {dimension.name: dimension for dimension in asked.dimensions}
    errors = []
    for parameter in space.parameters:
        if parameter.name not in stage.params:
            continue
        dimension = dimensions.setdefault(
            parameter.name, Dimension(parameter, values=(asked.fixed.get(parameter.name, 0.0),))
        )
        codes = dimension.at(np.arange(min(dimension.size, _CHECKED)))
        outside = codes[~_has(space, parameter.name, codes)]
        if len(outside):
            text = f"the search's own ranges do not have {decode(parameter, outside[0])!r}"
            errors.append(FieldError(f"{path}/{parameter.name}", text))
    if errors:
        raise Invalid(errors[0].message, errors=tuple(errors))
    return list(dimensions.values())


def _has(space: Space, name: str, codes: Floats) -> Flags:
    """Which of the codes float64[n] the space has for a parameter; bool[n]."""
    for dimension in space.dimensions:
        if dimension.name == name:
            if dimension.is_discrete:
                return np.asarray(np.isclose(dimension.sample(dimension.unit(codes)), codes, rtol=1e-12, atol=0.0))
            return (codes >= dimension.low) & (codes <= dimension.high)
    return np.asarray(codes == space.fixed[name])
