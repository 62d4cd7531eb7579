"""PS-LASSO: one tuned, fold-averaged Lasso a perturbation."""

import numpy as np

from leaplib.lasso_path import lasso_paths
from leaplib.regressors.base import Regressor
from leaplib.regressors.tuning import best_per_perturbation, fold_scores
from leaplib.splits import random_folds

CHUNK = 256  # perturbations solved at a time: bounds the memory


class PSLasso(Regressor):
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

    Attributes
    ----------
    coef_ : array, folds x features x perturbations
    intercept_ : array, folds x perturbations
    alpha_ : array, perturbations
        Penalty chosen.
    cv_score_ : array, perturbations
        Mean Spearman correlation on the held-out folds at that penalty.
    gap_ : float
        Largest duality gap of all fits, relative to the null loss.
    """

    def __init__(self, n_alphas: int = 10, eps: float = 1e-3, random_state: int = 0, device: str = "auto"):
        self.n_alphas = n_alphas
        self.eps = eps
        self.random_state = random_state
        self.device = device

    def _fit(self, X: np.ndarray, Y: np.ndarray, folds: np.ndarray | None) -> None:
        folds = random_folds(len(X), self.random_state) if folds is None else folds
        parts = [self._fit_chunk(X, Y[:, start : start + CHUNK], folds) for start in range(0, Y.shape[1], CHUNK)]
        coef, intercept, alpha, score, gap = zip(*parts, strict=True)
        self.coef_ = np.concatenate(coef, axis=-1)
        self.intercept_ = np.concatenate(intercept, axis=-1)
        self.alpha_ = np.concatenate(alpha)
        self.cv_score_ = np.concatenate(score)
        self.gap_ = float(max(gap))

    def _fit_chunk(self, X: np.ndarray, Y: np.ndarray, folds: np.ndarray) -> tuple:
        """Solve, score and choose for some perturbations."""
        paths = lasso_paths(X, Y, folds, n_alphas=self.n_alphas, eps=self.eps, device=self.device)
        scores = []
        for fold in range(len(paths.coef)):
            held = folds == fold
            prediction = X[held] @ paths.coef[fold] + paths.intercept[fold][:, None, :]
            scores.append(fold_scores(Y[held], prediction))
        best = best_per_perturbation(np.array(scores))
        column = np.arange(Y.shape[1])
        with np.errstate(invalid="ignore"):
            score = np.nan_to_num(np.array(scores)[:, best, column]).mean(axis=0)
        coef = paths.coef[:, best, :, column].transpose(1, 2, 0)
        return coef, paths.intercept[:, best, column], paths.alphas[best, column], score, paths.gap.max()

    def _predict(self, X: np.ndarray) -> np.ndarray:
        # The average of linear models is the linear model of the averages.
        return X @ self.coef_.mean(axis=0, dtype=np.float64) + self.intercept_.mean(axis=0, dtype=np.float64)
