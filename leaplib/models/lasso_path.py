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

**Wide tables.** Above `WIDE` features there is no use in G: `leaplib.models.lasso_wide` fits them, to a gap of `tol`.

References
----------
Friedman, Hastie, Tibshirani (2010), Regularization paths for generalized linear models via coordinate
descent, J. Stat. Softw. 33(1); scikit-learn's grid of penalties is the same.
LEAP: arXiv 2502.15646.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import partial

import numpy as np
import torch

from leaplib.base.device import resolve_device, side_by_side
from leaplib.base.errors import InputError
from leaplib.models.lasso_newton import INDEPENDENT, Problems, Solutions, solve_paths
from leaplib.models.lasso_wide import wide_paths

WIDE = 1024
"""Most features of a table for which matrices of features x features are made."""

SHARED_AT_LEAST = 16
"""So many perturbations that miss at the same samples share their matrices."""

NEAR = (24, 12), (64, 4)
"""Base patterns: perturbations may differ from one at so many samples, if so many do; in this order."""

PIECES = {"cpu": (64, 32, 8), "cuda": (32768, 512, 512)}
"""Perturbations of a task: shared, near, own. A near or own one takes 1 MB."""


@dataclass(frozen=True)
class LassoPaths:
    """Lasso models of K folds, A penalties and L perturbations.

    Attributes
    ----------
    coef : numpy.ndarray of shape (K, A, p, L), float64
        In memory the features come last.
    intercept : numpy.ndarray of shape (K, A, L), float64
    alphas : numpy.ndarray of shape (A, L), float64
        Decreasing along the first axis, on scikit-learn's scale.
    gap : numpy.ndarray of shape (K, A, L), float64
        Duality gap of each fit over its null loss ``1/(2n) ||y - mean||^2``.
    """

    coef: np.ndarray
    intercept: np.ndarray
    alphas: np.ndarray
    gap: np.ndarray


def lasso_paths(
    X: np.ndarray,
    Y: np.ndarray,
    folds: np.ndarray | None = None,
    n_alphas: int = 10,
    eps: float = 1e-3,
    tol: float = 1e-4,
    device: str = "auto",
) -> LassoPaths:
    """Fit the Lasso path of every perturbation on every fold's training set.

    Parameters
    ----------
    X : array of shape (n, p)
        Features, finite.
    Y : array of shape (n, L)
        Labels; NaN where a sample was not measured.
    folds : int array of shape (n,), optional
        Model k trains on the rows with ``folds != k``. Without it one model trains on all rows.
    n_alphas : int
        Penalties a perturbation, log-spaced from alpha_max of its whole labelled set (all folds)
        down to ``eps * alpha_max``, the same in all folds.
    eps : float
        The smallest penalty over the largest.
    tol : float
        Largest duality gap over the null loss that passes without a RuntimeWarning, and at which fits of wide
        tables end. The coefficients are float64: where there are as many features as samples, rounding them to
        float32 alone opens a gap of more than 1e-4.
    device : {"auto", "cpu", "cuda"}

    Returns
    -------
    LassoPaths
        A training set with fewer than two labels, or with equal labels, gets zero coefficients and
        the mean as its intercept (0 without a label).

    Raises
    ------
    InputError
        For X that is not finite, infinite labels, shapes that do not fit together, folds other than
        0 .. K-1, or n_alphas, eps or tol out of range.
    """
    X, Y, folds = _check(X, Y, folds, n_alphas, eps, tol)
    if X.shape[1] > WIDE:
        paths = LassoPaths(*wide_paths(X, Y, folds, n_alphas, eps, tol))
        _warn(paths.gap, tol)
        return paths
    data = _Data.build(X, Y, folds, resolve_device(device))
    fits = _Fits.build(data, n_alphas, eps)
    side_by_side(lambda task: task(), _tasks(data, fits), data.device)
    paths = fits.result(data)
    _warn(paths.gap, tol)
    return paths


# Input and output -------------------------------------------------------------------------------


def _warn(gap: np.ndarray, tol: float) -> None:
    """Warn of fits that are not solved, and name the first."""
    if not (gap <= tol).all():
        fold, level, column = np.argwhere(~(gap <= tol))[0]
        warnings.warn(
            f"{(~(gap <= tol)).sum()} Lasso fits kept a duality gap above {tol:g} of the null loss, first that of "
            f"perturbation {column} in fold {fold} at penalty {level}: are its features or labels degenerate?",
            RuntimeWarning,
            stacklevel=3,
        )


def _check(
    X: np.ndarray, Y: np.ndarray, folds: np.ndarray | None, n_alphas: int, eps: float, tol: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return X and Y in float64 and folds as integers (-1 for every row where there are none)."""
    X, Y = np.asarray(X, dtype=np.float64), np.asarray(Y, dtype=np.float64)
    if X.ndim != 2 or Y.ndim != 2 or len(X) != len(Y) or 0 in X.shape:
        raise InputError(f"X {X.shape} and Y {Y.shape} must be matrices with the same rows, X not empty")
    if not np.isfinite(X).all():
        raise InputError("X has NaN or infinite values: impute or drop them before the fit")
    if np.isinf(Y).any():
        raise InputError("Y has infinite values: use NaN for labels that were not measured")
    if n_alphas < 1 or not 0 < eps < 1 or not tol > 0:
        raise InputError(f"n_alphas={n_alphas}, eps={eps}, tol={tol}: use n_alphas >= 1, 0 < eps < 1, tol > 0")
    if folds is None:
        return X, Y, np.full(len(X), -1)
    folds = np.asarray(folds)
    if folds.shape != (len(X),) or folds.dtype.kind not in "iu":
        raise InputError(f"folds must be {len(X)} integers, one a row of X, not {folds.dtype} {folds.shape}")
    values = np.unique(folds)
    if len(values) < 2 or not np.array_equal(values, np.arange(len(values))):
        raise InputError(f"folds must take each of the values 0 .. K-1, K >= 2, not {values[:10].tolist()}")
    return X, Y, folds.astype(np.int64)


@dataclass(frozen=True)
class _Moments:
    """Statistics of l perturbations on one training set, in float64."""

    count: torch.Tensor  # (l,)
    mean_y: torch.Tensor  # (l,)
    mean_x: torch.Tensor  # (l, p)
    covariance: torch.Tensor  # (l, p), Xc'yc / n
    null: torch.Tensor  # (l,), ||yc||^2 / n
    degenerate: torch.Tensor  # (l,), too few labels or equal ones

    def keep(self, rows: torch.Tensor) -> "_Moments":
        """Return the statistics of some of the perturbations."""
        return _Moments(*(getattr(self, f.name)[rows] for f in fields(self)))


@dataclass(frozen=True)
class _Data:
    """The input on the device, in float64; X is centred and divided by a power of two."""

    X: torch.Tensor  # (n, p)
    Y: torch.Tensor  # (n, L), 0 where not measured
    measured: torch.Tensor  # (n, L)
    train: torch.Tensor  # (K, n)
    center: torch.Tensor  # (p,)
    scale: float

    @classmethod
    def build(cls, X: np.ndarray, Y: np.ndarray, folds: np.ndarray, device: torch.device) -> "_Data":
        center = X.mean(0)
        X = X - center
        scale = float(2.0 ** np.round(np.log2(np.abs(X).max() or 1.0)))
        train = folds[None] != np.arange(max(folds.max() + 1, 1))[:, None]
        place = partial(torch.as_tensor, device=device)
        labels, measured = place(np.nan_to_num(Y)), place(~np.isnan(Y))
        return cls(place(X / scale), labels, measured, place(train), place(center), scale)

    @property
    def device(self) -> torch.device:
        """Where the arrays live."""
        return self.X.device

    def moments(self, rows: torch.Tensor, columns: torch.Tensor) -> _Moments:
        """Return the statistics of the labels ``columns`` on the rows of a mask (n,)."""
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


@dataclass(frozen=True)
class _Fits:
    """Penalties, and the results as the tasks fill them in; no two tasks write to the same fit."""

    alphas: torch.Tensor  # (L, A), for X as in _Data; 0 where no feature goes with the labels
    coef: torch.Tensor  # (K, A, L, p), for X as it was given
    intercept: torch.Tensor  # (K, A, L)
    gap: torch.Tensor  # (K, A, L)

    @classmethod
    def build(cls, data: _Data, n_alphas: int, eps: float) -> "_Fits":
        K, n, L, p = *data.train.shape, data.Y.shape[1], data.X.shape[1]
        new = partial(torch.zeros, device=data.device)
        ratio = torch.logspace(0, np.log10(eps), n_alphas, dtype=torch.float64, device=data.device)
        largest = new(L, dtype=torch.float64)
        everything = new(n, dtype=torch.bool).logical_not()
        for columns in _split(np.arange(L), 512, data):
            whole = data.moments(everything, columns)
            alpha_max = whole.covariance.abs().amax(1)
            nothing = whole.degenerate | (alpha_max <= 1e-13 * whole.null.sqrt())
            largest[columns] = torch.where(nothing, 0.0, alpha_max)
        grid, shape = largest[:, None] * ratio, (K, n_alphas, L)
        intercept, gap = new(shape, dtype=torch.float64), new(shape, dtype=torch.float64)
        return cls(grid, new(*shape, p, dtype=torch.float64), intercept, gap)

    def start(self, data: _Data, k: int, columns: torch.Tensor) -> tuple[torch.Tensor, _Moments]:
        """Return the columns that fold k can fit, and their moments; the others get the mean."""
        moments = data.moments(data.train[k], columns)
        self.intercept[k][:, columns] = moments.mean_y
        usable = ~moments.degenerate & (self.alphas[columns, 0] > 0)
        return columns[usable], moments.keep(usable)

    def store(self, data: _Data, k: int, columns: torch.Tensor, moments: _Moments, found: Solutions) -> None:
        """Keep what was found for fold k and l columns."""
        coef = found.coef.swapaxes(0, 1) / data.scale  # (A, l, p)
        mean_x = moments.mean_x * data.scale + data.center
        self.coef[k][:, columns] = coef
        self.intercept[k][:, columns] = moments.mean_y - torch.linalg.vecdot(coef, mean_x)
        self.gap[k][:, columns] = found.gap.mT

    def result(self, data: _Data) -> LassoPaths:
        """Return the results in the units of the features as they were given."""
        alphas = self.alphas.mT.cpu().numpy() * data.scale
        alphas[:, alphas[0] == 0] = np.finfo(np.float64).resolution  # as scikit-learn
        coef, intercept, gap = (a.cpu().numpy() for a in (self.coef, self.intercept, self.gap))
        return LassoPaths(coef.swapaxes(2, 3), intercept, alphas, gap)


# Tasks ------------------------------------------------------------------------------------------


def _tasks(data: _Data, fits: _Fits) -> list[Callable[[], None]]:
    """Return the tasks, which together solve everything."""
    shared, near, own = _groups(data.measured.cpu().numpy(), data.X.shape[1])
    wide, narrow, single = PIECES[data.device.type]
    tasks: list[Callable[[], None]] = []
    for k in range(len(data.train)):
        for base, columns in near:
            mask = torch.as_tensor(base, device=data.device)
            tasks += [partial(_fit_near, data, fits, k, c, mask) for c in _split(columns, narrow, data)]
        tasks += [partial(_fit_own, data, fits, k, c) for c in _split(own, single, data)]
        tasks += [partial(_fit_shared, data, fits, k, c) for group in shared for c in _split(group, wide, data)]
    return tasks


def _groups(measured: np.ndarray, p: int) -> tuple[list[np.ndarray], list[tuple[np.ndarray, np.ndarray]], np.ndarray]:
    """Sort perturbations by their missing samples: shared patterns, (base pattern, near), the rest."""
    packed = np.ascontiguousarray(np.packbits(measured, axis=0).T)
    index = np.unique(packed.view(f"V{packed.shape[1]}").ravel(), return_inverse=True)[1]
    frequent = np.bincount(index)[index] >= SHARED_AT_LEAST if len(index) else np.zeros(0, bool)
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


def _split(columns: np.ndarray, size: int, data: _Data) -> list[torch.Tensor]:
    """Return near-equal pieces of at most ``size`` columns."""
    pieces = np.array_split(columns, -(-len(columns) // size)) if len(columns) else []
    return [torch.as_tensor(piece, device=data.device) for piece in pieces]


def _fit_shared(data: _Data, fits: _Fits, k: int, columns: torch.Tensor) -> None:
    """Fit perturbations that miss at the same samples."""
    columns, moments = fits.start(data, k, columns)
    if len(columns):
        gram = data.gram(data.train[k] & data.measured[:, columns[0]])[None]
        _fit(data, fits, k, columns, moments, gram, *_invert(gram))


def _fit_own(data: _Data, fits: _Fits, k: int, columns: torch.Tensor) -> None:
    """Fit perturbations with a Gram matrix each."""
    columns, moments = fits.start(data, k, columns)
    if len(columns):
        gram = torch.stack([data.gram(data.train[k] & data.measured[:, j]) for j in columns])
        _fit(data, fits, k, columns, moments, gram, *_invert(gram))


def _fit_near(data: _Data, fits: _Fits, k: int, columns: torch.Tensor, base: torch.Tensor) -> None:
    """Fit perturbations that differ from a base pattern (n,) at a few samples."""
    columns, moments = fits.start(data, k, columns)
    if len(columns):
        rows = data.train[k] & base
        change, sign = _changes(data, k, columns, moments, base)
        gram, ratio = data.gram(rows), (rows.sum() / moments.count)[:, None, None]
        inverse, invertible = _invert(gram[None])
        # Woodbury: (B + F' D F)^-1 = B^-1 - B^-1 F' (D^-1 + F B^-1 F')^-1 F B^-1; D is its own inverse.
        turned = change @ inverse[0] / ratio
        inner = torch.linalg.inv(torch.diag_embed(sign) + turned @ change.mT)
        whole = torch.baddbmm(ratio * gram, change.mT * sign[:, None], change)
        inverse = torch.baddbmm(inverse[0] / ratio, turned.mT, inner @ turned, alpha=-1)
        _fit(data, fits, k, columns, moments, whole, inverse, invertible.expand(len(columns)))


def _fit(
    data: _Data,
    fits: _Fits,
    k: int,
    columns: torch.Tensor,
    moments: _Moments,
    gram: torch.Tensor,
    inverse: torch.Tensor,
    invertible: torch.Tensor,
) -> None:
    """Solve and store."""
    problems = Problems(gram, inverse, invertible, moments.covariance, moments.null, fits.alphas[columns])
    fits.store(data, k, columns, moments, solve_paths(problems))


def _invert(gram: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the inverses of matrices (l, p, p), and which have one: where features are independent."""
    factor, failed = torch.linalg.cholesky_ex(gram)
    pivots, sizes = (torch.diagonal(a, dim1=-2, dim2=-1) for a in (factor, gram))
    invertible = (failed == 0) & (pivots.square() > INDEPENDENT * sizes).all(1)
    identity = torch.eye(gram.shape[-1], dtype=gram.dtype, device=gram.device)
    factor = torch.where(invertible[:, None, None], factor, identity)
    return torch.cholesky_inverse(factor).contiguous(), invertible


def _changes(
    data: _Data, k: int, columns: torch.Tensor, moments: _Moments, base: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return what the samples that differ, and the mean, change in the base's Gram matrix.

    Vectors (l, m, p) whose squares are added to ``count(base) / count`` times the base's matrix, and their
    signs (l, m).
    """
    rows = data.train[k] & base
    center = data.X[rows].mean(0)
    measured = data.measured[:, columns]
    differs = (measured != base[:, None]) & data.train[k][:, None]
    most = int(differs.sum(0).max())
    at = torch.argsort(differs.byte(), dim=0, descending=True, stable=True)[:most].mT  # (l, m)
    valid = differs.mT.gather(1, at)
    sign = torch.where(measured.mT.gather(1, at) | ~valid, 1.0, -1.0).double()
    samples = (data.X[at] - center) * valid[..., None] / moments.count.sqrt()[:, None, None]
    shift = (moments.mean_x - center)[:, None]
    return torch.cat([samples, shift], 1), torch.cat([sign, -torch.ones_like(shift[:, :, 0])], 1)
