"""PS-RIDGE on raw expression: one ridge regression a perturbation on all standardised genes, no autoencoder."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted

from leaplib.expression import ExpressionScaler
from leaplib.expression_model import ExpressionModel
from leaplib.regressors import DualRidge
from leaplib.splits import tuning_folds


class PSRidge(ExpressionModel):
    """Perturbation-specific ridge regression on the genes themselves: what LEAP has to surpass.

    Genes are chosen and standardised as for LEAP; `leaplib.regressors.DualRidge` does the rest.

    Parameters
    ----------
    n_genes : int
        Most variable genes kept a source.
    random_state : int
        Seed of the tuning folds.
    n_penalties : int
        Penalties tried a perturbation.

    Attributes
    ----------
    scaler_ : ExpressionScaler
    regressor_ : DualRidge
    coef_ : DataFrame, genes x perturbations
        Weights of the standardised genes, mean over the fold models: what drives the predictions.

    Examples
    --------
    >>> model = PSRidge(random_state=0)  # doctest: +SKIP
    >>> model.fit(X, Y, unlabelled=X_new).predict(X_new)  # doctest: +SKIP
    """

    def __init__(self, n_genes: int = 5000, random_state: int = 0, n_penalties: int = 10):
        self.n_genes = n_genes
        self.random_state = random_state
        self.n_penalties = n_penalties

    def _fit(self, X: pd.DataFrame, Y: pd.DataFrame, groups: pd.Series | None, pool: pd.DataFrame,
             sources: pd.Series | None) -> None:  # fmt: skip
        self.scaler_ = ExpressionScaler(self.n_genes).fit(pool, sources=sources)
        self.folds_ = tuning_folds(X.index, self.random_state, groups)
        self.regressor_ = DualRidge(self.n_penalties).fit(self.scaler_.transform(X), Y, self.folds_)

    def _predict(self, X: pd.DataFrame) -> pd.DataFrame:
        return self.regressor_.predict(self.scaler_.transform(X))

    @property
    def coef_(self) -> pd.DataFrame:
        """Weights of the standardised genes."""
        return pd.DataFrame(self.regressor_.coef_, index=self.scaler_.genes_, columns=self.perturbations_)

    @property
    def genes_(self) -> pd.Index:
        """Genes that `predict` needs."""
        return self.scaler_.genes_

    def features(self, X: pd.DataFrame) -> list[pd.DataFrame]:
        """Return the standardised genes of samples, samples x genes: the one representation."""
        check_is_fitted(self)
        return [self.scaler_.transform(X)]

    def predict_each(self, X: pd.DataFrame) -> np.ndarray:
        """Return the predictions of every fold model, 1 x folds x samples x perturbations; as `leaplib.LEAP`."""
        return self.regressor_.predict_folds(self.features(X)[0])[None]

    def gene_weights(self, X: pd.DataFrame, perturbations: Sequence[str]) -> np.ndarray:
        """Return the weights of each fold model, folds x genes x perturbations (the same at all samples `X`)."""
        folds = zip(*self.regressor_.parts_, strict=True)
        coef = np.stack([np.concatenate([model.coef[0] for model in parts], axis=-1) for parts in folds])
        return np.take(coef, self.perturbations_.get_indexer(pd.Index(perturbations)), axis=2)

    def _save(self, folder: Path) -> None:
        self.scaler_.save(folder / "scaler.parquet")
        self.regressor_.save(folder / "regressor")

    def _load(self, folder: Path) -> None:
        self.scaler_ = ExpressionScaler.load(folder / "scaler.parquet")
        self.regressor_ = DualRidge.load(folder / "regressor")
