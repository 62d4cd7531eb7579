"""PS-RIDGE and LEAP+ on raw expression: a regressor on all standardised genes, without an autoencoder."""

from collections.abc import Sequence
from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted

from leaplib.cohorts.expression import ExpressionScaler
from leaplib.cohorts.splits import tuning_folds
from leaplib.models.expression_model import ExpressionModel
from leaplib.models.kernel import SharedKernelRidge
from leaplib.models.ridge import DualRidge
from leaplib.models.tuning import Tuned


class GeneModel(ExpressionModel):
    """A regressor on the genes themselves, chosen and standardised as for LEAP.

    Subclasses have parameters `n_genes` and `random_state`, name the `regressor` that they fit, and give
    `_regressor()`, which makes it, and `gene_weights`.

    Attributes
    ----------
    scaler_ : ExpressionScaler
    regressor_ : Tuned
    """

    n_genes: int
    random_state: int
    regressor: type[Tuned]

    def _regressor(self) -> Tuned:
        raise NotImplementedError

    def _fit(self, X: pd.DataFrame, Y: pd.DataFrame, groups: pd.Series | None, pool: pd.DataFrame,
             sources: pd.Series | None) -> None:  # fmt: skip
        self.scaler_ = ExpressionScaler(self.n_genes).fit(pool, sources=sources)
        self.folds_ = tuning_folds(X.index, self.random_state, groups)
        self.regressor_ = self._regressor()
        self.regressor_.fit(self.scaler_.transform(X), Y, self.folds_)

    def _predict(self, X: pd.DataFrame) -> pd.DataFrame:
        return self.regressor_.predict(self.scaler_.transform(X))

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

    def _save(self, folder: Path) -> None:
        self.scaler_.save(folder / "scaler.parquet")
        self.regressor_.save(folder / "regressor")

    def _load(self, folder: Path) -> None:
        self.scaler_ = ExpressionScaler.load(folder / "scaler.parquet")
        self.regressor_ = self.regressor.load(folder / "regressor")


class PSRidge(GeneModel):
    """Perturbation-specific ridge regression on the genes themselves: what LEAP has to surpass.

    Genes are chosen and standardised as for LEAP; `DualRidge` does the rest.

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

    regressor = DualRidge

    def __init__(self, n_genes: int = 5000, random_state: int = 0, n_penalties: int = 10):
        self.n_genes = n_genes
        self.random_state = random_state
        self.n_penalties = n_penalties

    def _regressor(self) -> DualRidge:
        return DualRidge(self.n_penalties)

    @property
    def coef_(self) -> pd.DataFrame:
        """Weights of the standardised genes."""
        return pd.DataFrame(self.regressor_.coef_, index=self.scaler_.genes_, columns=self.perturbations_)

    def gene_weights(self, X: pd.DataFrame, perturbations: Sequence[str]) -> np.ndarray:
        """Return the weights of each fold model, folds x genes x perturbations (the same at all samples `X`)."""
        columns = self.perturbations_.get_indexer(pd.Index(perturbations))
        return np.take(self.regressor_.fold_coef_, columns, axis=2)


class LEAPPlus(GeneModel):
    """LEAP+: kernel regression that shares strength between perturbations, on rank scores of the responses.

    `SharedKernelRidge` on the standardised genes that LEAP sees.

    Parameters
    ----------
    n_genes : int
        Most variable genes kept a source.
    random_state : int
        Seed of the tuning folds.
    share : float
        How much perturbations have in common, see `SharedKernelRidge`.

    Attributes
    ----------
    scaler_ : ExpressionScaler
    regressor_ : SharedKernelRidge

    Examples
    --------
    >>> model = LEAPPlus(random_state=0)  # doctest: +SKIP
    >>> model.fit(X, Y, unlabelled=X_new).predict(X_new)  # doctest: +SKIP
    """

    regressor = SharedKernelRidge

    def __init__(self, n_genes: int = 5000, random_state: int = 0, share: float = 0.5):
        self.n_genes = n_genes
        self.random_state = random_state
        self.share = share

    def _regressor(self) -> SharedKernelRidge:
        return SharedKernelRidge(self.share)

    def gene_weights(self, X: pd.DataFrame, perturbations: Sequence[str]) -> np.ndarray:
        """Return the derivatives of each fold model, folds x genes x perturbations, mean over the samples `X`."""
        columns, genes = self.perturbations_.get_indexer(pd.Index(perturbations)), self.features(X)[0].to_numpy(float)
        return np.stack([model.derivative(genes, columns) for model in chain(*self.regressor_.parts_)])
