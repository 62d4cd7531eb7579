"""Tuning shared by all models: per-perturbation Spearman on held-out folds."""

import numpy as np

from leaplib.metrics import spearman


def fold_scores(truth: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """Score the predictions of a grid on one held-out fold.

    Parameters
    ----------
    truth : array, n x L
    prediction : array, G x n x L
        One slice a grid point.

    Returns
    -------
    array, G x L
        Spearman's correlation; a constant prediction scores 0, a fold without usable labels is NaN.
    """
    return spearman(truth, prediction)


def best_per_perturbation(scores: np.ndarray) -> np.ndarray:
    """Return the best grid point of each perturbation.

    Parameters
    ----------
    scores : array, K x G x L
        Of K folds; NaN (no usable labels in the fold) is left out of the mean.

    Returns
    -------
    array of int, L
        Ties go to the grid point that comes first, so grids run from the simplest model.
    """
    usable = ~np.isnan(scores)
    mean = np.where(usable, scores, 0.0).sum(axis=0) / np.maximum(usable.sum(axis=0), 1)
    # Equal but for rounding counts as equal.
    return np.argmax(np.round(mean, 12), axis=0)
