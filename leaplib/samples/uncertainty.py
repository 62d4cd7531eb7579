"""How sure a prediction is: spread of the ensemble, conformal intervals, distance to the training set.

Intervals are those of CV+ over the five tuning folds (Barber, Candes, Ramdas, Tibshirani, Predictive inference with
the jackknife+, Ann. Statist. 49, 2021). The models that were fitted without a fold predict its samples, so that
calibration needs no label to be set aside and no further fit. For exchangeable samples a perturbation's intervals at
level 1 - a cover at least 1 - 2a - 2 / (n / 5 + 1) whatever the model, and close to 1 - a in practice (theorem 4
there). Penalties chosen on the same folds and samples of another kind (an unseen tissue) are beyond the theorem:
for them, coverage is measured.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pandas as pd
from sklearn.neighbors import NearestNeighbors

from leaplib.base.errors import InputError

N_NEIGHBOURS = 5


class Ensemble(Protocol):
    """A fitted model of several representations and folds, such as `leaplib.LEAP`."""

    folds_: pd.Series

    @property
    def perturbations_(self) -> pd.Index:
        """Perturbations that the model was fitted on."""

    def predict_each(self, X: pd.DataFrame) -> np.ndarray:
        """Return predictions, representations x folds x samples x perturbations."""


@dataclass(frozen=True)
class Intervals:
    """Predictions with their uncertainty: frames of samples x perturbations.

    Parameters
    ----------
    prediction : DataFrame
        Mean of all regressors.
    spread : DataFrame
        SD of the regressors' predictions.
    lower, upper : DataFrame
        Ends of the interval; NaN where a perturbation has too few labels for the level.
    notes : Series of str
        By perturbation: why there is no interval, or empty.
    """

    prediction: pd.DataFrame
    spread: pd.DataFrame
    lower: pd.DataFrame
    upper: pd.DataFrame
    notes: pd.Series


def rank_of(level: float, n: int) -> int:
    """Return which of n sorted residuals bounds an interval of a level (from 1); n + 1 where n are too few.

    Raises
    ------
    InputError
        When the level is not between 0 and 1.
    """
    if not 0 < level < 1:
        raise InputError(f"level {level}: it must lie between 0 and 1, such as 0.9")
    return min(math.ceil(level * (n + 1) - 1e-9), n + 1)


def labels_needed(level: float) -> int:
    """Return how many labels a perturbation needs for a finite interval of a level."""
    return math.ceil(level / (1 - level) - 1e-9)


@dataclass(frozen=True)
class Calibration:
    """What intervals rest on: how far off the predictions of held-out training samples were.

    Errors are counted in units of a scale that is larger where the representations disagree: their spread (SD) plus
    the perturbation's median spread, so that a sample on which they happen to agree keeps half of the usual width.
    Under a shift (an unseen tissue) intervals so widen where they should. A model of one representation has no such
    spread, and its scale is 1.

    Parameters
    ----------
    scores : DataFrame, samples x perturbations
        Absolute error of the out-of-fold prediction over its scale, NaN where not measured.
    folds : Series
        Fold of each sample.
    usual : Series
        Median spread of each perturbation.
    """

    scores: pd.DataFrame
    folds: pd.Series
    usual: pd.Series

    @classmethod
    def fit(cls, model: Ensemble, X: pd.DataFrame, Y: pd.DataFrame) -> "Calibration":
        """Predict each training sample with the regressors of the fold that did not see it.

        Parameters
        ----------
        model : Ensemble, fitted on X and Y
        X : DataFrame, samples x genes
        Y : DataFrame, samples x perturbations
            NaN where not measured.

        Raises
        ------
        InputError
            When X lists other samples than those that the model was fitted on.
        """
        folds = model.folds_
        if not X.index.equals(folds.index):
            raise InputError("calibration needs the training samples of the model, in their order")
        each, own = model.predict_each(X), (folds.to_numpy(), np.arange(len(folds)))
        spread = each.std(axis=0)[own]
        labels = Y.loc[X.index, model.perturbations_]
        usual = np.nanmedian(np.where(labels.notna(), spread, np.nan), axis=0)
        errors = (labels - each.mean(axis=0)[own]).abs()
        return cls(errors / _scale(spread, usual), folds, pd.Series(usual, index=labels.columns))

    def intervals(self, model: Ensemble, X: pd.DataFrame, level: float = 0.9) -> Intervals:
        """Predict samples with intervals of a level (CV+).

        Parameters
        ----------
        model : Ensemble
            The one that the calibration was fitted with.
        X : DataFrame, samples x genes
        level : float
            Share of new samples whose response the intervals shall hold, for each perturbation.
        """
        each = model.predict_each(X)
        centre, scale = each.mean(axis=0), _scale(each.std(axis=0), self.usual.to_numpy())
        scores, folds = self.scores.to_numpy(), self.folds.to_numpy()
        ends = [cv_plus(centre[:, :, j], scale[:, :, j], scores[:, j], folds, level) for j in range(scores.shape[1])]
        flat = each.reshape(-1, *each.shape[2:])
        lower, upper = np.array(ends).transpose(1, 2, 0)
        prediction, spread, low, high = (pd.DataFrame(values, index=X.index, columns=model.perturbations_)
                                         for values in (flat.mean(axis=0), flat.std(axis=0), lower, upper))  # fmt: skip
        return Intervals(prediction, spread, low, high, self.notes(level))

    def notes(self, level: float) -> pd.Series:
        """Return why a perturbation has no interval, empty where it has one."""
        needed = labels_needed(level)
        counts = self.scores.notna().sum()
        return counts.map(lambda n: f"{n} labels: an interval needs {needed}" if n < needed else "")


def _scale(spread: np.ndarray, usual: np.ndarray) -> np.ndarray:
    """Return the unit that errors are counted in; perturbations are last."""
    return np.where(usual > 0, spread + usual, 1.0)


def cv_plus(centre: np.ndarray, scale: np.ndarray, scores: np.ndarray, folds: np.ndarray,
            level: float) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Return both ends of the CV+ intervals of one perturbation.

    Parameters
    ----------
    centre, scale : array, folds x samples
        Predictions of new samples by the models of each fold, and the units of their errors.
    scores : array, n
        Absolute out-of-fold errors of the training samples in units of their scale, NaN where not measured.
    folds : array of int, n
        Their folds.
    level : float

    Returns
    -------
    lower, upper : array, samples
        NaN where there are too few scores.
    """
    known = ~np.isnan(scores)
    n = int(known.sum())
    rank = rank_of(level, n)
    if rank > n:
        return np.full(centre.shape[1], np.nan), np.full(centre.shape[1], np.nan)
    middle, half = centre[folds[known]], scores[known][:, None] * scale[folds[known]]
    lower = np.partition(middle - half, n - rank, axis=0)[n - rank]
    return lower, np.partition(middle + half, rank - 1, axis=0)[rank - 1]


def coverage(truth: pd.DataFrame, lower: pd.DataFrame, upper: pd.DataFrame) -> pd.DataFrame:
    """Return how often intervals hold what was measured.

    Parameters
    ----------
    truth, lower, upper : DataFrame, samples x perturbations
        Truth is NaN where not measured; samples and perturbations as in `lower`.

    Returns
    -------
    DataFrame, one row a perturbation with intervals and measurements
        perturbation, n (measured), covered (share), width (mean, in the unit of the response).
    """
    truth = truth.reindex(index=lower.index, columns=lower.columns)
    usable = truth.notna() & lower.notna()
    inside = ((truth >= lower) & (truth <= upper)).where(usable).astype(float)
    frame = pd.DataFrame({"n": usable.sum(), "covered": inside.mean(), "width": (upper - lower).where(usable).mean()})
    return frame[frame["n"] > 0].rename_axis("perturbation").reset_index()


@dataclass(frozen=True)
class Applicability:
    """How far samples are from the training set, in what the regressors see of them.

    In each representation, a sample's distance is the mean Euclidean distance to its five nearest training samples,
    divided by the median of that of the training samples themselves (each without itself). The representations are
    averaged.

    Parameters
    ----------
    features : list of DataFrame, samples x features
        Of the training samples, one frame a representation.
    distances : array
        Distance of each training sample.
    scales : array
        Median distance in each representation.
    """

    features: list[pd.DataFrame]
    distances: np.ndarray
    scales: np.ndarray

    @classmethod
    def fit(cls, features: Sequence[pd.DataFrame]) -> "Applicability":
        """Measure the training samples against each other.

        Raises
        ------
        InputError
            When there are fewer than six training samples.
        """
        if len(features[0]) <= N_NEIGHBOURS:
            raise InputError(f"applicability needs more than {N_NEIGHBOURS} training samples, not {len(features[0])}")
        own = np.array([_nearest(frame, None) for frame in features])
        scales = np.median(own, axis=1)
        scales[scales == 0] = 1.0  # most samples are copies of others
        return cls(list(features), (own / scales[:, None]).mean(axis=0), scales)

    def score(self, features: Sequence[pd.DataFrame]) -> pd.DataFrame:
        """Score new samples.

        Parameters
        ----------
        features : list of DataFrame, samples x features
            One frame a representation, as in `fit`.

        Returns
        -------
        DataFrame, one row a sample
            distance (1: as the typical training sample), applicability (share of the training samples, the new one
            among them, that are at least as far out: 1 in the midst, near 0 far away; for samples like the training
            samples it is uniform).
        """
        each = [
            _nearest(own, new) / scale for own, new, scale in zip(self.features, features, self.scales, strict=True)
        ]
        distance = np.mean(each, axis=0)
        farther = len(self.distances) - np.searchsorted(np.sort(self.distances), distance - 1e-9)
        score = (1 + farther) / (1 + len(self.distances))
        return pd.DataFrame({"distance": distance, "applicability": score}, index=features[0].index)


def _nearest(training: pd.DataFrame, new: pd.DataFrame | None) -> np.ndarray:
    """Return the mean distance to the nearest training samples; of these themselves without `new`."""
    search = NearestNeighbors(n_neighbors=N_NEIGHBOURS).fit(training.to_numpy(dtype=float))
    distances, _ = search.kneighbors(None if new is None else new.to_numpy(dtype=float))
    return distances.mean(axis=1)


def error_by_applicability(truth: pd.DataFrame, prediction: pd.DataFrame, applicability: pd.Series,
                           n_bins: int = 4) -> pd.DataFrame:  # fmt: skip
    """Return the error of samples in bins of their applicability.

    Parameters
    ----------
    truth, prediction : DataFrame, samples x perturbations
        Truth is NaN where not measured.
    applicability : Series, by sample
    n_bins : int
        Bins of equally many samples.

    Returns
    -------
    DataFrame, one row a bin, the least applicable first
        low, high (applicability), samples, error: median over samples of their mean absolute error, each perturbation
        in units of its SD over the samples.
    """
    truth = truth.reindex(index=prediction.index, columns=prediction.columns)
    error = ((truth - prediction).abs() / truth.std(ddof=0).replace(0, np.nan)).mean(axis=1).dropna()
    score = applicability.loc[error.index]
    bins = pd.qcut(score.rank(method="first"), min(n_bins, len(score)), labels=False)
    table = pd.DataFrame({"score": score, "error": error}).groupby(bins.to_numpy())
    return pd.DataFrame({"low": table["score"].min(), "high": table["score"].max(), "samples": table.size(),
                         "error": table["error"].median()}).reset_index(drop=True)  # fmt: skip
