"""Search methods by name, and what a request can say to each."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from tunesmith.domain.parameters import RangeSpec

Method = Literal[
    "auto",
    "grid",
    "random",
    "latin_hypercube",
    "sobol",
    "tpe",
    "gaussian_process",
    "genetic",
    "nsga2",
    "staged",
    "zoom",
]

Share = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]
Small = Annotated[int, msgspec.Meta(ge=1, le=100_000)]


class Stage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One stage of a staged search: the parameters that it varies, the others staying at the best so far."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    params: Annotated[dict[str, RangeSpec], msgspec.Meta(min_length=1, max_length=64)]


class MethodOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of a method; null means the method's own default, and one that the method does not know is refused.

    `every`: grid, every n-th point. `batch`: tpe and gaussian_process, points asked at a time. `n_initial`: tpe,
    gaussian_process and zoom, points before the method learns. `acquisition`, `xi`, `kappa`: gaussian_process.
    `population`, `crossover`, `blend`, `mutation`, `tournament`, `elite`: genetic; the first four nsga2 too.
    `stages`, `passes`: staged. `shrink`, `rounds`: zoom.
    """

    every: Annotated[int, msgspec.Meta(ge=1, le=10**12)] | None = None
    batch: Small | None = None
    n_initial: Small | None = None
    acquisition: Literal["ei", "ucb", "poi"] | None = None
    xi: Annotated[float, msgspec.Meta(ge=0.0, le=1e6)] | None = None
    kappa: Annotated[float, msgspec.Meta(ge=0.0, le=1e6)] | None = None
    population: Annotated[int, msgspec.Meta(ge=4, le=100_000)] | None = None
    crossover: Share | None = None
    blend: Share | None = None
    mutation: Share | None = None
    tournament: Annotated[int, msgspec.Meta(ge=2, le=1000)] | None = None
    elite: Annotated[int, msgspec.Meta(ge=0, le=1000)] | None = None
    stages: Annotated[list[Stage], msgspec.Meta(min_length=1, max_length=64)] | None = None
    passes: Annotated[int, msgspec.Meta(ge=1, le=100)] | None = None
    shrink: Annotated[float, msgspec.Meta(gt=0.0, lt=1.0)] | None = None
    rounds: Annotated[int, msgspec.Meta(ge=1, le=1000)] | None = None
