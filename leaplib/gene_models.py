"""PS-RIDGE and LEAP+ on raw expression: a regressor on all standardised genes, without an autoencoder."""

import pandas as pd

from leaplib.expression import ExpressionScaler
from leaplib.expression_model import ExpressionModel
from leaplib.regressors import DualRidge, SharedKernelRidge
from leaplib.regressors.base import Regressor
from leaplib.splits import tuning_folds


class GeneModel(ExpressionModel):
    """A regressor on the genes themselves, chosen and standardised as for LEAP.

    Subclasses give `_regressor()`.

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
    """

    def __init__(self, n_genes: int = 5000, random_state: int = 0):
        self.n_genes = n_genes
        self.random_state = random_state

    def _regressor(self) -> Regressor:
        raise NotImplementedError

    def _fit(self, X: pd.DataFrame, Y: pd.DataFrame, groups: pd.Series | None, pool: pd.DataFrame,
             sources: pd.Series | None) -> None:  # fmt: skip
        self.scaler_ = ExpressionScaler(self.n_genes).fit(pool, sources=sources)
        folds = tuning_folds(X.index, self.random_state, groups)
        self.regressor_ = self._regressor().fit(self.scaler_.transform(X), Y, folds)

    def _predict(self, X: pd.DataFrame) -> pd.DataFrame:
        return self.regressor_.predict(self.scaler_.transform(X))


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

    def _regressor(self) -> DualRidge:
        return DualRidge()

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

    def __init__(self, n_genes: int = 10_000, random_state: int = 0):
        super().__init__(n_genes, random_state)

    def _regressor(self) -> SharedKernelRidge:
        return SharedKernelRidge()
