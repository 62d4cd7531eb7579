"""PS-LASSO: one tuned, fold-averaged Lasso a perturbation."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from leaplib.cohorts.splits import N_FOLDS
from leaplib.models.base import Training
from leaplib.models.lasso_path import lasso_paths
from leaplib.models.tuning import FoldModel, LinearModels, Tuned


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
    random_state: int = 0
    ensemble: str = "folds"

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
