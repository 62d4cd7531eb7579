"""What all regressors share: checked input, frames in and frames out."""

from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from leaplib.errors import InputError


def as_matrix(X: Any, what: str) -> np.ndarray:
    """Return a two-dimensional float array; missing or infinite values are an InputError naming the row."""
    values = np.asarray(X, dtype=np.float64)
    if values.ndim != 2:
        raise InputError(f"{what}: expected a table of samples x features, got {values.ndim} dimension(s)")
    bad = np.flatnonzero(~np.isfinite(values).all(axis=1))
    if len(bad):
        row = X.index[bad[0]] if isinstance(X, pd.DataFrame) else int(bad[0])
        raise InputError(f"{what}: sample {row!r} has missing or infinite values: mend it or drop the sample")
    return values


def as_labels(Y: Any, n_samples: int) -> tuple[np.ndarray, pd.Index]:
    """Return labels as a float array (NaN: not measured) and the names of the perturbations.

    Raises
    ------
    InputError
        When the number of samples differs, a value is infinite, or a perturbation has no label at all.
    """
    frame = Y if isinstance(Y, pd.DataFrame) else pd.DataFrame(np.asarray(Y, dtype=np.float64))
    values = frame.to_numpy(dtype=np.float64)
    if len(values) != n_samples:
        raise InputError(
            f"{len(values)} rows of labels for {n_samples} samples: give one row a sample, in the same order"
        )
    if np.isinf(values).any():
        row, column = np.argwhere(np.isinf(values))[0]
        raise InputError(f"perturbation {frame.columns[column]!r}: infinite label of sample {frame.index[row]!r}")
    empty = np.isnan(values).all(axis=0)
    if empty.any():
        raise InputError(f"perturbation {frame.columns[empty][0]!r} has no measured label: drop it")
    return values, frame.columns


class Regressor(BaseEstimator):
    """A model of all perturbations; subclasses give `_fit(X, Y, folds)` and `_predict(X)` on arrays."""

    def fit(self, X: Any, Y: Any, folds: Any = None) -> "Regressor":
        """Fit all perturbations.

        Parameters
        ----------
        X : DataFrame or array, samples x features
            Finite.
        Y : DataFrame or array, samples x perturbations
            NaN where not measured; rows as in X.
        folds : Series or array of int, optional
            Tuning fold of each sample (0 to K - 1), for models that tune; by default five random folds.

        Raises
        ------
        InputError
            When the tables do not fit each other or hold values that cannot be used.
        """
        values = as_matrix(X, "features")
        if isinstance(X, pd.DataFrame) and isinstance(Y, pd.DataFrame) and not X.index.equals(Y.index):
            raise InputError("features and labels list different samples: align their rows first")
        labels, self.perturbations_ = as_labels(Y, len(values))
        self.n_features_in_ = values.shape[1]
        self._fit(values, labels, None if folds is None else np.asarray(folds))
        return self

    def predict(self, X: Any) -> pd.DataFrame:
        """Return predictions, samples x perturbations."""
        check_is_fitted(self)
        values = as_matrix(X, "features")
        if values.shape[1] != self.n_features_in_:
            raise InputError(f"features: {values.shape[1]} columns, but the model was fitted on {self.n_features_in_}")
        index = X.index if isinstance(X, pd.DataFrame) else None
        return pd.DataFrame(self._predict(values), index=index, columns=self.perturbations_)

    def _fit(self, X: np.ndarray, Y: np.ndarray, folds: np.ndarray | None) -> None:
        raise NotImplementedError

    def _predict(self, X: np.ndarray) -> np.ndarray:
        raise NotImplementedError
