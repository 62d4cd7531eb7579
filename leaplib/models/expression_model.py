"""What LEAP and its rivals on expression share: checked tables in, the pool that genes are chosen from, frames out."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from leaplib.base.errors import InputError
from leaplib.base.store import atomic_folder, load_frame, save_frame, write_text
from leaplib.cohorts.cohort import check_unique
from leaplib.models.base import as_labels, as_matrix, seen


class ExpressionModel(BaseEstimator):
    """A model of responses to perturbations from raw expression: it chooses and standardises genes itself.

    Subclasses give `_fit(X, Y, groups, pool, sources)`, with Y in the order of X, which sets `folds_` (the tuning fold
    of each training sample), and `_predict(X)` (all perturbations); for `save` and `load`, `_save(folder)` and
    `_load(folder)`; and what uncertainty rests on: `predict_each(X)`, `features(X)` and `genes_`, as in `leaplib.LEAP`.
    """

    folds_: pd.Series

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
        check_tables(X, Y)
        self.perturbations_ = Y.columns
        self._fit(X, Y.loc[X.index], groups, *_pool(X, unlabelled))
        return self

    def predict(self, X: pd.DataFrame, perturbations: Sequence[Any] | None = None) -> pd.DataFrame:
        """Return predicted responses, samples x perturbations (all, or those asked for)."""
        check_is_fitted(self)
        columns = seen(self.perturbations_, perturbations)
        return self._predict(X)[columns]

    def save(self, folder: str | Path) -> Path:
        """Write the fitted model to a folder of its own (replaced if there): safetensors, JSON and parquet."""
        check_is_fitted(self)
        parameters = {name: dict(value) if isinstance(value, Mapping) else value
                      for name, value in self.get_params().items()}  # fmt: skip
        meta = {"model": type(self).__name__, "parameters": parameters, "perturbations": self.perturbations_.tolist()}
        with atomic_folder(folder) as temporary:
            self._save(temporary)
            save_frame(self.folds_.to_frame("fold"), temporary / "folds.parquet", {})
            write_text(temporary / "settings.json", json.dumps(meta, indent=1))
        return Path(folder)

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Read what `save` wrote; predictions are equal to the bit.

        Raises
        ------
        InputError
            If a file is missing or damaged, or holds another kind of model.
        """
        folder = Path(folder)
        try:
            meta = json.loads((folder / "settings.json").read_text(encoding="utf-8"))
            kind, parameters, names = meta["model"], meta["parameters"], meta["perturbations"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{folder}: not a saved {cls.__name__} ({error}): save it again") from error
        if kind != cls.__name__:
            raise InputError(f"{folder}: holds a {kind}, not a {cls.__name__}: load it with its own class")
        model = cls(**parameters)
        model.perturbations_ = pd.Index(names)
        model.folds_ = load_frame(folder / "folds.parquet")["fold"]
        model._load(folder)
        return model

    def _save(self, folder: Path) -> None:
        raise NotImplementedError

    def _load(self, folder: Path) -> None:
        raise NotImplementedError

    def _fit(self, X: pd.DataFrame, Y: pd.DataFrame, groups: pd.Series | None, pool: pd.DataFrame,
             sources: pd.Series | None) -> None:  # fmt: skip
        raise NotImplementedError

    def _predict(self, X: pd.DataFrame) -> pd.DataFrame:
        raise NotImplementedError


def check_tables(X: pd.DataFrame, Y: pd.DataFrame) -> None:
    """Refuse tables that are no frames, repeat a name, or list different samples."""
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
