"""LEAP: the average of perturbation-specific Lassos over several DAMAE representations."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted

from leaplib.damae import DAMAE, fit_damaes
from leaplib.errors import InputError
from leaplib.expression import ExpressionScaler
from leaplib.expression_model import ExpressionModel
from leaplib.regressors import PSLasso
from leaplib.splits import tuning_folds


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


class Representations:
    """The scaler and the DAMAEs that LEAP's regressors share.

    Parameters
    ----------
    scaler : ExpressionScaler, fitted
    damaes : sequence of DAMAE, fitted
    """

    def __init__(self, scaler: ExpressionScaler, damaes: Sequence[DAMAE]):
        self.scaler, self.damaes = scaler, list(damaes)

    @classmethod
    def fit(cls, expression: pd.DataFrame, seeds: Sequence[int], n_genes: int = 5000, device: str = "auto",
            sources: pd.Series | None = None, **damae: Any) -> "Representations":  # fmt: skip
        """Choose genes, standardise and train one DAMAE a seed on all samples of `expression`.

        `sources` names the source of each sample: genes are chosen in each source and united.
        """
        scaler = ExpressionScaler(n_genes).fit(expression, sources=sources)
        damaes = fit_damaes(scaler.transform(expression), random_states=tuple(seeds), device=device, **damae)
        return cls(scaler, damaes)

    def transform(self, expression: pd.DataFrame) -> list[pd.DataFrame]:
        """Return one frame a DAMAE, samples x components."""
        scaled = self.scaler.transform(expression)
        return [pd.DataFrame(damae.transform(scaled), index=expression.index) for damae in self.damaes]


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
        self.representations_ = Representations.fit(
            pool, seeds, self.n_genes, self.device, sources, **dict(self.damae or {})
        )
        folds = tuning_folds(X.index, self.random_state, groups)
        self.members_ = [
            PSLasso(self.n_alphas, device=self.device).fit(codes, Y, folds)
            for codes in self.representations_.transform(X)
        ]

    def _predict(self, X: pd.DataFrame) -> pd.DataFrame:
        return average(self.predict_members(X))

    def predict_members(self, X: pd.DataFrame) -> list[pd.DataFrame]:
        """Return the predictions of each representation's PS-LASSO."""
        check_is_fitted(self)
        codes = self.representations_.transform(X)
        return [member.predict(code) for member, code in zip(self.members_, codes, strict=True)]
