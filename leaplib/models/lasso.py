"""PS-LASSO: one tuned, fold-averaged Lasso a perturbation.

**Problem.** For each perturbation, each cross-validation fold and each of A penalties alpha,

    minimise over b, b0:   1/(2n) ||y - b0 - X b||^2 + alpha ||b||_1

over the n training samples that have the label: scikit-learn's Lasso, with an intercept and with the
features as they are. With G = Xc'Xc / n and c = Xc'yc / n, centred on the training samples, the samples
drop out and everything happens in the p features.

**Method.** `leaplib.models.lasso_newton` follows each path exactly, given G and, where there is one, its inverse.
This module prepares the two, once for all perturbations that miss at the same samples. Where these are few, G is that
of the fold's whole training set less a low rank, and so is the inverse (Woodbury); else both are made anew.

**Promise.** Every fit comes with its duality gap, which is that of rounding: far below 1e-4 of the null loss.

**Wide tables.** Above `WIDE` features G is the larger part of the work and of the memory: scikit-learn's coordinate
descent on the samples themselves takes over, to a gap of `TOLERANCE`.

References
----------
Friedman, Hastie, Tibshirani (2010), Regularization paths for generalized linear models via coordinate
descent, J. Stat. Softw. 33(1); scikit-learn's grid of penalties is the same.
LEAP: arXiv 2502.15646.
"""

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import lasso_path

from leaplib.base.compute import resolve_device, side_by_side
from leaplib.base.errors import InputError
from leaplib.cohorts.splits import N_FOLDS
from leaplib.models.base import Training, patterns
from leaplib.models.lasso_newton import INDEPENDENT, solve_paths
from leaplib.models.tuning import FoldModel, LinearModels, Tuned

TOLERANCE = 1e-4
"""Largest duality gap over the null loss that passes without a warning, and at which fits of wide tables end."""

WIDE = 1024
"""Most features of a table for which matrices of features x features are made."""

SWEEPS = 10_000
"""Bound on the passes over all features at one penalty, in wide tables."""

FEW_MISSING = 64
"""Up to so many missing samples the matrices follow from those of the whole training set."""

PIECE = 16
"""Perturbations of a task, at most; in wide tables each is a task of its own."""


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


@dataclass(frozen=True)
class LassoPaths:
    """Lasso models of K folds, A penalties and L perturbations, in float64.

    Attributes
    ----------
    coef : array, K x A x p x L
        In memory the features come last.
    intercept : array, K x A x L
    alphas : array, A x L
        Decreasing along the first axis, on scikit-learn's scale.
    gap : array, K x A x L
        Duality gap of each fit over its null loss ``1/(2n) ||y - mean||^2``.
    """

    coef: np.ndarray
    intercept: np.ndarray
    alphas: np.ndarray
    gap: np.ndarray


def lasso_paths(
    X: np.ndarray, Y: np.ndarray, folds: np.ndarray | None = None, n_alphas: int = 10, eps: float = 1e-3
) -> LassoPaths:
    """Fit the Lasso path of every perturbation on every fold's training set.

    Parameters
    ----------
    X : array, n x p
        Features, finite.
    Y : array, n x L
        Labels; NaN where a sample was not measured.
    folds : array of int, n, optional
        Model k trains on the rows with ``folds != k``. Without it one model trains on all rows.
    n_alphas : int
        Penalties a perturbation, log-spaced from alpha_max of its whole labelled set (all folds)
        down to ``eps * alpha_max``, the same in all folds.
    eps : float
        The smallest penalty over the largest.

    Returns
    -------
    LassoPaths
        A training set with fewer than two labels, or with equal labels, gets zero coefficients and
        the mean as its intercept (0 without a label).
    """
    if n_alphas < 1 or not 0 < eps < 1:
        raise InputError(f"n_alphas={n_alphas}, eps={eps}: use n_alphas >= 1 and 0 < eps < 1")
    fits = _Fits(X, Y, np.full(len(X), -1) if folds is None else folds, eps ** np.linspace(0, 1, n_alphas))
    with warnings.catch_warnings():  # a fit that did not converge tells by its gap
        warnings.simplefilter("ignore", ConvergenceWarning)
        side_by_side(lambda task: task(), fits.tasks(), resolve_device("cpu"))
    unsolved = np.argwhere(~(fits.gap <= TOLERANCE))
    if len(unsolved):
        fold, level, column = unsolved[0]
        warnings.warn(
            f"{len(unsolved)} Lasso fits kept a duality gap above {TOLERANCE:g} of the null loss, first that of "
            f"perturbation {column} in fold {fold} at penalty {level}: are its features or labels degenerate?",
            RuntimeWarning,
            stacklevel=2,
        )
    return fits.result()


class _Moments(NamedTuple):
    """Statistics of l perturbations on samples in which all were measured."""

    n: int
    mean_x: torch.Tensor  # (p,)
    mean_y: torch.Tensor  # (l,)
    covariance: torch.Tensor  # (l, p), Xc'yc / n
    null: torch.Tensor  # (l,), ||yc||^2 / n
    degenerate: torch.Tensor  # (l,), too few labels or equal ones


class _Fits:
    """The data, their features centred and divided by a power of two, and the fits as the tasks fill them in."""

    def __init__(self, X: np.ndarray, Y: np.ndarray, folds: np.ndarray, ratio: np.ndarray):
        self.center = X.mean(0)
        X = X - self.center
        self.scale = float(2.0 ** np.round(np.log2(np.abs(X).max() or 1.0)))
        self.X, self.Y = torch.as_tensor(X / self.scale), torch.as_tensor(Y)  # (n, p), (n, L)
        self.train = torch.as_tensor(folds != np.arange(max(folds.max() + 1, 1))[:, None])  # (K, n)
        self.ratio, self.wide = ratio, X.shape[1] > WIDE
        products = [self.X[rows].mT @ self.X[rows] for rows in self.train if not self.wide]
        self.whole = [(product, *_inverse(product)) for product in products]
        shape = len(self.train), len(ratio), Y.shape[1]
        self.alphas = np.zeros(shape[1:])  # 0 where no feature goes with the labels
        self.coef, self.intercept, self.gap = np.zeros((*shape, X.shape[1])), np.zeros(shape), np.zeros(shape)

    def tasks(self) -> Iterator[Callable[[], None]]:
        """Yield the tasks, which together fit everything: each some perturbations that miss at the same samples."""
        which = patterns(~np.isnan(self.Y.numpy()))
        for number in range(which.max() + 1):
            columns = np.flatnonzero(which == number)
            pieces = -(-len(columns) // (1 if self.wide else PIECE))
            yield from (partial(self.fit, piece) for piece in np.array_split(columns, pieces))

    def fit(self, columns: np.ndarray) -> None:
        """Fit some perturbations in all folds; those without usable labels get the mean."""
        measured = ~self.Y[:, columns[0]].isnan()
        whole = self.moments(measured, columns)
        largest = whole.covariance.abs().amax(1)
        usable = ~whole.degenerate & (largest > 1e-13 * whole.null.sqrt())
        self.alphas[:, columns] = self.ratio[:, None] * torch.where(usable, largest, 0.0).numpy()
        for k, train in enumerate(self.train):
            moments = self.moments(measured & train, columns)
            self.intercept[k][:, columns] = moments.mean_y
            at = usable & ~moments.degenerate
            if not at.any():
                continue
            some = columns[at.numpy()]
            moments = moments._replace(covariance=moments.covariance[at], null=moments.null[at])
            coef, gap = (self._wide if self.wide else self._exact)(k, measured & train, some, moments)
            coef = coef.swapaxes(0, 1) / self.scale  # (A, l, p)
            self.coef[k][:, some], self.gap[k][:, some] = coef, gap.T
            self.intercept[k][:, some] -= coef @ (moments.mean_x.numpy() * self.scale + self.center)

    def moments(self, rows: torch.Tensor, columns: np.ndarray) -> _Moments:
        """Return the statistics of perturbations on the rows of a mask (n,), in which all were measured."""
        X, Y = self.X[rows], self.Y[rows][:, columns]
        n = max(len(X), 1)
        mean_y = Y.sum(0) / n
        residual = Y - mean_y
        null = residual.square().sum(0) / n
        # Labels that differ by no more than rounding are equal.
        degenerate = (null <= 1e-28 * mean_y**2) | (len(X) < 2)
        return _Moments(len(X), X.sum(0) / n, mean_y, residual.mT @ X / n, null, degenerate)

    def result(self) -> LassoPaths:
        """Return the fits in the units of the features as they were given."""
        alphas = self.alphas * self.scale
        alphas[:, alphas[0] == 0] = np.finfo(np.float64).resolution  # as scikit-learn
        return LassoPaths(self.coef.swapaxes(2, 3), self.intercept, alphas, self.gap)

    def _exact(
        self, k: int, rows: torch.Tensor, columns: np.ndarray, moments: _Moments
    ) -> tuple[np.ndarray, np.ndarray]:
        gram, inverse, invertible = self._matrices(k, rows, moments)
        parts = moments.covariance.numpy(), moments.null.numpy(), self.alphas[:, columns].T.copy()
        return solve_paths(gram.numpy(), inverse.numpy(), invertible, *parts)

    def _matrices(self, k: int, rows: torch.Tensor, moments: _Moments) -> tuple[torch.Tensor, torch.Tensor, bool]:
        """Return the covariance (p, p) of the features on some rows, its inverse, and whether it has one."""
        product, inverse, invertible = self.whole[k]
        missing, n = self.train[k] & ~rows, moments.n
        if invertible and missing.sum() <= FEW_MISSING and n >= 1.5 * len(product):
            less = torch.cat([self.X[missing] / n**0.5, moments.mean_x[None]])
            turned = less @ inverse * n
            inner, invertible = _inverse(torch.eye(len(less), dtype=less.dtype) - turned @ less.mT)
            if invertible:
                return product / n - less.mT @ less, n * inverse + turned.mT @ inner @ turned, True
        X = self.X[rows] - moments.mean_x
        gram = X.mT @ X / n
        return gram, *_inverse(gram)

    def _wide(
        self, k: int, rows: torch.Tensor, columns: np.ndarray, moments: _Moments
    ) -> tuple[np.ndarray, np.ndarray]:
        """Fit one perturbation by coordinate descent on its samples."""
        x, y = (self.X[rows] - moments.mean_x).numpy(), (self.Y[rows, columns[0]] - moments.mean_y).numpy()
        # scikit-learn ends at tol times the squares of y; the null loss is half their mean.
        coef, gap = lasso_path(np.asfortranarray(x), y, alphas=self.alphas[:, columns[0]], tol=TOLERANCE / 2,
                               max_iter=SWEEPS)[1:3]  # fmt: skip
        return coef.T[None], gap[None] * 2 / moments.null.numpy()


def _inverse(matrix: torch.Tensor) -> tuple[torch.Tensor, bool]:
    """Return the inverse of a covariance and whether it has one: where features are independent."""
    factor, failed = torch.linalg.cholesky_ex(matrix)
    if failed or not (factor.diagonal().square() > INDEPENDENT * matrix.diagonal()).all():
        return matrix, False
    return torch.cholesky_inverse(factor).contiguous(), True
