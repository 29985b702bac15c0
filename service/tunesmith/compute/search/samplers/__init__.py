"""Search methods: which points to try, in which order.

One file a method, one line here; from outside the package, `register`. What a method tries depends on the problem and
on the trials that it was told alone, never on who runs them or how many run at once, so that a search can be split,
stopped and resumed to the bit.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from tunesmith.compute.search.feasible_space import Region
from tunesmith.compute.search.samplers.auto_method import choose
from tunesmith.compute.search.samplers.gaussian_process import GaussianProcess
from tunesmith.compute.search.samplers.genetic import Genetic
from tunesmith.compute.search.samplers.grid import Grid
from tunesmith.compute.search.samplers.latin_hypercube import LatinHypercube
from tunesmith.compute.search.samplers.nsga2 import NSGA2
from tunesmith.compute.search.samplers.random import Random
from tunesmith.compute.search.samplers.sampler import Problem, Sampler
from tunesmith.compute.search.samplers.sobol import Sobol
from tunesmith.compute.search.samplers.staged import Staged
from tunesmith.compute.search.samplers.tpe import TPE
from tunesmith.compute.search.samplers.zoom import Zoom
from tunesmith.errors import FieldError, Invalid


class SearchMethod(NamedTuple):
    """A search method: what makes its sampler, the options that it knows, and whether scores decide what it tries."""

    name: str
    make: Callable[[Problem], Sampler]
    options: tuple[str, ...] = ()
    learns: bool = False


SAMPLERS: dict[str, SearchMethod] = {}
"""Search methods by name. Requests may name those of `domain.search.methods.Method`, and auto."""


def register(method: SearchMethod) -> None:
    """Add a method to the table. Raises `ValueError` where its name is taken."""
    if method.name in SAMPLERS or method.name == "auto":
        raise ValueError(f"there is a search method {method.name!r} already")
    SAMPLERS[method.name] = method


for _method in (
    SearchMethod("grid", Grid, ("every",)),
    SearchMethod("random", Random),
    SearchMethod("latin_hypercube", LatinHypercube),
    SearchMethod("sobol", Sobol),
    SearchMethod("tpe", TPE, ("n_initial", "batch"), learns=True),
    SearchMethod(
        "gaussian_process", GaussianProcess, ("n_initial", "batch", "acquisition", "xi", "kappa"), learns=True
    ),
    SearchMethod(
        "genetic", Genetic, ("population", "crossover", "blend", "mutation", "tournament", "elite"), learns=True
    ),
    SearchMethod("nsga2", NSGA2, ("population", "crossover", "blend", "mutation"), learns=True),
    SearchMethod("staged", Staged, ("stages", "passes"), learns=True),
    SearchMethod("zoom", Zoom, ("n_initial", "shrink", "rounds"), learns=True),
):
    register(_method)


def make_sampler(method: str, problem: Problem, options_path: str = "/data/options") -> Sampler:
    """The sampler of `method` for `problem`. Raises `Invalid` with the path of every option that it does not know."""
    known, options = SAMPLERS[method].options, problem.options
    given = [name for name in options.__struct_fields__ if getattr(options, name) is not None]
    says = f"{method} has no such option; it has {', '.join(known) or 'none'}"
    errors = tuple(FieldError(f"{options_path}/{name}", says) for name in given if name not in known)
    if errors:
        raise Invalid(says, errors=errors)
    return SAMPLERS[method].make(problem)


def choose_method(region: Region, method: str, n_trials: int, n_targets: int) -> tuple[str, str | None]:
    """`method` itself; for "auto" what suits the search, and why."""
    if method != "auto":
        return method, None
    choice = choose(region, n_trials, n_targets)
    return choice.method, choice.reason
