"""PS-RIDGE and LEAP+ on raw expression: a regressor on all standardised genes, without an autoencoder."""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted

from leaplib.expression import ExpressionScaler
from leaplib.expression_model import ExpressionModel
from leaplib.regressors import DualRidge, SharedKernelRidge
from leaplib.splits import tuning_folds


class GeneModel(ExpressionModel):
    """A regressor on the genes themselves, chosen and standardised as for LEAP; subclasses name its class.

    Parameters
    ----------
    n_genes : int
        Most variable genes kept a source.
    random_state : int
        Seed of the tuning folds.

    Attributes
    ----------
    scaler_ : ExpressionScaler
    regressor_ : Regressor
    folds_ : Series
        Tuning fold of each sample.
    """

    regressor: ClassVar[type[DualRidge] | type[SharedKernelRidge]]

    def __init__(self, n_genes: int = 5000, random_state: int = 0):
        self.n_genes = n_genes
        self.random_state = random_state

    def _fit(self, X: pd.DataFrame, Y: pd.DataFrame, groups: pd.Series | None, pool: pd.DataFrame,
             sources: pd.Series | None) -> None:  # fmt: skip
        self.scaler_ = ExpressionScaler(self.n_genes).fit(pool, sources=sources)
        self.folds_ = tuning_folds(X.index, self.random_state, groups)
        self.regressor_ = self.regressor().fit(self.scaler_.transform(X), Y, self.folds_)

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

    def gene_weights(self, X: pd.DataFrame, perturbations: Sequence[str]) -> np.ndarray:
        """Return the derivative of each fold model by the standardised genes, averaged over samples.

        Parameters
        ----------
        X : DataFrame, samples x genes
        perturbations : sequence of str

        Returns
        -------
        array, folds x genes x perturbations
        """
        scaled = self.features(X)[0].to_numpy(dtype=float)
        wanted = self.perturbations_.get_indexer(pd.Index(perturbations))
        found = np.empty((len(self.regressor_.parts_[0]), scaled.shape[1], len(wanted)))
        start = 0
        for models in self.regressor_.parts_:  # blocks of perturbations
            end = start + models[0].intercept.shape[-1]
            inside = (wanted >= start) & (wanted < end)
            for number, model in enumerate(models):
                found[number][:, inside] = model.slope(scaled, wanted[inside] - start)
            start = end
        return found

    def _save(self, folder: Path) -> None:
        self.scaler_.save(folder / "scaler.parquet")
        self.regressor_.save(folder / "regressor")

    def _load(self, folder: Path) -> None:
        self.scaler_ = ExpressionScaler.load(folder / "scaler.parquet")
        self.regressor_ = self.regressor.load(folder / "regressor")


class PSRidge(GeneModel):
    """Perturbation-specific ridge regression on the genes themselves: what LEAP has to surpass.

    `leaplib.regressors.DualRidge` on standardised genes; parameters as `GeneModel`.

    Attributes
    ----------
    coef_ : DataFrame, genes x perturbations
        Weights of the standardised genes, mean over the fold models: what drives the predictions.

    Examples
    --------
    >>> model = PSRidge(random_state=0)  # doctest: +SKIP
    >>> model.fit(X, Y, unlabelled=X_new).predict(X_new)  # doctest: +SKIP
    """

    regressor = DualRidge

    @property
    def coef_(self) -> pd.DataFrame:
        """Weights of the standardised genes."""
        return pd.DataFrame(self.regressor_.coef_, index=self.scaler_.genes_, columns=self.perturbations_)


class LEAPPlus(GeneModel):
    """LEAP+: kernel regression that shares strength between perturbations, on rank scores of the responses.

    `leaplib.regressors.SharedKernelRidge` on standardised genes, twice as many as LEAP's; parameters as `GeneModel`.

    Examples
    --------
    >>> model = LEAPPlus(random_state=0)  # doctest: +SKIP
    >>> model.fit(X, Y, unlabelled=X_new).predict(X_new)  # doctest: +SKIP
    """

    regressor = SharedKernelRidge

    def __init__(self, n_genes: int = 10_000, random_state: int = 0):
        super().__init__(n_genes, random_state)
