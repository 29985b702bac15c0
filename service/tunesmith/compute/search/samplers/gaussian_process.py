"""Bayesian search: a Gaussian process over the unit cube says where a trial is worth most.

n, m, d: trials it learns from, candidates, features. Cost of a batch: O(n² m), with n <= 300 and m <= 1,012.

1. The first batch is spread over the region, after the warm points.
2. Scores further below the median than the best is above it count as that far, as do trials without a score, so that
   cliffs do not bend the surface. Of more than 300 trials, the 150 best and an even selection of the rest.
3. Features are the positions on the axes, the middle of a discrete value's part, and 0 or 1 for each choice.
4. scikit-learn's GaussianProcessRegressor, Matérn 5/2 with a length for each feature and noise. The lengths are fitted
   to the first trials, up to the last of the numbers 1.3^k, so that they are a function of what was told.
5. Candidates are points that are not known: random ones, and steps of all sizes from the best.
6. The acquisition picks the batch point by point, the process believing its own mean of each (kriging believer:
   Ginsbourger, Le Riche & Carraro 2010); the mean stays, the deviation falls around what was picked.

Acquisitions (Jones, Schonlau & Welch 1998; Srinivas et al. 2010; Kushner 1964), f being the best of the targets and
z = (mu - f - xi)/sigma: ei (mu - f - xi) Phi(z) + sigma phi(z); ucb mu + kappa sigma; poi Phi(z).
"""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from tunesmith.compute.search.samplers.breeding import Breeding
from tunesmith.compute.search.samplers.learner import Learner, best_first
from tunesmith.compute.search.samplers.sampler import Problem
from tunesmith.domain.array_types import Floats, Ints

if TYPE_CHECKING:
    from sklearn.gaussian_process import GaussianProcessRegressor


_BATCH = 4
_INITIAL = 16
_XI = 0.01
_KAPPA = 2.0
_MOST_FITTED = 150
_MOST_LEARNED = 300
_GROWTH = 1.3
_RANDOM = 500
_PARENTS = 16
_NEAR = 32
_LEAST_VARIANCE = 1e-12


class GaussianProcess(Learner):
    """Defaults: `n_initial` 16, `batch` 4, `acquisition` ei; `xi` 0.01 and `kappa` 2 in deviations of the scores."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        options = problem.options
        self._batch_size = options.batch or _BATCH
        self._n_initial = options.n_initial or _INITIAL
        self._acquisition = options.acquisition or "ei"
        self._xi = _XI if options.xi is None else options.xi
        self._kappa = _KAPPA if options.kappa is None else options.kappa
        self._fitted: tuple[int, Any] = (0, None)

    def size(self, batch: int, start: int) -> int:
        return self._batch_size if batch else self._n_initial

    def propose(self, batch: int, n: int, rng: np.random.Generator) -> Floats:
        from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

        candidates = self._candidates(rng)
        if len(candidates) <= n or np.isnan(self.scores).all():
            return self.spread(n, rng)
        with threadpool_limits(limits=1):
            rows = self._selected(len(self.points), _MOST_LEARNED)
            process = _regressor(self._kernel(), optimizer=None)
            targets = levelled(self.scores[:, 0])[rows]
            process.fit(self._features(self.points[rows]), targets)
            picked = self._picked(process, self._features(candidates), float(targets.max()), n)
        return candidates[picked]

    def _picked(self, process: GaussianProcessRegressor, features: Floats, best: float, n: int) -> list[int]:
        """Which candidates, of features float64[m, d], are the batch: the acquisition's best one after the other."""
        from scipy.linalg import solve_triangular

        latent = process.kernel_.k1
        cross = latent(process.X_train_, features)
        whitened = solve_triangular(process.L_, cross, lower=True)
        mean = cross.T @ process.alpha_
        variance = latent.diag(features) - np.einsum("ij,ij->j", whitened, whitened)
        noise = float(process.kernel_.k2.noise_level)
        picked: list[int] = []
        for _ in range(n):
            worth = self._worth(mean - best, np.sqrt(np.maximum(variance, _LEAST_VARIANCE)))
            worth[picked] = -np.inf
            i = int(np.argmax(worth))
            picked.append(i)
            covariance = latent(features[i : i + 1], features)[0] - whitened[:, i] @ whitened
            row = covariance / math.sqrt(max(variance[i], 0.0) + noise)
            whitened = np.concatenate([whitened, row[np.newaxis]])
            variance = variance - row**2
        return picked

    def _worth(self, gain: Floats, sigma: Floats) -> Floats:
        """The acquisition where the mean exceeds the best by `gain` float64[m] and deviates by `sigma` float64[m]."""
        from scipy.special import log_ndtr, ndtr

        if self._acquisition == "ucb":
            return gain + self._kappa * sigma
        z = (gain - self._xi) / sigma
        if self._acquisition == "poi":
            return np.asarray(log_ndtr(z))
        return np.asarray(sigma * (z * ndtr(z) + np.exp(-0.5 * z**2) / math.sqrt(2.0 * math.pi)))

    def _kernel(self) -> Any:
        """The kernel with the lengths that fit the trials up to the last milestone."""
        steps = math.floor(math.log(len(self.points) / self.edges[1]) / math.log(_GROWTH) + 1e-9)
        milestone = min(math.ceil(self.edges[1] * _GROWTH ** max(steps, 0)), len(self.points))
        if self._fitted[0] != milestone:
            rows = self._selected(milestone, _MOST_FITTED)
            features = self._features(self.points[rows])
            process = _regressor(_matern(features.shape[1]), optimizer="fmin_l_bfgs_b")
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                process.fit(features, levelled(self.scores[:milestone, 0])[rows])
            self._fitted = (milestone, process.kernel_)
        return self._fitted[1]

    def _selected(self, n: int, most: int) -> Ints:
        """Of the first `n` trials at most `most` to learn from: the better ones, and some of each sort; int64[k]."""
        order = best_first(self.scores[:n, 0])
        half = most // 2
        if n <= most:
            return np.arange(n)
        return np.sort(np.concatenate([order[:half], order[np.linspace(half, n - 1, most - half).astype(np.int64)]]))

    def _features(self, points: Floats) -> Floats:
        unit = self.region.to_unit(points)
        columns = [unit[:, ~self.axes.categorical]]
        for axis in np.flatnonzero(self.axes.categorical):
            cells = (unit[:, axis] * self.axes.sizes[axis]).astype(np.int64)
            columns.append(np.eye(self.axes.sizes[axis])[cells])
        return np.concatenate(columns, axis=1)

    def _candidates(self, rng: np.random.Generator) -> Floats:
        found = self.known.draw(_RANDOM, self.points[:0], rng)
        best = self.region.to_unit(self.points[best_first(self.scores[:, 0])[:_PARENTS]])
        parents = np.repeat(best, _NEAR, axis=0)
        steps = Breeding(crossover=0.0, blend=0.0, mutation=1.5 / max(len(self.axes), 1))
        near = self.region.from_unit(steps.offspring(self.axes, parents, parents, rng))
        return np.concatenate([found, self.known.new(near, found)])


def levelled(scores: Floats) -> Floats:
    """`scores` float64[n] with mean 0 and deviation 1, the undefined and the very bad at one level; float64[n]."""
    finite = scores[np.isfinite(scores)]
    if not len(finite):
        return np.zeros(len(scores))
    best, median = float(finite.max()), float(np.median(finite))
    level = np.clip(np.where(np.isnan(scores), -np.inf, scores), max(2.0 * median - best, float(finite.min())), best)
    return np.asarray((level - level.mean()) / (level.std() or 1.0))


def _matern(n_features: int) -> Any:
    from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

    shape = Matern(np.full(n_features, 0.5), (0.05, 20.0), nu=2.5)
    return ConstantKernel(1.0, (0.05, 20.0)) * shape + WhiteKernel(0.05, (1e-4, 1.0))


def _regressor(kernel: Any, *, optimizer: str | None) -> GaussianProcessRegressor:
    from sklearn.gaussian_process import GaussianProcessRegressor

    return GaussianProcessRegressor(kernel, alpha=1e-10, optimizer=optimizer, random_state=0)
