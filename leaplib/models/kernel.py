"""The regressor of LEAP+: Gaussian kernel ridge regression with one penalty for all perturbations.

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
Bonilla, Chai, Williams (2007), Multi-task Gaussian process prediction, NIPS; Breiman, Friedman (1997), Predicting
multivariate responses in multiple linear regression, J. R. Stat. Soc. B 59(1).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from scipy.special import ndtri
from scipy.stats import rankdata

from leaplib.base.errors import InputError
from leaplib.models.base import Training
from leaplib.models.ridge import DualRidge, dual_ridge
from leaplib.models.tuning import FoldModel, Tuned


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
