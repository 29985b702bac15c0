"""Search methods: which points to try, in which order.

One file a method, one line in `SAMPLERS`. What a method tries depends on the problem and on the trials that it was told
alone, never on who runs them or how many run at once, so that a search can be split, stopped and resumed to the bit.
"""

from __future__ import annotations

from collections.abc import Callable

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
from tunesmith.domain.search.methods import MethodOptions
from tunesmith.errors import FieldError, Invalid

SAMPLERS: dict[str, Callable[[Problem], Sampler]] = {
    "grid": Grid,
    "random": Random,
    "latin_hypercube": LatinHypercube,
    "sobol": Sobol,
    "tpe": TPE,
    "gaussian_process": GaussianProcess,
    "genetic": Genetic,
    "nsga2": NSGA2,
    "staged": Staged,
    "zoom": Zoom,
}
"""Method name → what makes its sampler; `make_sampler` also looks at the options."""

OPTIONS: dict[str, tuple[str, ...]] = {
    "grid": ("every",),
    "tpe": ("n_initial", "batch"),
    "gaussian_process": ("n_initial", "batch", "acquisition", "xi", "kappa"),
    "genetic": ("population", "crossover", "blend", "mutation", "tournament", "elite"),
    "nsga2": ("population", "crossover", "blend", "mutation"),
    "staged": ("stages", "passes"),
    "zoom": ("n_initial", "shrink", "rounds"),
}
"""Method name → the options that it knows; none where it is not named."""


def make_sampler(method: str, problem: Problem, options_path: str = "/data/options") -> Sampler:
    """The sampler of `method` for `problem`. Raises `Invalid` for an option that the method does not know."""
    refuse_unknown(method, problem.options, options_path)
    return SAMPLERS[method](problem)


def refuse_unknown(method: str, options: MethodOptions, path: str = "/data/options") -> None:
    """Raise `Invalid` with the path of every option that is set and that `method` does not know."""
    known = OPTIONS.get(method, ())
    given = [name for name in options.__struct_fields__ if getattr(options, name) is not None]
    says = f"{method} has no such option; it has {', '.join(known) or 'none'}"
    errors = tuple(FieldError(f"{path}/{name}", says) for name in given if name not in known)
    if errors:
        raise Invalid(says, errors=errors)


def choose_method(region: Region, method: str, n_trials: int, n_targets: int) -> tuple[str, str | None]:
    """`method` itself; for "auto" what suits the search, and why."""
    if method != "auto":
        return method, None
    choice = choose(region, n_trials, n_targets)
    return choice.method, choice.reason
