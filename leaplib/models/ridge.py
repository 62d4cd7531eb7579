"""Ridge regressions of all perturbations in dual form: PS-RIDGE on genes, and the Gaussian kernel of LEAP+.

PS-RIDGE: one tuned, fold-averaged ridge regression a perturbation
------------------------------------------------------------------
**Problem.** For each perturbation, each fold and each of A penalties,

    minimise over b, b0:   ||y - b0 - X b||^2 + penalty ||b||^2

over the n training samples that have the label: scikit-learn's Ridge, whose intercept is not penalised. The solution is
b = X'a with (K + penalty I) a = y - b0 and a summing to 0, where K = XX'; so the features count only once, in K.

**Method.** All perturbations share the inverse of K + penalty I over the samples of a training set. A perturbation that
misses at m of them needs the inverse over the others, which follows from a system of m equations, m the smaller the
fewer labels are missing; where more than half are missing, the system over those that are there is solved instead. Both
are exact. One decomposition a missing-label pattern would cost ten times as much where patterns are all different.

LEAP+: Gaussian kernel ridge regression with one penalty for all perturbations
------------------------------------------------------------------------------
**Model.** Labels of a perturbation, standardised, are a Gaussian process over samples plus noise, with the covariance

    K = exp(-|x - x'|^2 / width),  width: the median over pairs of samples.

One penalty (the noise) serves all perturbations: chosen perturbation by perturbation it is mostly noise where samples
are few. Missing labels are filled in with the predictions of ridge regressions on K.

**What was tried beside it.** Perturbations can share strength (`share`): the covariance of samples is then multiplied
by that of perturbations, T = share C + (1 - share) I, with C the correlation of the training labels (noisy as they
are). With K = U diag(s) U' (centred) and C = V diag(d) V', the prediction is

    K U [ (U'ZV)_ij / (s_i + penalty / t_j) ] V',    t_j = share d_j + 1 - share

that is a ridge regression on each principal direction of the labels, the less penalised the more is common in it. And
labels can be replaced by their normal scores (`ranks`). Both raise Spearman's correlation within a screen, and lower
the agreement with another laboratory's measurements, ranks Pearson's correlation and the AUROC of responders too: part
of what they learn is how sensitive a line is to everything in that laboratory. So both are off
(`notebooks/README.md` has the numbers).

References
----------
Saunders, Gammerman, Vovk (1998), Ridge regression learning algorithm in dual variables, ICML.
Bonilla, Chai, Williams (2007), Multi-task Gaussian process prediction, NIPS; Breiman, Friedman (1997), Predicting
multivariate responses in multiple linear regression, J. R. Stat. Soc. B 59(1).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from scipy.linalg import cho_factor, cho_solve, lapack
from scipy.special import ndtri
from scipy.stats import rankdata

from leaplib.base.errors import InputError
from leaplib.cohorts.splits import N_FOLDS
from leaplib.models.base import Training, patterns
from leaplib.models.tuning import FoldModel, LinearModels, Tuned, fold_numbers


@dataclass
class DualModels(FoldModel):
    """Ridge regressions of L perturbations at G penalties, as weights of the n training samples."""

    samples: np.ndarray  # (n, p), less `center`
    center: np.ndarray  # (p,)
    weights: np.ndarray  # (G, n, L), 0 where not measured
    intercept: np.ndarray  # (G, L), at the centre
    penalty: np.ndarray  # (G, L)

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Return predictions, G x samples x perturbations."""
        return ((X - self.center) @ self.samples.T) @ self.weights + self.intercept[:, None, :]

    def keep(self, points: np.ndarray) -> LinearModels:
        """Return the regressions at one penalty a perturbation, as weights of the features."""
        column = np.arange(len(points))
        coef = self.samples.T @ self.weights[points, :, column].T
        intercept = self.intercept[points, column] - self.center @ coef
        return LinearModels(coef[None], intercept[None], self.penalty[points, column][None])


@dataclass(eq=False, repr=False)
class DualRidge(Tuned):
    """Perturbation-specific ridge regression, tuned and averaged over the folds as PS-LASSO is.

    On all standardised genes, without an autoencoder, it is PS-RIDGE (`leaplib.PSRidge`): a baseline that the paper
    lacks.

    Parameters
    ----------
    n_penalties : int
        Penalties tried, log-spaced.
    largest, smallest : float
        Ends of the grid, in units of the mean eigenvalue of the kernel of all training samples (the mean squared
        distance to their mean). Correlations stop to change above some hundred units.
    random_state : int
        Seed of the folds when `fit` is not given any.
    ensemble : {"folds", "refit"}
        Predict with the average of the fold models, or with one model fitted on the whole training set at the
        chosen penalty.

    Attributes
    ----------
    coef_ : array, features x perturbations
        Mean over the models that predict, as is `intercept_`.
    intercept_ : array, perturbations
    penalty_ : array, perturbations
        Penalty chosen.
    cv_score_ : array, perturbations
        Mean Spearman correlation on the held-out folds at that penalty.
    """

    fold_model: ClassVar = LinearModels
    block: ClassVar = 512

    n_penalties: int = 10
    largest: float = 300.0
    smallest: float = 0.03

    def work(self, n_train: int, n_pairs: int, n_test: int, n_perturbations: int) -> float:
        """Return samples^2 x (samples + 10 perturbations), over the folds: inverses, then a product a perturbation."""
        return N_FOLDS * n_train**2 * (n_train + 10 * n_perturbations) / 1e9

    def _fit_folds(self, data: Training, folds: np.ndarray) -> list[FoldModel]:
        if self.n_penalties < 1 or not 0 < self.smallest <= self.largest:
            raise InputError(f"n_penalties={self.n_penalties}, smallest={self.smallest}, largest={self.largest}: use "
                             "n_penalties >= 1 and 0 < smallest <= largest")  # fmt: skip
        center = data.X.mean(axis=0)
        samples = np.where(np.ptp(data.X, axis=0) > 0, data.X - center, 0.0)  # no rounding of constant features
        kernel = samples @ samples.T
        unit = np.trace(kernel) / len(kernel) or 1.0
        penalties = unit * np.geomspace(self.largest, self.smallest, self.n_penalties)
        found = []
        for fold in fold_numbers(folds):
            rows = folds != fold
            weights, intercept = dual_ridge(kernel[np.ix_(rows, rows)], data.Y[rows], penalties)
            table = np.broadcast_to(penalties[:, None], intercept.shape)
            found.append(DualModels(samples[rows], center, weights, intercept, table))
        return list(found)

    @property
    def fold_coef_(self) -> np.ndarray:
        """Weights of the features in each model, models x features x perturbations."""
        return self._joined("coef")

    @property
    def coef_(self) -> np.ndarray:
        """Weights of the features."""
        return self.fold_coef_.mean(axis=0)

    @property
    def intercept_(self) -> np.ndarray:
        """Intercepts."""
        return self._joined("intercept").mean(axis=0)

    @property
    def penalty_(self) -> np.ndarray:
        """Penalty of each perturbation."""
        return self._joined("penalty")[0]


def dual_ridge(kernel: np.ndarray, Y: np.ndarray, penalties: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Solve kernel ridge regressions with an intercept, for all perturbations and penalties.

    Parameters
    ----------
    kernel : array, n x n
        Positive semidefinite.
    Y : array, n x L
        NaN where not measured.
    penalties : array, G
        Above 0.

    Returns
    -------
    weights : array, G x n x L
        0 where not measured; the prediction of a sample is the intercept plus the sum of its kernel with the n times
        these.
    intercept : array, G x L
        The mean of equal labels, 0 where there is none.
    """
    measured = ~np.isnan(Y)
    residual, mean = _centred(Y, measured)
    low, high = np.fmin.reduce(Y, axis=0), np.fmax.reduce(Y, axis=0)
    residual[:, ~(high > low)] = 0.0  # but for rounding
    missing = _missing(measured)
    sides = np.concatenate([residual.T, measured.T.astype(np.float64)])
    weights = np.empty((len(penalties), *Y.shape))
    intercept = np.empty((len(penalties), Y.shape[1]))
    for g, penalty in enumerate(penalties):
        solved, ones = np.split(_solve(kernel + penalty * np.eye(len(kernel)), sides, missing), 2)
        shift = solved.sum(axis=1) / np.where(ones.any(axis=1), ones.sum(axis=1), 1.0)
        weights[g], intercept[g] = (solved - shift[:, None] * ones).T, mean + shift
    return weights, intercept


def _missing(measured: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return, for each way to miss labels, the samples that miss (positions), and the rows of the two sides."""
    which = patterns(measured)
    columns = [np.flatnonzero(which == number) for number in range(which.max() + 1)]
    return [(np.flatnonzero(~measured[:, c[0]]), np.concatenate([c, c + measured.shape[1]])) for c in columns]


def _solve(matrix: np.ndarray, sides: np.ndarray, missing: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Return x (2L x n), 0 where not measured, with x @ matrix = sides where measured."""
    inverse = _inverse(matrix)
    found = sides @ inverse
    for absent, rows in missing:
        part = found[rows]
        if 2 * len(absent) > len(matrix):
            present = np.setdiff1d(np.arange(len(matrix)), absent)
            part[:, present] = _cholesky(matrix[np.ix_(present, present)], sides[np.ix_(rows, present)])
        elif len(absent):
            # For the inverse A, and M absent, O the others: the inverse over O alone is A_OO - A_OM A_MM^-1 A_MO.
            across = inverse[absent]
            part -= _cholesky(across[:, absent], part[:, absent]) @ across
        part[:, absent] = 0.0
        found[rows] = part
    return found


def _cholesky(matrix: np.ndarray, sides: np.ndarray) -> np.ndarray:
    """Return x with x @ matrix = sides, for a positive definite matrix."""
    return cho_solve(cho_factor(matrix, check_finite=False), sides.T, check_finite=False).T


def _inverse(matrix: np.ndarray) -> np.ndarray:
    """Invert a positive definite matrix."""
    factor, lower = cho_factor(matrix, lower=True, check_finite=False)
    half = np.tril(lapack.dpotri(factor, lower=lower)[0])
    return half + np.tril(half, -1).T


def rank_scores(Y: np.ndarray) -> np.ndarray:
    """Return normal scores of each perturbation's labels: the quantile of (rank - 1/2) / n, ties in the middle.

    Parameters
    ----------
    Y : array, n x L
        NaN where not measured, as in the result.
    """
    measured = (~np.isnan(Y)).sum(axis=0)
    return ndtri((rankdata(Y, axis=0, nan_policy="omit") - 0.5) / np.maximum(measured, 1))


def squared_distances(A: np.ndarray, B: np.ndarray) -> np.ndarray:
    """Return squared Euclidean distances between the rows of two matrices."""
    lengths = np.square(A).sum(axis=1)[:, None] + np.square(B).sum(axis=1)
    return np.maximum(lengths - 2 * A @ B.T, 0.0)


@dataclass
class KernelModels(FoldModel):
    """Weights of the training samples, at one penalty."""

    samples: np.ndarray  # (n, p), float32
    width: np.ndarray  # ()
    weights: np.ndarray  # (1, n, L)
    intercept: np.ndarray  # (1, L)

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Return predictions, 1 x samples x perturbations."""
        kernel = np.exp(-squared_distances(X, self.samples.astype(np.float64)) / self.width)
        return kernel @ self.weights + self.intercept[:, None, :]

    def derivative(self, X: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Return the derivative by each feature (p x perturbations asked for), mean over the samples X."""
        samples, weights = self.samples.astype(np.float64), self.weights[0][:, columns]
        kernel = np.exp(-squared_distances(X, samples) / self.width)
        towards = samples.T @ (kernel.sum(axis=0)[:, None] * weights) - X.T @ (kernel @ weights)
        return 2 / (self.width * len(X)) * towards


@dataclass
class SharedModels(FoldModel):
    """Both decompositions on one training set, which give the weights at each of G penalties."""

    samples: np.ndarray  # (n, p), float32
    width: np.ndarray  # ()
    center: np.ndarray  # (n,), mean of the kernel over the training samples
    vectors: np.ndarray  # (n, n), U
    values: np.ndarray  # (n,), s
    scores: np.ndarray  # (n, q), U'ZV
    shared: np.ndarray  # (q,), t
    directions: np.ndarray  # (q, L), V', in units of the labels
    level: np.ndarray  # (L,), mean label
    penalties: np.ndarray  # (G,)

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Return predictions, G x samples x perturbations."""
        return np.concatenate([self.at(penalty).predict(X) for penalty in self.penalties])

    def keep(self, points: np.ndarray) -> KernelModels:
        """Return the model at one penalty, which is the same for all perturbations."""
        return self.at(self.penalties[points[0]])

    def at(self, penalty: float) -> KernelModels:
        """Return the model at a penalty."""
        shrunk = self.scores / (self.values[:, None] + penalty / self.shared)
        weights = self.vectors @ (shrunk @ self.directions)
        return KernelModels(self.samples, self.width, weights[None], (self.level - self.center @ weights)[None])


@dataclass(eq=False, repr=False)
class SharedKernelRidge(Tuned):
    """Gaussian kernel ridge regression, which can share strength between perturbations; see the module for the model.

    Parameters
    ----------
    share : float
        Of the perturbations' covariance, how much is that of their labels; 0: each perturbation is on its own.
    ranks : bool
        Fit rank scores in place of labels.
    grid : mapping, optional
        "penalty" tried, in units of the mean eigenvalue of the kernel; one for all perturbations is chosen.
    random_state : int
        Seed of the folds when `fit` is not given any.
    ensemble : {"folds", "refit"}
        Predict with the average of the fold models, or with one model fitted on the whole training set.

    Attributes
    ----------
    cv_score_ : array, perturbations
        Mean Spearman correlation on the held-out folds at the penalty chosen.
    """

    fold_model: ClassVar = KernelModels
    default_grid: ClassVar = {"penalty": [50.0, 30.0, 20.0, 10.0, 7.0, 5.0, 3.0, 2.0, 1.0, 0.5]}
    pan_perturbation: ClassVar = True

    share: float = 0.0
    ranks: bool = False
    grid: Mapping[str, Sequence[Any]] | None = None

    work = DualRidge.work

    def _fit_fold(self, data: Training, fold: int) -> SharedModels:
        penalties = np.array([point["penalty"] for point in self.points()], dtype=np.float64)
        if not 0 <= self.share < 1 or not (penalties > 0).all():
            raise InputError(
                f"share={self.share}, penalties {penalties.tolist()}: use 0 <= share < 1, penalties above 0"
            )
        samples = data.X.astype(np.float32)
        distances = squared_distances(*[samples.astype(np.float64)] * 2)
        width = np.median(distances) or 1.0
        kernel = np.exp(-distances / width)
        center = kernel.mean(axis=0)
        values, vectors = np.linalg.eigh(kernel - center - center[:, None] + center.mean())
        unit = values.mean() if values.mean() > 1e-12 else 1.0
        Z, slope, level = self._scores(kernel, data.Y, unit)
        _, lengths, directions = np.linalg.svd(Z, full_matrices=False)
        shared = self.share * lengths**2 / len(Z) + 1 - self.share
        scores = vectors.T @ (Z @ directions.T)
        return SharedModels(samples, np.array(width), center, vectors, np.maximum(values, 0.0), scores, shared,
                            directions * slope, level, unit * penalties)  # fmt: skip

    def _scores(self, kernel: np.ndarray, Y: np.ndarray, unit: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return standardised scores without gaps (n x L), and what a score of 1 is worth in labels, and of 0."""
        scores = rank_scores(Y) if self.ranks else Y
        weights, intercept = dual_ridge(kernel, scores, np.array([unit]))
        measured = ~np.isnan(Y)
        filled = np.where(measured, scores, kernel @ weights[0] + intercept[0])
        mean, sd = filled.mean(axis=0), filled.std(axis=0)
        Z = (filled - mean) / np.where(sd > 0, sd, 1.0)
        own, labels = (_centred(values, measured) for values in (Z, Y))
        squares = np.square(own[0]).sum(axis=0)
        slope = (own[0] * labels[0]).sum(axis=0) / np.where(squares > 0, squares, 1.0)
        return Z, slope, labels[1] - slope * own[1]


def _centred(values: np.ndarray, measured: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return values less their mean where measured, 0 elsewhere, and the mean (0 where nothing is measured)."""
    mean = np.where(measured, values, 0.0).sum(axis=0) / np.maximum(measured.sum(axis=0), 1)
    return np.where(measured, values - mean, 0.0), mean
