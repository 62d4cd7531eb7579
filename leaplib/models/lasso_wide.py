"""Lasso paths of many perturbations on thousands of features: raw expression, for the ablations.

With several times more features than samples the Gram matrix, on which `leaplib.models.lasso_newton` rests, is the
larger part of the work and of the memory: at 800 samples x 6,000 features, 5 folds of one perturbation take it 74 s of
a core and 0.3 GB a matrix. Coordinate descent on the samples themselves (scikit-learn) took 22 s, no matrix needed.
"""

import warnings
from itertools import product

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import lasso_path

from leaplib.base.device import side_by_side

SWEEPS = 10_000
"""Bound on the passes over all features at one penalty."""


def wide_paths(
    X: np.ndarray, Y: np.ndarray, folds: np.ndarray, n_alphas: int, eps: float, tol: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Fit all penalties of all perturbations in all folds.

    Parameters
    ----------
    X, Y, folds, n_alphas, eps
        As in `leaplib.models.lasso_path.lasso_paths`, checked; folds are all -1 where none is held out.
    tol : float
        Duality gap over the null loss at which a fit ends.

    Returns
    -------
    coef, intercept, alphas, gap : arrays
        As in `leaplib.models.lasso_path.LassoPaths`.
    """
    shape = max(folds.max() + 1, 1), n_alphas, Y.shape[1]
    coef = np.zeros((*shape, X.shape[1]))
    intercept, gap = np.zeros(shape), np.zeros(shape)
    alphas = np.stack([_penalties(X, labels, n_alphas, eps) for labels in Y.T], axis=1)

    def fit(task: tuple[int, int]) -> None:
        k, column = task
        here = k, slice(None), column
        coef[here], intercept[here], gap[here] = _fit(X, Y[:, column], folds != k, alphas[:, column], tol)

    with warnings.catch_warnings():  # a fit that did not converge tells by its gap
        warnings.simplefilter("ignore", ConvergenceWarning)
        side_by_side(fit, product(range(shape[0]), range(shape[2])), torch.device("cpu"))
    return coef.swapaxes(2, 3), intercept, alphas, gap


def _penalties(X: np.ndarray, labels: np.ndarray, n_alphas: int, eps: float) -> np.ndarray:
    """Return the penalties of a perturbation, from the smallest that leaves no feature on all its samples."""
    rows = ~np.isnan(labels)
    x, y = X[rows], labels[rows]
    largest = np.abs((x - x.mean(axis=0)).T @ (y - y.mean())).max() / len(y) if len(y) and not _equal(y) else 0.0
    return np.geomspace(largest, eps * largest, n_alphas) if largest else np.full(n_alphas, np.finfo(float).resolution)


def _equal(y: np.ndarray) -> bool:
    """Tell whether labels are too few, or differ by no more than rounding."""
    return len(y) < 2 or bool(y.var() <= 1e-28 * y.mean() ** 2)


def _fit(X: np.ndarray, labels: np.ndarray, train: np.ndarray, alphas: np.ndarray,
         tol: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # fmt: skip
    """Return coefficients (A, p), intercepts and gaps (A,) of one perturbation on one training set."""
    rows = train & ~np.isnan(labels)
    x, y = X[rows], labels[rows]
    if _equal(y):
        zeros = np.zeros(len(alphas))
        return np.zeros((len(alphas), X.shape[1])), zeros + (y.mean() if len(y) else 0.0), zeros
    centre = x.mean(axis=0)
    centred = y - y.mean()
    # scikit-learn ends at tol times the squares of y; the null loss is half their mean.
    found, gap = lasso_path(np.asfortranarray(x - centre), centred, alphas=alphas, tol=tol / 2, max_iter=SWEEPS)[1:3]
    return found.T, y.mean() - centre @ found, gap / (centred @ centred / 2 / len(y))
