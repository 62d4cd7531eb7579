"""What LEAP and its rivals on expression share: checked tables in, the pool that genes are chosen from, frames out."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from leaplib.cohort import check_unique
from leaplib.errors import InputError
from leaplib.regressors.base import as_labels, as_matrix, seen


class ExpressionModel(BaseEstimator):
    """A model of responses to perturbations from raw expression: it chooses and standardises genes itself.

    Subclasses give `_fit(X, Y, groups, pool, sources)`, with Y in the order of X, and `_predict(X)` (all
    perturbations).
    """

    def fit(self, X: pd.DataFrame, Y: pd.DataFrame, unlabelled: pd.DataFrame | None = None,
            groups: pd.Series | None = None) -> "ExpressionModel":  # fmt: skip
        """Train on expression and responses.

        Parameters
        ----------
        X : DataFrame, samples x genes
            Expression on a log scale.
        Y : DataFrame, samples x perturbations
            NaN where not measured; the same samples as X, in any order.
        unlabelled : DataFrame, samples x genes, optional
            Further expression for the choice of genes, standardisation and pretraining only, such as that of the
            samples to predict. Samples that stand in X too are taken once.
        groups : Series, optional
            Group (tissue) of each sample: tuning folds then never divide a group.

        Raises
        ------
        InputError
            When samples or genes of the tables do not match, repeat, or values are missing.
        """
        _check(X, Y)
        self.perturbations_ = Y.columns
        self._fit(X, Y.loc[X.index], groups, *_pool(X, unlabelled))
        return self

    def predict(self, X: pd.DataFrame, perturbations: Sequence[Any] | None = None) -> pd.DataFrame:
        """Return predicted responses, samples x perturbations (all, or those asked for)."""
        check_is_fitted(self)
        columns = seen(self.perturbations_, perturbations)
        return self._predict(X)[columns]

    def _fit(self, X: pd.DataFrame, Y: pd.DataFrame, groups: pd.Series | None, pool: pd.DataFrame,
             sources: pd.Series | None) -> None:  # fmt: skip
        raise NotImplementedError

    def _predict(self, X: pd.DataFrame) -> pd.DataFrame:
        raise NotImplementedError


def _check(X: pd.DataFrame, Y: pd.DataFrame) -> None:
    for frame, what in ((X, "expression"), (Y, "responses")):
        if not isinstance(frame, pd.DataFrame):
            raise InputError(f"{what}: expected a DataFrame with samples as rows, got {type(frame).__name__}")
        check_unique(frame.index, "sample", what)
        check_unique(frame.columns, "column", what)
    as_matrix(X, "expression")
    as_labels(Y, len(Y))
    apart = X.index.symmetric_difference(Y.index)
    if len(apart):
        raise InputError(f"sample {apart[0]!r} is not in both expression and responses ({len(apart)} such)")


def _pool(X: pd.DataFrame, unlabelled: pd.DataFrame | None) -> tuple[pd.DataFrame, pd.Series | None]:
    """Return all expression, labelled or not, and where each sample comes from."""
    if unlabelled is None:
        return X, None
    if not isinstance(unlabelled, pd.DataFrame):
        raise InputError(f"unlabelled: expected a DataFrame with samples as rows, got {type(unlabelled).__name__}")
    as_matrix(unlabelled, "unlabelled expression")
    check_unique(unlabelled.columns, "column", "unlabelled expression")
    check_unique(unlabelled.index, "sample", "unlabelled expression")
    further = unlabelled.loc[unlabelled.index.difference(X.index, sort=False)]
    if not len(X.columns.intersection(further.columns)):
        raise InputError("expression and unlabelled expression have no gene in common: use the same gene symbols")
    pool = pd.concat([X, further], join="inner")
    return pool, pd.Series(np.where(pool.index.isin(X.index), "labelled", "unlabelled"), index=pool.index)
