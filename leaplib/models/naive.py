"""Controls that the paper lacks, which all tasks share: what a model must beat to tell of biology."""

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


class MeanEffects(BaseEstimator):
    """Predict a perturbation's training mean plus how far labels of the line lie above such means, on average.

    Of a line without training labels, the mean of that over the lines of its tissue; of an unseen tissue, nothing is
    added. X is a frame with a column `tissue`.
    """

    def fit(self, X: pd.DataFrame, Y: pd.DataFrame, *others: Any) -> "MeanEffects":
        """Learn the mean of each perturbation, and the effect of each line and tissue."""
        tissue = _samples(X, "tissue")["tissue"]
        self.overall_ = TrainingMean().fit(X, Y)
        labels, _ = as_labels(Y, len(X))
        self.lines_ = pd.DataFrame(labels - self.overall_.mean_.to_numpy(), index=X.index).mean(axis=1).dropna()
        self.tissues_ = self.lines_.groupby(tissue.loc[self.lines_.index]).mean()
        return self

    def predict(self, X: pd.DataFrame) -> pd.DataFrame:
        """Return samples x perturbations."""
        of_tissue = _samples(X, "tissue")["tissue"].map(self.tissues_)
        effect = self.lines_.reindex(X.index).fillna(of_tissue).fillna(0.0)
        return self.overall_.predict(X).add(effect, axis=0)


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
