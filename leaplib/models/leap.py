"""LEAP: the average of perturbation-specific Lassos over several DAMAE representations."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted

from leaplib.base.errors import InputError
from leaplib.cohorts.splits import tuning_folds
from leaplib.models.expression_model import ExpressionModel, check_tables
from leaplib.models.lasso import PSLasso
from leaplib.representation.kinds import Representations


def average(predictions: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return the unweighted mean of prediction frames (samples x perturbations) with the same labels."""
    first = predictions[0]
    total = np.zeros(first.shape)
    for frame in predictions:  # one after the other: np.mean would hold all of them once more
        if not (frame.index.equals(first.index) and frame.columns.equals(first.columns)):
            raise InputError("predictions to average differ in their samples or perturbations")
        total += frame.to_numpy(dtype=np.float64)
    total /= len(predictions)
    return pd.DataFrame(total, index=first.index, columns=first.columns, copy=False)


class LEAP(ExpressionModel):
    """Layered Ensemble of Autoencoders and Predictors (arXiv 2502.15646, Figure 1).

    Five DAMAEs, trained without labels from five seeds, each give a representation; on each a PS-LASSO is
    tuned by 5-fold cross-validation and averaged over the folds; LEAP is the mean of the five.

    Parameters
    ----------
    n_representations : int
        DAMAEs.
    n_genes : int
        Most variable genes kept a source.
    random_state : int
        Seed of everything: the DAMAEs use `random_state`, `random_state + 1`, ..., the folds `random_state`.
    device : {"auto", "cpu", "cuda"}
    damae : mapping, optional
        Settings of `leaplib.DAMAE` that differ from its defaults, which are the paper's.
    n_alphas : int
        Penalties tried a perturbation.

    Attributes
    ----------
    representations_ : Representations
    members_ : list of PSLasso
        One a representation.
    folds_ : Series
        Tuning fold of each training sample.

    Examples
    --------
    >>> model = LEAP(n_representations=5, random_state=0)  # doctest: +SKIP
    >>> model.fit(X, Y, unlabelled=X_new).predict(X_new)  # doctest: +SKIP
    """

    def __init__(self, n_representations: int = 5, n_genes: int = 5000, random_state: int = 0,
                 device: str = "auto", damae: Mapping[str, Any] | None = None, n_alphas: int = 10):  # fmt: skip
        self.n_representations = n_representations
        self.n_genes = n_genes
        self.random_state = random_state
        self.device = device
        self.damae = damae
        self.n_alphas = n_alphas

    def _fit(self, X: pd.DataFrame, Y: pd.DataFrame, groups: pd.Series | None, pool: pd.DataFrame,
             sources: pd.Series | None) -> None:  # fmt: skip
        seeds = range(self.random_state, self.random_state + self.n_representations)
        representations = Representations.fit(pool, seeds, self.n_genes, self.device, sources, **dict(self.damae or {}))
        self.fit_members(representations, X, Y, groups)

    def fit_members(self, representations: Representations, X: pd.DataFrame, Y: pd.DataFrame,
                    groups: pd.Series | None = None) -> "LEAP":  # fmt: skip
        """Fit the PS-LASSOs on representations that were trained before; otherwise as `fit`."""
        check_tables(X, Y)
        self.perturbations_, self.representations_ = Y.columns, representations
        self.folds_ = tuning_folds(X.index, self.random_state, groups)
        self.members_ = [
            PSLasso(self.n_alphas).fit(codes, Y.loc[X.index], self.folds_) for codes in representations.transform(X)
        ]
        return self

    def _predict(self, X: pd.DataFrame) -> pd.DataFrame:
        return average(self.predict_members(X))

    def predict_members(self, X: pd.DataFrame) -> list[pd.DataFrame]:
        """Return the predictions of each representation's PS-LASSO."""
        check_is_fitted(self)
        codes = self.representations_.transform(X)
        return [member.predict(code) for member, code in zip(self.members_, codes, strict=True)]

    def predict_each(self, X: pd.DataFrame) -> np.ndarray:
        """Return the predictions of every regressor, representations x folds x samples x perturbations.

        The regressors of fold k were fitted without the training samples of fold k (`folds_`).
        """
        codes = self.features(X)
        return np.stack([member.predict_folds(code) for member, code in zip(self.members_, codes, strict=True)])

    def features(self, X: pd.DataFrame) -> list[pd.DataFrame]:
        """Return the codes of samples, one frame (samples x components) a representation."""
        check_is_fitted(self)
        return self.representations_.transform(X)

    @property
    def genes_(self) -> pd.Index:
        """Genes that `predict` needs."""
        return self.representations_.scaler.genes_

    def _save(self, folder: Path) -> None:
        self.representations_.save(folder)
        for number, member in enumerate(self.members_):
            member.save(folder / f"member_{number}")

    def _load(self, folder: Path) -> None:
        numbers = range(self.n_representations)
        self.representations_ = Representations.load(folder, len(numbers))
        self.members_ = [PSLasso.load(folder / f"member_{number}") for number in numbers]
