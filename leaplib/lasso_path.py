"""Lasso paths of many perturbations at once (PS-LASSO, the regressor of LEAP).

**Problem.** For each perturbation, each cross-validation fold and each of A penalties alpha,

    minimise over b, b0:   1/(2n) ||y - b0 - X b||^2 + alpha ||b||_1

over the n training samples that have the label: scikit-learn's Lasso, with an intercept and with the
features as they are. All fits share X. With G = Xc'Xc / n and c = Xc'yc / n, centred on the training
samples, the samples drop out and everything happens in the p features.

**Method.** ADMM (Boyd et al. 2011) in units in which each feature has SD 1 and the penalty is 1. Its
state is a vector v per fit, which holds the sparse coefficients z and the dual variable u:

    u = clip(v, -1/s, 1/s),   rho z = v - u,   x = (H + rho I)^-1 (c + rho z - u)
    v <- v + r (rho x - rho z)

with s the features' SD and H = G / (s s'). The x-step is the only cost, and there are three of them:

- *shared*: perturbations that miss at the same samples (complete labels above all) have the same H in
  a fold; an iteration at one penalty is a product of all of them with one matrix.
- *near*: most other perturbations differ from a base pattern at a few samples. Their H is the base's
  plus a low rank, and the x-step is the base's, in its eigenvectors, plus Woodbury's correction.
- *own*: the rest, above all those with few samples, get an eigendecomposition each.

The step size rho falls with the penalty (`_first_steps`); fits that are slow adapt theirs by
balancing the primal against the dual residual. The iterations run in float32.

**Stopping rule.** Every few iterations the duality gap of the coefficients is computed in float64,
with the residual, scaled until it is feasible, as the dual
point (Massias et al. 2018). A fit is done when its gap is at most `tol` of the null loss, and a
smaller share of it where the fit explains little. Fits that are not done at the last look go to
an active set method in float64 (feature-sign search, Lee et al. 2007), which is exact and finite.

References
----------
Friedman, Hastie, Tibshirani (2010), Regularization paths for generalized linear models via coordinate
descent, J. Stat. Softw. 33(1); scikit-learn's grid of penalties is the same.
Boyd, Parikh, Chu, Peleato, Eckstein (2011), Distributed optimization and statistical learning via the
alternating direction method of multipliers, Found. Trends Mach. Learn. 3(1).
Lee, Battle, Raina, Ng (2007), Efficient sparse coding algorithms, NIPS.
Massias, Gramfort, Salmon (2018), Celer: a fast solver for the Lasso with dual extrapolation, ICML.
LEAP: arXiv 2502.15646.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, fields
from functools import partial

import numpy as np
import torch

from leaplib.device import resolve_device
from leaplib.errors import InputError

RELAXATION = 1.88, 1.6
"""Over-relaxation at large and at small penalties; 1.5 to 1.8 is usual (Boyd et al. 2011, 3.4.3)."""

SMALL = 10**-1.5
"""Penalties below this share of alpha_max are small."""

CHECKS = (18, 23, 28, 34, 42, 54, 70)
"""Iterations after which the gap is looked at; fits that are not done at the last are slow."""

OWN_CHECKS = (20, 30, 45, 60, 80, 100, 130, 170, 220)
"""The same for fits with a Gram matrix of their own, often with few samples, which take longer."""

ADAPT_FROM = 30
"""Iterations after which those adapt their step size at each check."""

SHARED_AT_LEAST = 16
"""So many perturbations that miss at the same samples are worth a matrix for each penalty."""

NEAR = (24, 12), (64, 4)
"""Base patterns: perturbations may differ from one at so many samples, if so many do; in this order."""

ACTIVE_SET_STEPS = 2000
"""Bound on the steps of the active set method; tens are usual."""


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
        Largest duality gap over the null loss. The coefficients are float64: where there are as many
        features as samples, rounding them to float32 alone opens a gap of more than 1e-4.
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
    data = _Data.build(X, Y, folds, resolve_device(device))
    fits = _Fits.build(data, n_alphas, eps, tol)
    with _workers(data.device) as run:
        run(_tasks(data, fits))
    return fits.result(data)


# Input and output -------------------------------------------------------------------------------


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
    ratio: torch.Tensor  # (A,), alpha / alpha_max
    tol: float
    coef: torch.Tensor  # (K, A, L, p), for X as it was given
    intercept: torch.Tensor  # (K, A, L)
    gap: torch.Tensor  # (K, A, L)

    @classmethod
    def build(cls, data: _Data, n_alphas: int, eps: float, tol: float) -> "_Fits":
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
        return cls(grid, ratio, tol, new(*shape, p, dtype=torch.float64), intercept, gap)

    def start(self, data: _Data, k: int, columns: torch.Tensor) -> tuple[torch.Tensor, _Moments]:
        """Return the columns that fold k can fit, and their moments; the others get the mean."""
        moments = data.moments(data.train[k], columns)
        self.intercept[k][:, columns] = moments.mean_y
        usable = ~moments.degenerate & (self.alphas[columns, 0] > 0)
        return columns[usable], moments.keep(usable)

    def store(
        self, data: _Data, k: int, levels: torch.Tensor, columns: torch.Tensor, moments: _Moments, found: "_Found"
    ) -> None:
        """Keep what was found for fold k at a levels and l columns."""
        at = (k, levels[:, None], columns[None])
        coef = found.coef / data.scale
        mean_x = moments.mean_x * data.scale + data.center
        self.coef[at] = coef.swapaxes(0, 1)
        self.intercept[at] = moments.mean_y - (coef @ mean_x[..., None])[..., 0].mT
        self.gap[at] = found.gap.mT

    def result(self, data: _Data) -> LassoPaths:
        """Return the results in the units of the features as they were given."""
        alphas = self.alphas.mT.cpu().numpy() * data.scale
        alphas[:, alphas[0] == 0] = np.finfo(np.float64).resolution  # as scikit-learn
        coef, intercept, gap = (a.cpu().numpy() for a in (self.coef, self.intercept, self.gap))
        return LassoPaths(coef.swapaxes(2, 3), intercept, alphas, gap)


# Lasso problems and their duality gap -----------------------------------------------------------


@dataclass
class _Gram:
    """Gram matrices of l perturbations: ``ratio * base + change' diag(sign) change``, in float64."""

    base: torch.Tensor  # (p, p), or (l, p, p) without a change
    ratio: torch.Tensor | None = None  # (l, 1, 1)
    change: torch.Tensor | None = None  # (l, m, p)
    sign: torch.Tensor | None = None  # (l, 1, m)

    def times(self, b: torch.Tensor) -> torch.Tensor:
        """Return the product with b (l, a, p)."""
        product = b @ self.base
        if self.change is None or self.ratio is None or self.sign is None:
            return product
        return torch.baddbmm(product * self.ratio, (b @ self.change.mT) * self.sign, self.change)

    def dense(self, row: int) -> torch.Tensor:
        """Return the matrix (p, p) of one perturbation."""
        if self.change is None or self.ratio is None or self.sign is None:
            return self.base if self.base.ndim == 2 else self.base[row]
        change = self.change[row]
        return self.ratio[row] * self.base + (change.mT * self.sign[row]) @ change

    def keep(self, rows: torch.Tensor) -> "_Gram":
        """Return the matrices of some of the perturbations."""
        if self.change is None or self.ratio is None or self.sign is None:
            return _Gram(self.base if self.base.ndim == 2 else self.base[rows])
        return _Gram(self.base, self.ratio[rows], self.change[rows], self.sign[rows])


@dataclass
class _Problems:
    """Lasso problems of l perturbations at a penalties, in float64."""

    gram: _Gram
    covariance: torch.Tensor  # (l, 1, p)
    null: torch.Tensor  # (l, 1)
    alpha: torch.Tensor  # (l, a)

    def keep(self, rows: torch.Tensor, levels: torch.Tensor) -> "_Problems":
        """Return the problems of some perturbations at some penalties of each (r, b)."""
        alpha = self.alpha[rows].gather(1, levels)
        return _Problems(self.gram.keep(rows), self.covariance[rows], self.null[rows], alpha)

    def gap(self, b: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return gap and explained sum of squares, both over null (l, a), and the gradient at b.

        The dual point is the residual r times the factor theta that maximises the dual objective
        among those that make it feasible: |X'r| theta / n <= alpha.
        """
        fitted = self.gram.times(b)
        by, bb = torch.linalg.vecdot(b, self.covariance), torch.linalg.vecdot(b, fitted)
        rr, ry = (self.null - 2 * by + bb).clamp(min=1e-300), self.null - by
        gradient = self.covariance - fitted
        theta = torch.minimum(ry / rr, self.alpha / gradient.abs().amax(-1).clamp(min=1e-300))
        gap = rr / 2 + self.alpha * b.abs().sum(-1) - theta * ry + theta**2 * rr / 2
        return 2 * gap / self.null, bb / self.null, gradient


@dataclass
class _Found:
    """Solutions of l perturbations at a penalties."""

    coef: torch.Tensor  # (l, a, p)
    gap: torch.Tensor  # (l, a)
    slow: torch.Tensor  # (l, a), not done


# The x-step -------------------------------------------------------------------------------------


_Eigen = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


def _eigen(gram: torch.Tensor) -> _Eigen:
    """Return the features' SD (p,), over all matrices, and the eigensystems of H = gram / (s s').

    The SD of a constant feature is 1.
    """
    variance = torch.diagonal(gram, dim1=-2, dim2=-1).reshape(-1, gram.shape[-1]).mean(0)
    spread = torch.where(variance > 1e-30 * variance.max(), variance, 1.0).sqrt()
    values, vectors = torch.linalg.eigh(gram / torch.outer(spread, spread))
    return spread, values.clamp(min=0), vectors


class _SharedStep:
    """The x-step of problems with one H and one step size: a product with one matrix."""

    checks, adapts = CHECKS, False

    def __init__(self, system: _Eigen, relaxation: float):
        self.spread, self.values, self.vectors = system
        self.relaxation = relaxation

    def set(self, rho: torch.Tensor) -> None:
        """Prepare for the step size ``rho``, of shape (1, 1)."""
        gain = self.relaxation * rho[0] / (self.values + rho[0])
        self.solve = (self.vectors * gain) @ self.vectors.mT
        self.step = self.solve - (self.relaxation - 1) * torch.eye(len(gain), device=gain.device)
        self.solve, self.step = self.solve.float(), self.step.float()

    def keep(self, rows: torch.Tensor, levels: torch.Tensor) -> None:
        """Drop fits; nothing here belongs to one."""

    def pull(self, c: torch.Tensor) -> torch.Tensor:
        """Return r rho (H + rho I)^-1 c."""
        return c @ self.solve

    def push(self, w: torch.Tensor, v: torch.Tensor) -> None:
        """Add r rho (H + rho I)^-1 w - (r - 1) w to v."""
        v.view(-1, v.shape[-1]).addmm_(w.view(-1, w.shape[-1]), self.step)


class _SpectralStep:
    """The x-step of problems with an H each and a step size for each fit.

    H is V (values + F diag(sign) F') V' with eigenvectors V of the base's H (near, shared by all) or
    of their own (without F).
    """

    def __init__(self, gram: _Gram, system: _Eigen, relaxation: float):
        self.spread, values, vectors = system
        self.vectors = vectors.float()
        self.change = None
        self.relaxation = relaxation
        self.adapts = gram.change is None
        self.checks = OWN_CHECKS if self.adapts else CHECKS
        if gram.change is None or gram.ratio is None or gram.sign is None:
            self.values = values[:, None]
        else:
            self.values = values * gram.ratio
            self.change = (gram.change / self.spread).float() @ self.vectors
            self.sign = gram.sign.float()

    def set(self, rho: torch.Tensor) -> None:
        """Prepare for the step sizes ``rho`` (l, a)."""
        self.gain = (self.relaxation * rho[..., None] / (self.values + rho[..., None])).float()
        if self.change is None:
            return
        # Woodbury: (D^-1 + F S F')^-1 = D - D F (S + F' D F)^-1 F' D, with D = gain / (r rho).
        scale = (self.relaxation * rho).float()[..., None, None]
        inner = (self.change[:, None] * self.gain[..., None, :]) @ self.change.mT[:, None] / scale
        self.inner = -torch.linalg.inv(inner + torch.diag_embed(self.sign)) / scale

    def keep(self, rows: torch.Tensor, levels: torch.Tensor) -> None:
        """Keep some perturbations, and some penalties of each."""
        self.values, self.gain = self.values[rows], _pick(self.gain, rows, levels)
        if self.change is None:
            self.vectors = self.vectors[rows]
        else:
            self.change, self.inner = self.change[rows], _pick(self.inner, rows, levels)

    def _solve(self, w: torch.Tensor) -> torch.Tensor:
        """Return r rho (H + rho I)^-1 w, to be turned back by the eigenvectors."""
        turned = w @ self.vectors
        if self.change is not None:
            inside = (turned * self.gain) @ self.change.mT
            inside = (inside[..., None, :] @ self.inner)[..., 0, :]
            turned.baddbmm_(inside, self.change)
        return turned.mul_(self.gain)

    def pull(self, c: torch.Tensor) -> torch.Tensor:
        """Return r rho (H + rho I)^-1 c."""
        shape = len(self.gain), self.gain.shape[1], c.shape[-1]
        return self._solve(c.expand(shape).contiguous()) @ self.vectors.mT

    def push(self, w: torch.Tensor, v: torch.Tensor) -> None:
        """Add r rho (H + rho I)^-1 w - (r - 1) w to v."""
        v.sub_(w, alpha=self.relaxation - 1)
        turned, back = self._solve(w), self.vectors.mT
        if back.ndim == 2:
            v.view(-1, v.shape[-1]).addmm_(turned.view(-1, v.shape[-1]), back)
        else:
            v.baddbmm_(turned, back)


# ADMM -------------------------------------------------------------------------------------------


class _State:
    """The iterates of ADMM for a batch of problems; see the top of the module for the notation."""

    def __init__(self, step: _SharedStep | _SpectralStep, problems: _Problems, rho: torch.Tensor):
        self.step, self.problems = step, problems
        self.bound = (1 / step.spread).float()
        self.c = (problems.covariance / step.spread / problems.alpha[..., None]).float()
        self.v = torch.zeros_like(self.c)
        self.set(rho)

    def set(self, rho: torch.Tensor) -> None:
        """Go on with other step sizes."""
        self.rho = rho
        self.step.set(rho)
        self.q = self.step.pull(self.c)
        self.u, self.w = torch.empty_like(self.v), torch.empty_like(self.v)

    def run(self, iterations: int) -> None:
        """Iterate: with w = rho z - u, v <- q + (2 - r) u + step(w)."""
        for _ in range(iterations):
            torch.clamp(self.v, -self.bound, self.bound, out=self.u)
            torch.sub(self.v, self.u, alpha=2, out=self.w)
            torch.add(self.q, self.u, alpha=2 - self.step.relaxation, out=self.v)
            self.step.push(self.w, self.v)

    def coef(self) -> torch.Tensor:
        """Return the coefficients (l, a, p) for the features as in _Data, in float64."""
        z = (self.v - torch.clamp(self.v, -self.bound, self.bound)).double()
        return z * (self.problems.alpha / self.rho)[..., None] / self.step.spread

    def imbalance(self) -> torch.Tensor:
        """Return sqrt(relative primal / dual residual): a fit above 1 wants a larger step size."""
        u_new = torch.clamp(self.v, -self.bound, self.bound)
        z_new, z_old = self.v - u_new, self.w + self.u
        x = z_old + (self.v - self.w - 2 * self.u) / self.step.relaxation
        size = torch.maximum(x.norm(dim=-1), z_new.norm(dim=-1))
        primal = (x - z_new).norm(dim=-1) / size.clamp(min=1e-20)
        dual = (z_new - z_old).norm(dim=-1) / u_new.norm(dim=-1).clamp(min=1e-20)
        factor = (primal.clamp(min=1e-10) / dual.clamp(min=1e-10)).sqrt().clamp(0.2, 5)
        return torch.where(z_new.norm(dim=-1) > 0, factor, 1.0).double()

    def adapt(self, slow: torch.Tensor) -> None:
        """Change the step sizes of slow fits (one for all where it is shared), keeping u and z."""
        factor = torch.where(slow, self.imbalance(), 1.0)
        factor = factor[slow].median().expand(1, 1) if len(self.rho) < len(slow) else factor
        u = torch.clamp(self.v, -self.bound, self.bound)
        self.v = u + (self.v - u) * factor[..., None].float()
        self.set(self.rho * factor)

    def keep(self, rows: torch.Tensor, levels: torch.Tensor) -> None:
        """Keep some perturbations (r,), and some penalties of each (r, b)."""
        self.step.keep(rows, levels)
        if len(self.rho) == len(self.v):
            self.rho = self.rho[rows].gather(1, levels)
        self.problems = self.problems.keep(rows, levels)
        self.c, self.v, self.q, self.u, self.w = (
            _pick(a, rows, levels) for a in (self.c, self.v, self.q, self.u, self.w)
        )


def _pick(a: torch.Tensor, rows: torch.Tensor, levels: torch.Tensor) -> torch.Tensor:
    """Return ``a[rows[i], levels[i, j]]``."""
    return a[rows[:, None], levels]


def _admm(state: _State, tol: float) -> _Found:
    """Solve a batch; fits leave it as they are done."""
    alpha, covariance = state.problems.alpha, state.problems.covariance
    slow = alpha < (1 - 1e-9) * covariance.abs().amax(-1)  # otherwise the solution is 0
    found = _Found(torch.zeros_like(state.c, dtype=torch.float64), torch.zeros_like(alpha), slow.clone())
    row = torch.arange(len(alpha), device=alpha.device)
    level = torch.arange(alpha.shape[1], device=alpha.device).expand(alpha.shape)
    checks = state.step.checks
    for before, check in zip((0, *checks), checks, strict=False):
        if not slow.any():
            break
        rows, levels = _left(slow)
        if levels.numel() < 0.95 * slow.numel():
            state.keep(rows, levels)
            row, level, slow = row[rows], _pick(level, rows, levels), _pick(slow, rows, levels)
        state.run(check - before)
        coef = state.coef()
        gap, explained, _ = state.problems.gap(coef)
        done = slow & (gap <= _limit(explained, tol))
        leave = slow if check == checks[-1] else done
        at = row[:, None].expand(leave.shape)[leave], level[leave]
        found.coef[at], found.gap[at], found.slow[at] = coef[leave], gap[leave], ~done[leave]
        slow = slow & ~done
        if state.step.adapts and check >= ADAPT_FROM and slow.any():
            state.adapt(slow)
    return found


def _left(slow: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the rows (r,) with a slow fit and, for each, its slow columns first (r, b).

    b is the largest number of slow fits in a row; a row with fewer is filled up with done ones.
    """
    rows = slow.any(1).nonzero()[:, 0]
    order = torch.argsort(slow[rows].byte(), dim=1, descending=True, stable=True)
    return rows, order[:, : int(slow.sum(1).max())]


def _limit(explained: torch.Tensor, tol: float) -> torch.Tensor:
    """Return the gap at which a fit is done.

    An error of the predictions costs its square in the gap; where the fit explains little, a gap of
    `tol` would be large against the predictions themselves.
    """
    return tol * (6 * explained).clamp(0.01, 1) ** 3


def _first_steps(ratio: torch.Tensor, count: torch.Tensor, p: int) -> torch.Tensor:
    """Return step sizes (l, a) to begin with, for penalties ``ratio * alpha_max`` (a,).

    Found by trial on autoencoder features of cell lines. Large penalties leave few features and
    want a large step; it levels off where nearly all features take part, and is smaller with fewer
    samples (``count``, (l,)) than features.
    """
    depth = (0, 1 / 3, 2 / 3, 1, 4 / 3, 5 / 3, 2, 3)
    steps = (6, 2, 1.4, 0.85, 0.42, 0.2, 0.13, 0.1)
    at = -torch.log10(ratio)
    start = np.exp(np.interp(at.cpu().numpy(), depth, np.log(steps)))
    few = (count / (1.5 * p)).clamp(0.05, 1)[:, None] ** (1.5 * at.clamp(max=1))
    return torch.as_tensor(start, device=ratio.device) * few


# The active set method --------------------------------------------------------------------------


def _finish(found: _Found, problems: _Problems, tol: float) -> _Found:
    """Solve what ADMM left slow, fit by fit; on the CPU, where small systems are at home."""
    for row, level in found.slow.nonzero().tolist():
        parts = problems.covariance[row], problems.null[row], problems.alpha[row, level]
        covariance, null, alpha = (a.cpu().reshape(1, 1, -1) for a in parts)
        problem = _Problems(_Gram(problems.gram.dense(row).cpu()), covariance, null[0], alpha[0])
        b = _active_set(problem, found.coef[row, level].cpu(), 1e-5 * tol)
        gap = problem.gap(b[None, None])[0][0, 0]
        if gap < found.gap[row, level]:
            found.coef[row, level], found.gap[row, level] = b, gap
    return found


def _active_set(problem: _Problems, b: torch.Tensor, tol: float) -> torch.Tensor:
    """Return the solution (p,) of one problem, searched from b (p,): feature-sign search.

    Features that violate the optimality conditions enter with the sign of their gradient. With the
    signs fixed the problem is a linear system; the way to its solution is followed to the best point
    of it, where features may leave. The loss falls with each step, so that no signs come back. Many
    features may enter at a time, fewer where that leads nowhere.
    """
    G, alpha = problem.gram.base, problem.alpha[0, 0]
    room = len(b)
    for _ in range(ACTIVE_SET_STEPS):
        gap, _, gradient = problem.gap(b[None, None])
        if gap[0, 0] <= tol:
            break
        g = gradient[0, 0]
        active, factor, room = _independent(G, g, alpha, b, room)
        active, target = _target(G, problem.covariance[0, 0], alpha, b, active, factor, g)
        step = _search(G, g, alpha, b, active, target)
        if step is None and room == 1:
            break
        room = max(1, room // 4) if step is None else min(2 * room, len(b))
        b = b if step is None else step
    return b


def _independent(
    G: torch.Tensor, g: torch.Tensor, alpha: torch.Tensor, b: torch.Tensor, room: int
) -> tuple[torch.Tensor, torch.Tensor, int]:
    """Return the support of b with the worst violators, their factor, and how many of these came in.

    As many as ``room``, and fewer where the features would be linearly dependent, but at least one.
    """
    excess = torch.where(b == 0, g.abs() - alpha, torch.inf)
    order = torch.argsort(excess, descending=True, stable=True)
    support, candidates = int(b.count_nonzero()), int((excess > 0).sum())
    room = min(room, max(1, candidates - support))
    while True:
        active = order[: min(support + room, candidates)]
        factor, dependent = _factor(G, active)
        if room == 1 or not dependent:
            return active, factor, room
        room = room // 2


def _factor(G: torch.Tensor, active: torch.Tensor) -> tuple[torch.Tensor, bool]:
    """Return the Cholesky factor of some features' Gram matrix, and whether they are dependent.

    Dependent features, as identical ones, get a small ridge: their solution is then far along what
    changes the penalty alone.
    """
    A = G[active[:, None], active]
    factor, failed = torch.linalg.cholesky_ex(A)
    dependent = bool(failed) or bool((factor.diagonal().square() < 1e-10 * A.diagonal()).any())
    if dependent:
        factor = torch.linalg.cholesky(A + torch.diag(1e-9 * A.diagonal()))
    return factor, dependent


def _target(
    G: torch.Tensor,
    c: torch.Tensor,
    alpha: torch.Tensor,
    b: torch.Tensor,
    active: torch.Tensor,
    factor: torch.Tensor,
    g: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return active features and their solution at fixed signs; newcomers must get that of g."""
    while True:
        old = b[active]
        sign = torch.where(old != 0, old, g[active]).sign()
        target = torch.cholesky_solve((c[active] - alpha * sign)[:, None], factor)[:, 0]
        keep = (old != 0) | (target * sign > 0)
        if keep.all():
            return active, target
        active = active[keep]
        factor, _ = _factor(G, active)


def _search(
    G: torch.Tensor, g: torch.Tensor, alpha: torch.Tensor, b: torch.Tensor, active: torch.Tensor, target: torch.Tensor
) -> torch.Tensor | None:
    """Return the best of the target and the points before it where a coefficient becomes 0.

    None where the loss does not fall any more. ``g`` is the gradient at b.
    """
    old = b[active]
    way = target - old
    t = torch.where(old * target < 0, -old / way, 1.0)
    points = old + t[:, None] * way
    bend = way @ (G[active[:, None], active] @ way) / 2
    loss = t * (bend * t - g[active] @ way) + alpha * (points.abs() - old.abs()).sum(1)
    if not len(t) or loss.min() >= -1e-15 * alpha * old.abs().sum():
        return None
    best = loss.argmin()
    step = torch.zeros_like(b)
    step[active] = torch.where((t == t[best]) & (t < 1), 0.0, points[best])
    return step


# Tasks ------------------------------------------------------------------------------------------


def _tasks(data: _Data, fits: _Fits) -> list[Callable[[], None]]:
    """Return the tasks, which together solve everything."""
    measured = data.measured.cpu().numpy()
    shared, near, own = _groups(measured, data.X.shape[1])
    folds = range(len(data.train))
    wide, narrow, single = (512, 64, 8) if data.device.type == "cpu" else (32768, 512, 512)
    tasks: list[Callable[[], None]] = []
    for base, columns in near:
        mask, pieces = torch.as_tensor(base, device=data.device), _split(columns, narrow, data)
        tasks += [partial(_fit_near, data, fits, k, pieces, mask) for k in folds]
    tasks += [partial(_fit_own, data, fits, k, c) for k in folds for c in _split(own, single, data)]
    for columns in shared:
        tasks += [partial(_fit_shared, data, fits, k, c) for k in folds for c in _split(columns, wide, data)]
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
    """Fit perturbations that miss at the same samples, one penalty after the other."""
    columns, moments = fits.start(data, k, columns)
    if not len(columns):
        return
    gram = data.gram(data.train[k] & data.measured[:, columns[0]])
    system = _eigen(gram)
    rho = _first_steps(fits.ratio, moments.count[:1], len(gram))
    for level in torch.arange(len(fits.ratio), device=data.device).split(1):
        problems = _problems(fits, _Gram(gram), moments, columns, level)
        step = _SharedStep(system, RELAXATION[int(fits.ratio[level] < SMALL)])
        found = _finish(_admm(_State(step, problems, rho[:, level]), fits.tol), problems, fits.tol)
        fits.store(data, k, level, columns, moments, found)


def _fit_near(data: _Data, fits: _Fits, k: int, pieces: list[torch.Tensor], base: torch.Tensor) -> None:
    """Fit perturbations that differ from a base pattern (n,) at a few samples, piece by piece."""
    rows = data.train[k] & base
    gram = data.gram(rows)
    system = _eigen(gram)
    for piece in pieces:
        columns, moments = fits.start(data, k, piece)
        if len(columns):
            near = _near_gram(data, k, columns, moments, base, gram)
            _fit_spectral(data, fits, k, columns, moments, near, system)


def _fit_own(data: _Data, fits: _Fits, k: int, columns: torch.Tensor) -> None:
    """Fit perturbations with a Gram matrix each."""
    columns, moments = fits.start(data, k, columns)
    if len(columns):
        gram = torch.stack([data.gram(data.train[k] & data.measured[:, j]) for j in columns])
        _fit_spectral(data, fits, k, columns, moments, _Gram(gram), _eigen(gram))


def _fit_spectral(
    data: _Data,
    fits: _Fits,
    k: int,
    columns: torch.Tensor,
    moments: _Moments,
    gram: _Gram,
    system: _Eigen,
) -> None:
    """Fit large and then small penalties of some perturbations side by side; all where H is their own."""
    small = fits.ratio < SMALL
    parts = [small < 2] if gram.change is None else [~small, small]
    for part, relaxation in zip(parts, RELAXATION[-len(parts) :], strict=True):
        levels = part.nonzero()[:, 0]
        if len(levels):
            problems = _problems(fits, gram, moments, columns, levels)
            rho = _first_steps(fits.ratio[levels], moments.count, data.X.shape[1])
            state = _State(_SpectralStep(gram, system, relaxation), problems, rho)
            fits.store(data, k, levels, columns, moments, _finish(_admm(state, fits.tol), problems, fits.tol))


def _near_gram(
    data: _Data, k: int, columns: torch.Tensor, moments: _Moments, base: torch.Tensor, gram: torch.Tensor
) -> _Gram:
    """Return the base's Gram matrix with what the samples that differ, and the mean, change in it."""
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
    change = torch.cat([samples, shift], 1)
    sign = torch.cat([sign, -torch.ones_like(shift[:, :, 0])], 1)
    ratio = rows.sum() / moments.count
    return _Gram(gram, ratio[:, None, None], change, sign[:, None])


def _problems(fits: _Fits, gram: _Gram, moments: _Moments, columns: torch.Tensor, levels: torch.Tensor) -> _Problems:
    alpha = fits.alphas[columns][:, levels]
    return _Problems(gram, moments.covariance[:, None], moments.null[:, None], alpha)


@contextmanager
def _workers(device: torch.device) -> Iterator[Callable[[list[Callable[[], None]]], None]]:
    """Give a function that runs tasks: on a GPU one after the other, else a thread a core.

    The products are small: a core that works alone on data in its cache is faster than all cores on
    one product.
    """
    threads = torch.get_num_threads()
    if device.type != "cpu" or threads == 1:
        yield _run_in_turn
        return
    with ThreadPoolExecutor(threads, initializer=_one_thread) as pool:
        try:
            yield lambda tasks: _run_in_turn([pool.submit(task).result for task in tasks])
        finally:
            pool.shutdown(cancel_futures=True)
            torch.set_num_threads(threads)


def _run_in_turn(tasks: list[Callable[[], None]]) -> None:
    for task in tasks:
        task()


def _one_thread() -> None:
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)  # each thread has its own setting
