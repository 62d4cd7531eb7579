"""Elastic net, one a perturbation: another head for LEAP's codes, tried in `leaplib.runs.recipes`.

For each perturbation and fold, minimise over b, b0 on the n training samples that have the label

    ||y - b0 - X b||^2 / (2 n) + alpha (r ||b||_1 + (1 - r) ||b||^2 / 2)

at each share r of the L1 penalty and on a path of alphas from the smallest at which all weights are 0.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from sklearn.linear_model import enet_path

from leaplib.base.errors import InputError
from leaplib.models.base import Training
from leaplib.models.lasso import PSLasso
from leaplib.models.tuning import LinearModels, Tuned

TOLERANCE = 1e-3  # duality gap, relative to the labels' sum of squares


@dataclass(eq=False, repr=False)
class PSElasticNet(Tuned):
    """Perturbation-specific elastic net, tuned and averaged over the folds as PS-LASSO is.

    Parameters
    ----------
    grid : mapping, optional
        "l1_ratio" tried: shares of the L1 penalty, above 0 and at most 1.
    n_alphas : int
        Penalties tried, log-spaced.
    eps : float
        The smallest penalty as a share of the largest.
    random_state : int
        Seed of the folds when `fit` is not given any.
    ensemble : {"folds", "refit"}
        As `DualRidge`.
    """

    fold_model: ClassVar = LinearModels
    block: ClassVar = 256
    default_grid: ClassVar = {"l1_ratio": [0.9, 0.5, 0.1]}

    grid: Mapping[str, Sequence[float]] | None = None
    n_alphas: int = 10
    eps: float = 3e-2
    random_state: int = 0
    ensemble: str = "folds"

    work = PSLasso.work

    def _fit_fold(self, data: Training, fold: int) -> LinearModels:
        ratios = [point["l1_ratio"] for point in self.points()]
        if not all(0 < ratio <= 1 for ratio in ratios) or self.n_alphas < 1 or not 0 < self.eps < 1:
            raise InputError(f"l1_ratio={ratios}, n_alphas={self.n_alphas}, eps={self.eps}: use shares above 0 and at "
                             "most 1, n_alphas >= 1 and 0 < eps < 1")  # fmt: skip
        paths = [self._paths(data.X, labels, ratios) for labels in data.Y.T]
        return LinearModels(*(np.stack(parts, axis=-1) for parts in zip(*paths, strict=True)))

    def _paths(self, X: np.ndarray, y: np.ndarray, ratios: Sequence[float]) -> tuple[np.ndarray, ...]:
        """Return weights (G x p), intercepts and penalties (G) of one perturbation, 0 where nothing is measured."""
        measured, n_points = ~np.isnan(y), len(ratios) * self.n_alphas
        if not measured.any():
            return np.zeros((n_points, X.shape[1])), np.zeros(n_points), np.zeros(n_points)
        center, level = X[measured].mean(axis=0), y[measured].mean()
        features, labels = X[measured] - center, y[measured] - level
        gram, products = features.T @ features, features.T @ labels
        largest = np.abs(products).max() / len(labels)
        coef, penalties = [], []
        for ratio in ratios:
            alphas = np.geomspace(1, self.eps, self.n_alphas) * max(largest / ratio, np.finfo(float).tiny)
            settings = {"l1_ratio": ratio, "alphas": alphas, "precompute": gram, "Xy": products, "tol": TOLERANCE}
            coef.append(enet_path(features, labels, **settings)[1].T)
            penalties.append(alphas)
        found = np.concatenate(coef)
        return found, level - found @ center, np.concatenate(penalties)
