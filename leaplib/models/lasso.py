"""PS-LASSO: one tuned, fold-averaged Lasso a perturbation; beside it the elastic net, another head for LEAP's codes.

The elastic net minimises over b, b0, for each perturbation and fold, on the n training samples that have the label,

    ||y - b0 - X b||^2 / (2 n) + alpha (r ||b||_1 + (1 - r) ||b||^2 / 2)

at each share r of the L1 penalty and on a path of alphas from the smallest at which all weights are 0.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from sklearn.linear_model import enet_path

from leaplib.base.errors import InputError
from leaplib.cohorts.splits import N_FOLDS
from leaplib.models.base import Training
from leaplib.models.lasso_path import lasso_paths
from leaplib.models.tuning import FoldModel, LinearModels, Tuned

TOLERANCE = 1e-3  # of the elastic net: duality gap, relative to the labels' sum of squares


@dataclass(eq=False, repr=False)
class PSLasso(Tuned):
    """Perturbation-specific Lasso (paper, Methods, "Regression algorithms" and "Layered ensembling").

    For each perturbation 10 penalties, log-spaced from the smallest that zeroes all coefficients on the
    whole training set down to a thousandth of it, are tried by cross-validation; the one with the best mean
    Spearman correlation is kept, and the prediction is the average of the fold models at that penalty.

    Parameters
    ----------
    n_alphas : int
        Penalties tried.
    eps : float
        Smallest penalty over the largest.
    random_state : int
        Seed of the folds when `fit` is not given any.
    ensemble : {"folds", "refit"}
        Predict with the average of the fold models, or (ablations) with one Lasso fitted on the whole training set
        at the chosen penalty.

    Attributes
    ----------
    coef_ : array, folds x features x perturbations
        With `ensemble` "refit" there is one model instead of the folds', here and below.
    intercept_ : array, folds x perturbations
    alpha_ : array, perturbations
        Penalty chosen.
    cv_score_ : array, perturbations
        Mean Spearman correlation on the held-out folds at that penalty.
    """

    fold_model: ClassVar = LinearModels
    block: ClassVar = 256

    n_alphas: int = 10
    eps: float = 1e-3

    def work(self, n_train: int, n_pairs: int, n_test: int, n_perturbations: int) -> float:
        """Return perturbations x samples in millions, over the folds: all penalties at once."""
        return n_perturbations * n_train * (N_FOLDS + 1) / 1e6

    def _fit_folds(self, data: Training, folds: np.ndarray) -> list[FoldModel]:
        held = None if (folds == -1).all() else folds
        paths = lasso_paths(data.X, data.Y, held, self.n_alphas, self.eps)
        return [LinearModels(*fit, paths.alphas) for fit in zip(paths.coef, paths.intercept, strict=True)]

    @property
    def coef_(self) -> np.ndarray:
        """Coefficients of the models that predict."""
        return self._joined("coef")

    @property
    def intercept_(self) -> np.ndarray:
        """Intercepts of the models that predict."""
        return self._joined("intercept")

    @property
    def alpha_(self) -> np.ndarray:
        """Penalty of each perturbation."""
        return self._joined("penalty")[0]


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
