"""Tree-structured Parzen estimator: Optuna's, in batches.

Bergstra, Bardenet, Bengio & Kégl 2011; multivariate: Falkner, Klein & Hutter 2018; several targets: Ozaki, Tanigaki,
Watanabe & Onishi 2020.

1. The first batch is spread over the region, after the warm points.
2. Optuna's sampler sees the trials told, in their order, each axis by the number of its value (a choice as a choice); a
   trial without a score is one that breaks a constraint, worse than any other.
3. A batch is drawn from the one estimate with a seed of its own; what is asked for is told as failed, which Optuna
   leaves out of account, since it comes back as a trial told. What is drawn that is known, or breaks the conditions,
   is drawn again; what is still missing after four times as many draws as the batch has trials is random.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tunesmith.compute.search.samplers.learner import Learner
from tunesmith.compute.search.samplers.sampler import Problem
from tunesmith.domain.array_types import Floats

if TYPE_CHECKING:
    import optuna


_BATCH = 8
_INITIAL = 16
_DRAWS = 4


class TPE(Learner):
    """Defaults: `n_initial` 16, `batch` 8."""

    def __init__(self, problem: Problem) -> None:
        import optuna

        super().__init__(problem, most_targets=problem.n_targets)
        self._optuna = optuna
        self._batch_size = problem.options.batch or _BATCH
        self._n_initial = problem.options.n_initial or _INITIAL
        self._distributions = {
            str(i): self._distribution(int(size), bool(categorical))
            for i, (size, categorical) in enumerate(zip(self.axes.sizes, self.axes.categorical, strict=True))
        }
        self._study: optuna.Study | None = None
        self._n_added = 0

    def size(self, batch: int, start: int) -> int:
        return self._batch_size if batch else self._n_initial

    def propose(self, batch: int, n: int, rng: np.random.Generator) -> Floats:
        study = self._updated()
        study.sampler = self._optuna.samplers.TPESampler(
            n_startup_trials=0, multivariate=True, constant_liar=False, seed=int(rng.integers(2**32))
        )
        found = self.points[:0]
        for _ in range(_DRAWS * n):
            asked = study.ask(self._distributions)
            study.tell(asked, state=self._optuna.trial.TrialState.FAIL)
            found = np.concatenate([found, self.known.new(self.region.from_unit(self._to_unit(asked.params)), found)])
            if len(found) == n:
                break
        return self.filled(found, n, rng)

    def _updated(self) -> optuna.Study:
        """The study that holds every trial before the batch."""
        if self._study is None:
            verbosity = self._optuna.logging.get_verbosity()
            self._optuna.logging.set_verbosity(self._optuna.logging.WARNING)
            self._study = self._optuna.create_study(directions=["maximize"] * self.problem.n_targets)
            self._optuna.logging.set_verbosity(verbosity)
        unit = self.region.to_unit(self.points[self._n_added :])
        for row, scores in zip(unit, self.scores[self._n_added :].tolist(), strict=True):
            self._study.add_trial(self._trial(row, scores))
        self._n_added = len(self.points)
        return self._study

    def _trial(self, unit: Floats, scores: list[float]) -> optuna.trial.FrozenTrial:
        cells = np.where(self.axes.sizes > 0, np.floor(unit * self.axes.sizes), unit).tolist()
        params = {
            name: int(cell) if size else cell
            for name, cell, size in zip(self._distributions, cells, self.axes.sizes.tolist(), strict=True)
        }
        undefined = any(score != score for score in scores)
        return self._optuna.create_trial(
            values=[0.0] * len(scores) if undefined else scores,
            params=params,
            distributions=self._distributions,
            constraints={"defined": 1.0 if undefined else -1.0},
        )

    def _to_unit(self, params: dict[str, Any]) -> Floats:
        drawn = np.array([[float(params[name]) for name in self._distributions]])
        return np.where(self.axes.sizes > 0, (drawn + 0.5) / np.maximum(self.axes.sizes, 1), drawn)

    def _distribution(self, size: int, categorical: bool) -> optuna.distributions.BaseDistribution:
        kinds = self._optuna.distributions
        if categorical:
            return kinds.CategoricalDistribution(tuple(range(size)))
        return kinds.IntDistribution(0, size - 1) if size else kinds.FloatDistribution(0.0, 1.0)
