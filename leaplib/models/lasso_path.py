"""Lasso paths of many perturbations at once (PS-LASSO, the regressor of LEAP).

**Problem.** For each perturbation, each cross-validation fold and each of A penalties alpha,

    minimise over b, b0:   1/(2n) ||y - b0 - X b||^2 + alpha ||b||_1

over the n training samples that have the label: scikit-learn's Lasso, with an intercept and with the
features as they are. With G = Xc'Xc / n and c = Xc'yc / n, centred on the training samples, the samples
drop out and everything happens in the p features.

**Method.** `leaplib.models.lasso_newton` follows each path exactly, given G and, where there is one, its inverse.
This module prepares the two, which is as much work as the path itself where each perturbation
misses at samples of its own; there are three kinds of perturbations:

- *shared*: those that miss at the same samples (complete labels above all) share G in a fold.
- *near*: most others differ from a base pattern at a few samples. Their G is the base's plus a low rank, and
  so is its inverse (Woodbury).
- *own*: the rest, above all those with few samples.

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
from typing import NamedTuple

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import lasso_path

from leaplib.base.compute import resolve_device, side_by_side
from leaplib.base.errors import InputError
from leaplib.models.base import patterns
from leaplib.models.lasso_newton import INDEPENDENT, solve_paths

TOLERANCE = 1e-4
"""Largest duality gap over the null loss that passes without a warning, and at which fits of wide tables end."""

WIDE = 1024
"""Most features of a table for which matrices of features x features are made."""

SWEEPS = 10_000
"""Bound on the passes over all features at one penalty, in wide tables."""

SHARED_AT_LEAST = 16
"""So many perturbations that miss at the same samples share their matrices."""

NEAR = (24, 12), (64, 4)
"""Base patterns: perturbations may differ from one at so many samples, if so many do; in this order."""

PIECES = {"shared": 64, "near": 32, "own": 8, "wide": 1}
"""Perturbations of a task; a near or own one takes 1 MB."""


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
    """Statistics of l perturbations on one training set."""

    n: torch.Tensor  # (l,), samples
    mean_y: torch.Tensor  # (l,)
    mean_x: torch.Tensor  # (l, p)
    covariance: torch.Tensor  # (l, p), Xc'yc / n
    null: torch.Tensor  # (l,), ||yc||^2 / n
    degenerate: torch.Tensor  # (l,), too few labels or equal ones


class _Fits:
    """The data, their features centred and divided by a power of two, and the fits as the tasks fill them in."""

    def __init__(self, X: np.ndarray, Y: np.ndarray, folds: np.ndarray, ratio: np.ndarray):
        self.center = X.mean(0)
        X = X - self.center
        self.scale = float(2.0 ** np.round(np.log2(np.abs(X).max() or 1.0)))
        self.X = torch.as_tensor(X / self.scale)  # (n, p)
        self.Y, self.measured = torch.as_tensor(np.nan_to_num(Y)), torch.as_tensor(~np.isnan(Y))  # (n, L)
        self.train = torch.as_tensor(folds != np.arange(max(folds.max() + 1, 1))[:, None])  # (K, n)
        largest = torch.zeros(Y.shape[1], dtype=torch.float64)
        for columns in _split(np.arange(Y.shape[1]), 512):
            whole = self.moments(torch.ones(len(X), dtype=torch.bool), columns)
            alpha_max = whole.covariance.abs().amax(1)
            nothing = whole.degenerate | (alpha_max <= 1e-13 * whole.null.sqrt())
            largest[columns] = torch.where(nothing, 0.0, alpha_max)
        self.alphas = largest[:, None] * torch.as_tensor(ratio)  # (L, A); 0 where no feature goes with the labels
        shape = len(self.train), len(ratio), Y.shape[1]
        self.coef = np.zeros((*shape, X.shape[1]))
        self.intercept, self.gap = np.zeros(shape), np.zeros(shape)

    def moments(self, rows: torch.Tensor, columns: np.ndarray) -> _Moments:
        """Return the statistics of some perturbations on the rows of a mask (n,)."""
        Y = self.Y[:, columns]
        weight = (self.measured[:, columns] & rows[:, None]).double()
        count = weight.sum(0)
        share = weight / count.clamp(min=1)
        mean_y = (share * Y).sum(0)
        residual = Y - mean_y
        centred = residual * share
        null = (centred * residual).sum(0)
        # Labels that differ by no more than rounding are equal.
        degenerate = (count < 2) | (null <= 1e-28 * mean_y**2)
        return _Moments(count, mean_y, share.mT @ self.X, centred.mT @ self.X, null, degenerate)

    def gram(self, rows: torch.Tensor) -> torch.Tensor:
        """Return the covariance (p, p) of the features on the rows of a mask (n,)."""
        X = self.X[rows]
        X = X - X.mean(0)
        return X.mT @ X / len(X)

    def tasks(self) -> Iterator[Callable[[], None]]:
        """Yield the tasks, which together fit everything; no two write to the same fit."""
        measured = self.measured.numpy()
        if self.X.shape[1] > WIDE:
            groups = [("wide", self._wide, np.arange(measured.shape[1]))]
        else:
            shared, near, own = _groups(measured, self.X.shape[1])
            groups = [("near", partial(self._near, torch.as_tensor(base)), columns) for base, columns in near]
            groups += [("own", self._own, own), *(("shared", self._shared, columns) for columns in shared)]
        for k in range(len(self.train)):
            for kind, solve, columns in groups:
                yield from (partial(self.fit, k, piece, solve) for piece in _split(columns, PIECES[kind]))

    def fit(self, k: int, columns: np.ndarray, solve: Callable) -> None:
        """Fit some perturbations in fold k; those without usable labels get the mean."""
        moments = self.moments(self.train[k], columns)
        self.intercept[k][:, columns] = moments.mean_y
        usable = ~moments.degenerate & (self.alphas[columns, 0] > 0)
        if not usable.any():
            return
        columns, moments = columns[usable.numpy()], _Moments(*(values[usable] for values in moments))
        coef, gap = solve(k, columns, moments)  # (l, A, p), (l, A)
        coef = coef.swapaxes(0, 1) / self.scale
        mean_x = moments.mean_x.numpy() * self.scale + self.center
        self.coef[k][:, columns] = coef
        self.intercept[k][:, columns] = moments.mean_y.numpy() - (coef * mean_x).sum(-1)
        self.gap[k][:, columns] = gap.T

    def result(self) -> LassoPaths:
        """Return the fits in the units of the features as they were given."""
        alphas = self.alphas.numpy().T * self.scale
        alphas[:, alphas[0] == 0] = np.finfo(np.float64).resolution  # as scikit-learn
        return LassoPaths(self.coef.swapaxes(2, 3), self.intercept, alphas, self.gap)

    def _follow(self, gram: torch.Tensor, inverse: torch.Tensor, invertible: torch.Tensor, columns: np.ndarray,
                moments: _Moments) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
        parts = (gram, inverse, invertible, moments.covariance, moments.null, self.alphas[columns])
        return solve_paths(*(part.numpy() for part in parts))

    def _shared(self, k: int, columns: np.ndarray, moments: _Moments) -> tuple[np.ndarray, np.ndarray]:
        gram = self.gram(self.train[k] & self.measured[:, columns[0]])[None]
        return self._follow(gram, *_invert(gram), columns, moments)

    def _own(self, k: int, columns: np.ndarray, moments: _Moments) -> tuple[np.ndarray, np.ndarray]:
        gram = torch.stack([self.gram(self.train[k] & self.measured[:, j]) for j in columns])
        return self._follow(gram, *_invert(gram), columns, moments)

    def _near(self, base: torch.Tensor, k: int, columns: np.ndarray,
              moments: _Moments) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
        """Fit perturbations that differ from a base pattern (n,) at a few samples."""
        rows = self.train[k] & base
        change, sign = self._changes(base, k, columns, moments)
        gram, ratio = self.gram(rows), (rows.sum() / moments.n)[:, None, None]
        inverse, invertible = _invert(gram[None])
        # Woodbury: (B + F' D F)^-1 = B^-1 - B^-1 F' (D^-1 + F B^-1 F')^-1 F B^-1; D is its own inverse.
        turned = change @ inverse[0] / ratio
        inner = torch.linalg.inv(torch.diag_embed(sign) + turned @ change.mT)
        whole = torch.baddbmm(ratio * gram, change.mT * sign[:, None], change)
        inverse = torch.baddbmm(inverse[0] / ratio, turned.mT, inner @ turned, alpha=-1)
        return self._follow(whole, inverse, invertible.expand(len(columns)), columns, moments)

    def _changes(self, base: torch.Tensor, k: int, columns: np.ndarray,
                 moments: _Moments) -> tuple[torch.Tensor, torch.Tensor]:  # fmt: skip
        """Return what the samples that differ, and the mean, change in the base's Gram matrix.

        Vectors (l, m, p) whose squares are added to ``count(base) / count`` times the base's matrix, and their
        signs (l, m).
        """
        center = self.X[self.train[k] & base].mean(0)
        measured = self.measured[:, columns]
        differs = (measured != base[:, None]) & self.train[k][:, None]
        most = int(differs.sum(0).max())
        at = torch.argsort(differs.byte(), dim=0, descending=True, stable=True)[:most].mT  # (l, m)
        valid = differs.mT.gather(1, at)
        sign = torch.where(measured.mT.gather(1, at) | ~valid, 1.0, -1.0).double()
        samples = (self.X[at] - center) * valid[..., None] / moments.n.sqrt()[:, None, None]
        shift = (moments.mean_x - center)[:, None]
        return torch.cat([samples, shift], 1), torch.cat([sign, -torch.ones_like(shift[:, :, 0])], 1)

    def _wide(self, k: int, columns: np.ndarray, moments: _Moments) -> tuple[np.ndarray, np.ndarray]:
        """Fit one perturbation by coordinate descent on its samples."""
        rows = self.train[k] & self.measured[:, columns[0]]
        x, y = (self.X[rows] - moments.mean_x).numpy(), (self.Y[rows, columns[0]] - moments.mean_y).numpy()
        # scikit-learn ends at tol times the squares of y; the null loss is half their mean.
        coef, gap = lasso_path(np.asfortranarray(x), y, alphas=self.alphas[columns[0]].numpy(), tol=TOLERANCE / 2,
                               max_iter=SWEEPS)[1:3]  # fmt: skip
        return coef.T[None], gap[None] * 2 / moments.null.numpy()


def _groups(measured: np.ndarray, p: int) -> tuple[list[np.ndarray], list[tuple[np.ndarray, np.ndarray]], np.ndarray]:
    """Sort perturbations by their missing samples: shared patterns, (base pattern, near), the rest."""
    index = patterns(measured)
    frequent = np.bincount(index)[index] >= SHARED_AT_LEAST
    shared = [np.flatnonzero(index == i) for i in np.unique(index[frequent])]
    few = measured.sum(0) < 1.5 * p
    left, near = np.flatnonzero(~frequent & ~few), []
    for distance, at_least in NEAR:
        while len(left) >= at_least:
            base, members = _densest(measured, left[:4096], distance)
            if len(members) < at_least:
                break
            near.append((base, members))
            left = np.setdiff1d(left, members)
    own = np.concatenate([left, np.flatnonzero(~frequent & few)])
    return shared, near, own[np.argsort(measured.sum(0)[own], kind="stable")]


def _densest(measured: np.ndarray, columns: np.ndarray, distance: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the base pattern of the densest spot, and the columns near it, nearest first."""
    M = measured[:, columns].astype(np.float32)
    size = M.sum(0)
    close = size[:, None] + size - 2 * (M.T @ M) <= distance
    base = measured[:, columns[close[close.sum(1).argmax()]]].mean(1) > 0.5
    apart = (measured[:, columns] != base[:, None]).sum(0)
    order = np.argsort(apart, kind="stable")
    return base, columns[order[apart[order] <= distance]]


def _split(columns: np.ndarray, size: int) -> list[np.ndarray]:
    """Return near-equal pieces of at most ``size`` columns."""
    return np.array_split(columns, -(-len(columns) // size)) if len(columns) else []


def _invert(gram: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the inverses of matrices (l, p, p), and which have one: where features are independent."""
    factor, failed = torch.linalg.cholesky_ex(gram)
    pivots, sizes = (torch.diagonal(a, dim1=-2, dim2=-1) for a in (factor, gram))
    invertible = (failed == 0) & (pivots.square() > INDEPENDENT * sizes).all(1)
    identity = torch.eye(gram.shape[-1], dtype=gram.dtype)
    factor = torch.where(invertible[:, None, None], factor, identity)
    return torch.cholesky_inverse(factor).contiguous(), invertible
