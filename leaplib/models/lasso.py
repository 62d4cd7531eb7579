"""PS-LASSO: one tuned, fold-averaged Lasso a perturbation."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from leaplib.cohorts.splits import N_FOLDS
from leaplib.models.base import Training
from leaplib.models.lasso_path import lasso_paths
from leaplib.models.tuning import FoldModel, Tuned


@dataclass
class LassoModels(FoldModel):
    """Lassos of L perturbations at G penalties."""

    coef: np.ndarray  # (G, p, L)
    intercept: np.ndarray  # (G, L)
    alpha: np.ndarray  # (G, L)
    gap: np.ndarray  # (G, L)

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Return predictions, G x samples x perturbations."""
        return X @ self.coef + self.intercept[:, None, :]

    def keep(self, points: np.ndarray) -> "LassoModels":
        """Return the Lassos at one penalty a perturbation."""
        column = np.arange(len(points))
        parts = (self.coef.swapaxes(1, 2), self.intercept, self.alpha, self.gap)
        coef, intercept, alpha, gap = (array[points, column][None] for array in parts)
        return LassoModels(np.ascontiguousarray(coef.swapaxes(1, 2)), intercept, alpha, gap)


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
    device : {"auto", "cpu", "cuda"}
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
    gap_ : float
        Largest duality gap of the fits kept, relative to the null loss.
    """

    fold_model: ClassVar = LassoModels
    block: ClassVar = 256

    def __init__(self, n_alphas: int = 10, eps: float = 1e-3, random_state: int = 0, device: str = "auto",
                 ensemble: str = "folds"):  # fmt: skip
        self.n_alphas = n_alphas
        self.eps = eps
        self.random_state = random_state
        self.device = device
        self.ensemble = ensemble

    def work(self, n_train: int, n_pairs: int, n_test: int, n_perturbations: int) -> float:
        """Return perturbations x samples in millions, over the folds: all penalties at once."""
        return n_perturbations * n_train * (N_FOLDS + 1) / 1e6

    def _fit_folds(self, data: Training, folds: np.ndarray) -> list[FoldModel]:
        held = None if (folds == -1).all() else folds
        paths = lasso_paths(data.X, data.Y, held, n_alphas=self.n_alphas, eps=self.eps, device=self.device)
        each = zip(paths.coef, paths.intercept, paths.gap, strict=True)
        return [LassoModels(coef, intercept, paths.alphas, gap) for coef, intercept, gap in each]

    def _joined(self, name: str) -> np.ndarray:
        """Return an array of the kept fits, folds x ... x perturbations."""
        folds = zip(*self.parts_, strict=True)
        return np.array([np.concatenate([getattr(model, name)[0] for model in fold], axis=-1) for fold in folds])

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
        return self._joined("alpha")[0]

    @property
    def gap_(self) -> float:
        """Largest duality gap of the fits kept."""
        return float(self._joined("gap").max())
