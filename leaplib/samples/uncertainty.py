"""How sure a prediction is: spread of the ensemble, conformal intervals, distance to the training set.

Intervals are those of CV+ over the five tuning folds (Barber, Candes, Ramdas, Tibshirani, Predictive inference with
the jackknife+, Ann. Statist. 49, 2021). The models that were fitted without a fold predict its samples, so that
calibration needs no label to be set aside and no further fit. What they hold is measured: 90% to 91% of the responses
of held-out lines at a nominal 90%, 80% to 96% by unseen tissue (`notebooks/README.md`).

What is proven is less. For exchangeable samples, n labels and K folds, intervals at level 1 - a cover at least
1 - 2a - min(2 (1 - 1 / K) / (n / K + 1), (1 - K / n) / (K + 1)) (theorem 4 there): with five folds at a nominal 0.90,
0.70 with 75 labels and 0.76 with 200. Even that is void here: penalties are chosen on the same folds, which also share
the perturbation's usual spread, and an unseen tissue is no exchangeable sample.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.neighbors import NearestNeighbors

from leaplib.base.errors import InputError

N_NEIGHBOURS = 5


def rank_of(level: float, n: int) -> int:
    """Return which of n sorted residuals bounds an interval of a level (from 1); n + 1 where n are too few."""
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
    def fit(cls, model: Any, X: pd.DataFrame, Y: pd.DataFrame) -> "Calibration":
        """Predict each training sample with the regressors of the fold that did not see it.

        `model`, such as `leaplib.LEAP`, was fitted on X and Y; it has `folds_`, `perturbations_` and
        `predict_each(X)`: representations x folds x samples x perturbations.
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

    def intervals(self, model: Any, X: pd.DataFrame, level: float = 0.9) -> dict[str, pd.DataFrame]:
        """Predict samples with intervals of a level: the share of new samples whose response they shall hold (CV+).

        Returns
        -------
        dict of DataFrame, samples x perturbations
            prediction (mean of all regressors), lower and upper (NaN where a perturbation has too few labels, see
            `notes`), spread (SD of the regressors' predictions).
        """
        each = model.predict_each(X)
        centre, scale = each.mean(axis=0), _scale(each.std(axis=0), self.usual.to_numpy())
        scores, folds = self.scores.to_numpy(), self.folds.to_numpy()
        ends = [cv_plus(centre[:, :, j], scale[:, :, j], scores[:, j], folds, level) for j in range(scores.shape[1])]
        lower, upper = np.array(ends).transpose(1, 2, 0)
        mean, spread = each.mean(axis=(0, 1)), each.std(axis=(0, 1))
        parts = {"prediction": mean, "lower": lower, "upper": upper, "spread": spread}
        return {name: pd.DataFrame(part, X.index, model.perturbations_) for name, part in parts.items()}

    def notes(self, level: float) -> pd.Series:
        """Return why a perturbation has no interval, empty where it has one."""
        needed = labels_needed(level)
        counts = self.scores.notna().sum()
        return counts.map(lambda n: f"{n} labels: an interval needs {needed}" if n < needed else "")


def _scale(spread: np.ndarray, usual: np.ndarray) -> np.ndarray:
    """Return the unit that errors are counted in; perturbations are last."""
    return np.where(usual > 0, spread + usual, 1.0)


def cv_plus(
    centre: np.ndarray, scale: np.ndarray, scores: np.ndarray, folds: np.ndarray, level: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return both ends of the CV+ intervals of one perturbation, NaN where there are too few scores.

    Parameters
    ----------
    centre, scale : array, folds x samples
        Predictions of new samples by the models of each fold, and the units of their errors.
    scores : array, n
        Absolute out-of-fold errors of the training samples in units of their scale, NaN where not measured.
    folds : array of int, n
        Their folds.
    level : float
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
    """Return how often intervals hold what was measured (frames of samples x perturbations, truth NaN where not).

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
        Of the training samples.
    scales : array
        Median distance in each representation.
    """

    features: list[pd.DataFrame]
    distances: np.ndarray
    scales: np.ndarray

    @classmethod
    def fit(cls, features: Sequence[pd.DataFrame]) -> "Applicability":
        """Learn from the training samples, one frame (samples x features) a representation."""
        if len(features[0]) <= N_NEIGHBOURS:
            raise InputError(f"applicability needs more than {N_NEIGHBOURS} training samples, not {len(features[0])}")
        own = np.array([_nearest(frame, None) for frame in features])
        scales = np.median(own, axis=1)
        scales[scales == 0] = 1.0  # most samples are copies of others
        return cls(list(features), (own / scales[:, None]).mean(axis=0), scales)

    def score(self, features: Sequence[pd.DataFrame]) -> pd.DataFrame:
        """Score new samples, given as in `fit`.

        Returns
        -------
        DataFrame, one row a sample
            distance (1: as the typical training sample), applicability (share of the training samples, the new one
            among them, that are at least as far out: 1 in the midst, near 0 far away; for samples like the training
            samples it is uniform).
        """
        each = [_nearest(own, new) for own, new in zip(self.features, features, strict=True)]
        distance = (np.array(each) / self.scales[:, None]).mean(axis=0)
        farther = len(self.distances) - np.searchsorted(np.sort(self.distances), distance - 1e-9)
        score = (1 + farther) / (1 + len(self.distances))
        return pd.DataFrame({"distance": distance, "applicability": score}, index=features[0].index)


def _nearest(training: pd.DataFrame, new: pd.DataFrame | None) -> np.ndarray:
    """Return the mean distance to the nearest training samples; of these themselves without `new`."""
    search = NearestNeighbors(n_neighbors=N_NEIGHBOURS).fit(training.to_numpy(dtype=float))
    distances, _ = search.kneighbors(None if new is None else new.to_numpy(dtype=float))
    return distances.mean(axis=1)


def error_by_applicability(
    truth: pd.DataFrame, prediction: pd.DataFrame, applicability: pd.Series, n_bins: int = 4
) -> pd.DataFrame:
    """Return the error of samples in bins (of equally many) of their applicability.

    Returns
    -------
    DataFrame, one row a bin, the least applicable first
        low, high (applicability), samples, error: median over samples of their mean absolute error, each perturbation
        in units of its SD over the samples.
    """
    truth = truth.reindex(index=prediction.index, columns=prediction.columns)
    error = ((truth - prediction).abs() / truth.std(ddof=0).replace(0, np.nan)).mean(axis=1).dropna()
    table = pd.DataFrame({"score": applicability.loc[error.index], "error": error})
    bins = pd.qcut(table["score"].rank(method="first"), min(n_bins, len(table)), labels=False)
    aggregated = {"low": ("score", "min"), "high": ("score", "max"), "samples": ("score", "size")}
    return table.groupby(bins.to_numpy()).agg(**aggregated, error=("error", "median")).reset_index(drop=True)
