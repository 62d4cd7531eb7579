"""Controls that the paper lacks: what a model must beat before it says anything about biology."""

from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator

from leaplib.base.errors import InputError
from leaplib.models.base import as_labels


class TrainingMean(BaseEstimator):
    """Predict each perturbation's mean over the training samples (overall metrics only: it is constant)."""

    def fit(self, X: pd.DataFrame, Y: pd.DataFrame, *others: Any) -> "TrainingMean":
        """Learn the means; X gives the samples only."""
        labels, perturbations = as_labels(Y, len(_samples(X)))
        self.mean_ = pd.Series(np.nanmean(labels, axis=0), index=perturbations)
        return self

    def predict(self, X: pd.DataFrame) -> pd.DataFrame:
        """Return samples x perturbations, each row the same."""
        values = np.tile(self.mean_.to_numpy(), (len(_samples(X)), 1))
        return pd.DataFrame(values, index=X.index, columns=self.mean_.index)


class TissueMean(BaseEstimator):
    """Predict the mean over training samples of the same tissue.

    Where the tissue or its labels are missing in training, the perturbation's training mean.
    X is a frame with a column `tissue`.
    """

    def fit(self, X: pd.DataFrame, Y: pd.DataFrame, *others: Any) -> "TissueMean":
        """Learn the mean of each (tissue, perturbation)."""
        tissue = _samples(X, "tissue")["tissue"]
        self.overall_ = TrainingMean().fit(X, Y)
        labels, perturbations = as_labels(Y, len(X))
        self.means_ = pd.DataFrame(labels, columns=perturbations).groupby(tissue.to_numpy()).mean()
        return self

    def predict(self, X: pd.DataFrame) -> pd.DataFrame:
        """Return samples x perturbations."""
        means = self.means_.reindex(_samples(X, "tissue")["tissue"]).set_axis(X.index)
        return means.where(means.notna(), self.overall_.predict(X))


def _samples(X: pd.DataFrame, *columns: str) -> pd.DataFrame:
    """Return the table of samples; refuse what is none, or lacks a column."""
    if not isinstance(X, pd.DataFrame):
        raise InputError(f"samples: expected a DataFrame with samples as rows, got {type(X).__name__}")
    for column in columns:
        if list(X.columns).count(column) != 1:
            raise InputError(f"samples: {list(X.columns).count(column)} columns {column!r}: give exactly one")
    return X


def shuffle_labels(Y: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Permute the measured labels within each perturbation; what is missing stays missing.

    Any model trained on the result must score 0 within error: it sees the labels' distribution, but
    their link with the samples is cut.
    """
    rng = np.random.default_rng(seed)
    values = Y.to_numpy(dtype=float, copy=True)
    for column in range(values.shape[1]):
        measured = np.flatnonzero(~np.isnan(values[:, column]))
        values[measured, column] = values[rng.permutation(measured), column]
    return pd.DataFrame(values, index=Y.index, columns=Y.columns)
